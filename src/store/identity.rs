//! Whether the log is the one that the store has read so far.

use std::path::Path;

use crate::domain::founding::Founding;
use crate::domain::position::{Lane, LogIdentity, NextOffset, Offset};

use super::StoreError;
use super::checkpoint::{IDENTITY, StoreIdentity, read_file, write_file};
use super::journal::LaneProgress;

/// The offsets that a lane of the log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneRange {
    /// The first one.
    pub low: Offset,
    /// One past the last one.
    pub high: NextOffset,
}

/// Checks one lane before it is consumed: that the log holds the offset at which the store goes on
/// and, where the log still has the record read last, that it is that very record. `last_hash` is
/// [`crate::domain::record::record_hash`] of what the log has at the last offset read, if it has it.
///
/// # Errors
/// `OutsideLog` and `AnotherRecord`, which say what to do.
pub fn check_lane(
    lane: Lane,
    progress: Option<&LaneProgress>,
    range: LaneRange,
    last_hash: Option<u64>,
) -> Result<(), StoreError> {
    let next = progress.map_or(NextOffset(0), |at| at.next);
    let outside =
        |why| StoreError::OutsideLog { lane, next, low: range.low, high: range.high, why };
    if next.0 > range.high.0 {
        return Err(outside(
            "the log was cut or re-created; restore it, use another data directory, or run `contactd store rebuild`",
        ));
    }
    if next.0 < range.low.0 {
        return Err(outside(match progress {
            None => {
                "the store is partial: it is empty and the log's beginning is gone; restore it from an instance that has everything (a snapshot of its), or, where there is none, start one instance with --accept-gap --sole"
            }
            Some(_) => {
                "the store is partial: the log has dropped records that it never read; restore it from an instance that has them (a newer snapshot), or, where there is none, start one instance with --accept-gap --sole"
            }
        }));
    }
    match (progress.and_then(|at| at.last), last_hash) {
        (Some(last), Some(hash)) if last.hash != hash => {
            Err(StoreError::AnotherRecord { lane, offset: last.offset })
        }
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

/// Reads who the store is, making it where there is none yet. A log that is given must be the one
/// that the store follows; a store that follows none yet follows it from now on.
pub(crate) fn settle(
    dir: &Path,
    log: Option<&LogIdentity>,
    is_new: bool,
) -> Result<StoreIdentity, StoreError> {
    let Some(mut found) = read_file::<StoreIdentity>(dir, &IDENTITY)? else {
        if !is_new {
            let detail = "the file is missing beside a journal or a checkpoint";
            return Err(StoreError::damaged("identity", detail));
        }
        if log.is_none() {
            return Err(StoreError::NoStore { path: dir.to_path_buf() });
        }
        let made = StoreIdentity {
            store: fastrand::u64(..),
            log: log.cloned(),
            founding: None,
            base: None,
        };
        write_file(dir, &IDENTITY, &made)?;
        return Ok(made);
    };
    match (&found.log, log) {
        (Some(stored), Some(given)) if stored != given => Err(StoreError::AnotherLog {
            path: dir.to_path_buf(),
            stored: stored.to_string(),
            given: given.to_string(),
        }),
        (None, Some(given)) => {
            found.log = Some(given.clone());
            write_file(dir, &IDENTITY, &found)?;
            Ok(found)
        }
        (Some(_) | None, Some(_) | None) => Ok(found),
    }
}

fn settled(dir: &Path) -> Result<StoreIdentity, StoreError> {
    let missing = || StoreError::damaged("identity", "the file is missing");
    read_file(dir, &IDENTITY)?.ok_or_else(missing)
}

/// The founding that the store goes by, if it was told one.
pub(crate) fn founding(dir: &Path) -> Result<Option<Founding>, StoreError> {
    Ok(read_file::<StoreIdentity>(dir, &IDENTITY)?.and_then(|found| found.founding))
}

/// The store goes by this founding from now on. A contact's home decides what is applied, so one that
/// went by another can't.
pub(crate) fn settle_founding(dir: &Path, given: &Founding) -> Result<(), StoreError> {
    let mut found = settled(dir)?;
    match &found.founding {
        Some(stored) if stored != given => Err(StoreError::AnotherFounding {
            path: dir.to_path_buf(),
            stored: stored.to_string(),
            given: given.to_string(),
        }),
        Some(_) => Ok(()),
        None => {
            found.founding = Some(*given);
            write_file(dir, &IDENTITY, &found)
        }
    }
}

/// The log's base as the store knows it, and whether it comes from it.
pub(crate) fn base(dir: &Path) -> Result<Option<(String, bool)>, StoreError> {
    Ok(read_file::<StoreIdentity>(dir, &IDENTITY)?.and_then(|found| found.base))
}

/// The log has this base from now on.
pub(crate) fn settle_base(dir: &Path, id: &str, is_ours: bool) -> Result<(), StoreError> {
    let mut found = settled(dir)?;
    let base = Some((id.to_owned(), is_ours));
    if found.base != base {
        found.base = base;
        write_file(dir, &IDENTITY, &found)?;
    }
    Ok(())
}

/// The store is another one from now on, and follows `log` where one is named. What is here of the engine and of
/// checkpoints is the old one's then, and not taken for this one's.
pub(crate) fn take_over(dir: &Path, log: Option<&LogIdentity>) -> Result<(), StoreError> {
    let found = settled(dir)?;
    let log = log.cloned().or(found.log);
    write_file(dir, &IDENTITY, &StoreIdentity { store: fastrand::u64(..), log, ..found })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::partitioner::Partitioner;
    use crate::domain::position::LogKind;
    use crate::store::journal::LastRecord;

    fn log(topic: &str) -> LogIdentity {
        LogIdentity { kind: LogKind::Kafka, cluster: "c".into(), topic: topic.into() }
    }

    #[test]
    fn another_log_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(settle(dir.path(), None, true), Err(StoreError::NoStore { .. })));
        let first = settle(dir.path(), Some(&log("a")), true).unwrap();
        assert_eq!(settle(dir.path(), None, false).unwrap(), first);
        let error = settle(dir.path(), Some(&log("b")), false).unwrap_err();
        assert!(error.to_string().contains("store rebuild"), "{error}");
        assert!(error.is_about_data());
    }

    #[test]
    fn the_founding_stays_and_another_is_named() {
        let dir = tempfile::tempdir().unwrap();
        settle(dir.path(), Some(&log("a")), true).unwrap();
        let first = Founding::first(Partitioner::Crc32, 4);
        settle_founding(dir.path(), &first).unwrap();
        settle_founding(dir.path(), &first).unwrap();
        assert_eq!(founding(dir.path()).unwrap(), Some(first));
        let other = Founding::first(Partitioner::Murmur2, 8);
        let error = settle_founding(dir.path(), &other).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("crc32 over 4") && text.contains("murmur2 over 8"), "{text}");
    }

    #[test]
    fn lanes_outside_the_log_or_with_another_record_are_refused() {
        let last = LastRecord { offset: Offset(9), leader_epoch: None, hash: 7 };
        let progress = LaneProgress { next: NextOffset(10), last: Some(last) };
        let check = |progress, low, high, hash| {
            let range = LaneRange { low: Offset(low), high: NextOffset(high) };
            check_lane(Lane(1), progress, range, hash)
        };
        check(Some(&progress), 0, 10, Some(7)).unwrap();
        check(Some(&progress), 10, 30, None).unwrap();
        check(None, 0, 30, None).unwrap();
        assert!(matches!(
            check(Some(&progress), 0, 10, Some(8)),
            Err(StoreError::AnotherRecord { .. })
        ));
        for (progress, low, high) in
            [(Some(&progress), 0, 9), (Some(&progress), 11, 30), (None, 1, 30)]
        {
            assert!(matches!(check(progress, low, high, None), Err(StoreError::OutsideLog { .. })));
        }
    }
}

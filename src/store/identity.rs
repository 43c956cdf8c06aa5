//! Whether the log is the one that the store has read so far.

use std::path::Path;

use crate::domain::partitioner::Partitioner;
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
                "the store is empty and the log's beginning is gone; restore a snapshot, or start with --from-log-start and do without it"
            }
            Some(_) => {
                "the log has dropped records that were never read; restore a newer snapshot, or run `contactd store rebuild` with --from-log-start and do without them"
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
        let made = StoreIdentity { store: fastrand::u64(..), log: log.cloned(), partitioner: None };
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

/// The partitioner that the store goes by: the first that it was told. One that was only guessed
/// gives way to it; one that was asked for by name must be it, since a contact's home decides what
/// is applied.
pub(crate) fn settle_partitioner(
    dir: &Path,
    given: Partitioner,
    is_guess: bool,
) -> Result<Partitioner, StoreError> {
    let Some(mut found) = read_file::<StoreIdentity>(dir, &IDENTITY)? else {
        return Err(StoreError::damaged("identity", "the file is missing"));
    };
    match found.partitioner {
        Some(stamped) if stamped != given && !is_guess => Err(StoreError::AnotherPartitioner {
            path: dir.to_path_buf(),
            stamped: stamped.as_str(),
            given: given.as_str(),
        }),
        Some(stamped) => Ok(stamped),
        None => {
            found.partitioner = Some(given);
            write_file(dir, &IDENTITY, &found)?;
            Ok(given)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::LogKind;
    use crate::store::journal::LastRecord;

    fn log(topic: &str) -> LogIdentity {
        LogIdentity { kind: LogKind::Kafka, cluster: "c".into(), topic: topic.into(), lanes: 4 }
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
    fn the_first_partitioner_stays() {
        let dir = tempfile::tempdir().unwrap();
        settle(dir.path(), Some(&log("a")), true).unwrap();
        let settle = |given, is_guess| settle_partitioner(dir.path(), given, is_guess);
        assert_eq!(settle(Partitioner::Crc32, true).unwrap(), Partitioner::Crc32);
        assert_eq!(settle(Partitioner::Murmur2, true).unwrap(), Partitioner::Crc32);
        let error = settle(Partitioner::Murmur2, false).unwrap_err();
        assert!(matches!(error, StoreError::AnotherPartitioner { .. }), "{error}");
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

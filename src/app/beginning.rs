//! By which rules a log begins: found on it, else proposed.
//!
//! The first marker of the newest founding in lane 0 says it for every lane, so of two instances that
//! propose one wins, and every instance that ever starts from nothing finds the same: each reads the
//! lane from its beginning, also over what it has appended itself.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::domain::Class;
use crate::domain::founding::Founding;
use crate::domain::position::{Lane, LogIdentity, Offset};
use crate::domain::rules::{InForce, RuleSet};
use crate::event_log::{Ack, EventLog};
use crate::ingest::marker_record;

use super::WorkerError;
use super::first_lane::{DECIDES, FirstMarker, first_marker};
use super::founding::FoundingError;

/// The first founding's number.
const FIRST_FOUNDING: u64 = 1;

/// How a log comes by the rules that it begins with.
pub(super) struct Beginning<'a> {
    pub(super) log: &'a EventLog,
    pub(super) identity: &'a LogIdentity,
    /// What contacts' homes follow from.
    pub(super) founding: &'a Founding,
    /// What is proposed where the log has no rules.
    pub(super) own: &'a Arc<RuleSet>,
    pub(super) runtime: &'a Handle,
    pub(super) stop: &'a CancellationToken,
}

impl Beginning<'_> {
    /// How the log begins: the founding's revision, and the rules. `proposed`: where this instance's
    /// proposal stands, which is made once.
    ///
    /// # Errors
    /// Of class Retry while the log can't be read, or lacks rules and can't be written.
    pub(super) fn find(
        &self,
        proposed: &mut Option<Offset>,
    ) -> Result<(u64, InForce), WorkerError> {
        let found = match first_marker(self.log, *proposed, self.stop)? {
            Some(found) => found,
            None => {
                *proposed = self.propose(0..1)?.first().map(|ack| ack.offset);
                let found = first_marker(self.log, *proposed, self.stop)?;
                found.ok_or_else(|| self.unfounded("what was appended is not there", false))?
            }
        };
        let FirstMarker { founding, homes, offset, rules } = found;
        if homes != *self.founding {
            return Err(WorkerError::Founding(FoundingError::Differs {
                topic: self.identity.topic.clone(),
                founding: *self.founding,
                offset,
                marker: homes,
            }));
        }
        let rules = rules.map_err(|version| self.unknown(offset, version))?;
        let fingerprint = rules.rules.fingerprint();
        if proposed.is_some() && fingerprint == self.own.fingerprint() {
            self.propose(1..self.log.lanes()?)?;
        }
        tracing::info!(founding, number = rules.number, %fingerprint, "the log's rules");
        Ok((founding, rules))
    }

    /// Appends this instance's rules to these lanes.
    fn propose(&self, lanes: std::ops::Range<u16>) -> Result<Vec<Ack>, WorkerError> {
        let homes = *self.founding;
        let marker = |lane| marker_record(Lane(lane), 0, FIRST_FOUNDING, homes, self.own, None);
        let appended = self.runtime.block_on(self.log.append(lanes.map(marker).collect()));
        appended.map_err(|error| match error.class() {
            Class::Retry => error.into(),
            Class::Poison | Class::Fatal => self.unfounded(error.to_string(), true),
        })
    }

    fn unfounded(&self, why: impl Into<String>, is_lasting: bool) -> WorkerError {
        WorkerError::Unfounded { topic: self.identity.topic.clone(), why: why.into(), is_lasting }
    }

    fn unknown(&self, offset: Offset, version: u64) -> WorkerError {
        let why = format!(
            "the rules at partition {DECIDES} offset {offset} are of APPLY_VERSION {version}, which \
             this program does not know; start a newer contactd"
        );
        self.unfounded(why, true)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Barrier;

    use super::*;
    use crate::domain::headers::MARKER;
    use crate::domain::partitioner::Partitioner;
    use crate::domain::rules::RuleText;
    use crate::event_log::NewRecord;
    use crate::event_log::embedded::{EmbeddedLog, EmbeddedOptions};

    const LANES: u16 = 2;

    fn log(dir: &Path) -> EventLog {
        let options = EmbeddedOptions {
            path: dir.to_owned(),
            topic: "contacts".into(),
            partitions: LANES,
            segment_bytes_max: 1 << 20,
            retention_bytes: None,
            retention_age: None,
        };
        EventLog::Embedded(Arc::new(EmbeddedLog::open(options).unwrap()))
    }

    fn rules(tolerance_ms: u64) -> Arc<RuleSet> {
        let text = RuleText { future_tolerance_ms: tolerance_ms, ..RuleText::built_in() };
        Arc::new(RuleSet::compile(text).unwrap())
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    /// What one instance with these rules finds or proposes.
    fn find(
        log: &EventLog,
        own: &Arc<RuleSet>,
        proposed: &mut Option<Offset>,
    ) -> Result<(u64, InForce), WorkerError> {
        let runtime = runtime();
        let (identity, founding) = (log.identity().unwrap(), log.founding().unwrap());
        let stop = CancellationToken::new();
        let (identity, founding, runtime) = (&identity, &founding, runtime.handle());
        Beginning { log, identity, founding, own, runtime, stop: &stop }.find(proposed)
    }

    fn append(log: &EventLog, records: Vec<NewRecord>) {
        runtime().block_on(log.append(records)).unwrap();
    }

    fn marker(log: &EventLog, own: &RuleSet) -> NewRecord {
        let homes = log.founding().unwrap();
        marker_record(DECIDES, 0, FIRST_FOUNDING, homes, own, None)
    }

    #[test]
    fn who_proposes_second_goes_by_the_first_though_it_saw_an_empty_lane() {
        let dir = tempfile::tempdir().unwrap();
        let (log, [first, second]) = (log(dir.path()), [rules(1), rules(2)]);
        append(&log, vec![marker(&log, &first), marker(&log, &second)]);
        let found = find(&log, &second, &mut Some(Offset(1))).unwrap().1;
        assert_eq!((found.offset, &found.rules), (Offset(0), &first));
        assert_eq!(log.watermarks(DECIDES).unwrap().high.0, 2, "it proposes nothing again");
        assert_eq!(
            log.watermarks(Lane(1)).unwrap().high.0,
            0,
            "the first one's is its own to spread"
        );
    }

    #[test]
    fn two_that_propose_at_once_begin_alike() {
        for _ in 0..12 {
            let dir = tempfile::tempdir().unwrap();
            let (log, start) = (log(dir.path()), Barrier::new(2));
            let found = std::thread::scope(|scope| {
                let found = [1, 2].map(|own| {
                    let (log, start) = (&log, &start);
                    scope.spawn(move || {
                        start.wait();
                        find(log, &rules(own), &mut None).unwrap().1.rules
                    })
                });
                found.map(|found| found.join().unwrap())
            });
            assert_eq!(found[0], found[1]);
        }
    }

    #[test]
    fn what_was_proposed_and_can_not_be_read_yet_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path());
        append(&log, vec![NewRecord { lane: Some(DECIDES), ..NewRecord::default() }]);
        let mut proposed = Some(Offset(1));
        let error = find(&log, &rules(1), &mut proposed).unwrap_err();
        assert_eq!((error.class(), proposed), (Class::Retry, Some(Offset(1))));
        assert_eq!(log.watermarks(DECIDES).unwrap().high.0, 1, "nothing is proposed twice");
    }

    #[test]
    fn a_marker_of_other_homes_is_no_beginning_and_both_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path());
        let other = Founding::first(Partitioner::Crc32, 8);
        append(&log, vec![marker_record(DECIDES, 0, 1, other, &rules(1), None)]);
        let error = find(&log, &rules(1), &mut None).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("murmur2 over 2") && text.contains("crc32 over 8"), "{text}");
        assert_eq!(error.class(), Class::Retry);
    }

    #[test]
    fn rules_that_are_not_known_here_are_no_beginning_for_good() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path());
        let unknown = lz4_flex::block::compress_prepend_size(br#"{"applyVersion":77}"#);
        let marker = NewRecord { value: Some(unknown), ..marker(&log, &rules(1)) };
        assert_eq!(marker.headers[0].0, MARKER);
        append(&log, vec![marker]);
        let error = find(&log, &rules(1), &mut None).unwrap_err();
        assert!(matches!(error, WorkerError::Unfounded { is_lasting: true, .. }), "{error}");
        assert!(error.to_string().contains("APPLY_VERSION 77"), "{error}");
    }
}

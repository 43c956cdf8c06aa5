//! What became of an event, by its id or its place on the log.

use xxhash_rust::xxh3::xxh3_64;

use crate::domain::position::{CONTROL_LANE, Lane, LogIdentity, NextOffset, Offset};
use crate::domain::record::RecordKind;
use crate::domain::timestamp::format_rfc3339;
use crate::domain::verdict::Verdict;
use crate::store::{EventRecord, Prospect, Reader};

use super::error::QueryError;

/// What is known of an event.
#[derive(Clone, Debug)]
pub enum EventFound {
    /// It was applied, or set aside.
    Decided(EventDecision),
    /// It was taken here and has not been met on the log yet.
    Taken,
    /// It was taken here, and the log did not take it.
    Refused {
        /// What the log says.
        why: String,
    },
    /// Its place on the log is not reached yet.
    Ahead {
        /// The partition.
        lane: Lane,
        /// Its offset there.
        offset: Offset,
        /// Up to where the partition is applied.
        next: NextOffset,
    },
    /// Nothing.
    Unknown {
        /// Whether everything that is kept was looked through.
        is_complete: bool,
        /// Of the oldest record that is kept, about; none: of the log's first.
        kept_since: Option<String>,
        /// It came again since: what became of it was decided before.
        is_repeated: bool,
    },
}

/// What became of an event.
#[derive(Clone, Debug)]
pub struct EventDecision {
    /// [`LogIdentity::fingerprint`] of the log that its records stand on.
    pub log: u64,
    /// `applied` where any of its records was, else the verdict on the newest.
    pub verdict: Verdict,
    /// Newest first, 16 at most: the same event may have come several times.
    pub records: Vec<EventRecord>,
    /// Whether everything that is kept was looked through.
    pub is_complete: bool,
}

pub(super) fn event(
    reader: &Reader,
    log: Option<&LogIdentity>,
    name: &str,
) -> Result<EventFound, QueryError> {
    let mut found = reader.event(name.as_bytes())?;
    // Control records are none of the API's: their keys name sessions.
    found.records.retain(is_shown);
    let decision =
        |records, is_complete| EventDecision::of(reader.position().log, records, is_complete);
    // Of an event whose decision is not kept any more a repeat tells nothing but that there was one.
    let is_repeated = !found.records.is_empty();
    if !found.records.iter().any(EventRecord::is_decision) {
        found.records.clear();
    }
    if let Some(decided) = decision(found.records, found.is_complete) {
        return Ok(EventFound::Decided(decided));
    }
    if let Some((lane, offset)) = place(name, log) {
        let record = reader.event_at(lane, offset)?.filter(is_shown);
        if let Some(decided) = decision(record.into_iter().collect(), true) {
            return Ok(EventFound::Decided(decided));
        }
        let next = reader.position().next.get(&lane).copied().unwrap_or_default();
        if offset.0 >= next.0 {
            return Ok(EventFound::Ahead { lane, offset, next });
        }
    }
    match reader.prospect(xxh3_64(name.as_bytes())) {
        Prospect::Open => return Ok(EventFound::Taken),
        Prospect::Refused(why) => return Ok(EventFound::Refused { why }),
        Prospect::Unknown => {}
    }
    let kept_since = reader.journal_since()?.map(time);
    Ok(EventFound::Unknown { is_complete: found.is_complete, kept_since, is_repeated })
}

fn is_shown(record: &EventRecord) -> bool {
    matches!(record.record_kind, RecordKind::Contact | RecordKind::Payment)
}

/// `partition:offset` or `topic:partition:offset` of the contact log.
fn place(name: &str, log: Option<&LogIdentity>) -> Option<(Lane, Offset)> {
    let mut parts = name.rsplitn(3, ':');
    let offset = number(parts.next()?)?;
    let lane = u16::try_from(number(parts.next()?)?).ok()?;
    let is_ours = match (parts.next(), log) {
        (Some(topic), Some(log)) => topic == log.topic,
        (Some(_), None) => false,
        (None, _) => Lane(lane) != CONTROL_LANE,
    };
    is_ours.then_some((Lane(lane), Offset(offset)))
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn time(ms: i64) -> String {
    format_rfc3339(u64::try_from(ms).unwrap_or(0))
}

impl EventDecision {
    fn of(log: u64, records: Vec<EventRecord>, is_complete: bool) -> Option<Self> {
        // What a repeat found does not hide what the first one did.
        let applied = records.iter().find(|record| record.verdict == Verdict::Applied);
        let verdict = applied.or(records.first())?.verdict;
        Some(Self { log, verdict, records, is_complete })
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::event::EventKind;
    use crate::domain::position::LogKind;
    use crate::store::{self, EntryMeta, LaneProgress, StoreConfig};

    use super::*;

    fn log() -> LogIdentity {
        LogIdentity {
            kind: LogKind::Kafka,
            cluster: "c".to_owned(),
            topic: "my:contacts".to_owned(),
        }
    }

    #[test]
    fn a_repeat_of_what_is_not_kept_any_more_is_no_answer() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreConfig::at(dir.path());
        let mut opened = store::open(options, Some(&log()), &|_| ()).unwrap();
        let mut come = |offset, verdict| {
            let meta = EntryMeta {
                lane: Lane(0),
                offset: Offset(offset),
                record_time_ms: 1,
                record_kind: RecordKind::Contact,
                event_id: b"evt-again",
                kind: EventKind::Updated,
                source: b"lab",
                event_time_us: None,
                principal: None,
                request_id: None,
                attempt: None,
            };
            opened.writer.settled(&meta, verdict, b"c").unwrap();
            opened.writer.advance(Lane(0), LaneProgress::at(NextOffset(offset + 1)));
            opened.writer.commit().unwrap();
        };
        // The first of them stood in a part of the journal that is gone.
        come(7, Verdict::Duplicate);
        come(8, Verdict::Duplicate);
        let found = event(&opened.reader, Some(&log()), "evt-again").unwrap();
        assert!(matches!(found, EventFound::Unknown { is_repeated: true, .. }), "{found:?}");
        let found = event(&opened.reader, Some(&log()), "evt-other").unwrap();
        assert!(matches!(found, EventFound::Unknown { is_repeated: false, .. }), "{found:?}");
        // Of a record what became of that very record is asked.
        let found = event(&opened.reader, Some(&log()), "0:8").unwrap();
        let EventFound::Decided(decision) = found else { panic!("{found:?}") };
        assert_eq!(decision.verdict, Verdict::Duplicate);
    }

    #[test]
    fn what_the_log_did_not_take_is_said_to_be_refused() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreConfig::at(dir.path());
        let opened = store::open(options, Some(&log()), &|_| ()).unwrap();
        let expected = opened.reader.expect(xxh3_64(b"evt-1"));
        let found = || event(&opened.reader, Some(&log()), "evt-1").unwrap();
        assert!(matches!(found(), EventFound::Taken));
        expected.refused("too large");
        assert!(matches!(found(), EventFound::Refused { why } if why == "too large"));
    }

    #[test]
    fn places_are_told_from_ids() {
        let log = log();
        let at = |lane, offset| Some((Lane(lane), Offset(offset)));
        assert_eq!(place("3:1042", Some(&log)), at(3, 1042));
        assert_eq!(place("my:contacts:3:1042", Some(&log)), at(3, 1042));
        assert_eq!(place("3:1042", None), at(3, 1042));
        for none in
            ["65535:1", "other:3:1", "3:", ":3", "3:+1", "evt_1", "", "3:99999999999999999999"]
        {
            assert_eq!(place(none, Some(&log)), None, "{none}");
        }
    }
}

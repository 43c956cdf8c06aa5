//! Planning against a real store: every record gets one verdict, and what can't be applied is kept.

use std::sync::Arc;

use crate::domain::decode::Decoder;
use crate::domain::founding::Founding;
use crate::domain::headers::FOUNDING;
use crate::domain::limits::Limits;
use crate::domain::mapping::Mapping;
use crate::domain::partitioner::Partitioner;
use crate::domain::position::{Lane, LogIdentity, LogKind, NextOffset, Offset};
use crate::domain::record::RecordBatch;
use crate::domain::verdict::{DeadLetterReason, Verdict};
use crate::store::{self, Opened, StoreOptions};

use super::{DecodedBatch, Planner, Rules};

const RECORD_TIME_MS: i64 = 1_767_225_600_000;

struct Bench {
    _directory: tempfile::TempDir,
    opened: Opened,
    planner: Planner,
    decoder: Arc<Decoder>,
}

fn bench() -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let identity = LogIdentity {
        kind: LogKind::Embedded,
        cluster: "test".into(),
        topic: "contacts".into(),
        lanes: 4,
    };
    let mut config = crate::config::Config::built_in(crate::config::Mode::Serve).unwrap().store;
    config.path = directory.path().join("store");
    config.ballast_bytes = 0;
    config.min_free_bytes = 0;
    let opened = store::open(StoreOptions::from(&config), Some(&identity), 1, &|_| {}).unwrap();
    let limits = Limits::default();
    Bench {
        _directory: directory,
        opened,
        planner: Planner::new(Rules {
            founding: Founding::first(Partitioner::Murmur2, 4),
            future_tolerance_ms: 300_000,
            limits,
        }),
        decoder: Arc::new(Decoder::new(Mapping::built_in(), limits)),
    }
}

impl Bench {
    /// Applies one record of a lane; the verdicts that this added.
    fn apply(&mut self, lane: Lane, offset: u64, key: Option<&str>, value: &str) -> Verdict {
        self.apply_with(lane, offset, key, value, None)
    }

    /// The same of a record that was brought home under a founding.
    fn apply_with(
        &mut self,
        lane: Lane,
        offset: u64,
        key: Option<&str>,
        value: &str,
        revision: Option<&[u8]>,
    ) -> Verdict {
        let before = self.opened.writer.committed().counters;
        let mut batch = RecordBatch::new(lane);
        let key = key.map(str::as_bytes);
        let headers = revision.into_iter().map(|revision| (FOUNDING, Some(revision)));
        batch.push(Offset(offset), RECORD_TIME_MS, key, Some(value.as_bytes()), headers);
        batch.next = NextOffset(offset + 1);
        let decoded = DecodedBatch::decode(&self.decoder, batch, Vec::new());
        self.planner.plan(&mut self.opened.writer, &decoded).unwrap();
        self.opened.writer.commit().unwrap();
        let after = self.opened.writer.committed().counters;
        assert_eq!(after.received(), before.received() + 1);
        Verdict::ALL
            .into_iter()
            .find(|verdict| after.verdict(*verdict) > before.verdict(*verdict))
            .unwrap()
    }
}

fn event(id: &str, timestamp_ms: i64, name: &str) -> String {
    format!(
        r#"{{"id":"e-{timestamp_ms}-{name}","eventType":"contact.updated","timestamp":{timestamp_ms},
            "source":"acme","data":{{"id":"{id}","acme_first_name":"{name}"}}}}"#
    )
}

fn home(id: &str) -> Lane {
    Partitioner::Murmur2.lane(id.as_bytes(), 4)
}

#[test]
fn a_newer_event_is_applied_an_older_one_is_stale() {
    let mut bench = bench();
    let lane = home("c1");
    let (now, before) = (RECORD_TIME_MS, RECORD_TIME_MS - 1000);
    assert_eq!(
        bench.apply(lane, 0, Some("c1"), &event("c1", before - 1000, "Grace")),
        Verdict::Applied
    );
    assert_eq!(bench.apply(lane, 1, Some("c1"), &event("c1", now, "Ada")), Verdict::Applied);
    assert_eq!(bench.apply(lane, 2, Some("c1"), &event("c1", before, "Alan")), Verdict::Stale);
    assert_eq!(bench.apply(lane, 3, Some("c1"), &event("c1", now, "Ada")), Verdict::Duplicate);
    let found = bench.opened.reader.contact(b"c1").unwrap().unwrap();
    assert_eq!(found.view().unwrap().field(0), Some("Ada"));
    assert_eq!(bench.opened.writer.next_offsets().get(&lane), Some(&NextOffset(4)));
}

#[test]
fn what_is_away_from_home_is_rehomed_unless_it_was_brought_there() {
    let mut bench = bench();
    let elsewhere = Lane((home("c1").0 + 1) % 4);
    let value = event("c1", RECORD_TIME_MS, "Ada");
    assert_eq!(bench.apply(home("c1"), 0, None, &value), Verdict::Rehomed);
    assert_eq!(bench.apply(elsewhere, 0, Some("c1"), &value), Verdict::Rehomed);
    // A lane that the log did not have at its founding is nobody's home.
    assert_eq!(bench.apply(Lane(4), 0, Some("c1"), &value), Verdict::Rehomed);
    // Under another founding that was its home, or what says so is no founding.
    for other in [b"2".as_slice(), b"01", b""] {
        let offset = 1 + other.len() as u64 + u64::from(other == b"2");
        let found = bench.apply_with(elsewhere, offset, Some("c1"), &value, Some(other));
        assert_eq!(found, Verdict::Rehomed);
    }
    assert!(bench.opened.reader.contact(b"c1").unwrap().is_none());
    let found = bench.opened.reader.rehomed_after(&Default::default(), None).unwrap();
    let record = found.records.first().unwrap();
    assert_eq!((record.contact_id.as_slice(), record.key.as_deref()), (b"c1".as_slice(), None));
    assert_eq!(record.value.as_deref(), Some(value.as_bytes()));
}

#[test]
fn what_may_not_be_applied_where_it_stands_is_set_aside_with_its_reason() {
    let mut bench = bench();
    let lane = home("c1");
    let elsewhere = Lane((lane.0 + 1) % 4);
    let value = event("c1", RECORD_TIME_MS, "Ada");
    let ahead = event("c1", RECORD_TIME_MS + 300_001, "Ada");
    let present = Some(b"1".as_slice());
    assert_eq!(bench.apply_with(lane, 0, None, &value, present), Verdict::DeadLettered);
    let again = bench.apply_with(elsewhere, 0, Some("c1"), &value, present);
    assert_eq!(again, Verdict::DeadLettered);
    assert_eq!(bench.apply(lane, 1, Some("c1"), &ahead), Verdict::DeadLettered);
    assert_eq!(bench.apply(lane, 2, Some("c1"), "{"), Verdict::DeadLettered);
    let reasons: Vec<_> =
        bench.planner.take_set_aside().iter().map(|letter| letter.reason).collect();
    assert_eq!(
        reasons,
        [
            DeadLetterReason::KeyMissing,
            DeadLetterReason::MisroutedKey,
            DeadLetterReason::TimestampInFuture,
            DeadLetterReason::MalformedJson,
        ]
    );
    assert!(bench.opened.reader.contact(b"c1").unwrap().is_none());
}

//! The rules of the store, each broken on purpose and seen to be noticed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::JournalRetention;
use crate::domain::Class;
use crate::domain::clock::{Clock, id_hash};
use crate::domain::event::{Event, EventKind, Patch};
use crate::domain::limits::Limits;
use crate::domain::merge::merge;
use crate::domain::position::{Lane, LogIdentity, LogKind, NextOffset, Offset};
use crate::domain::span::Span;
use crate::domain::verdict::Verdict;

use super::bounds::Bounds;
use super::checkpoint::Checkpoint;
use super::codec::{self, StoredContact};
use super::cut::Cut;
use super::digest::Digest;
use super::engine::Engine;
use super::journal::LastRecord;
use super::recovery::open_within;
use super::*;

mod attempts;
mod bounds;
mod controls;
mod events;
mod outcomes;
mod recovery;
mod snapshots;

fn log() -> LogIdentity {
    LogIdentity { kind: LogKind::Embedded, cluster: "lab".into(), topic: "contacts".into() }
}

/// Never checkpoints of its own accord.
fn options(dir: &Path) -> StoreConfig {
    StoreConfig {
        checkpoint_interval: std::time::Duration::from_secs(3_600),
        ..StoreConfig::at(dir)
    }
}

fn open(
    config: StoreConfig,
    log: Option<&LogIdentity>,
    progress: &dyn Fn(OpenProgress),
) -> Result<Opened, StoreError> {
    open_within(Bounds::SMALL, config, log, progress)
}

#[track_caller]
fn open_store(dir: &Path) -> Opened {
    open(options(dir), Some(&log()), &|_| ()).unwrap()
}

/// Applies events `from..to`; each a function of its number alone.
fn feed(writer: &mut Writer, from: u64, to: u64) {
    for number in from..to {
        let mut random = fastrand::Rng::with_seed(number);
        let id = format!("contact-{}", random.u64(..40));
        let mut arena = Vec::new();
        let mut put = |text: &str| {
            let start = arena.len();
            arena.extend_from_slice(text.as_bytes());
            Span::new(start, text.len())
        };
        let event_id = format!("evt-{number}");
        let mut fields = [Patch::Absent; 6];
        fields[0] = Patch::Set(put(&format!("Name {number}")));
        fields[2] = Patch::Set(put(&format!("a{}@example.com", random.u64(..20))));
        let ts_us = 1_000 + number - random.u64(..4).min(number);
        let event = Event {
            kind: if random.u8(..8) == 0 { EventKind::Deleted } else { EventKind::Updated },
            contact_id: put(&id),
            is_id_given: true,
            event_id: put(&event_id),
            source: put("lab"),
            timestamp: Some(ts_us),
            body_hash: None,
            clock: Some(Clock { ts_us, version: None, hash: id_hash(b"lab", event_id.as_bytes()) }),
            id_hash: id_hash(b"lab", event_id.as_bytes()),
            source_version: None,
            fields,
            attributes: Vec::new(),
            external_ids: Vec::new(),
            replaces: false,
            is_notice: false,
            payment: None,
            command: None,
        };
        let lane = Lane((number % 2) as u16);
        let meta = EntryMeta {
            event_id: event_id.as_bytes(),
            kind: event.kind,
            source: b"lab",
            event_time_us: Some(ts_us),
            ..EntryMeta::at(lane, Offset(number / 2), number as i64)
        };
        let mut body = Vec::new();
        let current = writer.contact(id.as_bytes()).unwrap();
        let limits = Limits::default();
        match merge(current, &event, &arena, number as i64, &limits, &mut body).unwrap() {
            verdict if body.is_empty() => writer.settled(&meta, verdict, id.as_bytes()).unwrap(),
            verdict => writer.image(&meta, verdict, id.as_bytes(), &body).unwrap(),
        }
        let last = LastRecord { offset: meta.offset, leader_epoch: None, hash: number };
        writer.advance(lane, LaneProgress { next: NextOffset(number / 2 + 1), last: Some(last) });
        if number % 5 == 4 {
            writer.commit().unwrap();
        }
    }
    writer.commit().unwrap();
}

/// What an uninterrupted run of so many events comes to.
fn expected(events: u64) -> Cut {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, events);
    opened.writer.committed().clone()
}

#[track_caller]
fn assert_same(opened: &Opened, events: u64) {
    let (found, expected) = (opened.writer.committed(), expected(events));
    assert_eq!(found, &expected);
    let report = opened.reader.verify(&mut |_, _| ()).unwrap();
    assert!(report.is_sound(), "{:?}", report.discrepancies);
}

#[test]
fn verdicts_by_source_that_are_not_those_of_the_journal_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 100);
    opened.writer.snapshot_now().unwrap();
    feed(&mut opened.writer, 100, 200);
    let sources = opened.writer.committed().sources.clone();
    assert_eq!(sources.sum(), opened.writer.committed().counters.verdicts);
    let mut cut = opened.writer.shared.commits.cut.lock();
    std::sync::Arc::make_mut(&mut cut.sources).count(b"nobody", Verdict::Applied);
    drop(cut);
    let report = opened.reader.verify(&mut |_, _| ()).unwrap();
    assert_eq!(report.discrepancies.len(), 1, "{:?}", report.discrepancies);
    assert!(report.discrepancies[0].contains("verdicts by source"), "{:?}", report.discrepancies);
}

fn images(opened: &Opened) -> Vec<(Vec<u8>, StoredContact)> {
    let ids = (0..40).map(|at| format!("contact-{at}").into_bytes());
    ids.filter_map(|id| Some((id.clone(), opened.reader.contact(&id).unwrap()?))).collect()
}

fn only_segment(dir: &Path) -> PathBuf {
    let segments = fs::read_dir(dir.join("journal")).unwrap().map(|at| at.unwrap().path());
    segments.filter(|at| at.extension().is_some_and(|at| at == "seg")).max().unwrap()
}

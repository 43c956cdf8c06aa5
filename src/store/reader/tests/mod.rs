//! What readers are told, against a model, while the applier and the checkpoints go on.

mod answers;
mod at_once;
mod loads;
mod races;
mod spread;
mod verification;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::clock::{Clock, id_hash};
use crate::domain::contact::{ContactView, Status};
use crate::domain::event::{Event, EventKind, Patch};
use crate::domain::limits::Limits;
use crate::domain::merge::merge;
use crate::domain::position::{Lane, LogIdentity, LogKind, NextOffset, Offset};
use crate::domain::span::Span;
use crate::domain::verdict::Verdict;

use super::super::bounds::Bounds;
use super::super::ordered::{PageKey, PageRequest, SortOrder};
use super::super::recovery::open_within;
use super::super::{EntryMeta, LaneProgress, Opened, StoreConfig, Writer};
use super::*;

const FIRST_NAME: usize = 0;
const EMAIL: usize = 2;
const COMPANY: usize = 4;
const TITLE: usize = 5;

/// A store in a directory of its own, and all that was ever applied to it.
struct Bench {
    bounds: Bounds,
    options: StoreConfig,
    writer: Option<Writer>,
    reader: Reader,
    next: u64,
    arena: Vec<u8>,
    body: Vec<u8>,
    /// Every body that each contact has had, committed or staged.
    model: BTreeMap<String, Vec<Vec<u8>>>,
    _dir: tempfile::TempDir,
}

fn log() -> LogIdentity {
    LogIdentity { kind: LogKind::Embedded, cluster: "bench".into(), topic: "contacts".into() }
}

impl Bench {
    fn new(set: impl FnOnce(&mut StoreConfig)) -> Self {
        Self::within(Bounds::SMALL, set)
    }

    fn within(bounds: Bounds, set: impl FnOnce(&mut StoreConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = StoreConfig::at(dir.path());
        options.checkpoint_interval = Duration::from_secs(3600);
        set(&mut options);
        let opened = open_within(bounds, options.clone(), Some(&log()), &|_| {}).unwrap();
        let Opened { writer, reader, .. } = opened;
        Self {
            bounds,
            options,
            writer: Some(writer),
            reader,
            next: 0,
            arena: Vec::new(),
            body: Vec::new(),
            model: BTreeMap::new(),
            _dir: dir,
        }
    }

    /// As if the system's page cache never held anything, so that our cache is what answers.
    fn wait_for_all(&self) {
        self.reader.shared.contacts.heap().waits_for_all.store(true, Ordering::Relaxed);
    }

    fn writer(&mut self) -> &mut Writer {
        self.writer.as_mut().unwrap()
    }

    /// Stages one event of a contact.
    fn stage(&mut self, kind: EventKind, id: &str, fields: &[(usize, &str)]) {
        self.next += 1;
        self.arena.clear();
        let mut keep = |text: &str| {
            let span = Span::new(self.arena.len(), text.len());
            self.arena.extend_from_slice(text.as_bytes());
            span
        };
        let event_id = format!("event-{}", self.next);
        let ts_us = 1_000 + self.next;
        let hash = id_hash(b"bench", event_id.as_bytes());
        let mut event = Event {
            kind,
            contact_id: keep(id),
            is_id_given: true,
            event_id: keep(&event_id),
            source: keep("bench"),
            timestamp: Some(ts_us),
            body_hash: None,
            clock: Some(Clock { ts_us, version: None, hash }),
            id_hash: hash,
            source_version: None,
            fields: [Patch::Absent; 6],
            attributes: Vec::new(),
            external_ids: Vec::new(),
            replaces: false,
            is_notice: false,
            payment: None,
            command: None,
        };
        for (place, text) in fields {
            event.fields[*place] = Patch::Set(keep(text));
        }
        let writer = self.writer.as_mut().unwrap();
        let current = writer.contact(id.as_bytes()).unwrap();
        let verdict =
            merge(current, &event, &self.arena, ts_us as i64, &Limits::default(), &mut self.body);
        let meta = EntryMeta {
            event_id: event_id.as_bytes(),
            kind,
            source: b"bench",
            event_time_us: Some(ts_us),
            ..EntryMeta::at(Lane(0), Offset(self.next - 1), ts_us as i64)
        };
        match verdict.unwrap() {
            verdict if self.body.is_empty() => {
                writer.settled(&meta, verdict, id.as_bytes()).unwrap()
            }
            verdict => {
                writer.image(&meta, verdict, id.as_bytes(), &self.body).unwrap();
                let bodies = self.model.entry(id.to_owned()).or_default();
                if verdict != Verdict::Applied {
                    bodies.pop();
                }
                bodies.push(self.body.clone());
            }
        }
        writer.advance(Lane(0), LaneProgress::at(NextOffset(self.next)));
    }

    fn commit(&mut self) {
        self.writer().commit().unwrap();
    }

    fn checkpoint(&mut self) {
        self.writer().checkpoint_now().unwrap();
    }

    fn reopen(&mut self) {
        self.writer.take().unwrap().close().unwrap();
        // The last reader must be gone before the directory can be opened again.
        let gone = Bench::new(|_| {});
        self.reader = gone.reader.clone();
        drop(gone);
        let options = self.options.clone();
        let opened = open_within(self.bounds, options, Some(&log()), &|_| {}).unwrap();
        self.writer = Some(opened.writer);
        self.reader = opened.reader;
    }

    /// Some events of random contacts, committed at the end.
    fn random_batch(&mut self, random: &mut fastrand::Rng, contacts: u32) {
        for _ in 0..random.usize(1..20) {
            let id = format!("contact-{:04}", random.u32(0..contacts));
            let kind = match random.u8(0..12) {
                0 => EventKind::Deleted,
                1..=2 => EventKind::Created,
                _ => EventKind::Updated,
            };
            let n = random.u32(0..8);
            let email = format!("Person{n}@example.com");
            let (name, company) = (format!("Name {n}"), format!("company {}", n % 3));
            let all = [(FIRST_NAME, &*name), (EMAIL, &*email), (COMPANY, &*company)];
            let some: Vec<_> = all.into_iter().filter(|_| random.bool()).collect();
            self.stage(kind, &id, &some);
        }
        self.commit();
    }

    /// The latest body of each contact.
    fn latest(&self) -> impl Iterator<Item = (&str, ContactView<'_>)> {
        self.model.iter().map(|(id, bodies)| {
            let view = ContactView::parse(bodies.last().unwrap()).unwrap();
            (id.as_str(), view)
        })
    }

    /// The lines of an export of the model.
    fn model_lines(&self, include_deleted: bool) -> String {
        let mut lines = Vec::new();
        for (id, view) in self.latest() {
            if include_deleted || view.status() == Status::Active {
                crate::domain::contact::write_json(id, &view, &mut lines);
                lines.push(b'\n');
            }
        }
        String::from_utf8(lines).unwrap()
    }
}

fn request(order: SortOrder, descending: bool, status: Option<Status>) -> PageRequest {
    PageRequest { order, descending, status, limit: 13, ..PageRequest::default() }
}

/// All pages of an order, walked by their keys.
fn walk(reader: &Reader, mut request: PageRequest) -> Vec<PageEntry> {
    let mut all = Vec::new();
    loop {
        let page = reader.page(&request).unwrap();
        let Some(last) = page.contacts.last() else {
            return all;
        };
        request.after = Some(last.key.clone());
        all.extend(page.contacts);
    }
}

//! A store under test and beside it a model: plain maps that anyone can check by eye.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use contactd::domain::contact::{ContactView, Status};
use contactd::domain::decode::Decoder;
use contactd::domain::event::Event;
use contactd::domain::merge::merge;
use contactd::domain::position::{Lane, LogIdentity, LogKind, NextOffset, Offset};
use contactd::domain::record::RecordBatch;
use contactd::domain::verdict::{DeadLetterReason, Verdict};
use contactd::store::{self, DeadLetter, EntryMeta, LaneProgress, Opened, StoreConfig};

const LANES: u16 = 2;
const START_MS: u64 = 1_790_000_000_000;
/// Position of the fields that lists are sorted and found by.
const FIRST_NAME: usize = 0;
const LAST_NAME: usize = 1;
const EMAIL: usize = 2;
const COMPANY: usize = 4;

/// What the store should hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    /// Each contact's bodies, oldest first.
    pub(super) bodies: BTreeMap<String, Vec<Vec<u8>>>,
    pub(super) verdicts: BTreeMap<Verdict, u64>,
    pub(super) next: BTreeMap<Lane, NextOffset>,
}

/// What a contact is listed by.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) status: Status,
    pub(super) updated_at_us: u64,
    pub(super) created_at_us: u64,
    pub(super) changed_at_ms: u64,
    /// Last name and first name.
    pub(super) name: String,
    pub(super) company: String,
    pub(super) email: Option<String>,
}

impl Model {
    pub(super) fn body(&self, id: &str) -> Option<&[u8]> {
        self.bodies.get(id).and_then(|bodies| bodies.last()).map(Vec::as_slice)
    }

    pub(super) fn listed(&self) -> Vec<Listed> {
        let listed = self.bodies.iter().map(|(id, bodies)| {
            let body = bodies.last().expect("a contact has a body");
            let view = ContactView::parse(body).expect("a body that merge made");
            let field = |place| view.field(place).unwrap_or_default().to_owned();
            Listed {
                id: id.clone(),
                status: view.status(),
                updated_at_us: view.updated_at_us().unwrap_or(0),
                created_at_us: view.created_at_us().unwrap_or(0),
                changed_at_ms: view.changed_at_ms().unwrap_or(0),
                name: format!("{}\0{}", field(LAST_NAME), field(FIRST_NAME)),
                company: field(COMPANY),
                email: view.field(EMAIL).map(str::to_owned),
            }
        });
        listed.collect()
    }
}

/// The store and the model, driven together.
pub(super) struct World {
    pub(super) dir: PathBuf,
    pub(super) opened: Option<Opened>,
    pub(super) model: Model,
    pub(super) random: fastrand::Rng,
    decoder: Decoder,
    events: u64,
}

impl World {
    pub(super) fn new(dir: &Path, seed: u64) -> Self {
        let mut world = Self {
            dir: dir.to_owned(),
            opened: None,
            model: Model::default(),
            random: fastrand::Rng::with_seed(seed),
            decoder: Decoder::default(),
            events: 0,
        };
        world.open();
        world
    }

    /// Opens it, with or without a cache.
    pub(super) fn open(&mut self) {
        let options = StoreConfig {
            cache_bytes: if self.random.bool() { 0 } else { 64 << 10 },
            sled_cache_bytes: 4 << 20,
            dirty_bytes_max: 64 << 10,
            journal_segment_bytes: 8 << 10,
            ..StoreConfig::at(&self.dir)
        };
        let log = LogIdentity {
            kind: LogKind::Embedded,
            cluster: "model".into(),
            topic: "contacts".into(),
        };
        self.opened = Some(store::open(options, Some(&log), &|_| {}).expect("the store opens"));
    }

    pub(super) fn store(&mut self) -> &mut Opened {
        self.opened.as_mut().expect("an open store")
    }

    /// Some events of some contacts, staged in one lane; committed, or dropped.
    pub(super) fn batch(&mut self, is_kept: bool) {
        let lane = Lane(self.random.u16(..LANES));
        let from = self.model.next.get(&lane).copied().unwrap_or_default();
        let mut batch = RecordBatch::new(lane);
        for number in 0..self.random.u64(1..20) {
            let (key, value) = self.event(lane);
            let time = (START_MS + self.events) as i64;
            let offset = Offset(from.0 + number);
            let none: [(&str, Option<&[u8]>); 0] = [];
            batch.push(
                offset,
                time,
                Some(key.as_bytes()),
                Some(value.as_bytes()),
                none.into_iter(),
            );
        }
        let mut after = self.model.clone();
        for index in 0..batch.records.len() {
            let decoded = self.decoder.decode(&mut batch, index);
            match decoded {
                Ok(event) => self.stage(&batch, index, &event, &mut after),
                Err(reject) => self.set_aside(&batch, index, reject.reason, &mut after),
            }
        }
        let progress = LaneProgress::after(&batch);
        after.next.insert(lane, progress.next);
        let writer = &mut self.store().writer;
        writer.advance(lane, progress);
        if is_kept {
            writer.commit().expect("a commit");
            self.model = after;
        } else {
            writer.abandon().expect("nothing staged is left");
        }
    }

    fn stage(&mut self, batch: &RecordBatch, index: usize, event: &Event, after: &mut Model) {
        let meta = EntryMeta::of_event(batch, &batch.records[index], event);
        let id = event.contact_id.of(&batch.arena);
        let name = String::from_utf8_lossy(id).into_owned();
        let limits = *self.decoder.limits();
        let mut body = Vec::new();
        let writer = &mut self.opened.as_mut().expect("an open store").writer;
        let current = writer.contact(id).expect("a contact can be read");
        assert_eq!(current, after.body(&name), "{name} in the writer");
        let time = batch.records[index].timestamp_ms;
        let verdict = merge(current, event, &batch.arena, time, &limits, &mut body);
        let verdict = verdict.expect("a verdict");
        if body.is_empty() {
            writer.settled(&meta, verdict, id).expect("a verdict is staged");
        } else {
            writer.image(&meta, verdict, id, &body).expect("an image is staged");
            let bodies = after.bodies.entry(name).or_default();
            if verdict != Verdict::Applied {
                bodies.pop();
            }
            bodies.push(body);
        }
        *after.verdicts.entry(verdict).or_default() += 1;
    }

    fn set_aside(
        &mut self,
        batch: &RecordBatch,
        index: usize,
        reason: DeadLetterReason,
        after: &mut Model,
    ) {
        let record = &batch.records[index];
        let meta = EntryMeta::of_record(batch.lane, record);
        let letter = DeadLetter::of_record(batch, record, reason, "made so");
        self.store().writer.dead_letter(&meta, &letter).expect("a dead letter is staged");
        *after.verdicts.entry(Verdict::DeadLettered).or_default() += 1;
    }

    /// Key and value of an event of one of few contacts, each of which has its lane.
    fn event(&mut self, lane: Lane) -> (String, String) {
        self.events += 1;
        let random = &mut self.random;
        let id = format!("contact-{lane}-{}", random.u32(..25));
        if random.u32(..30) == 0 {
            return (id, "{ not JSON".to_owned());
        }
        let kind = match random.u32(..10) {
            0 => "deleted",
            1 | 2 => "created",
            _ => "updated",
        };
        // Some are late, some come twice.
        let at = self.events - random.u64(..self.events.min(20));
        let email = match random.u32(..4) {
            0 => "null".to_owned(),
            _ => format!(r#""Shared{}@Example.com""#, random.u32(..8)),
        };
        let (first, last, company) = (random.u32(..5), random.u32(..9), random.u32(..3));
        let value = format!(
            r#"{{"id":"e{at}","eventType":"contact.{kind}","timestamp":{},"data":{{"id":"{id}","firstName":"F{first}","lastName":"l{last}","company":"C{company}","email":{email}}}}}"#,
            START_MS + at
        );
        (id, value)
    }
}

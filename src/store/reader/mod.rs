//! The way to look into the store, for any number of threads at once.

mod by_id;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::domain::attempts::Attempt;
use crate::domain::contact::Status;
use crate::domain::control::ControlEntry;
use crate::domain::position::{Lane, LogIdentity, NextOffset, Offset, Position};
use crate::domain::rules::LaneRules;

use super::StoreError;
use super::cache::CacheStats;
use super::codec::{ChangeRef, StoredContact};
use super::cut::ControlSums;
use super::dead_letters::DeadLetters;
use super::digest::Digest;
use super::events::{self, EventFilter, EventLookup, EventRecord, NewestEvents, Untimed};
use super::expected::Expected;
use super::heap::HeapStats;
use super::history::{self, HistoryEntry};
use super::journal::Counters;
use super::ordered::{PageBoundary, PageKey, PageRequest, Places, Total};
use super::outcomes::Prospect;
use super::rows::is_payment;
use super::shared::Shared;
use super::source_verdicts::SourceVerdicts;
use super::verify::{self, VerifyReport};

/// A contact as the reader hands it out: shared, not copied.
pub type Value = StoredContact;

/// Answers from everything committed; cheap to clone. All calls may block on the disk, except those
/// that end in `at_once`.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

/// A contact on a page.
#[derive(Clone, Debug)]
pub struct PageEntry {
    /// Its id.
    pub id: String,
    /// Its place, where another page may go on.
    pub key: PageKey,
    /// The contact; it may have changed since it was found in its place.
    pub value: Value,
}

/// Some contacts of an order.
#[derive(Clone, Debug)]
pub struct Page {
    /// In the order asked for.
    pub contacts: Vec<PageEntry>,
    /// The first place that was looked at, whether or not it is shown; none: there was none.
    pub first: Option<PageKey>,
    /// Where the list goes on; none: it has ended.
    pub rest: Option<PageBoundary>,
    /// How many contacts the request is about, whatever its page.
    pub total: Total,
}

/// How many contacts there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContactCounts {
    /// ACTIVE ones.
    pub active: u64,
    /// DELETED ones.
    pub deleted: u64,
}

/// What the store says of itself.
#[derive(Clone, Debug)]
pub struct StoreStats {
    /// Verdicts and contacts so far.
    pub counters: Counters,
    /// The same verdicts by source.
    pub sources: Arc<SourceVerdicts>,
    /// Sum over all contacts.
    pub digest: Digest,
    /// Control records so far, and the sum over their entries.
    pub control: ControlSums,
    /// Control entries, and bytes of memory that they take, about.
    pub control_entries: (u64, u64),
    /// What records are judged by, lane by lane.
    pub rules: Arc<LaneRules>,
    /// Up to where the log is applied.
    pub position: Position,
    /// Greatest record timestamp seen, in ms.
    pub record_time_ms: i64,
    /// Journal frames ever committed.
    pub frames: u64,
    /// Number of the last checkpoint; 0: none yet.
    pub checkpoint_number: u64,
    /// Time since the last checkpoint, or since the opening.
    pub checkpoint_age: Duration,
    /// How long the last checkpoint took.
    pub checkpoint_took: Duration,
    /// Snapshots since the opening.
    pub snapshots: u64,
    /// Size of the last snapshot, in bytes.
    pub snapshot_bytes: u64,
    /// Time since that was written; none: there is none.
    pub snapshot_age: Option<Duration>,
    /// Bytes of the journal on disk.
    pub journal_bytes: u64,
    /// Bytes allotted to the engine on disk.
    pub engine_disk_bytes: u64,
    /// Bytes of the generation that is being written.
    pub dirty_bytes: u64,
    /// Bytes of the generation that is being flushed.
    pub flushing_bytes: u64,
    /// Bytes of the ordered indexes, and of those of sources' ids and of erased contacts.
    pub index_bytes: u64,
    /// Time that commits waited for the dirty set to have room.
    pub backpressure: Duration,
    /// The heap file.
    pub heap: HeapStats,
    /// The cache.
    pub cache: CacheStats,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The latest value of a contact, a DELETED one's too.
    pub fn contact(&self, id: &[u8]) -> Result<Option<Value>, StoreError> {
        if is_payment(id) {
            return Ok(None);
        }
        self.shared.contacts.get(id)
    }

    /// The same, if that can be said without waiting for the disk.
    pub fn contact_at_once(&self, id: &[u8]) -> Option<Option<Value>> {
        if is_payment(id) {
            return Some(None);
        }
        self.shared.contacts.get_at_once(id)
    }

    /// A page of an order. It is short only where `rest` says that there is more: the contacts that
    /// were looked at did not pass, or changed while it was put together.
    pub fn page(&self, request: &PageRequest) -> Result<Page, StoreError> {
        let lists = self.shared.lists()?;
        let total = lists.total(request);
        let places = lists.page(&with_one_more(request));
        drop(lists);
        let values = places.keys.iter().map(|key| self.contact(&key.id));
        let values = values.collect::<Result<_, _>>()?;
        self.page_of(request, places, values, total)
    }

    /// The same, if that takes no waiting, for the disk or for others, and looking at few contacts.
    pub fn page_at_once(&self, request: &PageRequest) -> Result<Option<Page>, StoreError> {
        let Some(lists) = self.shared.lists_at_once() else {
            return Ok(None);
        };
        let Some(places) = lists.page_of_few(&with_one_more(request)) else {
            return Ok(None);
        };
        let total = lists.total(request);
        drop(lists);
        let mut values = Vec::with_capacity(places.keys.len());
        let (mut bytes, bytes_max) = (0, self.shared.bounds.page_at_once_bytes);
        for key in &places.keys {
            let Some(value) = self.contact_at_once(&key.id).filter(|_| bytes <= bytes_max) else {
                return Ok(None);
            };
            bytes += value.as_ref().map_or(0, |value| value.bytes().len());
            values.push(value);
        }
        self.page_of(request, places, values, total).map(Some)
    }

    fn page_of(
        &self,
        request: &PageRequest,
        mut places: Places,
        values: Vec<Option<Value>>,
        total: Total,
    ) -> Result<Page, StoreError> {
        let first = places.keys.first().or(places.cut.as_ref().map(|cut| &cut.key)).cloned();
        let mut rest = places.cut;
        if places.keys.len() > request.limit {
            places.keys.truncate(request.limit);
            rest = places.keys.last().map(|key| PageBoundary { key: key.clone(), skip: 0 });
        }
        let mut contacts = Vec::with_capacity(places.keys.len());
        for (key, value) in places.keys.into_iter().zip(values) {
            let Some(value) = value else {
                continue;
            };
            let view = self.shared.contacts.view(&key.id, &value)?;
            let status = view.status();
            if request.status.is_none_or(|wanted| wanted == status)
                && (request.filters.is_empty() || request.filters.pass(&view))
            {
                let id = String::from_utf8_lossy(&key.id).into_owned();
                contacts.push(PageEntry { id, key, value });
            }
        }
        Ok(Page { contacts, first, rest, total })
    }

    /// The changes of a contact, newest first; those of before it was erased without values, at most `limit`, older than `before`; none where
    /// there is no such contact or the journal holds nothing of it any more.
    pub fn history(
        &self,
        id: &[u8],
        limit: usize,
        before: Option<ChangeRef>,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        match self.contact(id)? {
            Some(value) => {
                let now = self.shared.contacts.view(id, &value)?;
                let journal = &self.shared.journal;
                let found = history::history(journal, id, value.change(), limit, before)?;
                found.into_iter().map(|entry| entry.since_erased(&now)).collect()
            }
            None => Ok(Vec::new()),
        }
    }

    /// What was done under a command's [`crate::domain::clock::id_hash`], as far as its lane remembers.
    pub fn command_done(&self, id_hash: u64) -> Option<Attempt> {
        let cut = self.shared.commits.cut.lock();
        self.shared.attempts.committed(id_hash, &cut)
    }

    /// The control entry of a key, if there is one. One whose time is over may still be there.
    pub fn control(&self, key: &str) -> Option<ControlEntry> {
        self.shared.controls.get(key)
    }

    /// Control entries whose keys begin with `prefix`, by key: at most `limit` after `after`.
    pub fn controls(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<(String, ControlEntry)> {
        self.shared.controls.list(prefix, after, limit)
    }

    /// Whether the control lane was not read from its beginning, and not all of its entries were
    /// restated since.
    pub fn is_control_unsettled(&self) -> bool {
        self.shared.controls.is_unsettled()
    }

    /// Whether the control entry of a key, or that there is none, is what it is on every instance.
    pub fn is_control_settled(&self, key: &str) -> bool {
        self.shared.controls.is_settled(key)
    }

    /// From where on every control entry was made or restated, up to a place.
    pub fn controls_restated_from(&self, up_to: NextOffset) -> NextOffset {
        self.shared.controls.restated_from(up_to)
    }

    /// Control entries that were last stated before a time, removed ones too: at most `limit`.
    pub fn controls_stated_before(
        &self,
        time_ms: u64,
        limit: usize,
    ) -> Vec<(Arc<str>, Arc<ControlEntry>)> {
        self.shared.controls.stated_before(time_ms, limit)
    }

    /// A number that moves with every change of control entries; one atomic load.
    pub fn control_version(&self) -> u64 {
        self.shared.controls.version()
    }

    /// The same to wait for.
    pub fn control_watch(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.controls.watch()
    }

    /// What could not be applied.
    pub fn dead_letters(&self) -> &DeadLetters {
        &self.shared.dead_letters
    }

    /// The log that is followed, once the store was told.
    pub fn log(&self) -> Option<&LogIdentity> {
        self.shared.commits.log.as_ref()
    }

    /// How many contacts there are.
    pub fn counts(&self) -> ContactCounts {
        let counters = self.shared.commits.cut.lock().counters;
        ContactCounts { active: counters.active, deleted: counters.deleted }
    }

    /// How many contacts of a status there are, or of both.
    pub fn total(&self, status: Option<Status>) -> u64 {
        let counts = self.counts();
        match status {
            Some(Status::Active) => counts.active,
            Some(Status::Deleted) => counts.deleted,
            None => counts.active + counts.deleted,
        }
    }

    /// What records are judged by from here on, lane by lane.
    pub fn rules(&self) -> Arc<LaneRules> {
        Arc::clone(&self.shared.commits.rules.read())
    }

    /// Control entries, and the bytes of memory that they take.
    pub fn control_size(&self) -> (u64, u64) {
        self.shared.controls.size()
    }

    /// Figures of every part. Looks at the engine's directory: not for every request.
    pub fn stats(&self) -> Result<StoreStats, StoreError> {
        let shared = &*self.shared;
        let cut = shared.commits.cut.lock().clone();
        let figures = &shared.figures;
        let (dirty_bytes, flushing_bytes) = shared.contacts.dirty.bytes();
        let (heap, cache) = shared.contacts.stats();
        let micros = |figure: &AtomicU64| Duration::from_micros(figure.load(Ordering::Relaxed));
        let checkpoint_at = micros(&figures.checkpoint_at_micros);
        Ok(StoreStats {
            position: shared.commits.position_of(cut.next_offsets()),
            counters: cut.counters,
            sources: cut.sources,
            digest: cut.digest,
            control: cut.control,
            control_entries: self.control_size(),
            rules: cut.rules,
            record_time_ms: cut.record_time_ms,
            frames: cut.next_frame.0,
            checkpoint_number: figures.checkpoint_number.load(Ordering::Relaxed),
            checkpoint_age: shared.opened.elapsed().saturating_sub(checkpoint_at),
            checkpoint_took: micros(&figures.checkpoint_micros_last),
            snapshots: figures.snapshots.load(Ordering::Relaxed),
            snapshot_bytes: figures.snapshot_bytes.load(Ordering::Relaxed),
            snapshot_age: shared.snapshot_age(),
            journal_bytes: figures.journal_bytes.load(Ordering::Relaxed),
            engine_disk_bytes: shared.contacts.engine.stats()?.disk_bytes,
            dirty_bytes,
            flushing_bytes,
            index_bytes: (shared.ordered.bytes()
                + shared.external_ids.bytes()
                + shared.payments.bytes()
                + shared.erased.bytes()) as u64,
            backpressure: micros(&figures.backpressure_micros),
            heap,
            cache,
        })
    }

    /// Greatest record timestamp that was applied, in ms; none before the first record.
    pub fn record_time_ms(&self) -> Option<i64> {
        let time = self.shared.commits.cut.lock().record_time_ms;
        (time != 0).then_some(time)
    }

    /// Up to where everything that can be read is applied.
    pub fn position(&self) -> Position {
        self.shared.commits.position()
    }

    /// Moves with every commit, before anything of it can be read.
    pub fn commit_announced(&self) -> u64 {
        self.shared.commits.announced.commit()
    }

    /// A position that covers all that can have been read, and the commit that it belongs to. Never
    /// waits for a commit that is under way.
    pub fn position_announced(&self) -> (u64, Position) {
        let (commit, next) = self.shared.commits.announced.next();
        (commit, self.shared.commits.position_of(next))
    }

    /// Ends when everything up to a position can be read. A position of another log never comes.
    ///
    /// # Errors
    /// When the store has stopped, or is being closed.
    pub async fn wait_for(&self, position: &Position) -> Result<(), StoreError> {
        let mut commits = self.shared.commits.frames.subscribe();
        loop {
            if self.covers(position) {
                return Ok(());
            }
            self.shared.commits.check()?;
            if commits.changed().await.is_err() {
                return self.shared.commits.check();
            }
        }
    }

    /// Waits from now on for what becomes of the records whose event id has this hash (xxh3_64): to
    /// be called before such a record is appended.
    pub fn expect(&self, event_hash: u64) -> Expected {
        Expected::new(&self.shared.commits, event_hash)
    }

    /// What may still become of a record whose event id has this hash, where it was expected here lately
    /// and nobody has been told of it.
    pub fn prospect(&self, event_hash: u64) -> Prospect {
        self.shared.commits.outcomes.prospect(event_hash)
    }

    /// A record whose event id has this hash was kept, and the log will never take it.
    pub fn refused(&self, event_hash: u64, why: &str) {
        self.shared.commits.outcomes.refused(event_hash, why);
    }

    fn covers(&self, position: &Position) -> bool {
        let cut = self.shared.commits.cut.lock();
        position.next.iter().all(|(lane, next)| {
            let reached = cut.lanes.get(lane).map(|at| at.next).unwrap_or_default();
            reached >= *next
        })
    }

    /// What became of the records with that event id, newest first. Those that changed nothing are
    /// known by the id's 64-bit hash alone.
    pub fn event(&self, id: &[u8]) -> Result<EventLookup, StoreError> {
        events::by_id(&self.shared, id, Instant::now() + events::TIME_MAX)
    }

    /// What came in and what became of it, newest first: at most `limit` of what stands before a position.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn newest_events(
        &self,
        before: Option<Position>,
        filter: &EventFilter,
        limit: usize,
    ) -> Result<NewestEvents, StoreError> {
        events::newest(&self.shared, before, filter, limit, Instant::now() + events::TIME_MAX)
    }

    /// The time that an event without one of its own took when it came first, in µs since 1970: from
    /// its contact, else from as much of the journal as is looked through by the deadline.
    pub fn first_seen_us(
        &self,
        event: &Untimed<'_>,
        deadline: Instant,
    ) -> Result<Option<u64>, StoreError> {
        let contact = self.contact(event.contact_id)?;
        let remembered = contact
            .as_ref()
            .and_then(|contact| contact.view().ok()?.first_seen_us(event.id_hash, event.body_hash));
        match remembered {
            Some(first) => Ok(Some(first)),
            None => events::first_seen_us(&self.shared, event, deadline),
        }
    }

    /// What became of the record at that place on the log; none when it was not applied yet, is no
    /// record, or is not kept any more.
    pub fn event_at(&self, lane: Lane, offset: Offset) -> Result<Option<EventRecord>, StoreError> {
        events::at(&self.shared, lane, offset)
    }

    /// Cross-checks everything that is stored twice. Nothing may be committed meanwhile.
    pub fn verify(&self, progress: &mut dyn FnMut(&str, u64)) -> Result<VerifyReport, StoreError> {
        verify::verify(&self.shared, progress)
    }

    /// The first fatal error, if there was one.
    pub fn health(&self) -> Result<(), StoreError> {
        self.shared.commits.check()
    }

    /// What of the journal was found not to be as it was written.
    pub fn journal_damage(&self) -> Option<String> {
        self.shared.journal.damage().map(str::to_owned)
    }

    /// Why the store does not get on now, though it will by itself.
    pub fn waits_for(&self) -> Option<String> {
        self.shared.commits.waiting.lock().clone()
    }
}

/// One more than is shown tells whether there is more.
fn with_one_more(request: &PageRequest) -> PageRequest {
    PageRequest { limit: request.limit + 1, ..request.clone() }
}

#[cfg(test)]
mod tests;

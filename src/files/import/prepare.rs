//! Some rows made ready to be appended: read, found whose they are, judged, and decoded once as applying will.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::content::{Place, SourceRow};
use super::error::ImportError;
use super::job::Change;
use super::judge::{Judged, Terms, changes, different_twice};
use super::matching::{MatchReader, RowKey, Whose, id_by_content, key_of, named};
use super::options::ImportOptions;
use super::refusal::{Reason, Refusal};
use super::row::{Row, RowReader};
use super::rows::Rows;
use crate::domain::clock::id_hash;
use crate::domain::contact::{ContactView, Status};
use crate::domain::decode::Decoder;
use crate::domain::event::EventKind;
use crate::domain::headers::{CONTACT_ID, EXTERNAL_ID, OUR_ENVELOPE};
use crate::domain::position::{Lane, Offset};
use crate::domain::record::{RecordBatch, header_refs};
use crate::domain::timestamp::format_rfc3339_us;
use crate::domain::verdict::Verdict;
use crate::event_log::NewRecord;
use crate::ingest::{ContactData, ContactPatch, Named, now_ms};
use crate::store::{Reader, StoreError, StoredContact};

/// Rows, and bytes of their records, that are made ready together.
const BATCH_ROWS: usize = 4096;
const BATCH_BYTES: usize = 4 << 20;
/// Newest changes of a contact among which that of its row is looked for.
const CHANGES_LOOKED_AT: usize = 16;
/// Rows that a dry run remembers, to notice that two are of one contact.
const SEEN_MAX: usize = 1 << 20;

/// One event of a row.
#[derive(Debug)]
pub(super) struct RowEvent {
    /// By which its verdict is waited for.
    pub(super) hash: u64,
    pub(super) record: NewRecord,
}

/// What is to be done with a row.
#[derive(Debug)]
pub(super) enum Prepared {
    /// To be appended for this contact: the row's own event first, then those that tie external ids.
    Events(String, Vec<RowEvent>),
    /// It was applied before, and so.
    Given { verdict: Verdict, creates: bool },
    /// In a dry run: what it would do.
    Would { creates: bool, changes: Vec<Change> },
    /// An earlier row says the same.
    Duplicate(Option<u64>),
    /// It is not taken.
    Refused(Refusal),
}

/// One row of a batch.
#[derive(Debug)]
pub(super) struct PreparedRow {
    pub(super) number: u64,
    pub(super) line: u64,
    pub(super) at: u64,
    pub(super) bytes: u64,
    pub(super) prepared: Prepared,
}

/// Some rows.
pub(super) struct Batch {
    pub(super) rows: Vec<PreparedRow>,
    /// Behind them.
    pub(super) place: Place,
    pub(super) is_last: bool,
}

/// A row that was given and may not be seen in the store yet.
#[derive(Clone, Copy)]
struct Seen {
    row: u64,
    content: u64,
}

/// Makes rows ready, one batch after the other.
pub(super) struct Preparer {
    pub(super) rows: Rows,
    pub(super) reader: RowReader,
    pub(super) store: Reader,
    pub(super) decoder: Arc<Decoder>,
    pub(super) matches: Option<MatchReader>,
    pub(super) job_id: String,
    pub(super) options: ImportOptions,
    pub(super) started_us: Option<u64>,
    now: Seeing,
}

/// Of the batch in hand and the one before.
#[derive(Default)]
struct Seeing {
    before: HashMap<u64, Seen>,
    now: HashMap<u64, Seen>,
}

impl Preparer {
    pub(super) fn new(
        rows: Rows,
        reader: RowReader,
        (store, decoder): (Reader, Arc<Decoder>),
        matches: Option<MatchReader>,
        (job_id, options, started_us): (String, ImportOptions, Option<u64>),
    ) -> Self {
        let now = Seeing::default();
        Self { rows, reader, store, decoder, matches, job_id, options, started_us, now }
    }

    /// The next ones. Waits for the disk.
    pub(super) fn batch(&mut self) -> Result<Batch, ImportError> {
        let is_remembering = self.options.dry_run && self.now.before.len() < SEEN_MAX;
        let seen = std::mem::take(&mut self.now.now);
        if is_remembering {
            self.now.before.extend(seen);
        } else if !self.options.dry_run {
            self.now.before = seen;
        }
        let (mut rows, mut bytes, mut is_last) = (Vec::new(), 0, false);
        while rows.len() < BATCH_ROWS && bytes < BATCH_BYTES {
            let Some(SourceRow { number, line, at, bytes: length, content }) = self.rows.next()?
            else {
                is_last = true;
                break;
            };
            let prepared = match content.and_then(|content| self.reader.read(content)) {
                Ok(row) => self.prepare(&row, number)?,
                Err(refusal) => Prepared::Refused(refusal),
            };
            if let Prepared::Events(_, events) = &prepared {
                bytes += events.iter().map(|event| record_bytes(&event.record)).sum::<usize>();
            }
            rows.push(PreparedRow { number, line, at, bytes: length, prepared });
        }
        let place = self.rows.place();
        Ok(Batch { rows, place, is_last })
    }

    /// Whose a row is, and what that contact is now.
    pub(super) fn whose(
        &mut self,
        row: &Row,
        number: u64,
    ) -> Result<Result<Whose, Refusal>, ImportError> {
        let key = match key_of(row, &self.options) {
            Ok(key) => key,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let id = match key {
            RowKey::Named(key) => return Ok(Ok(named(&self.store, key)?)),
            RowKey::Content => Ok(id_by_content(row)),
            RowKey::Email(_) => match &mut self.matches {
                Some(matches) => matches.of(number)?.contact(),
                None => Err(Refusal::new(Reason::NoMatch, "the row names no contact")),
            },
        };
        Ok(match id {
            Ok(id) => Ok(named(&self.store, Named::Ours(&id))?),
            Err(refusal) => Err(refusal),
        })
    }

    fn prepare(&mut self, row: &Row, number: u64) -> Result<Prepared, ImportError> {
        let (contact_id, value) = match self.whose(row, number)? {
            Ok(whose) => whose,
            Err(refusal) => return Ok(Prepared::Refused(refusal)),
        };
        let event_id = event_id(&self.job_id, number);
        let hash = id_hash(self.options.source.as_bytes(), event_id.as_bytes());
        let view = value.as_ref().map(StoredContact::view).transpose();
        let view = view.map_err(StoreError::from)?;
        let terms = Terms { mode: self.options.mode, started_us: self.started_us };
        match terms.judge(row, view.as_ref(), hash) {
            Judged::Given => {
                let row = (&*event_id, self.started_us);
                let (verdict, creates) = given(&self.store, (&contact_id, view.as_ref()), row)?;
                return Ok(Prepared::Given { verdict, creates });
            }
            Judged::Duplicate => return Ok(Prepared::Duplicate(None)),
            Judged::Refused(refusal) => return Ok(Prepared::Refused(refusal)),
            Judged::Apply => {}
        }
        if let Some(refusal) = self.taken(row, &contact_id)? {
            return Ok(Prepared::Refused(refusal));
        }
        let patch = ContactPatch { external_ids: Default::default(), ..row.patch.clone() };
        let data = serde_json::to_vec(&ContactData { id: &contact_id, patch: &patch });
        let content = xxh3_64(&data.unwrap_or_default());
        let key = xxh3_64_with_seed(contact_id.as_bytes(), 1);
        if let Some(seen) = self.now.get(key) {
            return Ok(match seen.content == content {
                true => Prepared::Duplicate(Some(seen.row)),
                false => Prepared::Refused(different_twice(Some(seen.row))),
            });
        }
        let events = self.events(row, &patch, &contact_id, view.as_ref(), event_id);
        if let Some(refusal) = events.iter().find_map(|event| self.problem(&event.record)) {
            return Ok(Prepared::Refused(refusal));
        }
        self.now.now.insert(key, Seen { row: number, content });
        Ok(if self.options.dry_run {
            let changes = changes(row, view.as_ref(), (number, &contact_id));
            Prepared::Would { creates: view.is_none(), changes }
        } else {
            Prepared::Events(contact_id, events)
        })
    }

    /// Why an id that the row has for it can't be the contact's.
    fn taken(&self, row: &Row, contact_id: &str) -> Result<Option<Refusal>, ImportError> {
        for (source, id) in &row.external_ids {
            let holders = self.store.contacts_of(source, id)?;
            let active = holders.into_iter().find(|(holder, value)| {
                let is_active = value.view().is_ok_and(|view| view.status() == Status::Active);
                is_active && holder != contact_id
            });
            if let Some((holder, _)) = active {
                let detail =
                    format!("the id that {source} has for it is that of the contact {holder}");
                return Ok(Some(Refusal::new(Reason::ExternalIdTaken, detail)));
            }
        }
        Ok(None)
    }

    fn events(
        &self,
        row: &Row,
        patch: &ContactPatch,
        contact_id: &str,
        contact: Option<&ContactView<'_>>,
        event_id: String,
    ) -> Vec<RowEvent> {
        let time = format_rfc3339_us(self.started_us.unwrap_or_else(|| now_ms() * 1000));
        let of = |id: String, source: &str, patch, external_id: Option<&str>| {
            let data = ContactData { id: contact_id, patch };
            let kind = EventKind::Updated.as_str();
            let value = Value { id: &id, event_type: kind, timestamp: &time, source, data };
            let header =
                |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
            let mut headers = vec![header(OUR_ENVELOPE, "1"), header(CONTACT_ID, contact_id)];
            headers.extend(external_id.map(|id| header(EXTERNAL_ID, id)));
            let record = NewRecord {
                key: contact_id.as_bytes().to_vec(),
                value: Some(serde_json::to_vec(&value).unwrap_or_default()),
                headers,
                timestamp_ms: i64::try_from(now_ms()).unwrap_or(i64::MAX),
                lane: None,
            };
            RowEvent { hash: xxh3_64(id.as_bytes()), record }
        };
        let source = self.options.source.as_str();
        let known = |source: &str, id: &str| {
            let mut known = contact.into_iter().flat_map(ContactView::external_ids);
            known.any(|at| at == (source, id))
        };
        let own = row.external_ids.get(source).filter(|id| !known(source, id));
        let others = row.external_ids.iter().filter(|(of, id)| *of != source && !known(of, id));
        let nothing = ContactPatch::default();
        let mut events = vec![of(event_id.clone(), source, patch, own.map(String::as_str))];
        for (other, id) in others {
            events.push(of(format!("{event_id}_{other}"), other, &nothing, Some(id)));
        }
        events
    }

    /// What decoding would set aside is not appended.
    fn problem(&self, record: &NewRecord) -> Option<Refusal> {
        let mut batch = RecordBatch::new(Lane(0));
        let (key, value) = (Some(record.key.as_slice()), record.value.as_deref());
        batch.push(Offset(0), record.timestamp_ms, key, value, header_refs(&record.headers));
        let reject = self.decoder.decode(&mut batch, 0).err()?;
        Some(Refusal::new(Reason::NotApplicable, reject.to_string()))
    }
}

impl Seeing {
    fn get(&self, key: u64) -> Option<Seen> {
        self.now.get(&key).or_else(|| self.before.get(&key)).copied()
    }
}

/// An event as it stands on the log.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Value<'a> {
    id: &'a str,
    event_type: &'a str,
    timestamp: &'a str,
    source: &'a str,
    data: ContactData<'a>,
}

/// What became of a row that this import has given before, and whether its contact came to be by it.
pub(super) fn given(
    store: &Reader,
    (contact_id, contact): (&str, Option<&ContactView<'_>>),
    (event_id, started_us): (&str, Option<u64>),
) -> Result<(Verdict, bool), StoreError> {
    let made = contact.and_then(ContactView::created_at_us);
    if made.is_some() && made == started_us {
        return Ok((Verdict::Applied, true));
    }
    let changes = store.history(contact_id.as_bytes(), CHANGES_LOOKED_AT, None)?;
    let changed = changes.iter().any(|change| change.event_id == event_id);
    Ok((if changed { Verdict::Applied } else { Verdict::Unchanged }, false))
}

/// What a row's event is called, for ever.
pub(super) fn event_id(job_id: &str, row: u64) -> String {
    format!("imp_{job_id}_{row}")
}

fn record_bytes(record: &NewRecord) -> usize {
    let headers =
        record.headers.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len));
    record.key.len() + record.value.as_ref().map_or(0, Vec::len) + headers.sum::<usize>()
}

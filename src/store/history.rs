//! What happened to one contact: the walk from its latest change back along the links.

use crate::domain::contact::{ContactView, CorruptContact};
use crate::domain::event::EventKind;
use crate::domain::position::{Lane, Offset};
use crate::domain::timestamp::format_rfc3339_us;
use crate::domain::verdict::Verdict;

use super::StoreError;
use super::codec::{ChangeRef, Links, StoredContact};
use super::erased::hidden;
use super::journal::{Entry, Journal, JournalEntry, Outcome};
use super::rows::is_readable;

/// One change of a contact.
#[derive(Clone, Debug)]
pub struct HistoryEntry {
    /// Its place in this instance's journal.
    pub change: ChangeRef,
    /// The record's lane.
    pub lane: Lane,
    /// The record's offset.
    pub offset: Offset,
    /// The record's timestamp, in ms.
    pub record_time_ms: i64,
    /// What the event said.
    pub kind: EventKind,
    /// The event's id.
    pub event_id: String,
    /// Who said it.
    pub source: String,
    /// The event's own timestamp, RFC 3339 in UTC.
    pub timestamp: Option<String>,
    /// Who gave the command.
    pub principal: Option<String>,
    /// The request that carried the command.
    pub request_id: Option<String>,
    body: Box<[u8]>,
}

impl HistoryEntry {
    /// The contact after the change, as a read at that time would have found it.
    pub fn value(&self) -> StoredContact {
        StoredContact::build(self.change, &self.body, &mut Vec::new())
    }

    /// What was stored after the change.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Without what was said before the contact was erased.
    pub(super) fn since_erased(self, now: &ContactView<'_>) -> Result<Self, StoreError> {
        match hidden(&self.body, now)? {
            Some(body) => Ok(Self { body: body.into(), ..self }),
            None => Ok(self),
        }
    }

    /// The whole contact after the change.
    pub fn view(&self) -> Result<ContactView<'_>, CorruptContact> {
        ContactView::parse(&self.body)
    }
}

/// The changes of a contact, newest first, at most `limit`, older than `before`. Ends early where
/// the journal was trimmed.
pub(super) fn history(
    journal: &Journal,
    id: &[u8],
    latest: ChangeRef,
    limit: usize,
    before: Option<ChangeRef>,
) -> Result<Vec<HistoryEntry>, StoreError> {
    let mut next = match before {
        Some(before) => older_than(journal, id, before)?.unwrap_or(latest),
        None => latest,
    };
    let mut entries = Vec::new();
    while entries.len() < limit
        && let Some(entry) = journal.entry(next)?
    {
        let entry = entry.view()?;
        let (shown, previous) = read(id, &entry)?;
        next = previous.change;
        if before.is_none_or(|before| shown.change < before) {
            entries.push(shown);
        }
    }
    Ok(entries)
}

/// Where to go on from a change that was shown; none when it isn't one of this contact's, as when
/// another instance has shown it: then the walk begins at the latest.
fn older_than(
    journal: &Journal,
    id: &[u8],
    before: ChangeRef,
) -> Result<Option<ChangeRef>, StoreError> {
    let Ok(Some(entry)) = journal.entry(before) else {
        return Ok(None);
    };
    Ok(match entry.view()?.outcome {
        Outcome::Applied(applied) if applied.id == id => Some(applied.previous.change),
        Outcome::Applied(_)
        | Outcome::Noted(_)
        | Outcome::Control(_)
        | Outcome::Rules(_)
        | Outcome::DeadLettered(_)
        | Outcome::Rehomed(_)
        | Outcome::Settled => None,
    })
}

fn read(id: &[u8], entry: &Entry<'_>) -> Result<(HistoryEntry, Links), StoreError> {
    let applied = match entry.outcome {
        Outcome::Applied(applied) | Outcome::Noted(applied) if applied.id == id => applied,
        Outcome::Applied(_)
        | Outcome::Noted(_)
        | Outcome::Control(_)
        | Outcome::Rules(_)
        | Outcome::DeadLettered(_)
        | Outcome::Rehomed(_)
        | Outcome::Settled => {
            return Err(not_its_change(id, entry.change));
        }
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let shown = HistoryEntry {
        change: entry.change,
        lane: entry.lane,
        offset: entry.offset,
        record_time_ms: entry.record_time_ms,
        kind: applied.kind,
        event_id: text(applied.event_id),
        source: text(applied.source),
        timestamp: applied.event_time_us.map(format_rfc3339_us),
        principal: applied.principal.map(text),
        request_id: applied.request_id.map(text),
        body: applied.body.into(),
    };
    Ok((shown, applied.previous))
}

/// A contact's value as it was before a journal frame; none when there was no such contact yet.
pub(super) fn image_before(
    journal: &Journal,
    id: &[u8],
    value: StoredContact,
    frame: crate::segments::FrameNo,
) -> Result<Option<StoredContact>, StoreError> {
    let mut links = value.links();
    if !links.image.is_some() || links.image.frame() < frame {
        return Ok(Some(value));
    }
    loop {
        let entry = link(journal, id, links.image)?;
        let entry = entry.view()?;
        let (shown, previous) = read(id, &entry)?;
        if shown.change.frame() < frame {
            return Ok(Some(StoredContact::build(links, &shown.body, &mut Vec::new())));
        }
        if !previous.image.is_some() {
            return first_change(id, &shown, entry.verdict == Verdict::Applied);
        }
        links = previous;
    }
}

fn link(journal: &Journal, id: &[u8], change: ChangeRef) -> Result<JournalEntry, StoreError> {
    journal.entry(change)?.ok_or_else(|| {
        let id = String::from_utf8_lossy(id);
        StoreError::damaged(
            "journal",
            format!("an earlier image of contact {id} is wanted and was trimmed away"),
        )
    })
}

/// A change that has none before it made the contact, unless the contact came from a snapshot.
fn first_change(
    id: &[u8],
    shown: &HistoryEntry,
    is_change: bool,
) -> Result<Option<StoredContact>, StoreError> {
    match is_readable(id, &shown.body).then(|| ContactView::version_of(&shown.body)).flatten() {
        Some(version) if is_change && version <= 1 => Ok(None),
        Some(_) | None => {
            let id = String::from_utf8_lossy(id);
            Err(StoreError::damaged(
                "journal",
                format!("it holds no earlier image of contact {id}"),
            ))
        }
    }
}

fn not_its_change(id: &[u8], change: ChangeRef) -> StoreError {
    StoreError::damaged(
        format!("journal frame {}", change.frame().0),
        format!(
            "entry {} is no change of contact {}, which points to it",
            change.index(),
            String::from_utf8_lossy(id)
        ),
    )
}

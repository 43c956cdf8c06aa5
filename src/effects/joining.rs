//! Contacts that are one, joined by themselves: a follower that orders merges.
//!
//! Two contacts are one where a source has the same id for both, or where one came by an own id of a
//! source that matches by e-mail, and exactly one other contact has its e-mail, is older, and has no id of
//! that source. The older one is the survivor; the merge is a job like those of the API.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::command::Condition;
use crate::domain::contact::{ContactView, Status};
use crate::domain::event::EMAIL;
use crate::domain::external_ids::contact_id_of;
use crate::effects::follower::{Answer, Change, Delivery, Picked, Row, Sink};
use crate::ingest::{Author, Merge, MergeError, Merged, Merging, Wait, merged_into};
use crate::store::journal::Entry;
use crate::store::{Filters, PageRequest, Reader, StoreError, StoredContact};

/// Who orders the merges, as history shows it.
const PRINCIPAL: &str = "contactd:joining";
/// How long a merge is waited for; it goes on without.
const MERGE_WAIT: Duration = Duration::from_secs(5);
/// When to try again where too many merges are under way.
const LATER: Duration = Duration::from_secs(5);

/// Orders merges of contacts that are one.
pub struct Joining {
    merging: Arc<Merging>,
    pairs: Arc<Pairs>,
}

/// Which contacts are one.
struct Pairs {
    reader: Reader,
    /// The sources that match by e-mail.
    by_email: BTreeSet<String>,
}

/// Two contacts that are one.
#[derive(Debug, PartialEq, Eq)]
struct Pair {
    into: String,
    from: String,
}

/// A contact by its age: when it came to be, then its id.
type Aged = (u64, String);

/// Whether a merge of the two was taken back: it is active, and says that it was merged into that one.
fn is_taken_back(from: &ContactView<'_>, into: &str) -> bool {
    merged_into(from).is_some_and(|id| id == into)
}

impl Joining {
    /// Of the contacts of a store.
    pub fn new(reader: Reader, merging: Arc<Merging>, by_email: BTreeSet<String>) -> Self {
        Self { merging, pairs: Arc::new(Pairs { reader, by_email }) }
    }

    /// The follower's row.
    pub fn row() -> Row {
        Row {
            at_once: 4,
            ..Row::new(
                "joining",
                "joining",
                "Merges contacts that a source has one id for, or that match by e-mail.",
            )
        }
    }

    async fn join(&self, delivery: &Delivery<()>) -> Answer {
        if !self.pairs.by_email.is_empty() && self.pairs.reader.lists_are_put_off() {
            // In a load nobody asks for lists, or they were made again and again.
            let why = "the lists are made when the load is over".to_owned();
            return Answer::Down { why, after: Some(LATER) };
        }
        let (pairs, key) = (Arc::clone(&self.pairs), delivery.key.clone());
        let pair = match tokio::task::spawn_blocking(move || pairs.pair(&key)).await {
            Ok(Ok(Some(pair))) => pair,
            Ok(Ok(None)) => return Answer::Delivered,
            Ok(Err(error)) => return Answer::Down { why: error.to_string(), after: None },
            Err(error) => return Answer::Down { why: error.to_string(), after: None },
        };
        let merge = Merge {
            into: pair.into,
            from: pair.from,
            condition: Condition::default(),
            keyed: None,
            author: Author { principal: PRINCIPAL.into(), request_id: delivery.id.as_str().into() },
        };
        match self.merging.merge(&merge, Wait::of(MERGE_WAIT, true)).await {
            Ok(Merged::Done { .. } | Merged::Accepted { .. }) => Answer::Delivered,
            Err(MergeError::Failed(_)) => {
                Answer::Refused(format!("{} and {} were not merged", merge.into, merge.from))
            }
            Err(error) => Answer::Down { why: error.to_string(), after: Some(LATER) },
        }
    }
}

impl Pairs {
    /// What the contact is to be merged with, as both are now. May wait for the disk.
    fn pair(&self, id: &str) -> Result<Option<Pair>, StoreError> {
        let Some(value) = self.reader.contact(id.as_bytes())? else {
            return Ok(None);
        };
        let Some(view) = free(&value) else {
            return Ok(None);
        };
        let this = aged(id, &view);
        for (source, external) in view.external_ids() {
            let contacts = self.reader.contacts_of(source, external)?;
            let views = contacts.iter().filter_map(|(id, value)| Some((id, free(value)?)));
            let mut holders: Vec<_> = views.map(|(id, view)| (aged(id, &view), view)).collect();
            holders.sort_by(|(one, _), (other, _)| one.cmp(other));
            let mut holders = holders.iter();
            let Some(((_, into), _)) = holders.next() else {
                continue;
            };
            let mut others = holders.filter(|(other, _)| *into == this.1 || *other == this);
            // Two that the id was tied to by hand are left alone.
            let made = contact_id_of(source.as_bytes(), external.as_bytes());
            let is_one = |((_, from), view): &&(Aged, ContactView<'_>)| {
                (*into == made || *from == made) && !is_taken_back(view, into)
            };
            if let Some(((_, from), _)) = others.find(is_one) {
                return Ok(Some(Pair { into: into.clone(), from: from.clone() }));
            }
        }
        for (source, external) in view.external_ids() {
            let came_by_it = contact_id_of(source.as_bytes(), external.as_bytes()) == id;
            if came_by_it && self.by_email.contains(source) {
                let older = self.older_by_email(&this, &view, source)?;
                if let Some(into) = older.filter(|into| !is_taken_back(&view, into)) {
                    return Ok(Some(Pair { into, from: this.1 }));
                }
            }
        }
        Ok(None)
    }

    /// The one other contact with the same e-mail, if it is older and has no id of the source.
    fn older_by_email(
        &self,
        this: &Aged,
        view: &ContactView<'_>,
        source: &str,
    ) -> Result<Option<String>, StoreError> {
        let Some(email) = view.field(EMAIL) else {
            return Ok(None);
        };
        let filters = Filters { email: Some(email.to_owned()), ..Filters::default() };
        // This one, the other, and whether there are more.
        let request = PageRequest {
            status: Some(Status::Active),
            filters,
            limit: 3,
            ..PageRequest::default()
        };
        let page = self.reader.page(&request)?;
        let mut others = page.contacts.iter().filter(|entry| entry.id != this.1);
        let (Some(other), None) = (others.next(), others.next()) else {
            return Ok(None);
        };
        let Some(view) = free(&other.value) else {
            return Ok(None);
        };
        let has_own = view.external_ids().any(|(of, _)| of == source);
        Ok((!has_own && aged(&other.id, &view) < *this).then(|| other.id.clone()))
    }
}

impl Sink for Joining {
    type Item = ();

    fn pick(&self, entry: &Entry<'_>) -> Option<Picked<()>> {
        let Change { id, view, .. } = Change::of(entry)?;
        let may_be_two = view.status() == Status::Active && view.external_ids().next().is_some();
        let key = may_be_two.then(|| id.to_owned())?;
        Some(Picked { key, version: view.version(), bytes: 0, item: () })
    }

    async fn deliver(&self, deliveries: &[Delivery<()>]) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            answers.push(self.join(delivery).await);
        }
        answers
    }

    fn tells_states(&self) -> bool {
        true
    }

    fn present(&self, reader: &Reader, key: &str) -> Result<Option<Picked<()>>, StoreError> {
        let Some(value) = reader.contact(key.as_bytes())? else {
            return Ok(None);
        };
        let Some(version) = free(&value).map(|view| view.version()) else {
            return Ok(None);
        };
        Ok(Some(Picked { key: key.to_owned(), version, bytes: 0, item: () }))
    }
}

/// A contact that is there and not being merged.
fn free(value: &StoredContact) -> Option<ContactView<'_>> {
    let view = value.view().ok()?;
    (view.status() == Status::Active && view.merging_into().is_none()).then_some(view)
}

fn aged(id: &str, view: &ContactView<'_>) -> Aged {
    (view.created_at_us().unwrap_or(0), id.to_owned())
}

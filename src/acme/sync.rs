//! The follower `acme`: what changed here and did not come from Acme goes there.
//!
//! A change is told as the contact is when it is told, whatever it was after the change. An event of Acme
//! that lost against what is newer here, or that crossed with what we have sent, is answered too: Acme is told
//! what holds.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::config::RateLimit;
use crate::domain::contact::{ContactView, Status};
use crate::domain::event::{EventKind, FIELDS};
use crate::domain::record::RecordKind;
use crate::domain::verdict::Verdict;
use crate::effects::follower::{Answer, Delivery, Picked, Rate, Row, Sink};
use crate::store::journal::{Applied, Entry, Outcome};
use crate::store::{ChangeRef, Reader, StoreError};

use super::client::Patience;
use super::desk::{Acme, Missing, SyncError};
use super::plan::Rule;
use super::theirs::is_notice;

/// Contacts that are told at once.
const AT_ONCE: usize = 8;

/// Tells Acme of changes.
pub struct AcmeSync {
    acme: Arc<Acme>,
}

/// A contact is to be looked at on both sides.
pub struct Change {
    /// Which change asks for it; none: whichever it was, the contact may be made at Acme.
    place: Option<ChangeRef>,
}

impl AcmeSync {
    /// To this Acme.
    pub fn new(acme: Arc<Acme>) -> Self {
        Self { acme }
    }

    /// The follower's row.
    pub fn row(rate: Option<RateLimit>) -> Row {
        let rate = rate.and_then(|rate| {
            let deliveries = u32::try_from(rate.requests).ok().and_then(std::num::NonZeroU32::new);
            Some(Rate { deliveries: deliveries?, per: rate.period })
        });
        Row {
            at_once: AT_ONCE,
            rate,
            ..Row::new("acme", "acme", "Tells the Acme CRM of changes that did not come from it.")
        }
    }

    async fn tell(&self, delivery: &Delivery<Change>) -> Answer {
        match self.settle(delivery).await {
            Ok(()) => Answer::Delivered,
            Err(error) => {
                let why = error.to_string();
                match error {
                    SyncError::Acme(error) if !error.blames_request() => {
                        Answer::Down { why, after: error.retry_after() }
                    }
                    SyncError::Intake(_)
                    | SyncError::Store(_)
                    | SyncError::UnknownSource(_)
                    | SyncError::OwnIds(_) => Answer::Down { why, after: None },
                    SyncError::Acme(_)
                    | SyncError::NotHere
                    | SyncError::NotThere
                    | SyncError::DeletedHere
                    | SyncError::DeletedThere
                    | SyncError::Untaken(_)
                    | SyncError::Cursor
                    | SyncError::Contended
                    | SyncError::Corrupt(_) => Answer::Refused(why),
                }
            }
        }
    }

    async fn settle(&self, delivery: &Delivery<Change>) -> Result<(), SyncError> {
        let missing = delivery.item.place.map_or(Missing::Made, Missing::Told);
        self.acme.settle(&delivery.key, Rule::Newest, missing, Patience::Once).await.map(drop)
    }

    /// What is told for an entry; none: nothing.
    fn change(
        &self,
        entry: &Entry<'_>,
        applied: &Applied<'_>,
        view: &ContactView<'_>,
    ) -> Option<Change> {
        let is_change = entry.verdict == Verdict::Applied;
        if applied.source != self.acme.source.as_bytes() {
            // A contact may be restored that is not known to be deleted yet.
            let restores = applied.kind == EventKind::Restored;
            let place = Some(entry.change).filter(|_| is_change || !restores);
            return (is_change || restores).then_some(Change { place });
        }
        if is_notice(applied.event_id) {
            return None;
        }
        let is_back = applied.kind == EventKind::Deleted && view.status() == Status::Active;
        if entry.verdict == Verdict::Duplicate {
            // It was brought back while we were deleting it there.
            return is_back.then_some(Change { place: None });
        }
        let is_newer = |name: &&str| {
            view.clock_of(name).is_some_and(|clock| Some(clock.ts_us) > applied.event_time_us)
        };
        // It may have come to be there before what we have sent meanwhile.
        let has_crossed = view.awaits(&self.acme.source);
        let is_told = FIELDS.iter().any(is_newer) || is_back || has_crossed;
        let place = Some(entry.change).filter(|_| applied.kind == EventKind::Updated);
        is_told.then_some(Change { place })
    }
}

impl Sink for AcmeSync {
    type Item = Change;

    fn pick(&self, entry: &Entry<'_>) -> Option<Picked<Change>> {
        let (Outcome::Applied(applied) | Outcome::Noted(applied), RecordKind::Contact) =
            (&entry.outcome, entry.record_kind)
        else {
            return None;
        };
        let id = std::str::from_utf8(applied.id).ok()?;
        let view = ContactView::parse(applied.body).ok()?;
        let item = self.change(entry, applied, &view)?;
        Some(Picked { key: id.to_owned(), version: view.version(), bytes: id.len(), item })
    }

    async fn deliver(&self, deliveries: &[Delivery<Change>]) -> Vec<Answer> {
        join_all(deliveries.iter().map(|delivery| self.tell(delivery))).await
    }

    fn tells_states(&self) -> bool {
        true
    }

    fn present(&self, reader: &Reader, key: &str) -> Result<Option<Picked<Change>>, StoreError> {
        let Some(contact) = reader.contact(key.as_bytes())? else {
            return Ok(None);
        };
        let version = contact.view().map_or(0, |view| view.version());
        let item = Change { place: None };
        Ok(Some(Picked { key: key.to_owned(), version, bytes: key.len(), item }))
    }
}

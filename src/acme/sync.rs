//! The follower `acme`: what changed here and did not come from Acme goes there.
//!
//! Each change is told as the contact was after it, so that what Acme's echo of an earlier one undid for a
//! moment is done again. An event of Acme that lost against what is newer here is answered too: Acme is
//! told what holds.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::config::RateLimit;
use crate::domain::contact::ContactView;
use crate::domain::event::FIELDS;
use crate::domain::record::RecordKind;
use crate::effects::follower::{Answer, Delivery, Picked, Rate, Row, Sink};
use crate::store::journal::{Applied, Entry, Outcome};
use crate::store::{ChangeRef, Reader, StoreError};

use super::base::before;
use super::client::Patience;
use super::desk::{Acme, HISTORY_MAX, Ours, SyncError};
use super::plan::Rule;

/// Contacts that are told at once.
const AT_ONCE: usize = 8;

/// Tells Acme of changes.
pub struct AcmeSync {
    acme: Arc<Acme>,
}

/// A contact as it was after a change.
pub struct Change {
    body: Vec<u8>,
    /// Its place, for what was before; none: it is told as it is.
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
                    | SyncError::Untaken(_)
                    | SyncError::Cursor
                    | SyncError::Contended
                    | SyncError::Corrupt(_) => Answer::Refused(why),
                }
            }
        }
    }

    async fn settle(&self, delivery: &Delivery<Change>) -> Result<(), SyncError> {
        let (change, id) = (&delivery.item, &delivery.key);
        let Some(now) = self.acme.present(id).await? else { return Ok(()) };
        let ours = match change.place {
            None => Ours { body: now.body().to_vec(), before: self.acme.base(id).await? },
            // What was said before an erase goes nowhere any more: the erase is told.
            Some(_) if now.view()?.erased() > ContactView::parse(&change.body)?.erased() => {
                return Ok(());
            }
            Some(place) => self.since(id, place, &change.body).await?,
        };
        self.acme.settle(id, &ours, Rule::Newest, Patience::Once).await.map(drop)
    }

    /// A contact after a change; where nothing but changes of ours came after that, with these: Acme's
    /// echo of the first would undo the others.
    async fn since(&self, id: &str, place: ChangeRef, body: &[u8]) -> Result<Ours, SyncError> {
        let id = id.to_owned();
        let read = move |reader: &Reader| {
            let latest = reader.history(id.as_bytes(), HISTORY_MAX, None)?;
            Ok((latest, reader.history(id.as_bytes(), 1, Some(place))?.pop()))
        };
        let (mut later, older) = self.acme.read(read).await?;
        let seen = later.len();
        later.retain(|it| it.change > place);
        if later.len() == seen || later.iter().any(|it| it.source == self.acme.source) {
            later.clear();
        }
        let mut states = Vec::new();
        if let Some(older) = &older {
            states.push((older.view()?, false));
        }
        states.push((ContactView::parse(body)?, false));
        for change in later.iter().rev() {
            states.push((change.view()?, false));
        }
        let newest = later.first().map(|newest| newest.value().body().to_vec());
        Ok(Ours { body: newest.unwrap_or_else(|| body.to_vec()), before: before(&states) })
    }

    /// Whether it is Acme's own word, and not all of it holds.
    fn lost(&self, applied: &Applied<'_>, view: &ContactView<'_>) -> bool {
        let is_newer = |name: &&str| {
            view.clock_of(name).is_some_and(|clock| Some(clock.ts_us) > applied.event_time_us)
        };
        FIELDS.iter().any(is_newer)
    }
}

impl Sink for AcmeSync {
    type Item = Change;

    fn pick(&self, entry: &Entry<'_>) -> Option<Picked<Change>> {
        let (applied, is_change) = match &entry.outcome {
            Outcome::Applied(applied) => (applied, true),
            Outcome::Noted(applied) => (applied, false),
            Outcome::Control(_)
            | Outcome::Rules(_)
            | Outcome::DeadLettered(_)
            | Outcome::Rehomed(_)
            | Outcome::Settled => return None,
        };
        if entry.record_kind != RecordKind::Contact {
            return None;
        }
        let is_theirs = applied.source == self.acme.source.as_bytes();
        if !is_theirs && !is_change {
            return None;
        }
        let id = std::str::from_utf8(applied.id).ok()?;
        let view = ContactView::parse(applied.body).ok()?;
        if is_theirs && !self.lost(applied, &view) {
            return None;
        }
        let (version, bytes) = (view.version(), applied.body.len());
        // By what Acme had before its own event nothing can be told.
        let place = (!is_theirs).then_some(entry.change);
        let item = Change { body: applied.body.to_vec(), place };
        Some(Picked { key: id.to_owned(), version, bytes, item })
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
        let body = contact.body().to_vec();
        let version = contact.view().map_or(0, |view| view.version());
        let (bytes, item) = (body.len(), Change { body, place: None });
        Ok(Some(Picked { key: key.to_owned(), version, bytes, item }))
    }
}

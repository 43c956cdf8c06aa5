//! Brings one contact into agreement on both sides: what differs is sent to Acme, or taken from it.
//!
//! ```text
//! ours, as it is now ─┐
//!                     ├─► plan ─┬─► sent: a notice onto the log, then Acme's API, if it is still as it was read
//! Acme's, read now ───┘         └─► taken: an event of the source, onto the log
//! ```
//!
//! Nothing is remembered between two calls, so it is no matter which instance makes them, or how often.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::domain::Class;
use crate::domain::contact::{ContactView, CorruptContact, Status};
use crate::domain::decode::{Decoder, contact_id_problem};
use crate::domain::event::{EventKind, FIELDS};
use crate::domain::position::Position;
use crate::domain::sources::{Ids, KeptBack, Source, field_of};
use crate::event_log::{Ack, NewRecord};
use crate::ingest::{Intake, IntakeError, Kept, PresentRules, now_ms};
use crate::store::{ChangeRef, Reader, StoreError, StoredContact};
use crate::telemetry::AcmeMetrics;

use super::base::{Before, Past, before};
use super::client::{AcmeClient, Patience};
use super::error::AcmeError;
use super::plan::{Plan, Rule, Standing, plan};
use super::theirs::Theirs;
use super::wire::Contact;

/// Changes of one contact that are looked through at most.
pub(super) const HISTORY_MAX: usize = 32;

/// What became of a contact at Acme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum There {
    /// It stays as it was.
    #[default]
    Unchanged,
    /// It came to be.
    Created,
    /// Fields were changed.
    Updated,
    /// It was deleted.
    Deleted,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Synced {
    /// At Acme.
    pub there: There,
    /// Fields that were sent, by our names.
    pub sent: Vec<&'static str>,
    /// Fields that were taken, by our names.
    pub taken: Vec<&'static str>,
    /// Fields that stay different, and why they are not sent; none: they are newer than Acme's.
    pub kept: Vec<(&'static str, Option<KeptBack>)>,
    /// What was taken is on the log, and not known to be applied.
    pub is_pending: bool,
}

/// Why the two sides were not brought into agreement.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// We have no such contact.
    #[error("there is no contact with this id")]
    NotHere,
    /// Acme has no such contact.
    #[error("Acme has no contact with this id")]
    NotThere,
    /// It was deleted there after Acme had it.
    #[error(
        "Acme no longer has the contact, so it was deleted there, and the webhook that says when has not \
         come; where it is lost, `contactd acme reconcile` shows the contact as missing there"
    )]
    DeletedThere,
    /// It was deleted here after Acme had it.
    #[error("the contact is deleted here, and Acme has not made it anew since")]
    DeletedHere,
    /// Acme did not do what it was asked for.
    #[error(transparent)]
    Acme(#[from] AcmeError),
    /// What Acme has would be no event that can be applied.
    #[error("what Acme has of the contact can't be taken: {0}")]
    Untaken(String),
    /// Not as it was given out.
    #[error("the cursor is none that was given out")]
    Cursor,
    /// The rules on the log know no such source.
    #[error(
        "the rules on the log do not know the source {0} (acme.source); `contactd config adopt` puts \
         those of this configuration there"
    )]
    UnknownSource(String),
    /// Acme has contacts under our ids, and these rules would make others of them.
    #[error(
        "by the rules on the log the source {0} (acme.source) has ids = \"own\", and what is kept alike \
         with Acme has one id on both sides; `contactd config adopt` puts the rules of this \
         configuration there"
    )]
    OwnIds(String),
    /// Others change it at Acme all the time.
    #[error("the contact is changed at Acme all the time")]
    Contended,
    /// What was taken is kept nowhere.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored can't be read.
    #[error(transparent)]
    Corrupt(#[from] CorruptContact),
}

impl SyncError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::NotHere
            | Self::NotThere
            | Self::DeletedHere
            | Self::DeletedThere
            | Self::Untaken(_)
            | Self::Cursor => Class::Poison,
            Self::UnknownSource(_) | Self::OwnIds(_) | Self::Contended => Class::Retry,
            Self::Acme(error) => error.class(),
            Self::Intake(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Corrupt(error) => error.class(),
        }
    }
}

/// What becomes of a contact that is here and that Acme does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// It is made there.
    Made,
    /// The same, unless Acme is known to have had it when this change was made.
    Told(ChangeRef),
}

/// Acme, beside our contacts.
pub struct Acme {
    pub(super) client: Arc<AcmeClient>,
    pub(super) reader: Reader,
    intake: Arc<Intake>,
    pub(super) rules: PresentRules,
    /// Whose words Acme speaks, and whose events are made of what it has.
    pub(super) source: String,
    pub(super) metrics: AcmeMetrics,
}

impl Acme {
    /// Beside an open store.
    pub fn new(
        client: Arc<AcmeClient>,
        reader: Reader,
        intake: Arc<Intake>,
        rules: PresentRules,
        source: &str,
        metrics: AcmeMetrics,
    ) -> Self {
        Self { client, reader, intake, rules, source: source.to_owned(), metrics }
    }

    /// Makes Acme's contact what ours is, in whatever may be sent.
    ///
    /// # Errors
    /// What kept it from that.
    pub async fn push(&self, id: &str, patience: Patience) -> Result<Synced, SyncError> {
        self.present(id).await?.ok_or(SyncError::NotHere)?;
        self.settle(id, Rule::Ours, Missing::Made, patience).await
    }

    /// Takes what is newer at Acme, and waits until it is applied.
    ///
    /// # Errors
    /// What kept it from that.
    pub async fn pull(&self, id: &str, until: Instant) -> Result<Synced, SyncError> {
        if let Some(problem) = contact_id_problem(id.as_bytes()) {
            return Err(SyncError::Untaken(format!("its id {problem}")));
        }
        let contact = self.client.get(id, Patience::Until(until)).await?;
        let theirs = self.theirs(contact.ok_or(SyncError::NotThere)?)?;
        let present = self.present(id).await?;
        let view = present.as_ref().map(StoredContact::view).transpose()?;
        if is_deleted_here(view.as_ref(), &theirs) {
            return Err(SyncError::DeletedHere);
        }
        let mut synced = Synced::default();
        let records = match view.filter(|view| view.status() == Status::Active) {
            None => {
                synced.taken.extend(said(&theirs));
                self.whole(&theirs)?
            }
            Some(view) => {
                let plan = self.plan_of_now(&view, &theirs, Standing::News, Rule::Newest).await?;
                let newer_here = plan.sent.into_iter().map(|name| (name, None));
                synced.kept.extend(newer_here.chain(kept(plan.kept)));
                synced.taken = plan.taken;
                self.some(&theirs, &synced.taken)?
            }
        };
        if !records.is_empty() {
            let acks = self.keep(records).await?;
            synced.is_pending = !self.applied(&acks, until).await?;
        }
        Ok(synced)
    }

    /// What is to happen, field by field.
    pub(super) async fn plan_of_now(
        &self,
        ours: &ContactView<'_>,
        theirs: &Theirs,
        standing: Standing,
        rule: Rule,
    ) -> Result<Plan, SyncError> {
        let plan = |before: &Before| {
            let decoder = self.rules.decoder();
            let source = self.source_of(&decoder)?;
            Ok::<_, SyncError>(plan(ours, before, theirs, source, (rule, standing)))
        };
        let differing = plan(&Before::default())?;
        if differing.taken.is_empty() {
            return Ok(differing);
        }
        plan(&self.base(&theirs.id).await?)
    }

    /// What stood in a contact before our latest changes, where Acme has said nothing of them since.
    async fn base(&self, id: &str) -> Result<Before, SyncError> {
        let id = id.to_owned();
        let read = move |reader: &Reader| {
            Ok((reader.history(id.as_bytes(), HISTORY_MAX, None)?, reader.contact(id.as_bytes())?))
        };
        let (history, now) = self.read(read).await?;
        let mut states = Vec::new();
        for change in history.iter().rev() {
            let is_theirs = change.source == self.source;
            states.push(Past { view: change.view()?, is_theirs, kind: change.kind });
        }
        // With what Acme has said since without changing anything.
        if let Some(now) = &now {
            states.push(Past { view: now.view()?, is_theirs: true, kind: EventKind::Updated });
        }
        Ok(before(&states))
    }

    /// What is appended to make it a contact here.
    pub(super) fn whole(&self, theirs: &Theirs) -> Result<Vec<NewRecord>, SyncError> {
        Ok(theirs.whole(self.now_for(theirs)?))
    }

    /// What is appended to take some fields.
    pub(super) fn some(
        &self,
        theirs: &Theirs,
        fields: &[&str],
    ) -> Result<Vec<NewRecord>, SyncError> {
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        let decoder = self.rules.decoder();
        Ok(vec![theirs.some(fields, self.source_of(&decoder)?, self.now_for(theirs)?)])
    }

    /// Fields that Acme has a value of and that are never taken from it, though they would be sent there.
    pub(super) fn not_taken(&self, theirs: &Theirs) -> Result<Vec<&'static str>, SyncError> {
        let decoder = self.rules.decoder();
        Ok(theirs.not_taken(self.source_of(&decoder)?))
    }

    /// The present time, where applying will not find that theirs is ahead of it.
    fn now_for(&self, theirs: &Theirs) -> Result<u64, SyncError> {
        let now_ms = now_ms();
        let ahead_ms = (theirs.clock.ts_us / 1000).saturating_sub(now_ms);
        if ahead_ms > self.rules.get().future_tolerance_ms() {
            let why = format!("Acme dates it {} s ahead of this server's clock", ahead_ms / 1000);
            return Err(SyncError::Untaken(why));
        }
        Ok(now_ms)
    }

    /// Where they stand; nowhere where they wait in the outbox.
    pub(super) async fn keep(&self, records: Vec<NewRecord>) -> Result<Vec<Ack>, SyncError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        match self.intake.keep(records).await? {
            Kept::OnLog(acks) => Ok(acks),
            Kept::InOutbox => Ok(Vec::new()),
        }
    }

    /// Whether records are applied by then.
    pub(super) async fn applied(&self, acks: &[Ack], until: Instant) -> Result<bool, SyncError> {
        if acks.is_empty() {
            return Ok(false);
        }
        let next = acks.iter().map(|ack| (ack.lane, ack.offset.next())).collect();
        let position = Position::of_lanes(self.reader.position().log, next);
        match timeout_at(until, self.reader.wait_for(&position)).await {
            Ok(waited) => Ok(waited.map(|()| true)?),
            Err(_elapsed) => Ok(false),
        }
    }

    pub(super) fn theirs(&self, contact: Contact) -> Result<Theirs, SyncError> {
        let decoder = self.rules.decoder();
        self.source_of(&decoder)?;
        let theirs = Theirs::read(contact, &decoder, &self.source);
        theirs.map_err(|reject| SyncError::Untaken(reject.detail))
    }

    /// The table of Acme's words, by the rules of now.
    pub(super) fn source_of<'d>(&self, decoder: &'d Decoder) -> Result<&'d Source, SyncError> {
        match decoder.sources().of(self.source.as_bytes()) {
            Some(source) if source.ids() == Ids::Own => Err(SyncError::OwnIds(self.source.clone())),
            Some(source) => Ok(source),
            None => Err(SyncError::UnknownSource(self.source.clone())),
        }
    }

    pub(super) async fn present(&self, id: &str) -> Result<Option<StoredContact>, StoreError> {
        if let Some(found) = self.reader.contact_at_once(id.as_bytes()) {
            return Ok(found);
        }
        let id = id.to_owned();
        self.read(move |reader| reader.contact(id.as_bytes())).await
    }

    /// Off the threads that answer.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let reader = self.reader.clone();
        match tokio::task::spawn_blocking(move || question(&reader)).await {
            Ok(answer) => answer,
            Err(error) => Err(StoreError::damaged("what is compared with Acme", error.to_string())),
        }
    }
}

/// Whether our delete stands against what Acme has: only what came to be there anew undoes it.
pub(super) fn is_deleted_here(ours: Option<&ContactView<'_>>, theirs: &Theirs) -> bool {
    ours.is_some_and(|ours| {
        let died_us = ours.died().map(|died| died.ts_us);
        ours.status() == Status::Deleted && Some(theirs.created_us) <= died_us
    })
}

/// The fields that Acme has a value for.
fn said(theirs: &Theirs) -> impl Iterator<Item = &'static str> {
    let named = FIELDS.into_iter().zip(&theirs.values);
    named.filter(|(_, said)| matches!(said, Some(Some(_)))).map(|(name, _)| name)
}

pub(super) fn field<'v>(view: &ContactView<'v>, name: &str) -> Option<&'v str> {
    view.field(field_of(name.as_bytes())?)
}

pub(super) fn kept(
    fields: Vec<(&'static str, KeptBack)>,
) -> impl Iterator<Item = (&'static str, Option<KeptBack>)> {
    fields.into_iter().map(|(name, why)| (name, Some(why)))
}

//! What a client wants of a contact: given as a command, and told what became of it.
//!
//! ```text
//! Edit ─► was it done before, under its key? ─► Command ─► verdict and image ─► Done
//! ```
//!
//! A command holds the wish and the client's own condition; apply alone decides, on the contact as it
//! is at the command's place. So it means the same whether somebody waits for it or not, alone or
//! among others, and however long it was in the outbox.

mod first;
mod links;
mod revert;

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain::Class;
use crate::domain::clock::id_hash;
use crate::domain::command::{Condition, Intent};
use crate::domain::contact::{ContactView, CorruptContact, StateTag, Status};
use crate::domain::event::FIELDS;
use crate::domain::merge::superseded;
use crate::domain::position::Position;
use crate::domain::verdict::{DeadLetterReason, Verdict};
use tokio::time::Instant;
use uuid::Uuid;

use crate::store::{RecordOutcome, StoreError, StoredContact};
use crate::telemetry::fault;

use super::command_record::{API_SOURCE, COMMAND_ID};
use super::commands::{Author, Command, CommandError, Commands, Submitted, Wait};
use super::merged::merged_into;
use super::patch::ContactPatch;

pub(super) use first::as_of;
pub use links::LinkError;
pub use revert::RevertError;

/// How often one is given where writes beside it are in its way.
const TRIES: u32 = 4;

/// What is to happen to a contact.
#[derive(Clone, Debug)]
pub enum Action {
    /// It comes to be; it must not be there, or be deleted.
    Create(ContactPatch),
    /// It becomes this, whatever it was.
    Replace(ContactPatch),
    /// It takes what is named.
    Update(ContactPatch),
    /// The same, and it comes to be where there is none; it must not be deleted.
    Upsert {
        /// What is named.
        patch: ContactPatch,
        /// Its condition names a state, so that it has to be there.
        must_exist: bool,
    },
    /// It is deleted, its fields kept.
    Delete,
    /// It is deleted, its fields forgotten.
    Erase,
    /// Its delete is taken back.
    Restore,
}

/// For a request that may come again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// The same for the same request.
    pub event_id: String,
    /// Of what it asks for.
    pub request_hash: [u8; 16],
}

/// One wish.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The contact.
    pub id: String,
    /// What is to happen.
    pub action: Action,
    /// On what condition.
    pub condition: Condition,
    /// Set where it may come again.
    pub keyed: Option<Keyed>,
    /// Whose wish it is.
    pub author: Author,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Done {
    /// The contact as it was right after.
    Contact {
        /// The contact.
        value: StoredContact,
        /// Whether it came to be by this.
        is_new: bool,
        /// From where on that can be read; none: it could be read before.
        position: Option<Position>,
        /// What of the wish did not take, by name: events that are newer say otherwise.
        superseded: Vec<String>,
    },
    /// It is on the log, and not applied yet.
    Accepted {
        /// By which it is found.
        event_id: String,
    },
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// There is no such contact.
    #[error("there is no contact with this id")]
    NotFound,
    /// There is one already.
    #[error("there is a contact with this id already")]
    Exists(StateTag),
    /// It is deleted, and is not taken back by this.
    #[error("the contact is deleted")]
    Deleted {
        /// Its state.
        tag: StateTag,
        /// Into whom it was merged, if that is why.
        merged_into: Option<String>,
    },
    /// It is not in the state that was expected.
    #[error("the contact is not in the state that was expected")]
    PreconditionFailed(Option<StateTag>),
    /// It is being merged into another.
    #[error("the contact is being merged into another")]
    Merging {
        /// Into whom.
        into: String,
    },
    /// Newer events say otherwise.
    #[error("events that are newer than this edit say otherwise")]
    Superseded(Option<StateTag>),
    /// The key was used for another request.
    #[error("the key was used for another request")]
    KeyReused,
    /// It was not tried before the time was over.
    #[error("there was no time left for it")]
    NoTime,
    /// It can't be applied.
    #[error("{detail}")]
    Refused {
        /// As applying names it.
        reason: DeadLetterReason,
        /// What is wrong.
        detail: String,
    },
    /// The log does not have it, as far as is known.
    #[error(transparent)]
    Command(CommandError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored can't be read.
    #[error(transparent)]
    Corrupt(#[from] CorruptContact),
}

impl EditError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::NotFound
            | Self::Exists(_)
            | Self::Deleted { .. }
            | Self::PreconditionFailed(_)
            | Self::Merging { .. }
            | Self::Superseded(_)
            | Self::KeyReused
            | Self::Refused { .. } => Class::Poison,
            Self::NoTime => Class::Retry,
            Self::Command(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Corrupt(error) => error.class(),
        }
    }
}

/// Carries wishes out; cheap to clone.
#[derive(Clone)]
pub struct Edits {
    commands: Commands,
    in_flight: Arc<Mutex<BTreeSet<String>>>,
}

/// A keyed request under way; over when dropped.
#[derive(Debug)]
pub struct InFlight {
    event_id: String,
    all: Arc<Mutex<BTreeSet<String>>>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.all.lock().remove(&self.event_id);
    }
}

impl Edits {
    /// By these commands.
    pub fn new(commands: Commands) -> Self {
        Self { commands, in_flight: Arc::default() }
    }

    /// None: the same request is under way here.
    pub fn begin(&self, keyed: &Keyed) -> Option<InFlight> {
        let event_id = keyed.event_id.clone();
        let is_first = self.in_flight.lock().insert(event_id.clone());
        is_first.then(|| InFlight { event_id, all: Arc::clone(&self.in_flight) })
    }

    /// One of them.
    pub async fn run_one(&self, edit: &Edit, wait: Wait) -> Result<Done, EditError> {
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let done = self.run(std::slice::from_ref(edit), wait).await.pop();
            match done.unwrap_or(Err(EditError::NoTime)) {
                // A write beside it was stamped later and stands before it: the last one is to win.
                Err(EditError::Superseded(_)) if tries > 0 && Instant::now() < wait.until => {}
                done => return done,
            }
        }
    }

    /// All of them, appended together, each on its own; those of one contact in their order. The
    /// answers stand in the order of the edits.
    pub async fn run(&self, edits: &[Edit], wait: Wait) -> Vec<Result<Done, EditError>> {
        let mut answers = Vec::with_capacity(edits.len());
        let mut commands = Vec::new();
        for edit in edits {
            let first = self.first_answer(edit).transpose();
            if first.is_none() {
                commands.push(edit.command());
            }
            answers.push(first);
        }
        let event_ids: Vec<String> = commands.iter().map(|at| at.event_id.clone()).collect();
        let submitted = self.commands.submit(&commands, wait).await;
        let mut submitted = event_ids.into_iter().zip(submitted);
        let answers = edits.iter().zip(answers).map(|(edit, first)| {
            first.or_else(|| submitted.next().map(|(id, told)| self.answer(edit, id, told)))
        });
        answers.map(|answer| answer.unwrap_or(Err(EditError::NoTime))).collect()
    }

    fn answer(
        &self,
        edit: &Edit,
        event_id: String,
        submitted: Result<Submitted, CommandError>,
    ) -> Result<Done, EditError> {
        match submitted {
            Ok(Submitted::Kept) => Ok(Done::Accepted { event_id }),
            Ok(Submitted::Decided(outcome)) => self.decided(edit, &event_id, outcome),
            Err(CommandError::Refused { reason, detail }) => {
                Err(EditError::Refused { reason, detail })
            }
            Err(error) => Err(EditError::Command(error)),
        }
    }

    /// The verdict and its image are the answer: nothing is judged again.
    fn decided(
        &self,
        edit: &Edit,
        event_id: &str,
        outcome: RecordOutcome,
    ) -> Result<Done, EditError> {
        let RecordOutcome { verdict, value, position, reason, .. } = outcome;
        let tag = || match &value {
            Some(value) => Ok(Some(value.view()?.tag())),
            None => Ok::<_, EditError>(None),
        };
        match verdict {
            Verdict::Applied | Verdict::Unchanged => {
                let value = value.ok_or(EditError::NotFound)?;
                let is_new = verdict == Verdict::Applied && value.view()?.version() == 1;
                edit.done(event_id, is_new, value, Some(position))
            }
            Verdict::NotFound if !matches!(edit.action, Action::Upsert { .. }) => {
                Err(EditError::NotFound)
            }
            Verdict::DeadLettered => {
                let (reason, detail) = reason.unwrap_or_else(|| {
                    (DeadLetterReason::InvalidCommand, "it could not be applied".to_owned())
                });
                Err(EditError::Refused { reason, detail })
            }
            Verdict::Superseded if fault::bug("superseded_is_done") => {
                edit.done(event_id, false, value.ok_or(EditError::NotFound)?, Some(position))
            }
            // It is on its way to its contact's home.
            Verdict::Rehomed => Ok(Done::Accepted { event_id: event_id.to_owned() }),
            Verdict::Duplicate | Verdict::Conflict | Verdict::NotFound => {
                if let Some(done) = self.first_answer(edit)? {
                    return Ok(done);
                }
                let view = value.as_ref().map(StoredContact::view).transpose()?;
                Err(edit.refused(view.as_ref()))
            }
            Verdict::Stale | Verdict::Superseded => Err(EditError::Superseded(tag()?)),
        }
    }
}

impl Edit {
    fn command(&self) -> Command {
        let (intent, patch) = self.action.parts();
        Command {
            intent,
            id: self.id.clone(),
            patch: patch.cloned().unwrap_or_default(),
            condition: match fault::bug("conditions_left_out") {
                true => Condition::default(),
                false => self.condition.clone(),
            },
            event_id: match &self.keyed {
                Some(keyed) => keyed.event_id.clone(),
                None => format!("{COMMAND_ID}{}", Uuid::now_v7().as_simple()),
            },
            request_hash: self.keyed.as_ref().map(|keyed| keyed.request_hash),
            survivor: None,
            author: self.author.clone(),
        }
    }

    /// Why a contact that stands so at its place does not let it.
    fn refused(&self, contact: Option<&ContactView<'_>>) -> EditError {
        let Some(contact) = contact else {
            return EditError::PreconditionFailed(None);
        };
        let tag = contact.tag();
        match (&self.action, contact.merging_into()) {
            (Action::Erase, Some(into)) => EditError::Merging { into: into.to_owned() },
            (Action::Create(_), _) => EditError::Exists(tag),
            (Action::Upsert { .. }, _) if contact.status() == Status::Deleted => {
                EditError::Deleted { tag, merged_into: merged_into(contact) }
            }
            _ => EditError::PreconditionFailed(Some(tag)),
        }
    }

    fn done(
        &self,
        event_id: &str,
        is_new: bool,
        value: StoredContact,
        position: Option<Position>,
    ) -> Result<Done, EditError> {
        let superseded = self.action.lost(&value.view()?, command_hash(event_id));
        Ok(Done::Contact { value, is_new, position, superseded })
    }
}

impl Action {
    fn parts(&self) -> (Intent, Option<&ContactPatch>) {
        match self {
            Self::Create(patch) => (Intent::Create, Some(patch)),
            Self::Replace(patch) => (Intent::Replace, Some(patch)),
            Self::Update(patch) => (Intent::Update, Some(patch)),
            Self::Upsert { patch, must_exist: true } => (Intent::Update, Some(patch)),
            Self::Upsert { patch, must_exist: false } => (Intent::Upsert, Some(patch)),
            Self::Delete => (Intent::Delete, None),
            Self::Erase => (Intent::Erase, None),
            Self::Restore => (Intent::Restore, None),
        }
    }

    /// What of it did not take, by name, given the contact as it was right after.
    fn lost(&self, after: &ContactView<'_>, command_hash: u64) -> Vec<String> {
        let (intent, Some(patch)) = self.parts() else {
            return Vec::new();
        };
        let is_whole = intent.replaces();
        let fields = FIELDS.iter().zip(&patch.fields);
        let fields = fields.filter(|(_, said)| is_whole || said.is_some());
        let fields = fields.map(|(name, said)| (*name, matches!(said, Some(Some(_)))));
        let attributes = &patch.attributes;
        let attributes = attributes.iter().map(|(name, value)| (name.as_str(), value.is_some()));
        // What was to be taken away is named where it is there still.
        let others = after.attributes().map(|(name, _)| name).filter(|name| {
            (is_whole || patch.clears_attributes) && !patch.attributes.contains_key(*name)
        });
        let others = others.map(|name| (name, false));
        superseded(fields.chain(attributes).chain(others), after, command_hash)
    }
}
/// What a command's values have in their clocks, and attempts at it are remembered by.
fn command_hash(event_id: &str) -> u64 {
    id_hash(API_SOURCE.as_bytes(), event_id.as_bytes())
}

//! What a client wants of a contact: found out what that is as a command now, given, and told.
//!
//! ```text
//! Edit ─► plan (with the contact as it is) ─► Command ─► verdict ─► Done
//!           ▲                                              │ conflict, and the client set no condition
//!           └──────────────────────────────────────────────┘
//! ```
//!
//! What is read while planning is only a guess: the command carries the version that it was made
//! from, and apply alone decides. A replacing or creating command that was overtaken is planned anew;
//! one whose client named a version is told so.

mod first;
mod join;
mod plan;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::domain::Class;
use crate::domain::clock::id_hash;
use crate::domain::contact::{CorruptContact, StateTag, Status};
use crate::domain::position::Position;
use crate::domain::verdict::{DeadLetterReason, Verdict};
use crate::store::{RecordOutcome, StoreError, StoredContact};

use super::command_record::API_SOURCE;
use super::commands::{Author, CommandError, Commands, Submitted, Wait};
use super::patch::ContactPatch;
use plan::Plan;

pub use join::{Merge, MergeFailed};

/// How often an edit is planned anew before it gives way to those that overtake it.
const PLANS_MAX: u32 = 64;

/// What is to happen to a contact.
#[derive(Clone, Debug)]
pub enum Action {
    /// It comes to be; it must not be there, or be deleted.
    Create(ContactPatch),
    /// It becomes this, whatever it was.
    Replace(ContactPatch),
    /// It takes what is named.
    Update(ContactPatch),
    /// It is deleted, its fields kept.
    Delete,
    /// It is deleted, and takes what is named.
    GiveWay(ContactPatch),
    /// It is deleted, its fields forgotten.
    Erase,
    /// Its delete is taken back.
    Restore,
}

/// What the client expects of the contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// It is there.
    Exists,
    /// It is in one of these states.
    OneOf(Vec<StateTag>),
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
    pub precondition: Precondition,
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
        /// From where on that can be read; none: it could be read before.
        position: Option<Position>,
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
    /// It is not in the state that was expected.
    #[error("the contact is not in the state that was expected")]
    PreconditionFailed(Option<StateTag>),
    /// Newer events say otherwise.
    #[error("events that are newer than this edit say otherwise")]
    Superseded(StateTag),
    /// The key was used for another request.
    #[error("the key was used for another request")]
    KeyReused,
    /// Others change it all the time.
    #[error("the contact is changed all the time")]
    Contended,
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
            | Self::PreconditionFailed(_)
            | Self::Superseded(_)
            | Self::KeyReused
            | Self::Refused { .. } => Class::Poison,
            Self::Contended | Self::NoTime => Class::Retry,
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
    pub async fn run_one(&self, edit: Edit, wait: Wait) -> Result<Done, EditError> {
        let done = self.run(&[edit], wait).await.pop();
        done.unwrap_or(Err(EditError::NoTime))
    }

    /// All of them, each on its own; those of one contact one after the other. The answers stand in
    /// the order of the edits.
    pub async fn run(&self, edits: &[Edit], wait: Wait) -> Vec<Result<Done, EditError>> {
        let mut answers: Vec<Option<Result<Done, EditError>>> = Vec::new();
        answers.resize_with(edits.len(), || None);
        let mut left: BTreeMap<&str, VecDeque<usize>> = BTreeMap::new();
        for (place, edit) in edits.iter().enumerate() {
            left.entry(&edit.id).or_default().push_back(place);
        }
        for _ in 0..PLANS_MAX.saturating_add(edits.len() as u32) {
            let wave: Vec<usize> = left.values().filter_map(|of| of.front().copied()).collect();
            if wave.is_empty() || tokio::time::Instant::now() >= wait.until {
                break;
            }
            for (place, answer) in self.wave(edits, &wave, wait).await {
                if let Some(slot) = answers.get_mut(place) {
                    *slot = Some(answer);
                }
            }
            left.retain(|_, of| {
                let is_answered = |place: &usize| matches!(answers.get(*place), Some(Some(_)));
                while of.front().is_some_and(is_answered) {
                    of.pop_front();
                }
                !of.is_empty()
            });
        }
        let is_late = tokio::time::Instant::now() >= wait.until;
        let none = || Err(if is_late { EditError::NoTime } else { EditError::Contended });
        answers.into_iter().map(|answer| answer.unwrap_or_else(none)).collect()
    }

    /// One edit of each contact at most. What was overtaken has no answer yet.
    async fn wave(
        &self,
        edits: &[Edit],
        wave: &[usize],
        wait: Wait,
    ) -> Vec<(usize, Result<Done, EditError>)> {
        let mut answers = Vec::with_capacity(wave.len());
        let (mut places, mut commands) = (Vec::new(), Vec::new());
        for (place, edit) in wave.iter().filter_map(|place| Some((*place, edits.get(*place)?))) {
            match self.plan(edit) {
                Ok(Plan::Done(done)) => answers.push((place, Ok(done))),
                Ok(Plan::Give(command)) => {
                    places.push((place, edit, command.event_id.clone()));
                    commands.push(*command);
                }
                Err(error) => answers.push((place, Err(error))),
            }
        }
        let submitted = self.commands.submit(&commands, wait).await;
        for ((place, edit, event_id), submitted) in places.into_iter().zip(submitted) {
            let answer = match submitted {
                Ok(Submitted::Kept) => Some(Ok(Done::Accepted { event_id })),
                Ok(Submitted::Decided(outcome)) => self.decided(edit, outcome).transpose(),
                Err(CommandError::Refused { reason, detail }) => {
                    Some(Err(EditError::Refused { reason, detail }))
                }
                Err(error) => Some(Err(EditError::Command(error))),
            };
            answers.extend(answer.map(|answer| (place, answer)));
        }
        answers
    }

    fn plan(&self, edit: &Edit) -> Result<Plan, EditError> {
        let current = self.commands.reader().contact(edit.id.as_bytes())?;
        if let Some(done) = self.first_answer(edit, current.as_ref())? {
            return Ok(Plan::Done(done));
        }
        plan::plan(edit, current)
    }

    /// None: it was overtaken and is to be planned anew.
    fn decided(&self, edit: &Edit, outcome: RecordOutcome) -> Result<Option<Done>, EditError> {
        match outcome.verdict {
            Verdict::Applied => {
                let value = outcome.value.ok_or(EditError::NotFound)?;
                edit.check_applied(&value)?;
                Ok(Some(Done::Contact { value, position: Some(outcome.position) }))
            }
            Verdict::NotFound => Err(EditError::NotFound),
            Verdict::DeadLettered => {
                let (reason, detail) = outcome.reason.unwrap_or_else(|| {
                    (DeadLetterReason::InvalidCommand, "it could not be applied".to_owned())
                });
                Err(EditError::Refused { reason, detail })
            }
            Verdict::Unchanged | Verdict::Stale | Verdict::Superseded | Verdict::Rehomed => {
                Err(EditError::Superseded(self.tag(edit)?.ok_or(EditError::NotFound)?))
            }
            Verdict::Duplicate | Verdict::Conflict => {
                let current = self.commands.reader().contact(edit.id.as_bytes())?;
                if let Some(done) = self.first_answer(edit, current.as_ref())? {
                    return Ok(Some(done));
                }
                match edit.precondition {
                    Precondition::OneOf(_) => Err(EditError::PreconditionFailed(self.tag(edit)?)),
                    Precondition::None | Precondition::Exists => Ok(None),
                }
            }
        }
    }

    fn tag(&self, edit: &Edit) -> Result<Option<StateTag>, EditError> {
        let current = self.commands.reader().contact(edit.id.as_bytes())?;
        Ok(current.map(|value| value.view().map(|view| view.tag())).transpose()?)
    }
}

impl Edit {
    /// Under which the contact remembers its command.
    fn ring_hash(keyed: &Keyed) -> u64 {
        id_hash(API_SOURCE.as_bytes(), keyed.event_id.as_bytes())
    }

    /// A command can be applied and its wish fail: newer events may hold against it.
    fn check_applied(&self, value: &StoredContact) -> Result<(), EditError> {
        let view = value.view()?;
        let wanted = match self.action {
            Action::Create(_) | Action::Replace(_) | Action::Restore => Status::Active,
            Action::Delete | Action::GiveWay(_) | Action::Erase => Status::Deleted,
            Action::Update(_) => {
                let is_gone = view.status() == Status::Deleted;
                return if is_gone { Err(EditError::NotFound) } else { Ok(()) };
            }
        };
        if view.status() == wanted { Ok(()) } else { Err(EditError::Superseded(view.tag())) }
    }
}

//! Followers: what follows from what was applied, once for all instances, at least once, in order for
//! each contact.
//!
//! ```text
//! journal ─► Sink::pick ─► Queue (pure: what is owed, what comes next) ─► Sink::deliver
//!    ▲                       │  ▲
//!    └── read again ◄────────┘  └──► Ledger: a control entry, `follower/<name>` ◄── Followers (list, pause, replay …)
//! ```
//!
//! A follower is a [`Row`] (its name and bounds) and a [`Sink`]. The engine has the rest:
//! - one instance has it at a time: who has the role `follower_role/<name>`, which rests on the
//!   instance's lease. It delivers only while the lease is held. What is promised: at least once; a
//!   repeat may come late; the greatest version is the present one;
//! - the ledger says up to where all is done, and for each key (a contact) that is not, from where on it
//!   is owed. It is written by compare-and-set after deliveries, and seldom otherwise;
//! - changes of one key go one after the other. An answer that blames one change holds up its key
//!   alone, and after some attempts the change is parked; a sink that fails for everybody pauses the
//!   follower, and uses up no attempts;
//! - where the journal no longer reaches back, a sink that tells states is told the present one.
//!
//! The changes of one key must stand in one lane. What has no order has a key for each change.

mod engine;
mod hold;
mod ledger;
mod onward;
mod parked;
mod queue;
mod reading;
mod registry;
mod standing;
mod steering;
mod writing;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::contact::ContactView;
use crate::domain::position::{CONTROL_LANE, Lane, Offset, Position};
use crate::domain::record::RecordKind;
use crate::store::journal::{Applied, Entry, Outcome};
use crate::store::{Cut, Reader, StoreError};

pub use engine::{Engine, Rest, Surroundings};
pub use hold::Hold;
pub use parked::Parked;
pub use registry::{Followers, Shown};
pub(in crate::effects) use steering::replay_position;
pub use steering::{By, FollowerError, ReplayFrom};

/// Where a new follower begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With all that the journal has.
    Beginning,
    /// With what is appended to the log from now on.
    Now,
    /// With all contacts as they are, and what comes from then on: of a sink that tells states.
    Contacts,
}

/// Deliveries in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So many.
    pub deliveries: NonZeroU32,
    /// In so long.
    pub per: Duration,
}

/// What there is to say of a follower besides its sink.
#[derive(Clone, Debug)]
pub struct Row {
    /// Names it in control entries, so never to be changed: lower-case letters, digits, `_`, `-`.
    pub name: String,
    /// A sentence for those who list followers.
    pub about: &'static str,
    /// Its label in metrics; many followers may share one.
    pub label: &'static str,
    /// Where it begins.
    pub start: Start,
    /// Deliveries under way at once.
    pub at_once: usize,
    /// None: as fast as the sink is.
    pub rate: Option<Rate>,
    /// Refusals after which a change is parked; none: it is tried for ever, holds up its key, and is
    /// shown as what is wrong.
    pub attempts_max: Option<u32>,
    /// Whether it picks control records too.
    pub reads_control: bool,
    /// Whether the journal waits for it however large it grows: nothing is ever passed, so an instance whose
    /// journal lacks some may not run it ([`Sink::may_run`]), and it begins with the log.
    pub holds_journal: bool,
    /// Whether it begins anew each time that the log is founded anew.
    pub is_of_founding: bool,
    /// Whether every instance runs it where there is no control topic for it.
    pub runs_without_control: bool,
    /// How long commits are let come together before the journal is looked at.
    pub linger: Duration,
}

impl Row {
    /// One that begins with what comes from now on, and parks after eight refusals.
    pub fn new(name: &str, label: &'static str, about: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            about,
            label,
            start: Start::Now,
            at_once: 8,
            rate: None,
            attempts_max: Some(8),
            reads_control: false,
            holds_journal: false,
            is_of_founding: false,
            runs_without_control: false,
            linger: Duration::from_millis(50),
        }
    }
}

/// What is done of a follower, as it is written down.
#[derive(Clone, Debug)]
pub struct Progress {
    /// All before it, but for `waiting`.
    pub position: Position,
    /// How many of what the sink counts stood before the position; none: not known.
    pub count: Option<u64>,
    /// Where changes before the position stand that are owed all the same.
    pub waiting: Vec<(Lane, Offset)>,
}

/// What a sink wants of an entry.
#[derive(Clone, Debug)]
pub struct Picked<T> {
    /// What must stay in order: a contact's id. All of a key must stand in one lane.
    pub key: String,
    /// The contact's version after it; 0: it has none.
    pub version: u64,
    /// Bytes of memory that the item takes, about.
    pub bytes: usize,
    /// What is delivered.
    pub item: T,
}

/// One change on its way.
#[derive(Clone, Debug)]
pub struct Delivery<T> {
    /// The same over all repeats, and of no other change.
    pub id: String,
    /// The contact, or whatever else stays in order.
    pub key: String,
    /// The contact's version; 0: it has none.
    pub version: u64,
    /// Counts up each time that another instance takes over.
    pub tenure: u64,
    /// Whether it tells what is, for changes that are no longer known one by one.
    pub is_coalesced: bool,
    /// Of which attempt this is, from 1.
    pub attempt: u32,
    /// What is delivered.
    pub item: Arc<T>,
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Delivered,
    /// This change is not taken; others may be.
    Refused(String),
    /// Nothing is taken now: no answer, an error of the server, too many requests, no rights.
    Down {
        /// Why.
        why: String,
        /// When to try again, where the sink says so.
        after: Option<Duration>,
    },
}

/// Where changes go.
pub trait Sink: Send + Sync + 'static {
    /// What is delivered.
    type Item: Send + Sync + 'static;

    /// What it wants of an entry of the journal; none: nothing. Looks at nothing else, so that it says the
    /// same whenever it is asked.
    fn pick(&self, entry: &Entry<'_>) -> Option<Picked<Self::Item>>;

    /// How many of those it picks stood in the journal up to a state, where that is counted: frames without
    /// any are then not read.
    fn counted(&self, _up_to: &Cut) -> Option<u64> {
        None
    }

    /// Delivers some, no two of one key; an answer each, in their order.
    fn deliver(
        &self,
        deliveries: &[Delivery<Self::Item>],
    ) -> impl Future<Output = Vec<Answer>> + Send;

    /// It is this instance's turn: what comes after a position is delivered from now on, while it is held.
    /// What was delivered and is not settled comes again.
    fn begin(&self, _from: &Position, _hold: Hold) {}

    /// Asked before it is written down that all before `read` is done. A sink that delivers later than it
    /// answers writes down what it has to, and says before what all is done.
    fn settle(&self, read: &Position) -> impl Future<Output = Result<Position, String>> + Send {
        let read = read.clone();
        async move { Ok(read) }
    }

    /// The instance ends: nothing more is begun, and what is under way is waited for a moment.
    fn end(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Whether it tells what is rather than what happened: then all that is there is told where the
    /// journal no longer reaches back.
    fn tells_states(&self) -> bool {
        false
    }

    /// What is now under a key; none: nothing is to be told.
    ///
    /// # Errors
    /// When the store can't be read.
    fn present(
        &self,
        _reader: &Reader,
        _key: &str,
    ) -> Result<Option<Picked<Self::Item>>, StoreError> {
        Ok(None)
    }

    /// What operators should know of it besides, while it delivers.
    fn note(&self) -> Option<String> {
        None
    }

    /// Whether it may run on this instance, which would go on from what is done; false: that is not known
    /// yet. Asked until it may, before the role is taken, where there is a control topic.
    ///
    /// # Errors
    /// Why not, and what to do.
    fn may_run(&self, _reader: &Reader, _done: &Progress) -> Result<bool, String> {
        Ok(true)
    }
}

/// A change of a contact, as followers of contacts pick it.
#[derive(Debug)]
pub struct Change<'e> {
    /// The contact's id.
    pub id: &'e str,
    /// What the event said and who said it.
    pub applied: &'e Applied<'e>,
    /// The contact after it.
    pub view: ContactView<'e>,
}

impl<'e> Change<'e> {
    /// The change that an entry is; none: it is none that gave a contact a new version.
    pub fn of(entry: &'e Entry<'e>) -> Option<Self> {
        let (Outcome::Applied(applied), RecordKind::Contact) = (&entry.outcome, entry.record_kind)
        else {
            return None;
        };
        let unreadable = |error: String| {
            tracing::error!(error, "a change can't be read, and no follower is told of it");
        };
        let id = std::str::from_utf8(applied.id).map_err(|error| unreadable(error.to_string()));
        let view = ContactView::parse(applied.body).map_err(|error| unreadable(error.to_string()));
        Some(Self { id: id.ok()?, applied, view: view.ok()? })
    }
}

/// Where a change stands on the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) lane: Lane,
    pub(crate) offset: Offset,
}

impl Place {
    /// Of what is told as it is now, whatever happened before.
    pub(crate) const NOWHERE: Self = Self { lane: CONTROL_LANE, offset: Offset(u64::MAX) };
}

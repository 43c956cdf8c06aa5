//! An event in our own words, its texts still lying in the batch's arena.

use super::clock::Clock;
use super::command::Command;
use super::payment::PaymentEvent;
use super::span::Span;

/// The contact's fields, by place.
pub const FIELDS: [&str; 6] = ["firstName", "lastName", "email", "phone", "company", "title"];
/// Place of the e-mail address in [`FIELDS`].
pub const EMAIL: usize = 2;

/// The source of everything that is written through the API: of commands.
pub const API_SOURCE: &str = "api";

/// What an event says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EventKind {
    /// The contact came to be (again).
    Created = 0,
    /// Some of its fields changed.
    Updated,
    /// It was deleted; its fields stay.
    Deleted,
    /// A delete was taken back. Commands only.
    Restored,
    /// It was deleted and its fields are forgotten. Commands only.
    Erased,
    /// A payment of it began.
    PaymentCreated,
    /// A payment of it was paid.
    PaymentSucceeded,
    /// A payment of it was not paid.
    PaymentFailed,
    /// Some of a payment, or all, was given back.
    PaymentRefunded,
}

impl EventKind {
    /// Every kind, in code order.
    pub const ALL: [Self; 9] = [
        Self::Created,
        Self::Updated,
        Self::Deleted,
        Self::Restored,
        Self::Erased,
        Self::PaymentCreated,
        Self::PaymentSucceeded,
        Self::PaymentFailed,
        Self::PaymentRefunded,
    ];

    /// The event type on the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "contact.created",
            Self::Updated => "contact.updated",
            Self::Deleted => "contact.deleted",
            Self::Restored => "contact.restored",
            Self::Erased => "contact.erased",
            Self::PaymentCreated => "payment.created",
            Self::PaymentSucceeded => "payment.succeeded",
            Self::PaymentFailed => "payment.failed",
            Self::PaymentRefunded => "payment.refunded",
        }
    }

    /// From its stored code.
    pub fn from_u8(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// From the event type on the log.
    pub fn from_type(text: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str().as_bytes() == text)
    }

    /// Whether it tells of a payment.
    pub const fn is_of_payment(self) -> bool {
        self as u8 >= Self::PaymentCreated as u8
    }

    /// Whether it may only be a command.
    pub fn is_command_only(self) -> bool {
        matches!(self, Self::Restored | Self::Erased)
    }
}

/// What an event says about one field or attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patch {
    /// Nothing: it stays as it is.
    #[default]
    Absent,
    /// It has no value any more.
    Clear,
    /// It has this value: a field's plain text, an attribute's compact JSON.
    Set(Span),
}

/// A decoded event or command.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Whose contact.
    pub contact_id: Span,
    /// The event's id, given or made from its bytes.
    pub event_id: Span,
    /// Whether it was given.
    pub is_id_given: bool,
    /// Who said so; may be empty.
    pub source: Span,
    /// When, in µs since 1970; `None`: arrival order counts.
    pub timestamp: Option<u64>,
    /// Of an event that has no time of its own (at most one that was given to it on its way in): hash
    /// of its kind and value, which tells its repeats.
    pub body_hash: Option<u64>,
    /// Its place among the contact's events; `None` without a timestamp.
    pub clock: Option<Clock>,
    /// [`super::clock::id_hash`] of source and id, timed or not.
    pub id_hash: u64,
    /// The source's version of the contact.
    pub source_version: Option<u64>,
    /// What it says about each of [`FIELDS`].
    pub fields: [Patch; 6],
    /// What it says about attributes: sorted by key, each key once, never `Absent`.
    pub attributes: Vec<(Span, Patch)>,
    /// What it says about the ids that sources have for the contact: sorted by source, each once, never
    /// `Absent`.
    pub external_ids: Vec<(Span, Patch)>,
    /// Whether everything older than it is hidden: a PUT, or a record that is the whole contact.
    pub replaces: bool,
    /// Whether it tells what we are about to change at its source.
    pub is_notice: bool,
    /// Set when it tells of a payment: then it says nothing of the contact itself.
    pub payment: Option<Box<PaymentEvent>>,
    /// Set when it is a command of ours.
    pub command: Option<Box<Command>>,
}

impl Event {
    /// Whether it names a field, an attribute or an external id.
    pub(crate) fn says_anything(&self) -> bool {
        self.fields.iter().any(|patch| *patch != Patch::Absent)
            || !self.attributes.is_empty()
            || !self.external_ids.is_empty()
    }
}

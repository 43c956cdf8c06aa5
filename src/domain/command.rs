//! What a client wants done to a contact, as it stands on the log: its own wish and its own condition,
//! nothing that was worked out from a state that may have changed since.
//!
//! | intent | the contact must be | its wish stands if it is then |
//! |---|---|---|
//! | create | absent or DELETED | ACTIVE |
//! | replace | ACTIVE | ACTIVE |
//! | update | ACTIVE | as said in one field or attribute at least |
//! | upsert | absent or ACTIVE | the same; one that comes to be, ACTIVE |
//! | delete | ACTIVE | DELETED |
//! | restore | there | ACTIVE |
//! | erase | there, not bound | DELETED, without a value |
//! | bind | ACTIVE, bound to no other survivor | bound to the survivor |
//! | unbind | there | not bound to the survivor |
//! | take in | ACTIVE, not bound | as said in one field or attribute at least |
//! | give way | there, bound to the survivor | DELETED, not bound |
//! | pay | ACTIVE, the payment absent | the payment is there |
//! | settle, fail | the payment PENDING | it ended so |
//! | refund | so much of the payment left | it is given back |
//!
//! Bind to give way are a merge's, the last ones a payment's (`payment/merge.rs`). A contact that is *bound* is being merged into the survivor: it is not
//! erased, nor merged into another, nor does it take another in, until it gives way or is unbound.

use super::contact::{ContactView, StateTag, Status};
use super::event::EventKind;
use super::position::NextOffset;
use super::span::Span;
use super::verdict::Verdict;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// It comes to be; what it was before is hidden.
    Create,
    /// It becomes this, whatever it was.
    Replace,
    /// It takes what is named.
    Update,
    /// The same, and it comes to be where there is none.
    Upsert,
    /// It is deleted, its fields kept.
    Delete,
    /// A delete is taken back.
    Restore,
    /// It is deleted, its fields forgotten.
    Erase,
    /// It is about to be merged into another.
    Bind,
    /// It is not merged after all.
    Unbind,
    /// It takes what another has that is merged into it.
    TakeIn,
    /// It was merged into another, and is deleted.
    GiveWay,
    /// A payment of it begins.
    Pay,
    /// A payment of it was paid.
    Settle,
    /// A payment of it was not paid.
    Fail,
    /// Some of a payment is given back.
    Refund,
}

impl Intent {
    /// Every intent.
    pub const ALL: [Self; 15] = [
        Self::Create,
        Self::Replace,
        Self::Update,
        Self::Upsert,
        Self::Delete,
        Self::Restore,
        Self::Erase,
        Self::Bind,
        Self::Unbind,
        Self::TakeIn,
        Self::GiveWay,
        Self::Pay,
        Self::Settle,
        Self::Fail,
        Self::Refund,
    ];

    /// Its name on the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Update => "update",
            Self::Upsert => "upsert",
            Self::Delete => "delete",
            Self::Restore => "restore",
            Self::Erase => "erase",
            Self::Bind => "bind",
            Self::Unbind => "unbind",
            Self::TakeIn => "take_in",
            Self::GiveWay => "give_way",
            Self::Pay => "pay",
            Self::Settle => "settle",
            Self::Fail => "fail",
            Self::Refund => "refund",
        }
    }

    /// From its name on the log.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|intent| intent.as_str().as_bytes() == name)
    }

    /// The event type that it goes under.
    pub const fn kind(self) -> EventKind {
        match self {
            Self::Create => EventKind::Created,
            Self::Replace
            | Self::Update
            | Self::Upsert
            | Self::Bind
            | Self::Unbind
            | Self::TakeIn => EventKind::Updated,
            Self::Delete | Self::GiveWay => EventKind::Deleted,
            Self::Restore => EventKind::Restored,
            Self::Erase => EventKind::Erased,
            Self::Pay => EventKind::PaymentCreated,
            Self::Settle => EventKind::PaymentSucceeded,
            Self::Fail => EventKind::PaymentFailed,
            Self::Refund => EventKind::PaymentRefunded,
        }
    }

    /// Whether everything older than it is hidden.
    pub const fn replaces(self) -> bool {
        matches!(self, Self::Create | Self::Replace)
    }

    /// Whether it says who the survivor of a merge is.
    pub const fn names_survivor(self) -> bool {
        matches!(self, Self::Bind | Self::Unbind | Self::GiveWay)
    }
}

/// On which states of the contact a client lets its wish be done.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Condition {
    /// It must be in one of these (`If-Match`); `None`: in any.
    pub any_of: Option<Vec<StateTag>>,
    /// It must be in none of these (`If-None-Match`).
    pub none_of: Vec<StateTag>,
}

impl Condition {
    /// Whether anything is asked for.
    pub fn is_none(&self) -> bool {
        self.any_of.is_none() && self.none_of.is_empty()
    }

    /// Whether a state fulfils it.
    pub fn holds(&self, tag: StateTag) -> bool {
        self.any_of.as_ref().is_none_or(|tags| tags.contains(&tag)) && !self.none_of.contains(&tag)
    }
}

/// What a command carries besides the event.
#[derive(Clone, Debug)]
pub struct Command {
    /// What is wanted.
    pub intent: Intent,
    /// On what condition.
    pub condition: Condition,
    /// Every attribute that is not named loses its value.
    pub clears_attributes: bool,
    /// An object is merged into the attribute that stands there (RFC 7396), not put in its place.
    pub merges_attributes: bool,
    /// Hash of what was asked for, without stamps: tells a retry from another request under its id.
    pub body_hash: [u8; 16],
    /// Whether it came with an `Idempotency-Key`.
    pub is_keyed: bool,
    /// The home lane's next offset when it was handed over to the log.
    pub lane_next: NextOffset,
    /// Into which contact this one is merged, where that is the matter.
    pub survivor: Option<Span>,
    /// Who asked.
    pub principal: Option<Span>,
    /// The request that asked.
    pub request_id: Option<Span>,
}

impl Command {
    /// The verdict where the contact is not as the command needs it; `None`: it may go on.
    pub fn refusal(&self, contact: Option<&ContactView<'_>>, arena: &[u8]) -> Option<Verdict> {
        let status = contact.map(ContactView::status);
        let is_fit = match self.intent {
            Intent::Create => status != Some(Status::Active),
            // A delete is taken back by who means to, not by who did not know of it.
            Intent::Upsert => status != Some(Status::Deleted),
            Intent::Replace | Intent::Update | Intent::Delete | Intent::Bind | Intent::TakeIn => {
                status == Some(Status::Active)
            }
            Intent::Restore | Intent::Erase | Intent::Unbind | Intent::GiveWay => status.is_some(),
            // Decided on the payment.
            Intent::Pay | Intent::Settle | Intent::Fail | Intent::Refund => false,
        };
        if !is_fit {
            let is_in_the_way = matches!(self.intent, Intent::Create | Intent::Upsert);
            return Some(if is_in_the_way { Verdict::Conflict } else { Verdict::NotFound });
        }
        let holds = match contact {
            Some(contact) => self.condition.holds(contact.tag()) && self.may_be(contact, arena),
            None => self.condition.any_of.is_none(),
        };
        (!holds).then_some(Verdict::Conflict)
    }

    /// Whether a merge that is under way lets it.
    fn may_be(&self, contact: &ContactView<'_>, arena: &[u8]) -> bool {
        let bound_to = contact.merging_into().map(str::as_bytes);
        let survivor = self.survivor.map(|survivor| survivor.of(arena));
        match self.intent {
            Intent::Erase | Intent::TakeIn => bound_to.is_none(),
            Intent::Bind => bound_to.is_none() || bound_to == survivor,
            Intent::GiveWay => bound_to.is_some() && bound_to == survivor,
            Intent::Create
            | Intent::Replace
            | Intent::Update
            | Intent::Upsert
            | Intent::Delete
            | Intent::Restore
            | Intent::Unbind
            | Intent::Pay
            | Intent::Settle
            | Intent::Fail
            | Intent::Refund => true,
        }
    }
}

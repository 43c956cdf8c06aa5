//! The deliveries that are remembered: a ring of the newest, each with its attempts.

use std::collections::VecDeque;

use uuid::Uuid;

use crate::domain::timestamp::format_rfc3339;
use crate::effects::Attempt;
use crate::effects::said_of::SaidOf;
use crate::ingest::now_ms;
use crate::outbound::Target;
use crate::simulate::Manner;
use crate::store::{Reader, StoreError};

/// Bytes of a body that are shown.
const SHOWN_BYTES_MAX: usize = 4 << 10;

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It waits, for its first or for another attempt.
    Pending,
    /// The target took it.
    Delivered,
    /// The target refused it for good.
    Rejected,
    /// The target did not take it, however often it was tried.
    Failed,
}

impl Status {
    /// Stable lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

/// What made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Somebody asked for it.
    Request,
    /// A write of the API.
    Write,
}

impl Trigger {
    /// Stable lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Write => "write",
        }
    }
}

/// One webhook, as it is remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Names it on this instance.
    pub id: String,
    /// Counts deliveries.
    pub(super) number: u64,
    /// How it stands.
    pub status: Status,
    /// The event's id.
    pub event_id: String,
    /// The event's type.
    pub event_type: String,
    /// Where it goes.
    pub target_url: String,
    /// What made it.
    pub trigger: Trigger,
    /// `as_is`, or what chaos made of it.
    pub manner: &'static str,
    /// When it was made: RFC 3339.
    pub created_at: String,
    /// Whose values it has.
    pub(super) said_of: Option<SaidOf>,
    /// The beginning of its body; empty where what it says was erased.
    pub body: String,
    /// Whether there is more of it.
    pub body_is_cut: bool,
    /// Every try so far.
    pub attempts: Vec<Attempt>,
}

impl Delivery {
    pub(super) fn new(
        event_id: &str,
        event_type: &str,
        target: &Target,
        manner: Manner,
        trigger: Trigger,
        (body, said_of): (&[u8], Option<SaidOf>),
    ) -> Self {
        let (body, body_is_cut) = beginning(body);
        Self {
            id: format!("sim_{}", Uuid::now_v7().as_simple()),
            number: 0,
            status: Status::Pending,
            event_id: event_id.to_owned(),
            event_type: event_type.to_owned(),
            target_url: target.as_str().to_owned(),
            trigger,
            manner: manner.as_str(),
            created_at: format_rfc3339(now_ms()),
            said_of,
            body,
            body_is_cut,
            attempts: Vec::new(),
        }
    }

    /// Without what it says, nor what was answered to that, if its contact was erased since. May wait for
    /// the disk.
    pub(super) fn shown(mut self, reader: &Reader) -> Result<Self, StoreError> {
        if self.said_of.as_ref().map_or(Ok(false), |of| of.is_erased(reader))? {
            (self.body, self.body_is_cut) = (String::new(), false);
            for attempt in &mut self.attempts {
                (attempt.response, attempt.response_is_cut) = (None, false);
            }
        }
        Ok(self)
    }
}

/// As much of it as is shown, and whether there is more.
pub(super) fn beginning(bytes: &[u8]) -> (String, bool) {
    let shown = bytes.get(..SHOWN_BYTES_MAX).unwrap_or(bytes);
    (String::from_utf8_lossy(shown).into_owned(), shown.len() < bytes.len())
}

/// Deliveries, the newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryPage {
    /// Them.
    pub deliveries: Vec<Delivery>,
    /// For those before the last of them, if there are any.
    pub next: Option<u64>,
    /// All that are remembered.
    pub total: usize,
}

/// The newest deliveries, oldest first.
pub(super) struct History {
    deliveries: VecDeque<Delivery>,
    deliveries_max: usize,
    next: u64,
}

impl History {
    pub(super) fn new(deliveries_max: usize) -> Self {
        Self { deliveries: VecDeque::new(), deliveries_max: deliveries_max.max(1), next: 1 }
    }

    /// Gives it its number, and forgets the oldest one for it.
    pub(super) fn add(&mut self, mut delivery: Delivery) -> Delivery {
        delivery.number = self.next;
        self.next += 1;
        if self.deliveries.len() >= self.deliveries_max {
            self.deliveries.pop_front();
        }
        self.deliveries.push_back(delivery.clone());
        delivery
    }

    /// One that may be forgotten by now.
    pub(super) fn note(&mut self, number: u64, status: Status, attempt: Attempt) {
        let first = self.deliveries.front().map_or(0, |first| first.number);
        let place = number.checked_sub(first).and_then(|place| usize::try_from(place).ok());
        if let Some(delivery) = place.and_then(|place| self.deliveries.get_mut(place)) {
            delivery.status = status;
            delivery.attempts.push(attempt);
        }
    }

    pub(super) fn by_id(&self, id: &str) -> Option<Delivery> {
        self.deliveries.iter().rev().find(|delivery| delivery.id == id).cloned()
    }

    pub(super) fn page(&self, limit: usize, before: Option<u64>) -> HistoryPage {
        let before = before.unwrap_or(u64::MAX);
        let mut older = self.deliveries.iter().rev().filter(|one| one.number < before);
        let deliveries: Vec<Delivery> = older.by_ref().take(limit).cloned().collect();
        let has_more = older.next().is_some();
        let next = deliveries.last().filter(|_| has_more).map(|last| last.number);
        HistoryPage { deliveries, next, total: self.deliveries.len() }
    }
}

//! What was sent to each subscriber, and what it answered: the newest of each, in memory.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;

use crate::effects::Attempt;

/// Deliveries that are kept of each.
const DELIVERIES_MAX: usize = 100;
/// Attempts that are kept of each delivery.
const ATTEMPTS_MAX: usize = 12;
/// Bytes of all of them together.
const BYTES_MAX: usize = 32 << 20;
/// Bytes that a delivery takes besides its texts, about.
const OVERHEAD: usize = 256;

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is tried again.
    Pending,
    /// It was taken.
    Delivered,
    /// It was not taken, and is not tried any more.
    Failed,
}

impl DeliveryState {
    /// Stable lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// One message to one subscriber.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The message's id, as `webhook-id` has it.
    pub id: String,
    /// The event's type.
    pub event_type: String,
    /// The contact.
    pub contact: String,
    /// How it stands.
    pub state: DeliveryState,
    /// Each try, the oldest first.
    pub attempts: Vec<Attempt>,
    /// Counts them, on this instance.
    pub number: u64,
}

impl Delivery {
    fn bytes(&self) -> usize {
        let of = |attempt: &Attempt| {
            let texts = [&attempt.response, &attempt.error];
            texts.into_iter().flatten().map(String::len).sum::<usize>() + size_of::<Attempt>()
        };
        OVERHEAD + self.contact.len() + self.attempts.iter().map(of).sum::<usize>()
    }
}

/// All that is kept.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<Rings>);

#[derive(Debug, Default)]
struct Rings {
    of: BTreeMap<String, VecDeque<Delivery>>,
    bytes: usize,
    number: u64,
}

/// Which message it was.
#[derive(Clone, Debug)]
pub(super) struct Which {
    pub(super) id: String,
    pub(super) event_type: String,
    pub(super) contact: String,
}

impl Attempts {
    /// One more try of a message.
    pub(super) fn note(
        &self,
        subscription: &str,
        which: Which,
        attempt: Attempt,
        state: DeliveryState,
    ) {
        let mut rings = self.0.lock();
        let rings = &mut *rings;
        let ring = rings.of.entry(subscription.to_owned()).or_default();
        let place = ring.iter().rposition(|delivery| delivery.id == which.id);
        let mut delivery = place.and_then(|place| ring.remove(place)).map_or_else(
            || {
                let Which { id, event_type, contact } = which;
                let attempts = Vec::new();
                Delivery { id, event_type, contact, state, attempts, number: 0 }
            },
            |known| {
                rings.bytes -= known.bytes();
                known
            },
        );
        rings.number += 1;
        (delivery.state, delivery.number) = (state, rings.number);
        if delivery.attempts.len() >= ATTEMPTS_MAX {
            delivery.attempts.remove(0);
        }
        delivery.attempts.push(attempt);
        rings.bytes += delivery.bytes();
        ring.push_back(delivery);
        if ring.len() > DELIVERIES_MAX
            && let Some(oldest) = ring.pop_front()
        {
            rings.bytes -= oldest.bytes();
        }
        rings.bound();
    }

    /// Of one subscription, the newest first, older than one by its number.
    pub(super) fn list(
        &self,
        subscription: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Vec<Delivery> {
        let rings = self.0.lock();
        let ring = rings.of.get(subscription).into_iter().flatten().rev();
        let older = ring.filter(|delivery| before.is_none_or(|before| delivery.number < before));
        older.take(limit).cloned().collect()
    }

    /// Nothing is kept of those that are no more.
    pub(super) fn retain(&self, is_there: impl Fn(&str) -> bool) {
        let mut rings = self.0.lock();
        rings.of.retain(|id, _| is_there(id));
        rings.bytes = rings.of.values().flatten().map(Delivery::bytes).sum();
    }
}

impl Rings {
    /// The longest one gives way.
    fn bound(&mut self) {
        while self.bytes > BYTES_MAX
            && let Some(ring) = self.of.values_mut().max_by_key(|ring| ring.len())
            && let Some(oldest) = ring.pop_front()
        {
            self.bytes -= oldest.bytes();
        }
    }
}

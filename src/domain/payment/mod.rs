//! Payments: what the second kind of record says, and what becomes of it.
//!
//! ```text
//! payment.created|succeeded|failed|refunded ─► decode ─► PaymentEvent ─► merge ─► a row of the payment
//! ```
//!
//! A payment belongs to a contact, stands in that contact's home lane, and has a row of its own beside the
//! contact's: whether the contact is there, deleted or merged is no matter to it. What a contact has paid
//! in all is added up from the rows (`store/payments/`), so no stored value grows with their number.

mod currency;
mod merge;
mod record;
mod state;
#[cfg(test)]
mod tests;

use super::clock::Clock;
use super::span::Span;

pub use currency::Currency;
pub use merge::{Owner, decide, merge};
pub use record::{PaymentRecord, RefundRecord};
pub use state::{Outcome, Payment, PaymentFacts, PaymentStatus, Refund, stored_version};

/// An amount at most, in minor units: what every reader of JSON takes for a whole number.
pub const AMOUNT_MAX: u64 = 999_999_999_999_999;
/// Refunds of one payment at most.
pub const REFUNDS_MAX: usize = 256;
/// Bytes of a payment's or refund's id at most.
pub const PAYMENT_ID_BYTES_MAX: usize = 128;
/// Bytes of a description, or of why a payment failed, at most.
pub const TEXT_BYTES_MAX: usize = 1024;
/// Between contact and payment in a row's id; no id may hold it.
const SEPARATOR: u8 = 0x1f;

/// So much of a currency, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money {
    /// In minor units: 1999 is 19.99 EUR.
    pub amount: u64,
    /// Of what.
    pub currency: Currency,
}

/// What an event says of a payment, besides what every event says.
#[derive(Clone, Copy, Debug)]
pub struct PaymentEvent {
    /// The payment.
    pub payment_id: Span,
    /// What is paid; of a refund, what is given back.
    pub amount: Option<u64>,
    /// In which currency.
    pub currency: Option<Currency>,
    /// The last four digits of the card.
    pub card: Option<[u8; 4]>,
    /// What it is for.
    pub description: Option<Span>,
    /// Why it failed.
    pub reason: Option<Span>,
    /// Which refund.
    pub refund_id: Span,
}

impl PaymentEvent {
    fn money(&self) -> Option<Money> {
        Some(Money { amount: self.amount?, currency: self.currency? })
    }
}

/// The id of a payment's row.
pub fn row_id(contact_id: &[u8], payment_id: &[u8]) -> Vec<u8> {
    [contact_id, &[SEPARATOR], payment_id].concat()
}

/// Contact and payment of a row's id; none: it is a contact's.
pub fn of_row(id: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = id.iter().position(|byte| *byte == SEPARATOR)?;
    let (contact, rest) = id.split_at_checked(at)?;
    Some((contact, rest.get(1..)?))
}

/// A value with the clock that set it: the newest stands, and of a full tie the greater value.
type Register<T> = (Clock, T);

//! The one flat object that a payment is everywhere outside.

use serde::{Deserialize, Serialize};

use super::state::{Payment, PaymentStatus};
use crate::domain::timestamp::{format_rfc3339, format_rfc3339_us};

/// A payment in its public shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRecord {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub contact_id: String,
    /// Where it stands.
    pub status: PaymentStatus,
    /// In minor units.
    pub amount: Option<u64>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// Decimals of the currency's minor unit.
    pub exponent: Option<u8>,
    /// What was given back of it, in minor units.
    pub refunded: u64,
    /// What refunds say beyond what was paid, in minor units.
    pub unmatched_refunds: u64,
    /// The last four digits of the card.
    pub card: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// By id.
    pub refunds: Vec<RefundRecord>,
    /// Counts its changes.
    pub version: u64,
    /// The source of the newest event.
    pub source: Option<String>,
    /// The time of its first event.
    pub created_at: String,
    /// The time of its newest event.
    pub updated_at: String,
    /// When the record came that made the present version.
    pub changed_at: Option<String>,
}

/// What was given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundRecord {
    /// Its id.
    pub id: String,
    /// In minor units.
    pub amount: u64,
    /// ISO 4217; null: the payment's.
    pub currency: Option<String>,
    /// The time of its event.
    pub created_at: String,
}

impl PaymentRecord {
    /// Of a payment and the ids of its row.
    pub fn of((contact_id, id): (&[u8], &[u8]), payment: &Payment<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let some = |bytes: &[u8]| Some(bytes).filter(|bytes| !bytes.is_empty()).map(text);
        let facts = payment.facts();
        let refunds = payment.refunds.iter().map(|refund| {
            let (clock, (amount, currency)) = refund.said;
            RefundRecord {
                id: text(refund.id),
                amount,
                currency: currency.map(|currency| currency.as_str().to_owned()),
                created_at: format_rfc3339_us(clock.ts_us),
            }
        });
        Self {
            id: text(id),
            contact_id: text(contact_id),
            status: facts.status,
            amount: facts.money.map(|money| money.amount),
            currency: facts.money.map(|money| money.currency.as_str().to_owned()),
            exponent: facts.money.map(|money| money.currency.exponent()),
            refunded: facts.refunded,
            unmatched_refunds: facts.unmatched,
            card: payment.card.and_then(|(_, card)| some(&card)),
            description: payment.description.and_then(|(_, said)| some(said)),
            failure_reason: payment.outcome.and_then(|(_, (_, reason))| some(reason)),
            refunds: refunds.collect(),
            version: payment.version,
            source: some(payment.newest.1),
            created_at: format_rfc3339_us(payment.first_us),
            updated_at: format_rfc3339_us(payment.newest.0.ts_us),
            changed_at: payment.changed_at_ms.map(format_rfc3339),
        }
    }
}

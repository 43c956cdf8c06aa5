//! Payments as they are sent and as they are described.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::payment::{Currency, PaymentRecord, RefundRecord};
use crate::domain::timestamp::format_rfc3339;
use crate::http::exchange::page::PageMeta;
use crate::payments::Shown;
use crate::query::{CurrencyTotals, HistoryEntry};

/// A payment.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::http) struct Payment {
    id: String,
    contact_id: String,
    /// `PENDING` (nobody has said how it ended), `SUCCEEDED`, `FAILED`, `PARTIALLY_REFUNDED`, `REFUNDED`.
    status: &'static str,
    /// In minor units of the currency: 1999 is 19.99 EUR. Null where no event has said how much.
    #[schema(required = true, minimum = 1, maximum = 999_999_999_999_999_u64)]
    amount: Option<u64>,
    /// ISO 4217.
    #[schema(required = true)]
    currency: Option<String>,
    /// Decimals of the currency's minor unit.
    #[schema(required = true)]
    exponent: Option<u8>,
    /// What was given back of it, in minor units.
    refunded: u64,
    /// What refunds say beyond what was paid, or before it was, in minor units.
    unmatched_refunds: u64,
    /// The last four digits of the card. Never more of it is kept.
    #[schema(required = true)]
    card: Option<String>,
    #[schema(required = true)]
    description: Option<String>,
    /// Why it failed.
    #[schema(required = true)]
    failure_reason: Option<String>,
    /// What is to be done for it to go on: `confirm`. Null: nothing.
    #[schema(required = true)]
    next_action: Option<&'static str>,
    refunds: Vec<Refund>,
    /// Counts its changes.
    version: u64,
    /// Of the newest event.
    #[schema(required = true)]
    source: Option<String>,
    /// The time of its first event.
    #[schema(format = DateTime)]
    created_at: String,
    /// The time of its newest event.
    #[schema(format = DateTime)]
    updated_at: String,
    /// When the record came that made the present version.
    #[schema(required = true, format = DateTime)]
    changed_at: Option<String>,
}

/// What was given back of a payment.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Refund {
    id: String,
    /// In minor units.
    amount: u64,
    /// Null: the payment's.
    #[schema(required = true)]
    currency: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<RefundRecord> for Refund {
    fn from(refund: RefundRecord) -> Self {
        let RefundRecord { id, amount, currency, created_at } = refund;
        Self { id, amount, currency, created_at }
    }
}

impl From<PaymentRecord> for Payment {
    fn from(record: PaymentRecord) -> Self {
        Self {
            id: record.id,
            contact_id: record.contact_id,
            status: record.status.as_str(),
            amount: record.amount,
            currency: record.currency,
            exponent: record.exponent,
            refunded: record.refunded,
            unmatched_refunds: record.unmatched_refunds,
            card: record.card,
            description: record.description,
            failure_reason: record.failure_reason,
            next_action: None,
            refunds: record.refunds.into_iter().map(Into::into).collect(),
            version: record.version,
            source: record.source,
            created_at: record.created_at,
            updated_at: record.updated_at,
            changed_at: record.changed_at,
        }
    }
}

impl From<Shown> for Payment {
    fn from(shown: Shown) -> Self {
        let next_action = shown.is_to_be_confirmed.then_some("confirm");
        Self { next_action, ..Self::from(shown.payment) }
    }
}

/// Payments of a contact, and what all of them come to.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ContactPayments {
    /// Newest first, those of contacts that were merged into this one among them.
    pub(super) data: Vec<Payment>,
    /// By currency; of all, not only of those on this page.
    pub(super) totals: BTreeMap<String, PaymentTotals>,
    /// How many there are.
    pub(super) total: u64,
    pub(super) meta: PageMeta,
}

/// What payments of one currency come to, in its minor units.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PaymentTotals {
    /// Decimals of the currency's minor unit.
    exponent: u8,
    payments: u64,
    /// What was paid, refunds not taken off.
    paid: u128,
    refunded: u128,
    /// What was paid and not given back.
    net: u128,
    /// Of payments that nobody has said the end of.
    pending: u128,
    failed: u128,
    /// What refunds say beyond what was paid.
    unmatched_refunds: u128,
}

impl PaymentTotals {
    pub(super) fn of((currency, totals): &(Currency, CurrencyTotals)) -> (String, Self) {
        let shown = Self {
            exponent: currency.exponent(),
            payments: totals.payments,
            paid: totals.paid,
            refunded: totals.refunded,
            net: totals.net(),
            pending: totals.pending,
            failed: totals.failed,
            unmatched_refunds: totals.unmatched,
        };
        (currency.as_str().to_owned(), shown)
    }
}

/// What became of a payment.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PaymentHistory {
    /// Newest first.
    pub(super) data: Vec<PaymentChange>,
    pub(super) meta: PageMeta,
}

/// One change of a payment.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PaymentChange {
    event_type: &'static str,
    event_id: String,
    source: String,
    /// The event's own time.
    #[schema(required = true, format = DateTime)]
    timestamp: Option<String>,
    /// The record's.
    #[schema(format = DateTime)]
    recorded_at: String,
    partition: u16,
    offset: u64,
    /// Who gave the command.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// The payment after it.
    payment: Payment,
}

impl From<(HistoryEntry, PaymentRecord)> for PaymentChange {
    fn from((entry, payment): (HistoryEntry, PaymentRecord)) -> Self {
        Self {
            event_type: entry.kind.as_str(),
            event_id: entry.event_id,
            source: entry.source,
            timestamp: entry.timestamp,
            recorded_at: format_rfc3339(u64::try_from(entry.record_time_ms).unwrap_or(0)),
            partition: entry.lane.0,
            offset: entry.offset.0,
            principal: entry.principal,
            request_id: entry.request_id,
            payment: payment.into(),
        }
    }
}

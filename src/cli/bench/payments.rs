//! The load as payments: of each contact that the load is about a payment that is made, and paid, refunded or
//! not.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::timestamp::format_rfc3339;
use crate::event_log::NewRecord;
use crate::simulate::{LoadRecord, START_MS};

/// The least that a consumer must do with such a record.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "parsed for the sake of the work")]
struct Payment<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    event_type: Cow<'a, str>,
    timestamp: Cow<'a, str>,
    source: Cow<'a, str>,
    data: Data<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "parsed for the sake of the work")]
struct Data<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    contact_id: Cow<'a, str>,
    amount: u64,
    currency: Cow<'a, str>,
    card: Option<Cow<'a, str>>,
    description: Option<Cow<'a, str>>,
    refund_id: Option<Cow<'a, str>>,
}

/// Reads a record to typed borrowed fields.
pub(super) fn parse(value: &[u8]) {
    std::hint::black_box(serde_json::from_slice::<Payment<'_>>(value).is_ok());
}

/// Gives the events of one payment after the other.
#[derive(Debug, Default)]
pub(super) struct OfPayments {
    number: u64,
    /// The contact that pays, while its payment goes on.
    contact: Vec<u8>,
}

/// Events of one payment.
const EVENTS: u64 = 3;

impl OfPayments {
    /// The next event; a record of the load says whose the next payment is.
    pub(super) fn next(&mut self, made: &LoadRecord) -> NewRecord {
        let (payment, step) = (self.number / EVENTS, self.number % EVENTS);
        if step == 0 {
            self.contact.clone_from(&made.key);
        }
        let amount = xxh3_64(&payment.to_le_bytes()) % 100_000 + 1;
        let currency = ["EUR", "USD", "GBP", "JPY"].get(payment as usize % 4).copied();
        let contact = String::from_utf8_lossy(&self.contact);
        let id = format!("pay_{payment:012}");
        let (kind, more) = match (step, payment % 10) {
            (0, _) => ("created", json!({ "card": "4242", "description": "Order" })),
            (1, 9) => ("failed", json!({ "reason": "card_declined" })),
            (1, _) => ("succeeded", json!({})),
            _ => ("refunded", json!({ "refundId": format!("re_{payment:012}") })),
        };
        let mut data = json!({
            "id": id, "contactId": contact, "amount": amount, "currency": currency,
        });
        if let (Some(data), Some(more)) = (data.as_object_mut(), more.as_object()) {
            data.extend(more.clone());
        }
        let event = json!({
            "id": format!("evt_{:016x}", xxh3_64(&self.number.to_le_bytes())),
            "eventType": format!("payment.{kind}"),
            "timestamp": format_rfc3339(START_MS + self.number), "source": "shop", "data": data,
        });
        self.number += 1;
        NewRecord {
            key: self.contact.clone(),
            value: Some(event.to_string().into_bytes()),
            headers: Vec::new(),
            timestamp_ms: made.timestamp_ms,
            lane: None,
        }
    }
}

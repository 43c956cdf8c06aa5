//! Payments for a first look: of the demo's contacts, as a shop would tell of them.

use serde_json::{Value, json};

use crate::domain::timestamp::format_rfc3339;
use crate::event_log::NewRecord;
use crate::simulate::LoadRecord;

/// Payments that are there at once.
const FIRST: u64 = 12;
/// Contacts that pay.
const PAYERS: usize = 8;
/// Goods of the demo's shop, with their price in minor units.
const GOODS: [(&str, u64, &str); 4] = [
    ("Two tickets", 4_800, "EUR"),
    ("A year of the magazine", 6_000, "USD"),
    ("A lamp", 12_900, "JPY"),
    ("A book", 1_999, "EUR"),
];

/// Makes one event of a payment after the other.
pub(super) struct DemoPayments {
    payers: Vec<Vec<u8>>,
    number: u64,
    /// The payment that was made last.
    open: String,
}

impl DemoPayments {
    /// Of contacts that the demo's first events are about, the first of them first.
    pub(super) fn of(first_contact: String, first: &[LoadRecord]) -> Self {
        let mut payers: Vec<Vec<u8>> = Vec::new();
        let first_contact = first_contact.into_bytes();
        for key in std::iter::once(&first_contact).chain(first.iter().map(|record| &record.key)) {
            if !payers.contains(key) && payers.len() < PAYERS {
                payers.push(key.clone());
            }
        }
        Self { payers, number: 0, open: String::new() }
    }

    /// Those that are there at once, which have happened just before.
    pub(super) fn first(&mut self, now_ms: u64) -> Vec<NewRecord> {
        let events = FIRST * 2;
        (0..events)
            .map(|ago| self.at(now_ms.saturating_sub((events - ago) * 250), now_ms))
            .collect()
    }

    /// The next one.
    pub(super) fn next(&mut self, now_ms: u64) -> NewRecord {
        self.at(now_ms, now_ms)
    }

    fn at(&mut self, time_ms: u64, now_ms: u64) -> NewRecord {
        let (payment, is_end) = (self.number / 2, self.number % 2 == 1);
        self.number += 1;
        let place = usize::try_from(payment).unwrap_or(0);
        let payer = self.payers.get(place % self.payers.len().max(1)).cloned().unwrap_or_default();
        let (what, amount, currency) = GOODS.get(place % GOODS.len()).copied().unwrap_or_default();
        if !is_end {
            // Each demo begins to count anew: the time tells its payments apart.
            self.open = format!("shop_{now_ms:x}_{payment}");
        }
        let (kind, more) = match (is_end, payment % 6) {
            (false, _) => {
                let said = json!({ "amount": amount, "currency": currency, "card": "4242" });
                ("created", with(said, json!({ "description": what })))
            }
            (true, 4) => ("failed", json!({ "reason": "card_declined" })),
            (true, _) => ("succeeded", json!({})),
        };
        let contact = String::from_utf8_lossy(&payer);
        let data = with(json!({ "id": self.open, "contactId": contact }), more);
        let event = json!({
            "id": format!("{}_{kind}", self.open), "eventType": format!("payment.{kind}"),
            "timestamp": format_rfc3339(time_ms), "source": "shop", "data": data,
        });
        NewRecord {
            key: payer,
            value: Some(event.to_string().into_bytes()),
            headers: Vec::new(),
            timestamp_ms: i64::try_from(now_ms).unwrap_or(i64::MAX),
            lane: None,
        }
    }
}

fn with(mut object: Value, more: Value) -> Value {
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decode::Decoder;
    use crate::domain::position::{Lane, Offset};
    use crate::domain::record::RecordBatch;

    #[test]
    fn every_event_tells_of_a_payment_and_each_payment_ends() {
        let mut payments = DemoPayments::of("c1".to_owned(), &[]);
        let decoder = Decoder::default().with_payments(true);
        let now_ms = 1_800_000_000_000;
        let mut ids = Vec::new();
        for record in payments.first(now_ms) {
            let mut batch = RecordBatch::new(Lane(0));
            let (key, value) = (Some(record.key.as_slice()), record.value.as_deref());
            batch.push(Offset(0), record.timestamp_ms, key, value, std::iter::empty());
            let event = decoder.decode(&mut batch, 0).unwrap();
            assert!(event.timestamp.unwrap() <= now_ms * 1000);
            let payment = event.payment.unwrap();
            ids.push(payment.payment_id.of(&batch.arena).to_vec());
        }
        assert!(ids.chunks(2).all(|pair| pair[0] == pair[1]));
    }
}

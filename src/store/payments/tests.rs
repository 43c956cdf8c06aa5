//! What payments come to is at any time the sum over their rows, whichever way these came to be.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::decode::Decoder;
use crate::domain::payment::{Owner, merge, row_id};
use crate::domain::position::{Lane, Offset};
use crate::domain::record::RecordBatch;

const T: u64 = 1_763_719_200_000;
const DAY_MS: u64 = 86_400_000;

/// Rows as a store would hold them, and the sums beside them.
#[derive(Default)]
struct World {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    payments: Payments,
}

impl World {
    fn apply(&mut self, (contact, payment, kind, day, amount): (u8, u8, &str, u64, u64)) {
        let id = format!("{contact}-{payment}-{kind}-{day}-{amount}");
        let value = format!(
            r#"{{"id":"{id}","eventType":"payment.{kind}","timestamp":{},"source":"shop",
                "data":{{"id":"p{payment}","contactId":"c{contact}","amount":{amount},"currency":"{}"}}}}"#,
            T + day * DAY_MS,
            if amount % 2 == 0 { "EUR" } else { "JPY" },
        );
        let mut batch = RecordBatch::new(Lane(0));
        batch.push(Offset(0), 0, None, Some(value.as_bytes()), std::iter::empty());
        let decoder = Decoder::default().with_payments(true);
        let event = decoder.decode(&mut batch, 0).unwrap();
        let said = event.payment.as_deref().unwrap();
        let row = row_id(event.contact_id.of(&batch.arena), said.payment_id.of(&batch.arena));
        let (before, mut out) = (self.rows.get(&row), Vec::new());
        let before_body = before.map(Vec::as_slice);
        merge(before_body, (&event, said), Owner::default(), &batch.arena, 0, &mut out).unwrap();
        if !out.is_empty() {
            self.payments.take(&row, before_body, &out).unwrap();
            self.rows.insert(row, out);
        }
    }

    /// What a contact has paid and was given back in a currency, by its rows alone.
    fn paid(&self, contact: &str, currency: &str) -> (u128, u128) {
        let mut sums = (0, 0);
        for (id, body) in &self.rows {
            let facts = Payment::parse(body).unwrap().facts();
            let money = facts.money.filter(|money| money.currency.as_str() == currency);
            if of_row(id).unwrap().0 == contact.as_bytes()
                && let Some(money) = money
                && !matches!(facts.status, PaymentStatus::Pending | PaymentStatus::Failed)
            {
                sums = (sums.0 + u128::from(money.amount), sums.1 + u128::from(facts.refunded));
            }
        }
        sums
    }
}

fn any_event() -> impl Strategy<Value = (u8, u8, &'static str, u64, u64)> {
    let kind = prop::sample::select(vec!["created", "succeeded", "failed", "refunded"]);
    (0..3_u8, 0..4_u8, kind, 0..3_u64, 1..6_u64)
}

proptest! {
    #[test]
    fn totals_are_the_sum_over_all_rows(events in prop::collection::vec(any_event(), 0..60)) {
        let (mut world, mut backwards) = (World::default(), World::default());
        for event in &events {
            world.apply(*event);
        }
        for event in events.iter().rev().chain(&events) {
            backwards.apply(*event);
        }
        let recounted = Payments::default();
        for (id, body) in &world.rows {
            recounted.take(id, None, body).unwrap();
        }
        prop_assert!(world.payments.adds_up_to(&recounted));
        prop_assert!(world.payments.adds_up_to(&backwards.payments));
        for contact in ["c0", "c1", "c2"] {
            let totals = world.payments.totals(&[contact.as_bytes()]);
            for (currency, totals) in &totals {
                let paid = world.paid(contact, currency.as_str());
                prop_assert_eq!((totals.paid, totals.refunded), paid);
            }
        }
        let ids: Vec<&[u8]> = vec![b"c0", b"c1", b"c2"];
        let (page, total) = world.payments.page(&ids, None, 100);
        prop_assert_eq!((page.len(), total), (world.rows.len(), world.rows.len() as u64));
        prop_assert!(page.windows(2).all(|pair| pair[0].0 > pair[1].0), "newest first");
    }
}

#[test]
fn a_list_goes_on_where_its_page_ended() {
    let mut world = World::default();
    for payment in 0..9 {
        world.apply((1, payment, "created", u64::from(payment % 3), 100));
    }
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let (page, _) = world.payments.page(&[b"c1"], after, 2);
        after = page.get(1).map(|(key, _)| *key);
        seen.extend(page.iter().take(2).map(|(_, id)| id.clone()));
        if page.len() <= 2 {
            break;
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 9);
}

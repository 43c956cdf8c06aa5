//! Laws of payments: neither the order of events nor how often they come changes what comes of them. And what
//! can't be a payment is refused by name.

use proptest::prelude::*;

use super::*;
use crate::domain::decode::Decoder;
use crate::domain::event::Event;
use crate::domain::position::{Lane, Offset};
use crate::domain::record::RecordBatch;
use crate::domain::verdict::Verdict;

const ACTIVE: Owner = Owner { is_active: true, is_erased: false };

fn decoded(value: &str) -> Result<(RecordBatch, Event), crate::domain::decode::Reject> {
    let decoder = Decoder::default().with_payments(true);
    let mut batch = RecordBatch::new(Lane(0));
    batch.push(Offset(0), 0, Some(b"c1"), Some(value.as_bytes()), std::iter::empty());
    let event = decoder.decode(&mut batch, 0)?;
    Ok((batch, event))
}

fn apply(body: &mut Option<Vec<u8>>, value: &str) -> Verdict {
    apply_to(body, value, ACTIVE)
}

fn apply_to(body: &mut Option<Vec<u8>>, value: &str, owner: Owner) -> Verdict {
    let (batch, event) = decoded(value).unwrap();
    let said = event.payment.as_deref().unwrap();
    let mut out = Vec::new();
    let merged =
        merge(body.as_deref(), (&event, said), owner, &batch.arena, 1_000, &mut out).unwrap();
    if !out.is_empty() {
        *body = Some(out);
    }
    merged
}

/// All that is a function of the set of events: everything but version and its time.
fn canonical(body: &Option<Vec<u8>>) -> Vec<u8> {
    body.as_ref().map(|body| body[16..].to_vec()).unwrap_or_default()
}

fn facts(body: &Option<Vec<u8>>) -> PaymentFacts {
    Payment::parse(body.as_deref().unwrap()).unwrap().facts()
}

fn event(kind: &str, time: u64, more: &str) -> String {
    format!(
        r#"{{"id":"e-{kind}-{time}","eventType":"payment.{kind}","timestamp":{time},"source":"shop",
            "data":{{"id":"p1","contactId":"c1"{more}}}}}"#
    )
}

const CREATED: &str =
    r#","amount":1999,"currency":"EUR","card":"4242424242424242","description":"Order""#;
const T: u64 = 1_763_719_200_000;

#[test]
fn a_payment_goes_from_pending_over_succeeded_to_refunded() {
    let mut body = None;
    assert_eq!(apply(&mut body, &event("created", T, CREATED)), Verdict::Applied);
    assert_eq!(facts(&body).status, PaymentStatus::Pending);
    assert_eq!(apply(&mut body, &event("succeeded", T + 1, "")), Verdict::Applied);
    assert_eq!(apply(&mut body, &event("succeeded", T + 1, "")), Verdict::Duplicate);
    assert_eq!(facts(&body).status, PaymentStatus::Succeeded);
    // What failed before it succeeded has nothing to say.
    assert_eq!(apply(&mut body, &event("failed", T - 1, "")), Verdict::Applied, "it was earlier");
    assert_eq!(facts(&body).status, PaymentStatus::Succeeded);
    apply(&mut body, &event("refunded", T + 2, r#","refundId":"r1","amount":500"#));
    let after = facts(&body);
    assert_eq!((after.status, after.refunded), (PaymentStatus::PartiallyRefunded, 500));
    apply(&mut body, &event("refunded", T + 3, r#","refundId":"r2","amount":9000"#));
    let after = facts(&body);
    assert_eq!((after.status, after.refunded), (PaymentStatus::Refunded, 1999));
    assert_eq!(after.unmatched, 9500 - 1999);
    let record =
        PaymentRecord::of((b"c1", b"p1"), &Payment::parse(body.as_ref().unwrap()).unwrap());
    assert_eq!(record.card.as_deref(), Some("4242"));
    assert!(!String::from_utf8_lossy(body.as_ref().unwrap()).contains("42424"), "no more is kept");
}

#[test]
fn a_refund_before_its_payment_counts_once_that_is_paid() {
    let mut body = None;
    let refund = r#","refundId":"r1","amount":700,"currency":"EUR""#;
    assert_eq!(apply(&mut body, &event("refunded", T, refund)), Verdict::Applied);
    let before = facts(&body);
    assert_eq!((before.status, before.unmatched), (PaymentStatus::Pending, 700));
    apply(&mut body, &event("succeeded", T + 1, CREATED));
    let after = facts(&body);
    assert_eq!((after.refunded, after.unmatched), (700, 0));
    // Of another currency it is none of this payment's money.
    let other = r#","refundId":"r2","amount":100,"currency":"JPY""#;
    apply(&mut body, &event("refunded", T + 2, other));
    assert_eq!((facts(&body).refunded, facts(&body).unmatched), (700, 100));
}

#[test]
fn of_an_erased_contact_nothing_is_kept_that_tells_of_a_person() {
    let mut body = None;
    let erased = Owner { is_active: false, is_erased: true };
    apply_to(&mut body, &event("created", T, CREATED), erased);
    let payment = Payment::parse(body.as_ref().unwrap()).unwrap();
    assert_eq!((payment.card, payment.description), (None, None));
    assert_eq!(payment.facts().money.unwrap().amount, 1999);
}

#[test]
fn what_can_be_no_payment_is_refused_by_name() {
    for (kind, more, expected) in [
        ("created", r#","amount":19.99,"currency":"EUR""#, "whole number of minor units"),
        ("created", r#","amount":-1,"currency":"EUR""#, "whole number of minor units"),
        ("created", r#","amount":0,"currency":"EUR""#, "whole number of minor units"),
        ("created", r#","amount":1e3,"currency":"EUR""#, "whole number of minor units"),
        ("created", r#","amount":18446744073709551616,"currency":"EUR""#, "whole number"),
        ("created", r#","amount":1000000000000000,"currency":"EUR""#, "whole number"),
        ("created", r#","amount":"1999","currency":"EUR""#, "a number of minor units"),
        ("created", r#","amount":1999,"currency":"XYZ""#, "no code of ISO 4217"),
        ("created", r#","amount":1999"#, "no currency"),
        ("created", r#","currency":"EUR""#, "no amount"),
        ("refunded", "", "no amount"),
        ("created", r#","amount":1,"currency":"EUR","card":"12""#, "four digits"),
        ("created", r#","amount":1,"amount":2,"currency":"EUR""#, "twice"),
    ] {
        let error = decoded(&event(kind, T, more)).unwrap_err();
        assert!(error.to_string().contains(expected), "{more}: {error}");
    }
    let nameless = r#"{"id":"e","eventType":"payment.succeeded","timestamp":1,"data":{}}"#;
    assert!(decoded(nameless).unwrap_err().detail.contains("names no payment"));
    let untimed = r#"{"id":"e","eventType":"payment.succeeded","data":{"id":"p1"}}"#;
    assert!(decoded(untimed).unwrap_err().detail.contains("no timestamp"));
}

#[test]
fn where_payments_are_off_their_events_are_not_known() {
    let mut batch = RecordBatch::new(Lane(0));
    let value = event("succeeded", T, "");
    batch.push(Offset(0), 0, Some(b"c1"), Some(value.as_bytes()), std::iter::empty());
    let error = Decoder::default().decode(&mut batch, 0).unwrap_err();
    assert_eq!(error.reason.as_str(), "unknown_event_type");
    assert!(error.detail.contains("payments.enabled"), "{error}");
}

#[test]
fn more_refunds_than_are_kept_are_refused_and_change_nothing() {
    let mut body = None;
    apply(&mut body, &event("succeeded", T, CREATED));
    for number in 0..REFUNDS_MAX as u64 {
        apply(&mut body, &event("refunded", T + 1 + number, r#","amount":1"#));
    }
    let (batch, event) = decoded(&event("refunded", T + 999, r#","amount":1"#)).unwrap();
    let said = event.payment.as_deref().unwrap();
    let mut out = Vec::new();
    let refused = merge(body.as_deref(), (&event, said), ACTIVE, &batch.arena, 0, &mut out);
    assert!(refused.is_err() && out.is_empty());
    assert_eq!(facts(&body).refunded, REFUNDS_MAX as u64);
}

/// An event of one payment: what, when (equal times come often), and how much.
fn any_event() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(vec!["created", "succeeded", "failed", "refunded"]);
    (kind, 0..6_u64, 1..5_u64, 0..3_u8, any::<bool>()).prop_map(|(kind, time, units, id, in_eur)| {
        let currency = if in_eur { "EUR" } else { "JPY" };
        let amount = units * 100;
        let more = match kind {
            "refunded" => format!(r#","refundId":"r{id}","amount":{amount},"currency":"{currency}""#),
            "failed" => format!(r#","reason":"why {units}""#),
            _ => format!(
                r#","amount":{amount},"currency":"{currency}","card":"424{units}","description":"{units}""#
            ),
        };
        // One id may come with several bodies: then it is another event under the same clock.
        event(kind, T + time, &more).replace("e-", &format!("e{id}-"))
    })
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_come_to_the_same(
        events in prop::collection::vec(any_event(), 1..12),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
    ) {
        let mut once = None;
        for value in &events {
            apply(&mut once, value);
        }
        let mut shuffled = None;
        for index in &order {
            let value: &String = index.get(&events);
            apply(&mut shuffled, value);
        }
        for value in events.iter().rev() {
            apply(&mut shuffled, value);
        }
        prop_assert_eq!(canonical(&once), canonical(&shuffled));
        prop_assert_eq!(facts(&once), facts(&shuffled));
        let facts = facts(&once);
        prop_assert!(facts.refunded <= facts.money.map_or(0, |money| money.amount));
        let body = once.clone().unwrap();
        let mut again = Vec::new();
        Payment::parse(&body).unwrap().write(&mut again);
        prop_assert_eq!(again, body);
    }
}

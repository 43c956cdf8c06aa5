//! Payments.

use serde_json::{Value, json};

use super::answers::{ContactPayments, Payment, PaymentHistory};
use super::requests::{PaymentToMake, RefundToMake};
use crate::http::description::operation::{
    Answer, Header, Kept, Operation, Param, Tag, page_params, text,
};
use crate::http::exchange::error::Code;

fn example() -> Value {
    json!({
        "id": "{{paymentId}}", "contactId": "{{contactId}}", "status": "SUCCEEDED",
        "amount": 1999, "currency": "EUR", "exponent": 2, "refunded": 0, "unmatchedRefunds": 0,
        "card": "4242", "description": "Order 1729", "failureReason": null, "nextAction": null,
        "refunds": [], "version": 2, "source": "api",
        "createdAt": "2026-12-01T10:00:00.000Z", "updatedAt": "2026-12-01T10:00:00.002Z",
        "changedAt": "2026-12-01T10:00:00.002Z",
    })
}

fn refunded() -> Value {
    let mut payment = example();
    if let Some(members) = payment.as_object_mut() {
        members.insert("status".to_owned(), json!("PARTIALLY_REFUNDED"));
        members.insert("refunded".to_owned(), json!(500));
        members.insert("version".to_owned(), json!(3));
        let refund = json!({
            "id": "re_0a1b2c3d4e5f60718293a4b5c6d7e8f9", "amount": 500, "currency": "EUR",
            "createdAt": "2026-12-01T10:05:00.000Z",
        });
        members.insert("refunds".to_owned(), json!([refund]));
    }
    payment
}

fn payment_id() -> Param {
    Param::path("id", "{{paymentId}}", "The payment's id.")
}

fn contact_of() -> Param {
    let about = "Whose it is, where several contacts have a payment of that id.";
    Param::query("contactId", text(), "{{contactId}}", about)
}

fn keyed(operation: Operation) -> Operation {
    operation
        .of(Tag::Payments)
        .param(
            Param::header(
                "Idempotency-Key",
                "order-1729",
                "The same request under the same key is done once, and answered with what came of it, for as \
                 long as the payment is there.",
            )
            .matching("^[\\x21-\\x7e]{1,255}$"),
        )
        .reads()
        .fails(&[
            Code::ValidationFailed,
            Code::IdempotencyKeyReused,
            Code::RequestInFlight,
            Code::WriteUnavailable,
            Code::TookTooLong,
        ])
}

pub(super) fn pay() -> Operation {
    let body = json!({
        "contactId": "{{contactId}}", "amount": 1999, "currency": "EUR", "card": "4242424242424242",
        "description": "Order 1729",
    });
    keyed(Operation::new("makePayment", "Make a payment"))
        .about(
            "The gateway is simulated: the number of a test card says how the payment goes \
             (`docs/payments.md` lists them), and no other card is taken. What is declined is FAILED, and \
             answered 201 too: the payment is there. What waits for 3-D Secure is PENDING with \
             `nextAction: confirm`. Where the gateway does not answer it is 504, and the payment PENDING.",
        )
        .body::<PaymentToMake>(body)
        .answers(
            Answer::json::<Payment>(201, "The payment, whatever became of it.", example())
                .with(&[Header::Location, Header::Position]),
        )
        .fails(&[
            Code::UnsupportedMediaType,
            Code::ContactNotFound,
            Code::ContactDeleted,
            Code::GatewayTimeout,
        ])
        .keeps("paymentId", Kept::Body("id"))
}

pub(super) fn get() -> Operation {
    Operation::new("getPayment", "Get a payment")
        .of(Tag::Payments)
        .param(payment_id())
        .param(contact_of())
        .answers(Answer::json::<Payment>(200, "The payment.", example()).with(&[Header::Position]))
        .reads()
        .fails(&[Code::PaymentNotFound, Code::PaymentConflict])
}

pub(super) fn confirm() -> Operation {
    keyed(Operation::new("confirmPayment", "Confirm a payment"))
        .about(
            "For one that is PENDING: because its holder had to confirm it, or because the gateway did not \
             answer. One that has SUCCEEDED is answered as it is.",
        )
        .param(payment_id())
        .param(contact_of())
        .answers(Answer::json::<Payment>(200, "The payment.", example()).with(&[Header::Position]))
        .fails(&[Code::PaymentNotFound, Code::PaymentConflict, Code::GatewayTimeout])
}

pub(super) fn refund() -> Operation {
    keyed(Operation::new("refundPayment", "Refund a payment, or some of it"))
        .about("Without an amount, all that is left.")
        .param(payment_id())
        .param(contact_of())
        .body::<RefundToMake>(json!({ "amount": 500 }))
        .answers(
            Answer::json::<Payment>(201, "The payment with its refunds.", refunded())
                .with(&[Header::Location, Header::Position]),
        )
        .fails(&[
            Code::UnsupportedMediaType,
            Code::PaymentNotFound,
            Code::PaymentConflict,
            Code::RefundTooLarge,
        ])
}

pub(super) fn history() -> Operation {
    let example = json!({
        "data": [{
            "eventType": "payment.succeeded", "eventId": "{{eventId}}", "source": "api",
            "timestamp": "2026-12-01T10:00:00.002Z", "recordedAt": "2026-12-01T10:00:00.002Z",
            "partition": 1, "offset": 11, "principal": "user:admin", "requestId": "r1",
            "payment": example(),
        }],
        "meta": { "limit": 50, "nextCursor": null },
    });
    Operation::new("listPaymentHistory", "List what became of a payment")
        .of(Tag::Payments)
        .about("As far as the journal reaches back.")
        .param(payment_id())
        .param(contact_of())
        .params(page_params())
        .answers(
            Answer::json::<PaymentHistory>(200, "The newest first.", example)
                .with(&[Header::Link, Header::Position]),
        )
        .reads()
        .fails(&[Code::PaymentNotFound, Code::PaymentConflict, Code::InvalidCursor])
}

pub(super) fn of_contact() -> Operation {
    let example = json!({
        "data": [example()],
        "totals": { "EUR": {
            "exponent": 2, "payments": 1, "paid": 1999, "refunded": 0, "net": 1999, "pending": 0,
            "failed": 0, "unmatchedRefunds": 0,
        } },
        "total": 1,
        "meta": { "limit": 50, "nextCursor": null },
    });
    Operation::new("listContactPayments", "List the payments of a contact, and what they come to")
        .of(Tag::Payments)
        .about(
            "With those of contacts that were merged into it. Totals are of all of them, by currency, in minor \
             units.",
        )
        .param(Param::path("id", "{{contactId}}", "The contact's id."))
        .params(page_params())
        .answers(
            Answer::json::<ContactPayments>(200, "The newest first.", example)
                .with(&[Header::Link, Header::Position]),
        )
        .reads()
        .fails(&[Code::ContactNotFound, Code::InvalidCursor])
}

//! Webhooks in.

use serde_json::{Value, json};

use super::answers::{WebhookEvent, WebhookReceipt};
use crate::http::description::operation::{Answer, Operation, Param, Tag};
use crate::http::exchange::error::Code;

pub(super) fn receive() -> Operation {
    described(Operation::new("receiveWebhook", "Receive webhook events of the default source"))
}

pub(super) fn receive_from() -> Operation {
    let source = Param::path("source", "acme", "As configured under `[source.<name>]`.");
    described(
        Operation::new("receiveWebhookFrom", "Receive webhook events of a source").param(source),
    )
}

fn described(operation: Operation) -> Operation {
    let receipt = json!({
        "received": 1, "accepted": 1, "rejected": 0, "kept": "log",
        "results": [{ "status": "accepted", "eventId": "evt_01J", "contactId": "{{contactId}}" }],
    });
    operation
        .of(Tag::Webhooks)
        .about(
            "One event, or an array with a verdict for each. The signature is over the raw bytes of \
             the body. 200 says that every accepted event is kept: acknowledged by Kafka's in-sync \
             replicas, or synced to this disk. Sending one again changes nothing.",
        )
        .param(Param::header(
            "X-Acme-Signature",
            "sha256={{webhookSignature}}",
            "HMAC-SHA256 of `<timestamp>.<body>` in hex, `sha256=` before it or not. Other \
             sources sign as their table says: Standard Webhooks, HubSpot, any HMAC.",
        ).sent())
        .param(Param::header(
            "X-Acme-Timestamp",
            "{{webhookTimestamp}}",
            "When it was signed: seconds since 1970 or RFC 3339, within five minutes of our clock.",
        ).sent())
        .body::<WebhookEvent>(event())
        .answers(Answer::json::<WebhookReceipt>(200, "At least one event is kept.", receipt))
        .fails(&[
            Code::InvalidBody,
            Code::InvalidHeader,
            Code::InvalidSignature,
            Code::TimestampOutOfWindow,
            Code::UnknownSource,
            Code::TooManyEvents,
            Code::EventRejected,
            Code::IntakeUnavailable,
        ])
}

fn event() -> Value {
    json!({
        "id": "evt_01J", "eventType": "contact.updated", "version": 7,
        "data": { "id": "{{contactId}}", "acme_first_name": "Ada", "acme_last_name": "Lovelace" },
    })
}

//! Subscriptions.

use serde_json::{Value, json};

use super::answers::{
    DeliveryPage, SubscriptionAnswer, SubscriptionPage, SubscriptionRecovery, SubscriptionTest,
};
use super::requests::{RecoveryOrder, SubscriptionWish};
use crate::http::description::operation::{
    Answer, Header, Kept, Operation, Param, Tag, page_params,
};
use crate::http::exchange::error::Code;

/// What all of them have.
fn described(operation: Operation) -> Operation {
    operation.of(Tag::Subscriptions).fails(&[Code::NotAcceptable, Code::NotReady])
}

/// What those have that are about one.
fn of_one(operation: Operation) -> Operation {
    let id = Param::path("id", "{{subscriptionId}}", "As the list of subscriptions has it.");
    described(operation).param(id).fails(&[Code::SubscriptionNotFound])
}

/// What those have that write.
fn order(operation: Operation) -> Operation {
    of_one(operation).fails(&[Code::SubscriptionConflict, Code::Contended, Code::WriteUnavailable])
}

fn subscription() -> Value {
    json!({
        "id": "{{subscriptionId}}", "url": "https://hooks.example.com/contacts",
        "description": "the billing system", "events": ["contact.*"], "sources": [],
        "notSources": ["billing"], "statuses": [], "fields": ["email"], "send": "contact",
        "rate": null, "ordered": false, "state": "active", "since": "2026-11-21T10:36:44.561Z",
        "why": null, "failures": 0, "retryAt": null, "behind": false, "givenUp": 0, "overruns": 0,
        "oldSecretUntil": null, "here": true, "createdAt": "2026-11-21T10:36:44.561Z",
        "createdBy": "user:ada",
    })
}

fn with_secret() -> Value {
    let mut example = subscription();
    if let Some(members) = example.as_object_mut() {
        let secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDazXKz9vGnS0=";
        members.insert("secret".to_owned(), json!(secret));
    }
    example
}

fn as_it_stands() -> Answer {
    Answer::json::<SubscriptionAnswer>(200, "The subscription as it stands.", subscription())
}

fn attempt() -> Value {
    json!({
        "at": "2026-11-21T10:36:44.561Z", "status": 503, "latencyMs": 12.3, "response": "later",
        "responseIsCut": false, "error": "it answered 503 Service Unavailable", "retryInMs": 5012,
    })
}

pub(super) fn add() -> Operation {
    let wanted = json!({
        "url": "https://hooks.example.com/contacts", "description": "the billing system",
        "events": ["contact.*"], "fields": ["email"], "notSources": ["billing"],
    });
    let made =
        Answer::json::<SubscriptionAnswer>(201, "The subscription and its secret.", with_secret());
    described(
        Operation::new("addSubscription", "Be told of changes")
            .about(
                "Every change that passes the filter is POSTed to `url`, signed as Standard Webhooks 1.0 \
                 says with the secret of the answer, which is shown this once. What is answered with \
                 2xx is delivered. Where nothing is taken it is tried again after 5 s, 5 min, 30 min, \
                 2, 5, 10, 14, 20 and 24 h; after five days the subscription is disabled.",
            )
            .body::<SubscriptionWish>(wanted)
            .answers(made.with(&[Header::Location]))
            .fails(&[
                Code::UnsupportedMediaType,
                Code::ValidationFailed,
                Code::TargetNotAllowed,
                Code::SubscriptionConflict,
                Code::Contended,
                Code::WriteUnavailable,
            ])
            .keeps("subscriptionId", Kept::Body("id")),
    )
}

pub(super) fn list() -> Operation {
    let example = json!({ "data": [subscription()], "meta": { "limit": 50, "nextCursor": null } });
    let page = Answer::json::<SubscriptionPage>(200, "A page, the oldest first.", example);
    described(
        Operation::new("listSubscriptions", "List subscriptions and how each goes")
            .params(page_params())
            .answers(page.with(&[Header::Link]))
            .fails(&[Code::InvalidCursor]),
    )
}

pub(super) fn show() -> Operation {
    of_one(Operation::new("getSubscription", "Show one subscription").answers(as_it_stands()))
}

pub(super) fn change() -> Operation {
    order(
        Operation::new("changeSubscription", "Change a subscription")
            .about("What is left out stays as it is; lists are replaced.")
            .body::<SubscriptionWish>(json!({ "events": ["contact.created", "contact.updated"] }))
            .answers(as_it_stands())
            .fails(&[Code::UnsupportedMediaType, Code::ValidationFailed, Code::TargetNotAllowed]),
    )
}

pub(super) fn remove() -> Operation {
    order(
        Operation::new("removeSubscription", "Remove a subscription")
            .about("It is sent nothing more.")
            .answers(Answer::empty(204, "It is gone.")),
    )
}

pub(super) fn test() -> Operation {
    let example = json!({ "id": "msg_test_0193", "delivered": false, "attempt": attempt() });
    of_one(
        Operation::new("testSubscription", "Send a test message now")
            .about("One message of the type `subscription.test`, once, whatever state the subscription is in.")
            .answers(Answer::json::<SubscriptionTest>(200, "What was answered.", example)),
    )
}

pub(super) fn deliveries() -> Operation {
    let delivery = json!({
        "id": "{{deliveryId}}", "eventType": "contact.updated", "contact": "{{contactId}}",
        "state": "pending", "attempts": [attempt()],
    });
    let example =
        json!({ "data": [delivery], "meta": { "limit": 50, "nextCursor": null }, "here": true });
    let page = Answer::json::<DeliveryPage>(200, "A page, the newest first.", example);
    of_one(
        Operation::new("listSubscriptionDeliveries", "List what was sent, and what was answered")
            .about(
                "The newest hundred messages with each attempt, as the instance that sends remembers them \
                 since its start.",
            )
            .params(page_params())
            .answers(page.with(&[Header::Link]))
            .fails(&[Code::InvalidCursor]),
    )
}

pub(super) fn resend() -> Operation {
    let delivery = Param::path("delivery", "{{deliveryId}}", "As the list of deliveries has it.");
    order(
        Operation::new("resendSubscriptionDelivery", "Send one message once more")
            .param(delivery)
            .answers(Answer::empty(204, "It is sent in a moment."))
            .fails(&[Code::DeliveryNotFound])
            .not_sent(),
    )
}

pub(super) fn recover() -> Operation {
    let example = json!({ "position": "{{position}}" });
    order(
        Operation::new("recoverSubscription", "Send everything since a time once more")
            .about(
                "Under the same ids. Where the journal does not reach back so far it is 410, and \
                 `details.earliest` names the earliest Position and time.",
            )
            .body::<RecoveryOrder>(json!({ "since": "2100-01-01T00:00:00Z" }))
            .answers(Answer::json::<SubscriptionRecovery>(200, "It goes on from there.", example))
            .fails(&[Code::UnsupportedMediaType, Code::ValidationFailed, Code::PositionGone]),
    )
}

pub(super) fn pause() -> Operation {
    order(
        Operation::new("pauseSubscription", "Pause a subscription")
            .about("It is sent nothing until it is resumed. The journal is kept for it meanwhile.")
            .answers(as_it_stands()),
    )
}

pub(super) fn resume() -> Operation {
    order(
        Operation::new("resumeSubscription", "Resume a subscription")
            .about(
                "It goes on where it was paused or disabled, and one that fails is tried at once.",
            )
            .answers(as_it_stands()),
    )
}

pub(super) fn rotate() -> Operation {
    let example = with_secret();
    let made =
        Answer::json::<SubscriptionAnswer>(200, "The subscription and its new secret.", example);
    order(
        Operation::new("rotateSubscriptionSecret", "Give a subscription another secret")
            .about(
                "Messages carry the signatures of both for a day. The new one is shown this once.",
            )
            .answers(made),
    )
}

//! The simulator.

use serde_json::{Value, json};

use super::answers::{SimulatedDelivery, SimulatedHistory, SimulatedWebhooks};
use super::requests::SimulatedWebhook;
use crate::http::description::operation::{
    Answer, Header, Kept, Operation, Param, Tag, page_params,
};
use crate::http::exchange::error::Code;

pub(super) fn send() -> Operation {
    let example = json!({
        "eventType": "contact.updated",
        "data": { "id": "{{contactId}}", "acme_first_name": "Ada", "acme_last_name": "Lovelace" },
    });
    let answer = json!({ "data": [shown("pending", json!([]))] });
    Operation::new("simulateWebhook", "Send a test webhook as Acme")
        .of(Tag::Simulator)
        .about(
            "Signed with the secret of the source `acme`, and tried again after 408, 425, 429, 5xx or no \
             answer, with growing pauses and as `Retry-After` asks. Sent to this instance, or where \
             `targetUrl` says: hosts of `simulator.targets` at public addresses, checked after the name \
             was looked up. On in `dev`, elsewhere where `simulator.enabled` says so.",
        )
        .body::<SimulatedWebhook>(example)
        .answers(
            Answer::json::<SimulatedWebhooks>(202, "They are on their way.", answer)
                .with(&[Header::Location]),
        )
        .fails(&[
            Code::UnsupportedMediaType,
            Code::ValidationFailed,
            Code::TargetNotAllowed,
            Code::SimulatorBusy,
        ])
        .keeps("simulatedId", Kept::Body("data.0.id"))
}

pub(super) fn history() -> Operation {
    let example = json!({
        "data": [delivered()], "meta": { "limit": 50, "nextCursor": null, "total": 1 },
    });
    Operation::new("listSimulatedWebhooks", "List test webhooks")
        .of(Tag::Simulator)
        .about("This instance's own, in memory: the newest `simulator.history_max`.")
        .params(page_params())
        .answers(
            Answer::json::<SimulatedHistory>(200, "The newest first.", example)
                .with(&[Header::Link]),
        )
        .fails(&[Code::InvalidCursor, Code::NotReady])
}

pub(super) fn delivery() -> Operation {
    let id = Param::path("id", "{{simulatedId}}", "As the history names it.");
    Operation::new("getSimulatedWebhook", "Get a test webhook and its deliveries")
        .of(Tag::Simulator)
        .about("With every try, its status, latency and the beginning of its answer.")
        .param(id)
        .answers(Answer::json::<SimulatedDelivery>(200, "As it stands.", delivered()))
        .fails(&[Code::SimulatedWebhookNotFound, Code::NotReady])
}

fn delivered() -> Value {
    let attempt = json!({
        "at": "2026-11-21T10:36:44.451Z", "status": 200, "latencyMs": 1.87,
        "response": "{\"received\":1,\"accepted\":1,\"rejected\":0,\"kept\":\"log\"}",
        "responseIsCut": false, "error": null, "retryInMs": null,
    });
    shown("delivered", json!([attempt]))
}

fn shown(status: &str, attempts: Value) -> Value {
    json!({
        "id": "{{simulatedId}}", "status": status,
        "eventId": "evt_019aa5c20e2c7d8c8e1f0a2b3c4d5e6f", "eventType": "contact.updated",
        "targetUrl": "http://127.0.0.1:3000/api/webhooks", "trigger": "request", "manner": "as_is",
        "createdAt": "2026-11-21T10:36:44.449Z",
        "body": "{\"id\":\"evt_019aa5c20e2c7d8c8e1f0a2b3c4d5e6f\",\"eventType\":\"contact.updated\"}",
        "bodyIsCut": false, "attempts": attempts,
    })
}

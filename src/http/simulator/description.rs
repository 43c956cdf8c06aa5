//! The simulator.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::http::description::operation::{
    Answer, Header, Kept, Operation, Param, Tag, choice, text,
};
use crate::http::exchange::error::Code;

/// What is to be sent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SimulatedWebhook {
    event_type: SimulatedEventType,
    /// The event's data, as it is.
    data: Map<String, Value>,
    /// Where to; this instance, where nothing is said. Other hosts must be in `simulator.targets`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    target_url: Option<String>,
    /// The event's id; one is made where nothing is said. Of several events, what each begins with.
    #[schema(nullable = false, min_length = 1, max_length = 248)]
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The source's version of the contact; of several events, the first one's.
    #[schema(nullable = false, minimum = 0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// Events, each of its own id, 1 ms after the other.
    #[schema(nullable = false, minimum = 1, maximum = 500)]
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    chaos: Option<SimulatedChaos>,
}

/// As Acme names them.
#[derive(Serialize)]
struct SimulatedEventType;

impl PartialSchema for SimulatedEventType {
    fn schema() -> RefOr<Schema> {
        let kinds = choice(&["contact.created", "contact.updated", "contact.deleted"]);
        RefOr::T(kinds.build().into())
    }
}

impl ToSchema for SimulatedEventType {}

/// What becomes of the events on the way: shares of them. Each one is sent whole at least once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SimulatedChaos {
    /// Sent again.
    #[schema(nullable = false, minimum = 0, maximum = 1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate: Option<f64>,
    /// Sent after some that came later.
    #[schema(nullable = false, minimum = 0, maximum = 1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reorder: Option<f64>,
    /// Sent long after their turn.
    #[schema(nullable = false, minimum = 0, maximum = 1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    late: Option<f64>,
    /// Besides sent with a signature that does not fit.
    #[schema(nullable = false, minimum = 0, maximum = 1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    forge: Option<f64>,
    /// Besides sent without their end.
    #[schema(nullable = false, minimum = 0, maximum = 1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    truncate: Option<f64>,
    /// Equal seeds do equal things.
    #[schema(nullable = false, minimum = 0)]
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
}

/// What was made of it: one delivery a request that is sent.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SimulatedWebhooks {
    data: Vec<SimulatedDelivery>,
}

/// A page of this instance's history, the newest first.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SimulatedHistory {
    data: Vec<SimulatedDelivery>,
    meta: SimulatedMeta,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SimulatedMeta {
    #[schema(minimum = 1)]
    limit: u64,
    /// For older ones.
    #[schema(required = true)]
    next_cursor: Option<String>,
    /// Remembered by this instance.
    #[schema(minimum = 0)]
    total: u64,
}

/// One webhook and what became of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SimulatedDelivery {
    /// Names it on this instance.
    id: String,
    /// `pending`, `delivered`, `rejected` (the target refused it for good), `failed`.
    status: String,
    event_id: String,
    event_type: String,
    target_url: String,
    /// `request`, or `write` for one that a write of the API made.
    trigger: String,
    /// `as_is`, or what chaos made of it: `duplicate`, `reordered`, `late`, `forged`, `truncated`.
    manner: String,
    #[schema(format = DateTime)]
    created_at: String,
    /// The beginning of it.
    body: String,
    body_is_cut: bool,
    /// Every try so far.
    attempts: Vec<SimulatedAttempt>,
}

/// One try.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SimulatedAttempt {
    #[schema(format = DateTime)]
    at: String,
    /// What was answered; null: nothing.
    #[schema(required = true)]
    status: Option<u16>,
    latency_ms: f64,
    /// The beginning of the answer.
    #[schema(required = true)]
    response: Option<String>,
    response_is_cut: bool,
    /// Why there was no answer.
    #[schema(required = true)]
    error: Option<String>,
    /// Until the next try, where there is one.
    #[schema(required = true)]
    retry_in_ms: Option<u64>,
}

pub(super) fn send() -> Operation {
    let example = json!({
        "eventType": "contact.updated",
        "data": { "id": "{{contactId}}", "acme_first_name": "Ada", "acme_last_name": "Lovelace" },
    });
    let answer = json!({ "data": [shown("pending", json!([]))] });
    Operation::new("simulateWebhook", "Send a webhook as Acme")
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
            Code::SimulatorOff,
            Code::SimulatorBusy,
        ])
        .keeps("simulatedId", Kept::Body("data.0.id"))
}

pub(super) fn history() -> Operation {
    let limit = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(200));
    let example = json!({
        "data": [delivered()], "meta": { "limit": 50, "nextCursor": null, "total": 1 },
    });
    Operation::new("listSimulatedWebhooks", "What was sent")
        .of(Tag::Simulator)
        .about("This instance's own, in memory: the newest `simulator.history_max`.")
        .param(Param::query("limit", limit, 50, "Of one page."))
        .param(Param::query("cursor", text(), "41", "As `meta.nextCursor` gave it: older ones."))
        .answers(Answer::json::<SimulatedHistory>(200, "The newest first.", example))
        .fails(&[Code::InvalidCursor, Code::SimulatorOff])
}

pub(super) fn delivery() -> Operation {
    let id = Param::path("id", "{{simulatedId}}", "As the history names it.");
    Operation::new("getSimulatedWebhook", "What became of a webhook that was sent")
        .of(Tag::Simulator)
        .about("With every try, its status, latency and the beginning of its answer.")
        .param(id)
        .answers(Answer::json::<SimulatedDelivery>(200, "As it stands.", delivered()))
        .fails(&[Code::SimulatedWebhookNotFound, Code::SimulatorOff])
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

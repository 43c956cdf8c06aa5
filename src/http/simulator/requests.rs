//! What the simulator is asked for, as it is described; `routes.rs` reads it.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::http::description::operation::choice;

/// What is to be sent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SimulatedWebhook {
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
pub(super) struct SimulatedEventType;

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
pub(super) struct SimulatedChaos {
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

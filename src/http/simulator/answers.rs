//! What the simulator answers, as it is sent and as it is described.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::timestamp::format_rfc3339;
use crate::effects::Attempt;
use crate::effects::simulator::Delivery;

/// What was made of it: one delivery a request that is sent.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SimulatedWebhooks {
    pub(super) data: Vec<SimulatedDelivery>,
}

/// A page of this instance's history, the newest first.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SimulatedHistory {
    pub(super) data: Vec<SimulatedDelivery>,
    pub(super) meta: SimulatedMeta,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SimulatedMeta {
    #[schema(minimum = 1)]
    pub(super) limit: u64,
    /// For older ones.
    #[schema(required = true)]
    pub(super) next_cursor: Option<String>,
    /// Remembered by this instance.
    #[schema(minimum = 0)]
    pub(super) total: u64,
}

/// One webhook and what became of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SimulatedDelivery {
    /// Names it on this instance.
    id: String,
    /// `pending`, `delivered`, `rejected` (the target refused it for good), `failed`.
    status: &'static str,
    event_id: String,
    event_type: String,
    target_url: String,
    /// `request`, or `write` for one that a write of the API made.
    trigger: &'static str,
    /// `as_is`, or what chaos made of it: `duplicate`, `reordered`, `late`, `forged`, `truncated`.
    manner: &'static str,
    #[schema(format = DateTime)]
    created_at: String,
    /// The beginning of it. Empty where its contact was erased since; then no answer is shown either.
    body: String,
    body_is_cut: bool,
    /// Every try so far.
    attempts: Vec<SimulatedAttempt>,
}

impl From<Delivery> for SimulatedDelivery {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            status: delivery.status.as_str(),
            event_id: delivery.event_id,
            event_type: delivery.event_type,
            target_url: delivery.target_url,
            trigger: delivery.trigger.as_str(),
            manner: delivery.manner,
            created_at: delivery.created_at,
            body: delivery.body,
            body_is_cut: delivery.body_is_cut,
            attempts: delivery.attempts.into_iter().map(SimulatedAttempt::from).collect(),
        }
    }
}

/// One try.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SimulatedAttempt {
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

impl From<Attempt> for SimulatedAttempt {
    fn from(attempt: Attempt) -> Self {
        Self {
            at: format_rfc3339(attempt.at_ms),
            status: attempt.status,
            latency_ms: attempt.latency_ms,
            response: attempt.response,
            response_is_cut: attempt.response_is_cut,
            error: attempt.error,
            retry_in_ms: attempt.retry_in_ms,
        }
    }
}

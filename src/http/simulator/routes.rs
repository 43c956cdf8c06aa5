//! The simulator: webhooks as Acme sends them, and what became of each.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::domain::Class;
use crate::domain::event::EventKind;
use crate::domain::limits::ID_BYTES_MAX;
use crate::effects::simulator::{COUNT_MAX, Order, Simulator, SimulatorError};
use crate::query::QueryError;
use crate::simulate::ChaosOptions;

use super::answers::{SimulatedDelivery, SimulatedHistory, SimulatedMeta, SimulatedWebhooks};
use crate::http::exchange::answer::{PathParam, blocking};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::json_body::Fields;
use crate::http::exchange::page::{PageMeta, PageRequest, paged};
use crate::http::exchange::params::Params;
use crate::http::state::HttpState;

/// `POST /api/simulator/webhooks`
pub(super) async fn send(
    State(state): State<HttpState>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let simulator = simulator(&state)?;
    let order = order(Fields::of(&headers, &body)?)?;
    let made = simulator.send(&order).await?;
    let first = made.first().map_or("", |delivery| delivery.id.as_str());
    let location = [(LOCATION, format!("/api/simulator/webhooks/history/{first}"))];
    let data = made.into_iter().map(SimulatedDelivery::from).collect();
    Ok((StatusCode::ACCEPTED, location, Json(SimulatedWebhooks { data })).into_response())
}

/// `GET /api/simulator/webhooks/history`
pub(super) async fn history(
    State(state): State<HttpState>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let simulator = Arc::clone(simulator(&state)?);
    let params = Params::of(&uri, &["limit", "cursor"])?;
    let page = PageRequest::new(state.queries()?, "simulated webhooks".to_owned(), &params)?;
    let before = page.after(|key| Some(u64::from_be_bytes(key.try_into().ok()?)))?;
    let (reader, limit) = (state.open()?.control.reader().clone(), page.limit);
    let look = move || simulator.history(&reader, limit, before).map_err(QueryError::from);
    let found = blocking(&state.work().questions, look).await?;
    let PageMeta { limit, next_cursor } =
        page.meta(found.next.map(|number| number.to_be_bytes().to_vec()));
    let data = found.deliveries.into_iter().map(SimulatedDelivery::from).collect();
    let meta = SimulatedMeta { limit, next_cursor: next_cursor.clone(), total: found.total as u64 };
    Ok(paged(&uri, next_cursor, SimulatedHistory { data, meta }))
}

/// `GET /api/simulator/webhooks/history/{id}`
pub(super) async fn delivery(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    uri: Uri,
) -> Result<Json<SimulatedDelivery>, ApiError> {
    let simulator = Arc::clone(simulator(&state)?);
    Params::of(&uri, &[])?;
    let reader = state.open()?.control.reader().clone();
    let look = move || simulator.delivery(&reader, &id).map_err(QueryError::from);
    let delivery = blocking(&state.work().questions, look).await?.ok_or_else(|| {
        let text = "this instance remembers no simulated webhook of this id";
        ApiError::new(Code::SimulatedWebhookNotFound, text)
    })?;
    Ok(Json(delivery.into()))
}

fn simulator(state: &HttpState) -> Result<&Arc<Simulator>, ApiError> {
    state.services().simulator.as_ref().ok_or_else(super::off)
}

fn order(mut fields: Fields) -> Result<Order, ApiError> {
    let kind = kind(&mut fields);
    let data = fields.object("data");
    if data.is_none() && !fields.is_refused("data") {
        fields.refuse("data", "is missing");
    }
    let target_url = fields.text("targetUrl");
    let id = fields.text("id");
    if id.as_ref().is_some_and(|id| !(1..=ID_BYTES_MAX - 8).contains(&id.len())) {
        fields.refuse("id", "is empty or too long");
    }
    let version = fields.number("version", 0..=u64::MAX);
    let count = fields.number("count", 1..=COUNT_MAX as u64).unwrap_or(1);
    let chaos = chaos(&mut fields);
    fields.end()?;
    Ok(Order {
        // What was refused has ended this already.
        kind: kind.unwrap_or(EventKind::Updated),
        data: data.unwrap_or_default(),
        target_url,
        id,
        version,
        count: usize::try_from(count).unwrap_or(COUNT_MAX),
        chaos,
    })
}

fn kind(fields: &mut Fields) -> Option<EventKind> {
    let text = fields.required_text("eventType");
    let kind = EventKind::from_type(text.as_bytes())
        .filter(|kind| !kind.is_command_only() && !kind.is_of_payment());
    if kind.is_none() && !fields.is_refused("eventType") {
        let why = "must be contact.created, contact.updated or contact.deleted";
        fields.refuse("eventType", why);
    }
    kind
}

/// Shares from 0 to 1, and a seed.
fn chaos(fields: &mut Fields) -> ChaosOptions {
    let mut chaos = ChaosOptions::default();
    for (name, value) in fields.object("chaos").into_iter().flatten() {
        let share = value.as_f64().filter(|share| (0.0..=1.0).contains(share));
        let place = match name.as_str() {
            "duplicate" => &mut chaos.duplicate,
            "reorder" => &mut chaos.reorder,
            "late" => &mut chaos.late,
            "forge" => &mut chaos.forge,
            "truncate" => &mut chaos.truncate,
            "seed" => {
                match value.as_u64() {
                    Some(seed) => chaos.seed = seed,
                    None => fields.refuse("chaos.seed", "must be a whole number"),
                }
                continue;
            }
            _ => {
                fields.refuse(&format!("chaos.{name}"), "is no field of this");
                continue;
            }
        };
        match share {
            Some(share) => *place = share,
            None => fields.refuse(&format!("chaos.{name}"), "must be a number from 0 to 1"),
        }
    }
    chaos
}

impl From<SimulatorError> for ApiError {
    fn from(error: SimulatorError) -> Self {
        let text = error.to_string();
        match error {
            SimulatorError::Target(error) => match error.class() {
                Class::Poison | Class::Fatal => Self::new(Code::TargetNotAllowed, text)
                    .with_details(json!({ "field": "targetUrl" })),
                Class::Retry => Self::new(Code::SimulatorBusy, text),
            },
            SimulatorError::TooLarge { .. } => Self::new(Code::BodyTooLarge, text),
            SimulatorError::Busy { .. } | SimulatorError::Ended => {
                Self::new(Code::SimulatorBusy, text)
            }
        }
    }
}

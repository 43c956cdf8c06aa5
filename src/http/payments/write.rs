//! Payments that are made, confirmed and given back.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use uuid::Uuid;

use super::answers::Payment;
use super::read::find;
use super::requests::{Wanted, refund_amount};
use crate::domain::texts::percent_encoded;
use crate::http::contacts::writing::{JSON, Writing, insert};
use crate::http::exchange::answer::PathParam;
use crate::http::exchange::error::ApiError;
use crate::http::exchange::json_body::{Fields, Members};
use crate::http::exchange::params::Params;
use crate::http::state::HttpState;
use crate::ingest::{COMMAND_ID, EditError, InFlight};
use crate::payments::{PaymentDesk, PaymentRequest, RefundRequest, Requested, Shown};

/// `POST /api/payments`
pub(super) async fn pay(
    State(state): State<HttpState>,
    request: Request,
) -> Result<Response, ApiError> {
    let writing = Writing::without_params(&state, request).await?;
    writing.require_media(&[JSON])?;
    let wanted = Wanted::read(Fields::from(Members::of(&writing.body)?))?;
    let (by, _in_flight) = requested(&writing)?;
    let payment_id = id_of(&writing, "pay_", "payment")?;
    let desk = desk(&state)?;
    // The key names the payment, so one of another contact was made under it by another request.
    let queries = state.queries()?;
    if let Ok(made) = find(&state, queries, &payment_id, None).await
        && made.contact_id() != wanted.contact_id.as_bytes()
    {
        return Err(EditError::KeyReused.into());
    }
    let request = PaymentRequest {
        contact_id: wanted.contact_id,
        payment_id,
        money: wanted.money,
        card: wanted.card,
        description: wanted.description,
    };
    let shown = desk.pay(&request, &by).await?;
    Ok(made(&writing, shown))
}

/// `POST /api/payments/{id}/confirm`
pub(super) async fn confirm(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    let writing = Writing::begin(&state, request).await?;
    let params = Params::of(&writing.parts.uri, &["contactId"])?;
    let stored = find(&state, state.queries()?, &id, params.get("contactId")).await?;
    let (by, _in_flight) = requested(&writing)?;
    let shown = desk(&state)?.confirm(&stored, &by).await?;
    Ok(writing.positioned(Json(Payment::from(shown)).into_response()))
}

/// `POST /api/payments/{id}/refunds`
pub(super) async fn refund(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    let writing = Writing::begin(&state, request).await?;
    let params = Params::of(&writing.parts.uri, &["contactId"])?;
    let amount = if writing.body.is_empty() {
        None
    } else {
        writing.require_media(&[JSON])?;
        refund_amount(Fields::from(Members::of(&writing.body)?))?
    };
    let stored = find(&state, state.queries()?, &id, params.get("contactId")).await?;
    let (by, _in_flight) = requested(&writing)?;
    let request = RefundRequest { refund_id: id_of(&writing, "re_", "refund")?, amount };
    let shown = desk(&state)?.refund(&stored, &request, &by).await?;
    Ok(made(&writing, shown))
}

fn made(writing: &Writing<'_>, shown: Shown) -> Response {
    let path = format!("/api/payments/{}", percent_encoded(&shown.payment.id));
    let mut response = (StatusCode::CREATED, Json(Payment::from(shown))).into_response();
    insert(response.headers_mut(), LOCATION, path);
    writing.positioned(response)
}

fn desk(state: &HttpState) -> Result<&Arc<PaymentDesk>, ApiError> {
    state.open()?.payments.as_ref().ok_or_else(super::off)
}

/// Who asks, and under which id: that of the request's key, where it has one.
fn requested(writing: &Writing<'_>) -> Result<(Requested, Option<InFlight>), ApiError> {
    let (author, until) = (writing.author(), writing.wait().until);
    Ok(match writing.keyed()? {
        Some((keyed, in_flight)) => {
            let (event_id, request_hash) = (keyed.event_id, Some(keyed.request_hash));
            (Requested { event_id, request_hash, author, until }, Some(in_flight))
        }
        None => {
            let event_id = format!("{COMMAND_ID}{}", Uuid::now_v7().as_simple());
            (Requested { event_id, request_hash: None, author, until }, None)
        }
    })
}

/// The id of what the request makes; the same under the same key.
fn id_of(writing: &Writing<'_>, begin: &str, what: &str) -> Result<String, ApiError> {
    let of_key = writing.with_key(|key| Ok(key.map(|key| key.id_of(what))))?;
    let id = of_key.unwrap_or_else(|| Uuid::now_v7().as_simple().to_string());
    Ok(format!("{begin}{id}"))
}

//! `POST /api/contacts/{id}/sync`, `/api/acme/pull` and `/api/acme/reconcile`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse as _, Response};
use tokio::time::Instant;

use super::answers::{Pulled, Reconciled, SyncedContact};
use super::requests::{Direction, PullOrder, ReconcileOrder, SyncOrder};
use crate::acme::{Acme, Patience};
use crate::http::exchange::answer::{PathParam, json_only, with_position};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::json_body::Fields;
use crate::http::exchange::params::Params;
use crate::http::state::HttpState;

/// `POST /api/contacts/{id}/sync`
pub(super) async fn sync(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let (acme, until) = begin(&state, &uri, &headers)?;
    let direction = if body.is_empty() {
        Direction::default()
    } else {
        SyncOrder::read(Fields::of(&headers, &body)?)?
    };
    let synced = match direction {
        Direction::Push => acme.push(&id, Patience::Until(until)).await?,
        Direction::Pull => acme.pull(&id, until).await?,
    };
    let answer = Json(SyncedContact::of(direction, synced)).into_response();
    Ok(with_position(&state, state.queries()?, answer))
}

/// `POST /api/acme/pull`
pub(super) async fn pull(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Pulled>, ApiError> {
    let (acme, until) = begin(&state, &uri, &headers)?;
    let cursor = PullOrder::read(Fields::of(&headers, &body)?)?;
    Ok(Json(acme.pull_page(cursor.as_deref(), until).await?.into()))
}

/// `POST /api/acme/reconcile`
pub(super) async fn reconcile(
    State(state): State<HttpState>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Reconciled>, ApiError> {
    let (acme, until) = begin(&state, &uri, &headers)?;
    let (cursor, mends) = ReconcileOrder::read(Fields::of(&headers, &body)?)?;
    Ok(Json(acme.reconcile_page(cursor.as_deref(), mends, until).await?.into()))
}

/// Acme, and until when it may be asked for more: what is under way by then still has to end.
fn begin<'s>(
    state: &'s HttpState,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(&'s Acme, Instant), ApiError> {
    Params::of(uri, &[])?;
    json_only(headers)?;
    if let Some(why) = state.partial() {
        return Err(ApiError::new(Code::NotReady, format!("nothing is written: {why}")));
    }
    let acme = state.open()?.acme.as_deref();
    // What is compared with Acme must be all that is known.
    if let Some(why) = state.readiness().why_not("apply") {
        return Err(ApiError::new(Code::NotReady, why));
    }
    let acme = acme.ok_or_else(|| ApiError::internal("routed without an Acme"))?;
    Ok((acme, Instant::now() + state.limits().request_timeout / 2))
}

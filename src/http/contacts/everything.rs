//! All that is kept of one contact, for whom it is about.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};

use super::answers::{Change, Everything};
use super::read::not_found;
use crate::http::exchange::answer::{PathParam, begin, blocking, with_position};
use crate::http::exchange::error::ApiError;
use crate::http::exchange::params::Params;
use crate::http::state::HttpState;
use crate::query::{HistoryQuery, Queries, QueryError};

/// Changes that are given; the history has the rest.
const CHANGES_MAX: usize = 1000;
/// Payments likewise.
const PAYMENTS_MAX: usize = 1000;

/// `GET /api/contacts/{id}/everything`
pub(super) async fn show(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    Params::of(request.uri(), &[])?;
    let queries = begin(&state, request.headers())?;
    let found = blocking(&state.work().questions, {
        let queries = queries.clone();
        move || everything(&queries, id)
    });
    let found = found.await?.ok_or_else(not_found)?;
    Ok(with_position(&state, queries, Json(found).into_response()))
}

fn everything(queries: &Queries, id: String) -> Result<Option<Everything>, QueryError> {
    let Some(found) = queries.contact(&id)? else {
        return Ok(None);
    };
    let contact = found.read(&id)?.to_contact();
    let query = HistoryQuery { id, limit: CHANGES_MAX, before: None };
    let Some(history) = queries.history(&query)? else {
        return Ok(None);
    };
    let changes = history.entries.iter().map(|entry| Change::of(&query.id, entry));
    let history_is_whole = history.next.is_none();
    let history = changes.collect::<Result<_, _>>()?;
    let payments = queries.payments_of(&query.id, None, PAYMENTS_MAX)?;
    let payments_are_whole = payments.as_ref().is_none_or(|found| found.page.rest.is_none());
    let payments = payments.into_iter().flat_map(|found| found.page.payments);
    let payments = payments.map(Into::into).collect();
    Ok(Some(Everything { contact, history, history_is_whole, payments, payments_are_whole }))
}

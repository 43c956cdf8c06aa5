//! Payments: one, what became of it, and those of a contact.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::answers::{ContactPayments, Payment, PaymentHistory, PaymentTotals};
use crate::http::exchange::answer::{PathParam, begin, blocking, with_position};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::page::{PageRequest, paged};
use crate::http::exchange::params::Params;
use crate::http::state::HttpState;
use crate::query::{PaymentKey, StoredPayment};
use crate::query::{Queries, QueryError};

/// `GET /api/payments/{id}`
pub(super) async fn show(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of(request.uri(), &["contactId"])?;
    let queries = begin(&state, request.headers())?;
    let stored = find(&state, queries, &id, params.get("contactId")).await?;
    let desk = state.open()?.payments.clone();
    let shown = blocking(&state.work().questions, {
        let queries = queries.clone();
        move || -> Result<Payment, ApiError> {
            match desk {
                Some(desk) => Ok(desk.shown(&stored)?.into()),
                None => Ok(queries.payment_record(&stored)?.into()),
            }
        }
    });
    let shown = shown.await?;
    Ok(with_position(&state, queries, Json(shown).into_response()))
}

/// The payment of that id; of several contacts' the one that is named.
pub(super) async fn find(
    state: &HttpState,
    queries: &Queries,
    id: &str,
    contact_id: Option<&str>,
) -> Result<StoredPayment, ApiError> {
    let found = blocking(&state.work().questions, {
        let (queries, id) = (queries.clone(), id.to_owned());
        move || queries.payments_named(&id)
    });
    let mut found = found.await?;
    if let Some(contact_id) = contact_id {
        found.retain(|payment| payment.contact_id() == contact_id.as_bytes());
    }
    if found.len() > 1 {
        let ids = found.iter().map(|payment| String::from_utf8_lossy(payment.contact_id()));
        let ids: Vec<_> = ids.collect();
        let text = "several contacts have a payment of this id; contactId says whose is meant";
        return Err(
            ApiError::new(Code::PaymentConflict, text).with_details(json!({ "contactIds": ids }))
        );
    }
    found
        .pop()
        .ok_or_else(|| ApiError::new(Code::PaymentNotFound, "there is no payment with this id"))
}

/// `GET /api/payments/{id}/history`
pub(super) async fn history(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of(request.uri(), &["contactId", "limit", "cursor"])?;
    let queries = begin(&state, request.headers())?;
    let stored = find(&state, queries, &id, params.get("contactId")).await?;
    let page = PageRequest::new(queries, format!("payment {id}"), &params)?;
    let before = page.after(|key| Some(u64::from_be_bytes(key.try_into().ok()?)))?;
    let found = blocking(&state.work().questions, {
        let (queries, limit) = (queries.clone(), page.limit);
        move || -> Result<_, QueryError> { queries.payment_history(&stored, limit, before) }
    });
    let found = found.await?;
    let data = found.changes.into_iter().map(Into::into).collect();
    let meta = page.meta(found.next.map(|change| change.to_be_bytes().to_vec()));
    let response = paged(request.uri(), meta.next_cursor.clone(), PaymentHistory { data, meta });
    Ok(with_position(&state, queries, response))
}

/// `GET /api/contacts/{id}/payments`
pub(super) async fn of_contact(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of(request.uri(), &["limit", "cursor"])?;
    let queries = begin(&state, request.headers())?;
    let page = PageRequest::new(queries, format!("payments of {id}"), &params)?;
    let after = page.after(key_of)?;
    let found = blocking(&state.work().questions, {
        let (queries, limit) = (queries.clone(), page.limit);
        move || queries.payments_of(&id, after, limit)
    });
    let found = found.await?.ok_or_else(|| {
        ApiError::new(
            Code::ContactNotFound,
            "there is no contact with this id, nor a payment of one",
        )
    })?;
    let meta = page.meta(found.page.rest.map(bytes_of));
    let answer = ContactPayments {
        data: found.page.payments.into_iter().map(Into::into).collect(),
        totals: found.totals.iter().map(PaymentTotals::of).collect(),
        total: found.page.total,
        meta,
    };
    let response = paged(request.uri(), answer.meta.next_cursor.clone(), answer);
    Ok(with_position(&state, queries, response))
}

fn key_of(bytes: &[u8]) -> Option<PaymentKey> {
    let (created, hash) = bytes.split_first_chunk()?;
    let hash = u64::from_be_bytes(hash.try_into().ok()?);
    Some(PaymentKey { created_us: u64::from_be_bytes(*created), hash })
}

fn bytes_of(key: PaymentKey) -> Vec<u8> {
    [key.created_us, key.hash].map(u64::to_be_bytes).concat()
}

//! `/api/subscriptions…`: who is told of changes, and what became of telling them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use crate::auth::Principal;
use crate::domain::Class;
use crate::effects::follower::By;
use crate::effects::subscriptions::{Desk, SubscriptionError};

use super::answers::{
    DeliveryAnswer, DeliveryPage, SubscriptionAnswer, SubscriptionPage, SubscriptionRecovery,
    SubscriptionTest,
};
use super::requests::{RecoveryOrder, wish};
use crate::http::exchange::answer::{PathParam, json_only};
use crate::http::exchange::error::{ApiError, Code};
use crate::http::exchange::json_body::Fields;
use crate::http::exchange::page::{PageRequest, paged};
use crate::http::exchange::params::Params;
use crate::http::followers::steered_by;
use crate::http::state::HttpState;

type Caller = Extension<Arc<Principal>>;

/// `POST /api/subscriptions`
pub(super) async fn add(
    State(state): State<HttpState>,
    Extension(principal): Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let (desk, by) = steering(&state, &principal, &uri, &headers)?;
    let wish = wish(Fields::of(&headers, &body)?, true)?;
    let (shown, secret) = desk.add(wish, &by).await?;
    let location = format!("/api/subscriptions/{}", shown.subscription.id);
    let answer = Json(SubscriptionAnswer::with(shown, &secret));
    let mut response = (StatusCode::CREATED, answer).into_response();
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// `GET /api/subscriptions`
pub(super) async fn list(
    State(state): State<HttpState>,
    request: Request,
) -> Result<Response, ApiError> {
    let desk = begin(&state, request.headers())?;
    let params = Params::of(request.uri(), &["limit", "cursor"])?;
    let page = PageRequest::new(state.queries()?, "subscriptions".to_owned(), &params)?;
    let shown = desk.list(page.after_text()?.as_deref(), page.limit + 1);
    let (shown, meta) = page.cut(shown, |last| last.subscription.id.clone().into_bytes());
    let data = shown.into_iter().map(SubscriptionAnswer::of).collect();
    Ok(paged(request.uri(), meta.next_cursor.clone(), SubscriptionPage { data, meta }))
}

/// `GET /api/subscriptions/{id}`
pub(super) async fn show(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Json<SubscriptionAnswer>, ApiError> {
    let desk = begin(&state, request.headers())?;
    Params::of(request.uri(), &[])?;
    Ok(Json(SubscriptionAnswer::of(desk.show(&id)?)))
}

/// `PATCH /api/subscriptions/{id}`
pub(super) async fn change(
    State(state): State<HttpState>,
    Extension(principal): Caller,
    PathParam(id): PathParam,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<SubscriptionAnswer>, ApiError> {
    let (desk, by) = steering(&state, &principal, &uri, &headers)?;
    let wish = wish(Fields::of(&headers, &body)?, false)?;
    Ok(Json(SubscriptionAnswer::of(desk.change(&id, wish, &by).await?)))
}

/// `DELETE /api/subscriptions/{id}`
pub(super) async fn remove(
    State(state): State<HttpState>,
    Extension(principal): Caller,
    PathParam(id): PathParam,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (desk, by) = steering(&state, &principal, &uri, &headers)?;
    desk.remove(&id, &by).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/subscriptions/{id}/test`
pub(super) async fn test(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<SubscriptionTest>, ApiError> {
    let desk = begin(&state, &headers)?;
    Params::of(&uri, &[])?;
    Ok(Json(SubscriptionTest::of(desk.test(&id).await?)))
}

/// `GET /api/subscriptions/{id}/deliveries`
pub(super) async fn deliveries(
    State(state): State<HttpState>,
    PathParam(id): PathParam,
    request: Request,
) -> Result<Response, ApiError> {
    let desk = begin(&state, request.headers())?;
    let params = Params::of(request.uri(), &["limit", "cursor"])?;
    let page = PageRequest::new(state.queries()?, format!("deliveries {id}"), &params)?;
    let before = page.after_text()?.and_then(|text| text.parse().ok());
    let (here, found) = desk.deliveries(&id, before, page.limit + 1)?;
    let (found, meta) = page.cut(found, |last| last.number.to_string().into_bytes());
    let data = found.into_iter().map(DeliveryAnswer::of).collect();
    Ok(paged(request.uri(), meta.next_cursor.clone(), DeliveryPage { data, meta, here }))
}

/// `POST /api/subscriptions/{id}/deliveries/{delivery}/resend`
pub(super) async fn resend(
    State(state): State<HttpState>,
    Extension(principal): Caller,
    PathParam((id, delivery)): PathParam<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let (desk, by) = steering(&state, &principal, &uri, &headers)?;
    desk.resend(&id, &delivery, &by).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/subscriptions/{id}/recover`
pub(super) async fn recover(
    State(state): State<HttpState>,
    Extension(principal): Caller,
    PathParam(id): PathParam,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<SubscriptionRecovery>, ApiError> {
    let (desk, by) = steering(&state, &principal, &uri, &headers)?;
    let since = RecoveryOrder::read(Fields::of(&headers, &body)?)?;
    let position = desk.recover(&id, since, &by).await?.encode();
    Ok(Json(SubscriptionRecovery { position }))
}

/// `POST /api/subscriptions/{id}/pause`
pub(super) async fn pause(
    State(state): State<HttpState>,
    Extension(principal): Caller,
    PathParam(id): PathParam,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<SubscriptionAnswer>, ApiError> {
    let (desk, by) = steering(&state, &principal, &uri, &headers)?;
    Ok(Json(SubscriptionAnswer::of(desk.pause(&id, &by).await?)))
}

/// `POST /api/subscriptions/{id}/resume`
pub(super) async fn resume(
    State(state): State<HttpState>,
    Extension(principal): Caller,
    PathParam(id): PathParam,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<SubscriptionAnswer>, ApiError> {
    let (desk, by) = steering(&state, &principal, &uri, &headers)?;
    Ok(Json(SubscriptionAnswer::of(desk.resume(&id, &by).await?)))
}

/// `POST /api/subscriptions/{id}/rotate`
pub(super) async fn rotate(
    State(state): State<HttpState>,
    Extension(principal): Caller,
    PathParam(id): PathParam,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<SubscriptionAnswer>, ApiError> {
    let (desk, by) = steering(&state, &principal, &uri, &headers)?;
    let (shown, secret) = desk.rotate(&id, &by).await?;
    Ok(Json(SubscriptionAnswer::with(shown, &secret)))
}

fn begin(state: &HttpState, headers: &HeaderMap) -> Result<Desk, ApiError> {
    json_only(headers)?;
    Ok(state.open()?.subscriptions.clone())
}

/// The same, and who asks by a path without parameters.
fn steering(
    state: &HttpState,
    principal: &Principal,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(Desk, By), ApiError> {
    let desk = begin(state, headers)?;
    Params::of(uri, &[])?;
    Ok((desk, steered_by(principal, headers)))
}

impl From<SubscriptionError> for ApiError {
    fn from(error: SubscriptionError) -> Self {
        let text = error.to_string();
        match error {
            SubscriptionError::NotFound => Self::new(Code::SubscriptionNotFound, text),
            SubscriptionError::DeliveryNotFound => Self::new(Code::DeliveryNotFound, text),
            SubscriptionError::Invalid(problems) => {
                let texts: Vec<_> =
                    problems.iter().map(|(field, problem)| format!("{field} {problem}")).collect();
                let fields: Vec<Value> = problems
                    .iter()
                    .map(|(field, problem)| json!({ "field": field, "problem": problem }))
                    .collect();
                Self::new(Code::ValidationFailed, texts.join("; "))
                    .with_details(json!({ "fields": fields }))
            }
            SubscriptionError::Target(error) if error.class() == Class::Poison => {
                Self::new(Code::TargetNotAllowed, text)
            }
            SubscriptionError::Conflict { .. }
            | SubscriptionError::TooMany { .. }
            | SubscriptionError::TooManyOrders => Self::new(Code::SubscriptionConflict, text),
            SubscriptionError::Replay(error) => error.into(),
            SubscriptionError::Contended => Self::new(Code::Contended, text),
            SubscriptionError::Target(_)
            | SubscriptionError::Refused(_)
            | SubscriptionError::Control(_) => {
                let told = "what is wanted could not be written to the log; try again";
                Self::new(Code::WriteUnavailable, told).with_internal(text)
            }
            SubscriptionError::Store(_) => Self::internal(text),
        }
    }
}

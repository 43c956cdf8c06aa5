//! All routes, in one table. A contact by an id that is written plainly does not come here: see
//! [`crate::http::edge`].

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};

use super::about::{docs, probes};
use super::contacts::{batch, events, list, merges, read, write};
use super::dead_letters::routes as dead_letters;
use super::edge::Api;
use super::exchange::error::{ApiError, Code};
use super::feed::routes as feed;
use super::rules::routes as rules;
use super::sign_in::routes as sign_in;
use super::simulator::routes as simulator;
use super::state::HttpState;
use super::webhooks::routes as webhooks;

/// Everything that is answered, with what holds for every request around it.
pub fn router(state: HttpState) -> Api {
    let routes = Router::new()
        .route(
            "/api/contacts/{id}",
            get(read::get_contact)
                .put(write::put_contact)
                .patch(write::patch_contact)
                .delete(write::delete_contact),
        )
        .route("/api/contacts", get(list::list_contacts).post(write::create_contact))
        .route("/api/contacts/batch", post(batch::write_batch))
        .route("/api/contacts/{id}/restore", post(write::restore_contact))
        .route("/api/contacts/{id}/merge", post(merges::merge_contacts))
        .route("/api/merges/{id}", get(merges::get_merge))
        .route("/api/contacts/{id}/history", get(read::contact_history))
        .route("/api/auth/login", post(sign_in::login))
        .route("/api/auth/refresh", post(sign_in::refresh))
        .route("/api/auth/logout", post(sign_in::logout))
        .route("/api/auth/password", post(sign_in::change_password))
        .route("/api/auth/me", get(sign_in::me))
        .route("/api/auth/tokens", get(sign_in::sessions))
        .route("/api/auth/tokens/{id}", delete(sign_in::end_session))
        .route("/api/stats", get(probes::stats))
        .route("/api/rules", get(rules::show))
        .route("/api/rules/adopt", post(rules::adopt))
        .route("/api/webhooks", post(webhooks::receive))
        .route("/api/webhooks/{source}", post(webhooks::receive_from))
        .route("/api/simulator/webhooks", post(simulator::send))
        .route("/api/simulator/webhooks/history", get(simulator::history))
        .route("/api/simulator/webhooks/history/{id}", get(simulator::delivery))
        .route("/api/feed", get(feed::feed))
        .route("/api/events/{id}", get(events::get_event))
        .route("/api/dead-letters", get(dead_letters::list))
        .route("/api/dead-letters/redrive", post(dead_letters::redrive))
        .route("/api/dead-letters/discard", post(dead_letters::discard))
        .route("/api/dead-letters/redrives", get(dead_letters::jobs))
        .route(
            "/api/dead-letters/redrives/{id}",
            get(dead_letters::job).delete(dead_letters::stop_job),
        )
        .route("/api/dead-letters/{id}", get(dead_letters::show).delete(dead_letters::discard_one))
        .route("/api/dead-letters/redrive/{id}", post(dead_letters::redrive_one))
        .route("/livez", get(probes::livez))
        .route("/readyz", get(probes::readyz))
        .route("/healthz", get(probes::healthz))
        .route("/metrics", get(probes::metrics))
        .route("/openapi.json", get(docs::document))
        .route("/schemas/{name}", get(docs::schema))
        .route("/docs", get(docs::page))
        .route("/docs/{file}", get(docs::file))
        .route("/", get(probes::index))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(route_not_found)
        .with_state(state.clone());
    Api::new(routes, state)
}

async fn route_not_found() -> ApiError {
    ApiError::new(Code::RouteNotFound, "there is nothing at this path; / lists what there is")
}

/// The router adds `Allow`.
async fn method_not_allowed(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    // Words like a method may come from anywhere; they are not echoed.
    ApiError::new(
        Code::MethodNotAllowed,
        "this resource has no such method; Allow lists those it has",
    )
    .into_response()
}

//! What any handler of this HTTP library costs at the least: the limits of `bench read` and of
//! `bench webhooks`.

use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::config::SignatureForm;
use crate::ingest::{Verifier, now_ms};

/// As large as a usual contact.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Contact {
    id: String,
    first_name: &'static str,
    last_name: &'static str,
    email: &'static str,
    phone: &'static str,
    company: &'static str,
    title: &'static str,
    attributes: [(); 0],
    status: &'static str,
    version: u64,
    source_version: Option<u64>,
    source: &'static str,
    created_at: &'static str,
    updated_at: &'static str,
}

/// Answers `GET /api/contacts/{id}` with a contact that is always there, and nothing else around it.
///
/// # Errors
/// When the listener fails.
pub(super) async fn serve_bare(listener: TcpListener) -> std::io::Result<()> {
    let routes = Router::new().route("/api/contacts/{id}", get(contact));
    axum::serve(listener, routes).await
}

async fn contact(Path(id): Path<String>) -> Json<Contact> {
    Json(Contact {
        id,
        first_name: "Ada",
        last_name: "Lovelace",
        email: "ada.lovelace@example.com",
        phone: "+1-555-0001234",
        company: "Company 12345",
        title: "Analyst",
        attributes: [],
        status: "ACTIVE",
        version: 1,
        source_version: None,
        source: "acme",
        created_at: "2026-11-21T10:00:00.000Z",
        updated_at: "2026-11-21T10:00:00.000Z",
    })
}

/// Keeps a body; whether it is kept.
pub(super) type Append =
    Arc<dyn Fn(Bytes) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// Answers `POST /api/webhooks`: the signature is verified, the body appended as it is, and nothing
/// else.
///
/// # Errors
/// When the listener fails.
pub(super) async fn serve_bare_webhooks(
    listener: TcpListener,
    secret: &str,
    append: Append,
) -> std::io::Result<()> {
    let form = SignatureForm::named("acme").ok_or(ErrorKind::NotFound)?;
    let verifier = Verifier::new(form, &[secret], 300_000).map_err(std::io::Error::other)?;
    let verifier = Arc::new(verifier);
    let take = move |headers: HeaderMap, body: Bytes| {
        let (verifier, append) = (Arc::clone(&verifier), Arc::clone(&append));
        async move {
            let header = |name: &str| headers.get(name).map(|value| value.as_bytes());
            if verifier.verify(header, "", &body, now_ms()).is_err() {
                return StatusCode::UNAUTHORIZED;
            }
            if append(body).await { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
        }
    };
    axum::serve(listener, Router::new().route("/api/webhooks", post(take))).await
}

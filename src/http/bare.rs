//! What any handler of this HTTP library costs at the least: the limit of `bench read`.

use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;

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
pub async fn serve_bare(listener: TcpListener) -> std::io::Result<()> {
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

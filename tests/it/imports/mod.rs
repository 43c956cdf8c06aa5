//! Imports of files, end to end on the embedded log: what a person with an address book relies on.

mod commands;
mod jobs;
mod resume;
mod round_trip;
mod trouble;

use axum::http::Method;
use serde_json::Value;

use crate::support::client::Client;
use crate::support::instance::until;

/// Gives a file and waits until its import has ended.
pub(crate) async fn import(client: &Client, query: &str, file: &str) -> Value {
    let given = give(client, query, file.as_bytes()).await;
    ended(client, given["id"].as_str().unwrap()).await
}

pub(crate) async fn give(client: &Client, query: &str, file: &[u8]) -> Value {
    let path = format!("/api/imports?{query}");
    client.send_bytes(Method::POST, &path, Some(file.to_vec())).await.expect(202).json()
}

pub(crate) async fn ended(client: &Client, id: &str) -> Value {
    let path = format!("/api/imports/{id}");
    until("the import has ended", async || {
        let job = client.get(&path).await.expect(200).json();
        let state = job["state"].as_str().unwrap();
        (!matches!(state, "waiting" | "running" | "undoing")).then_some(job.clone())
    })
    .await
}

//! The security log: a line for each incident, with whom, where and which request; and no secret.

use std::net::TcpListener;

use contactd::auth::{Accounts, Role, Roles};
use contactd::config::SignatureForm;
use contactd::ingest::{Message, now_ms, sign, sign_acme};
use serde_json::{Value, json};

use crate::support::access::{JWT_SECRET, PASSWORD, key, write_users};
use crate::support::client::Client;
use crate::support::instance::{until, until_ready};
use crate::support::logs::TestLog;
use crate::support::node::{Node, Running};

const WEBHOOK_SECRET: &str = "a-webhook-secret-of-at-least-32-bytes";
const NEW_PASSWORD: &str = "four green herons at noon";
/// Typed where the name belongs.
const MISTYPED: &str = "correct horse battery";

/// The lines of the security log.
fn lines(stderr: &str) -> Vec<Value> {
    let lines = stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"] == "contactd::security").collect()
}

/// A change of the file of users.
async fn until_told(running: &Running, detail: &str) {
    until(&format!("{detail} is told"), async || {
        let told = lines(&running.stderr());
        told.iter().any(|line| line["detail"] == detail).then_some(())
    })
    .await;
}

/// Signs in, in many ways, and out; returns the id of the wrong sign-in's request.
async fn all_sorts(client: &Client) -> String {
    let anonymous = client.clone().anonymous();
    let login = |name: &str, password: &str| {
        let body = json!({ "username": name, "password": password });
        let anonymous = anonymous.clone();
        async move { anonymous.post("/api/auth/login", &body).await }
    };
    let tokens = login("viewer", PASSWORD).await.expect(200).json();
    let wrong = login("viewer", "not that one").await.expect(401);
    login(MISTYPED, "x").await.expect(401);
    for _ in 0..5 {
        login("editor", "not that one").await;
    }
    let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
    let mine = client.clone().with_token(&text("accessToken"));
    let body = json!({ "refreshToken": text("refreshToken") });
    mine.post("/api/contacts", &json!({ "id": "c1" })).await.expect(403);
    anonymous.clone().with("x-api-key", "ck_nobodys").get("/api/stats").await.expect(401);
    anonymous.clone().with_token("a.b.c").get("/api/stats").await.expect(401);
    anonymous.post("/api/auth/refresh", &body).await.expect(200);
    anonymous.post("/api/auth/refresh", &body).await.expect(401);
    let tokens = login("viewer", PASSWORD).await.expect(200).json();
    let mine = client.clone().with_token(tokens["accessToken"].as_str().unwrap());
    mine.post("/api/auth/logout", &json!({})).await.expect(204);
    webhooks(&anonymous).await;
    let writer = client.clone().with_role(Role::Editor);
    writer.post("/api/contacts", &json!({ "id": "c1" })).await.expect(201);
    writer.post("/api/contacts", &json!({ "id": "c2" })).await.expect_error(429, "RATE_LIMITED");
    anonymous.get("/metrics").await.expect_error(403, "ADDRESS_NOT_ALLOWED");
    let tokens = login("ingest", PASSWORD).await.expect(200).json();
    let mine = client.clone().with_token(tokens["accessToken"].as_str().unwrap());
    let body = json!({ "currentPassword": PASSWORD, "newPassword": NEW_PASSWORD });
    mine.post("/api/auth/password", &body).await.expect(200);
    // Expired or missing credentials are no incident.
    anonymous.get("/api/stats").await.expect(401);
    wrong.header("x-request-id").to_owned()
}

/// One without a signature, one of long ago, one of a source that somebody made up, and one whose time is not
/// signed.
async fn webhooks(anonymous: &Client) {
    let body = json!({});
    anonymous.post("/api/webhooks", &body).await.expect(401);
    let signature = sign_acme(WEBHOOK_SECRET, "1000", body.to_string().as_bytes());
    let stale = anonymous.clone().with("x-acme-timestamp", "1000");
    let stale = stale.with("x-acme-signature", &signature);
    stale.post("/api/webhooks", &body).await.expect_error(401, "TIMESTAMP_OUT_OF_WINDOW");
    anonymous.post("/api/webhooks/made-up", &body).await.expect(404);
    let (form, bytes) = (SignatureForm::named("acme-body").unwrap(), body.to_string());
    let message = Message { body: bytes.as_bytes(), ..Message::default() };
    let signature = sign(&form, WEBHOOK_SECRET, &message).unwrap();
    let time = (now_ms() / 1_000).to_string();
    let unsigned_time = anonymous.clone().with("x-acme-timestamp", &time);
    let unsigned_time = unsigned_time.with("x-acme-signature", &signature);
    unsigned_time.post("/api/webhooks", &body).await.expect_error(401, "INVALID_SIGNATURE");
}

/// Who changed a password, and where and by which request others were refused.
fn assert_named(told: &[Value]) {
    let one = |name: &str, value: &str| told.iter().find(|line| line[name] == value).unwrap();
    assert_eq!(one("detail", "password")["by"], "user:ingest");
    for incident in ["rate_limited", "address_refused"] {
        let line = one("incident", incident);
        assert_eq!(line["address"], "127.0.0.1", "{line}");
        assert!(line["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{line}");
    }
}

#[tokio::test]
async fn each_incident_has_its_line_with_whom_where_and_which_request() {
    let directory = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let store = directory.path().join("store");
    let users_file = store.join("users.toml");
    write_users(&users_file);
    let node = TestLog::embedded(&directory.path().join("log"))
        .followed_by(Node::new(&store))
        .with("server.listen", address)
        .with("jwt.secret", JWT_SECRET)
        .with("telemetry.log", "info")
        .with("telemetry.log_format", "json")
        .with("limits.account", "3/1h")
        .with("limits.write", "1/1h")
        .with("allow.metrics", "10.0.0.0/8")
        .with("auth.refresh_grace", "0s")
        .with("source.acme.secret", WEBHOOK_SECRET);
    let running = node.start("");
    let client = Client::new(address).with_role(Role::Admin);
    until_ready(address).await;
    let request_id = all_sorts(&client).await;
    // Two changes between two looks at the file are one to it.
    until_told(&running, "password").await;
    let accounts = Accounts::at(&users_file).by("user:boss");
    accounts.create_key("robot", Roles::of(&[Role::Ingest]), None).unwrap();
    accounts.disable_user("metrics").unwrap();
    until_told(&running, "disabled").await;
    let stderr = tokio::task::spawn_blocking(move || running.stop()).await.unwrap().stderr;
    let told = lines(&stderr);
    let count = |incident: &str, user: &str, detail: &str| {
        let found = told.iter().filter(|line| {
            line["incident"] == incident
                && line["user"] == user
                && line["detail"].as_str().is_some_and(|at| at.starts_with(detail))
        });
        found.count()
    };
    for (incident, user, detail, lines) in [
        ("signed_in", "viewer", "", 2),
        ("sign_in_failed", "viewer", "wrong_password", 1),
        ("sign_in_failed", "unknown", "unknown_user", 1),
        ("sign_in_failed", "editor", "wrong_password", 3),
        ("locked_out", "editor", "account", 2),
        ("forbidden", "viewer", "", 1),
        ("credential_refused", "unknown", "invalid_api_key", 1),
        ("credential_refused", "unknown", "invalid_token", 1),
        ("refresh_reused", "viewer", "", 1),
        ("signed_out", "viewer", "", 1),
        ("webhook_refused", "unknown", "invalid_signature acme", 2),
        ("webhook_refused", "unknown", "timestamp_out_of_window acme", 1),
        ("webhook_refused", "unknown", "unknown_source", 1),
        ("rate_limited", "key:editor", "write", 1),
        ("address_refused", "unknown", "", 1),
        ("user_changed", "ingest", "password", 1),
        ("key_changed", "key:robot", "created with ingest", 1),
        ("user_changed", "metrics", "disabled", 1),
    ] {
        assert_eq!(count(incident, user, detail), lines, "{incident} {user} {detail}: {told:#?}");
    }
    assert!(stderr.contains(r#"set source.acme.signature = \"acme-body\""#), "no setting is named");
    let one = |name: &str, value: &str| told.iter().find(|line| line[name] == value).unwrap();
    let wrong = one("request_id", &request_id);
    assert_eq!((&wrong["user"], &wrong["address"]), (&json!("viewer"), &json!("127.0.0.1")));
    assert_eq!(one("incident", "key_changed")["by"], "user:boss");
    assert_named(&told);
    let secrets =
        [NEW_PASSWORD, MISTYPED, "not that one", PASSWORD, "ck_nobodys", WEBHOOK_SECRET, "made-up"];
    for secret in secrets.into_iter().chain([&*key(Role::Admin)]) {
        assert!(!stderr.contains(secret), "{secret} is logged");
    }
}

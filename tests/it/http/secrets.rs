//! Nothing that must stay secret, and nobody's data, is written where people look.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use contactd::auth::Role;
use contactd::ingest::sign_acme;
use serde_json::json;

use crate::support::access::{JWT_SECRET, PASSWORD, key, write_users};
use crate::support::client::Client;
use crate::support::instance::until_ready;
use crate::support::logs::TestLog;
use crate::support::node::Node;

const WEBHOOK_SECRET: &str = "a-webhook-secret-of-at-least-32-bytes";
const REDIS_PASSWORD: &str = "redis-password-of-this-test";
const WRONG_PASSWORD: &str = "nobody's umbrella 77";
const EMAIL: &str = "countess@lovelace.example";

fn node(directory: &Path, address: SocketAddr) -> Node {
    let store = directory.join("store");
    write_users(&store.join("users.toml"));
    TestLog::embedded(&directory.join("log"))
        .followed_by(Node::new(&store))
        .with("server.listen", address)
        .with("jwt.secret", JWT_SECRET)
        .with("acme.webhook_secret", WEBHOOK_SECRET)
        .with("redis.url", format!("redis://:{REDIS_PASSWORD}@127.0.0.1:1"))
        .with("telemetry.log", "debug")
        // A refresh token that comes again is reuse at once.
        .with("auth.refresh_grace", "0s")
}

/// Everything that a client may send of these, right and wrong; returns what it was given.
async fn all_sorts(client: &Client) -> Vec<String> {
    let anonymous = client.clone().anonymous();
    let login = |name: &str, password: &str| {
        let body = json!({ "username": name, "password": password });
        let anonymous = anonymous.clone();
        async move { anonymous.post("/api/auth/login", &body).await }
    };
    let tokens = login("viewer", PASSWORD).await.expect(200).json();
    login("viewer", WRONG_PASSWORD).await.expect(401);
    // A password where the name belongs.
    login(WRONG_PASSWORD, "x").await.expect(401);
    let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
    let (access, refresh) = (text("accessToken"), text("refreshToken"));
    let mine = client.clone().with_token(&access);
    mine.get(&format!("/api/contacts?email={EMAIL}")).await.expect(200);
    mine.get(&format!("/api/contacts?email={EMAIL}&token={access}")).await.expect(400);
    let body = json!({ "refreshToken": refresh });
    let second = anonymous.post("/api/auth/refresh", &body).await.expect(200).json();
    anonymous.post("/api/auth/refresh", &body).await.expect(401);
    client.post("/api/contacts", &json!({ "id": "c1", "email": EMAIL })).await.expect(201);
    client.post("/api/contacts", &json!({ "emial": EMAIL })).await.expect(422);
    let event = json!({ "id": "e1", "eventType": "contact.updated", "timestamp": 1_795_255_200_000_u64,
        "data": { "id": "c2", "email": EMAIL } });
    let time = (contactd::app::now_ms() / 1000).to_string();
    let signature = sign_acme(WEBHOOK_SECRET, &time, event.to_string().as_bytes());
    for signature in [signature.clone(), format!("{signature}0")] {
        let sender = anonymous.clone().with("x-acme-timestamp", &time);
        sender.with("x-acme-signature", &signature).post("/api/webhooks", &event).await;
    }
    let second = second["refreshToken"].as_str().unwrap().to_owned();
    vec![access, refresh, second, signature]
}

#[tokio::test]
async fn no_secret_and_nobodys_data_is_logged_counted_or_printed() {
    let directory = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let node = node(directory.path(), address);
    let running = node.start("");
    let client = Client::new(address).with_role(Role::Admin);
    until_ready(address).await;
    let given = all_sorts(&client).await;
    let metrics =
        String::from_utf8(client.get("/metrics").await.expect(200).body.to_vec()).unwrap();
    let ended = tokio::task::spawn_blocking(move || running.stop()).await.unwrap();
    assert!(ended.status.success(), "{}", ended.stderr);
    let printed = node.command(&["config", "print"]).output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(ended.stderr.contains("/api/contacts"), "it logs requests: {}", ended.stderr);
    assert!(printed.contains("webhook_secret"), "{printed}");
    let secrets = [
        PASSWORD,
        WRONG_PASSWORD,
        JWT_SECRET,
        WEBHOOK_SECRET,
        REDIS_PASSWORD,
        EMAIL,
        &key(Role::Admin),
    ];
    let secrets = secrets.into_iter().map(str::to_owned).chain(given);
    for secret in secrets {
        for (place, text) in [("log", &ended.stderr), ("metrics", &metrics), ("print", &printed)] {
            let line = text.lines().find(|line| line.contains(&secret));
            assert!(line.is_none(), "the {place} holds {secret}: {line:?}");
        }
    }
}

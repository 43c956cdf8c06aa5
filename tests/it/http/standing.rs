//! What was let in ends when its sender may no longer, and what only the role admin lets through comes
//! from where that role holds.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use contactd::auth::{Accounts, Role, Roles};
use contactd::http::{Api, HttpLimits, Services};
use contactd::telemetry::Metrics;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::client::{Answer, Peer, get_with, send};
use super::fixture::Fixture;
use super::limits::configured;
use crate::support::access::{self, PASSWORD};
use crate::support::client::Client;
use crate::support::instance::{Instance, until};
use crate::support::sse::SseClient;

/// Gives the key of one role another role, as somebody with an editor would.
fn change_key(users_file: &Path, role: Role, to: Role) {
    let text = std::fs::read_to_string(users_file).unwrap();
    let (from, to) = (role.as_str(), to.as_str());
    let key = |role: &str| format!("[[key]]\nname = \"{from}\"\nroles = [\"{role}\"]");
    assert!(text.contains(&key(from)), "{text}");
    let new = users_file.with_extension("changed");
    std::fs::write(&new, text.replace(&key(from), &key(to))).unwrap();
    std::fs::rename(&new, users_file).unwrap();
}

#[tokio::test]
async fn a_feed_ends_when_the_role_that_opened_it_is_taken_or_its_key_or_user() {
    let instance = Instance::builder().with("feed.heartbeat", "1s").start().await;
    let users_file = instance.path().join("users.toml");
    let accounts = Accounts::at(&users_file);
    let url = format!("http://{}/api/feed", instance.address);
    let key = accounts.create_key("reader", Roles::of(&[Role::Viewer]), None).unwrap();
    let body = json!({ "username": "viewer", "password": PASSWORD });
    let signed_in = instance.client().anonymous().post("/api/auth/login", &body).await.expect(200);
    let token = signed_in.json()["accessToken"].as_str().unwrap().to_owned();
    let with_key = instance.client().anonymous().with("x-api-key", &key);
    until("the key is known", async || {
        with_key.get("/api/stats").await.status.is_success().then_some(())
    })
    .await;
    let by_role = SseClient::connect(&url, &[]).await.expect("a feed");
    let by_key = SseClient::with_key(&url, &key).await.expect("a feed");
    let by_token = SseClient::signed_in(&url, &token).await.expect("a feed");
    change_key(&users_file, Role::Viewer, Role::Metrics);
    accounts.revoke_key("reader").unwrap();
    accounts.set_password("viewer", "another seven cranes").unwrap();
    for mut feed in [by_role, by_key, by_token] {
        let mut last = None;
        while let Some(event) = feed.next().await {
            last = Some(event.event);
        }
        assert_eq!(last.as_deref(), Some("unauthorized"));
    }
}

#[tokio::test]
async fn a_read_that_waited_is_not_answered_to_who_may_no_longer_read() {
    let fixture = Fixture::with_contacts(1);
    let directory = tempfile::tempdir().unwrap();
    let auth = access::auth(directory.path(), &Arc::new(Metrics::new().unwrap()));
    let services = Services { auth: Some(Arc::clone(&auth)), ..Services::default() };
    let minute = Duration::from_secs(60);
    let longer = |limits: &mut HttpLimits| {
        (limits.request_timeout, limits.position_wait) = (minute, minute);
    };
    let router = fixture.router_by(longer, services);
    let stop = CancellationToken::new();
    let ahead = fixture.position_ahead().encode();
    let key = access::key(Role::Editor);
    let headers = [("x-api-key", key.as_str()), ("position", ahead.as_str())];
    let reading = get_with(&router, "/api/contacts/c000000", &headers);
    let changing = async {
        fixture.until_one_waits().await;
        change_key(&directory.path().join("users.toml"), Role::Editor, Role::Metrics);
        until("the change is seen", async || {
            (!auth.has_role("key:editor", Role::Editor)).then_some(())
        })
        .await;
        fixture.rename("c000000", "Grace");
        stop.cancel();
    };
    let (answer, (), ()) = tokio::join!(reading, changing, auth.run(stop.clone()));
    answer.expect_error(403, "FORBIDDEN");
}

#[tokio::test]
async fn a_redrive_ends_when_who_ordered_it_may_no_longer() {
    let instance = Instance::start().await;
    for number in 0..100 {
        instance.append_bytes(&format!("c{number}"), b"no event").await;
    }
    let editor = instance.client().with_role(Role::Editor);
    until("all are archived", async || {
        let letters = editor.get("/api/dead-letters?limit=100").await;
        let count = letters.json()["data"].as_array().map_or(0, Vec::len);
        (count == 100).then_some(())
    })
    .await;
    let order = json!({ "reason": "malformed_json", "rate": 1 });
    let job = instance.client().post("/api/dead-letters/redrive", &order).await.expect(201).json();
    change_key(&instance.path().join("users.toml"), Role::Admin, Role::Viewer);
    let path = format!("/api/dead-letters/redrives/{}", job["id"].as_str().unwrap());
    let job = until("it has ended", async || {
        let job = editor.get(&path).await.expect(200).json();
        (job["state"] != "running").then_some(job)
    })
    .await;
    assert_eq!(job["state"], "stopped");
    assert_eq!(job["why"], "key:admin may not redrive any more");
    assert!(job["counts"]["done"].as_u64().unwrap() < 100, "{job}");
}

/// A request with a key, from an address.
async fn from(router: &Api, address: &str, key: &str, (method, path): (Method, &str)) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("x-api-key", key);
    if let Some(extensions) = request.extensions_mut() {
        extensions.insert(Peer(address.parse::<IpAddr>().unwrap()));
    }
    send(router, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn what_the_role_admin_lets_through_comes_from_where_admins_may_be() {
    let fixture = Fixture::with_contacts(1);
    access::write_users(&fixture.path().join("users.toml"));
    let accounts = Accounts::at(fixture.path().join("users.toml"));
    let both = Roles::of(&[Role::Admin, Role::Editor]);
    let both = accounts.create_key("both", both, None).unwrap();
    let router = configured(&fixture, "allow.admin = [\"10.0.0.0/8\"]");
    let admin = access::key(Role::Admin);
    let erase = (Method::DELETE, "/api/contacts/none?erase=true");
    let others = (Method::GET, "/api/auth/tokens?user=viewer");
    let end = (Method::DELETE, "/api/auth/tokens/none?user=viewer");
    let contact = (Method::GET, "/api/contacts/c000000");
    let redrive = (Method::POST, "/api/dead-letters/redrive");
    let own = (Method::GET, "/api/auth/me");
    for (key, request, is_let_elsewhere) in [
        (&admin, &erase, false),
        (&admin, &others, false),
        (&admin, &end, false),
        (&admin, &redrive, false),
        // Nothing else than that role lets it read.
        (&admin, &contact, false),
        (&admin, &own, true),
        (&both, &erase, false),
        (&both, &others, false),
        (&both, &contact, true),
        (&both, &own, true),
    ] {
        let here = from(&router, "10.1.2.3", key, request.clone()).await;
        assert_ne!(here.status, 403, "{request:?}");
        let elsewhere = from(&router, "192.0.2.1", key, request.clone()).await;
        if is_let_elsewhere {
            elsewhere.expect(200);
        } else {
            elsewhere.expect_error(403, "ADDRESS_NOT_ALLOWED");
        }
    }
}

async fn wrong(client: &Client, login: &str) -> u16 {
    let body = json!({ "username": login, "password": "not that one" });
    client.clone().anonymous().post("/api/auth/login", &body).await.status.as_u16()
}

async fn right(client: &Client, login: &str) -> u16 {
    let body = json!({ "username": login, "password": PASSWORD });
    client.clone().anonymous().post("/api/auth/login", &body).await.status.as_u16()
}

#[tokio::test]
async fn no_login_that_is_typed_counts_as_another_users() {
    let instance = Instance::builder().with("limits.auth", "off").with("limits.account", "3/1h");
    let instance = instance.start().await;
    let client = instance.client();
    assert_eq!(right(&client, "viewer").await, 200);
    for login in ["viewer 127.0.0.1", "user:viewer", "viewer\u{0}127.0.0.1", "user_at:viewer"] {
        for status in [401, 401, 401, 429] {
            assert_eq!(wrong(&client, login).await, status, "{login}");
        }
    }
    assert_eq!(right(&client, "viewer").await, 200);
}

#[tokio::test]
async fn name_and_address_of_one_user_share_their_attempts_without_telling_that_they_are_one() {
    let instance = Instance::builder().with("limits.auth", "off").with("limits.account", "3/1h");
    let instance = instance.start().await;
    let client = instance.client();
    for (name, email) in [("editor", "editor@example.com"), ("nobody", "nobody@example.com")] {
        for login in [name, email] {
            for status in [401, 401, 401, 429] {
                assert_eq!(wrong(&client, login).await, status, "{login}");
            }
        }
    }
    // Three guesses in all, not three by each of its names.
    for _ in 0..3 {
        assert_eq!(wrong(&client, "ingest").await, 401);
    }
    assert_eq!(right(&client, "ingest@example.com").await, 401);
}

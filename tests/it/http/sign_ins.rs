//! Sign-ins have bounds, people change their own password, and whoever is disabled is out.

use contactd::auth::{Accounts, Role};
use contactd::domain::control::ControlRecord;
use contactd::domain::position::CONTROL_LANE;
use contactd::event_log::NewRecord;
use serde_json::{Value, json};

use super::client::Answer;
use crate::support::access::PASSWORD;
use crate::support::client::Client;
use crate::support::instance::{Instance, until};

const NEW_PASSWORD: &str = "seven folded herons";

async fn login(client: &Client, name: &str, password: &str) -> Answer {
    let body = json!({ "username": name, "password": password });
    client.clone().anonymous().post("/api/auth/login", &body).await
}

/// The access token and the refresh token.
fn pair(answer: &Answer) -> (String, String) {
    let json = answer.json();
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    (text("accessToken"), text("refreshToken"))
}

async fn signed_in(client: &Client, name: &str) -> (String, String) {
    pair(&login(client, name, PASSWORD).await.expect(200))
}

async fn status_of(client: &Client, token: &str) -> u16 {
    client.clone().with_token(token).get("/api/auth/me").await.status.as_u16()
}

#[tokio::test]
async fn a_user_signs_in_so_often_and_no_more() {
    let instance = Instance::builder().with("limits.auth", "off").with("limits.sign_in", "3/1h");
    let instance = instance.start().await;
    let client = instance.client();
    for _ in 0..3 {
        login(&client, "viewer", PASSWORD).await.expect(200);
    }
    let refused = login(&client, "viewer", PASSWORD).await.expect_error(429, "RATE_LIMITED");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=1200).contains(&wait), "{wait}");
    assert_eq!(refused.json()["error"]["details"]["limit"], "sign_in");
    login(&client, "editor", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn the_sign_in_that_was_not_used_for_the_longest_time_makes_room() {
    let instance = Instance::builder().with("auth.sessions_max", 2).start().await;
    let client = instance.client();
    let (first, _) = signed_in(&client, "viewer").await;
    let (second, _) = signed_in(&client, "viewer").await;
    let (third, _) = signed_in(&client, "viewer").await;
    let mut statuses = Vec::new();
    for token in [&first, &second, &third] {
        statuses.push(status_of(&client, token).await);
    }
    assert_eq!(statuses, [401, 200, 200]);
}

/// Some entries of so many bytes, which others made.
fn filling(bytes: usize, numbers: std::ops::Range<u32>) -> Vec<NewRecord> {
    let now_ms = contactd::app::now_ms();
    let record = |number| {
        let record = ControlRecord {
            id: format!("filling-{bytes}-{number}"),
            key: format!("family/filling/{bytes}/{number}"),
            expected_revision: None,
            expires_at_ms: Some(now_ms + 3_600_000),
            lives_ms: None,
            revokes: false,
            restated: None,
            value: Some(format!("\"{}\"", "x".repeat(bytes)).into_bytes()),
            principal: None,
            request_id: None,
        };
        NewRecord {
            key: record.key.clone().into_bytes(),
            value: Some(record.encode().unwrap()),
            headers: Vec::new(),
            timestamp_ms: i64::try_from(now_ms).unwrap(),
            lane: Some(CONTROL_LANE),
        }
    };
    numbers.map(record).collect()
}

#[tokio::test]
async fn when_sign_ins_find_no_room_that_is_said_and_signing_out_goes_on() {
    let instance = Instance::builder().with("store.dirty_bytes_max", "64MiB").start().await;
    let client = instance.client();
    let (access, refresh) = signed_in(&client, "viewer").await;
    let healthy = client.get("/readyz?verbose").await.expect(200).body;
    assert!(!String::from_utf8(healthy).unwrap().contains("nobody can sign in"));
    // 48 of 64 MiB.
    for chunk in 0..16_u32 {
        let some = filling(32_000, chunk * 100..chunk * 100 + 100);
        instance.log().append(some).await.unwrap();
    }
    // And into what is left between them.
    instance.log().append(filling(100, 0..200)).await.unwrap();
    let refused = until("there is no room", async || {
        let answer = login(&client, "editor", PASSWORD).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    let refused = refused.expect_error(503, "SESSIONS_UNAVAILABLE");
    assert_eq!(refused.header("retry-after"), "60");
    let verbose = client.get("/readyz?verbose").await.expect(200).body;
    assert!(String::from_utf8(verbose).unwrap().contains("nobody can sign in"));
    let metrics = String::from_utf8(client.get("/metrics").await.body).unwrap();
    let taken = metrics.lines().find(|line| line.starts_with("contactd_control_taken_ratio "));
    let taken: f64 = taken.unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    assert!((0.74..0.8).contains(&taken), "{taken}");
    assert!(metrics.contains("contactd_auth_logins_total{result=\"full\"}"));
    // Who is signed in stays so, and what others write finds room.
    let body = json!({ "refreshToken": refresh });
    let refreshed = client.clone().anonymous().post("/api/auth/refresh", &body).await.expect(200);
    let (access_2, _) = pair(&refreshed);
    let mine = client.clone().with_token(&access_2);
    mine.post("/api/auth/logout", &json!({})).await.expect(204);
    assert_eq!(
        (status_of(&client, &access).await, status_of(&client, &access_2).await),
        (401, 401)
    );
    instance.append_bytes("c1", b"no event").await;
    until("a dead letter is there", async || {
        let letters = client.get("/api/dead-letters").await;
        letters.json()["data"].as_array().is_some_and(|all| !all.is_empty()).then_some(())
    })
    .await;
    let order = json!({ "reason": "malformed_json" });
    client.post("/api/dead-letters/discard", &order).await.expect(201);
}

async fn change(client: &Client, token: &str, present: &str, new: &str) -> Answer {
    let body = json!({ "currentPassword": present, "newPassword": new });
    client.clone().with_token(token).post("/api/auth/password", &body).await
}

#[tokio::test]
async fn people_change_their_own_password_and_are_signed_out_elsewhere() {
    let instance = Instance::builder().with("limits.account", "3/1h").start().await;
    let client = instance.client();
    let (here, _) = signed_in(&client, "viewer").await;
    let (elsewhere, refresh) = signed_in(&client, "viewer").await;
    let unfit = change(&client, &here, PASSWORD, "Football1").await;
    let unfit = unfit.expect_error(422, "VALIDATION_FAILED");
    assert!(unfit.json().to_string().contains("newPassword"));
    change(&client, &here, "not that one", NEW_PASSWORD)
        .await
        .expect_error(401, "INVALID_CREDENTIALS");
    let changed = change(&client, &here, PASSWORD, NEW_PASSWORD).await.expect(200);
    assert_eq!(changed.header("cache-control"), "no-store");
    let (new, _) = pair(&changed);
    for (token, status) in [(&here, 401), (&elsewhere, 401), (&new, 200)] {
        assert_eq!(status_of(&client, token).await, status);
    }
    let body = json!({ "refreshToken": refresh });
    client.clone().anonymous().post("/api/auth/refresh", &body).await.expect(401);
    let sessions = client.clone().with_token(&new).get("/api/auth/tokens").await.json();
    assert_eq!(sessions["data"].as_array().unwrap().len(), 1);
    login(&client, "viewer", PASSWORD).await.expect(401);
    login(&client, "viewer", NEW_PASSWORD).await.expect(200);
    // A key has none.
    let body = json!({ "currentPassword": PASSWORD, "newPassword": NEW_PASSWORD });
    client.post("/api/auth/password", &body).await.expect_error(403, "FORBIDDEN");
}

#[tokio::test]
async fn a_wrong_present_password_counts_as_a_sign_in_that_failed() {
    let instance = Instance::builder().with("limits.account", "3/1h").with("limits.auth", "off");
    let instance = instance.start().await;
    let client = instance.client();
    let (token, _) = signed_in(&client, "editor").await;
    for _ in 0..3 {
        change(&client, &token, "not that one", NEW_PASSWORD).await.expect(401);
    }
    let refused = change(&client, &token, PASSWORD, NEW_PASSWORD).await;
    refused.expect_error(429, "RATE_LIMITED");
}

#[tokio::test]
async fn who_is_disabled_is_out_and_comes_back_with_nothing_of_before() {
    // Signing in is tried again and again.
    let builder = Instance::builder().with("limits.auth", "off").with("limits.account", "off");
    let instance = builder.start().await;
    let client = instance.client().with_role(Role::Admin);
    let accounts = Accounts::at(instance.path().join("users.toml"));
    let (access, refresh) = signed_in(&client, "viewer").await;
    accounts.disable_user("viewer").unwrap();
    until("the token is of no use", async || {
        (status_of(&client, &access).await == 401).then_some(())
    })
    .await;
    let body: Value = json!({ "refreshToken": refresh });
    let anonymous = client.clone().anonymous();
    login(&client, "viewer", PASSWORD).await.expect_error(401, "INVALID_CREDENTIALS");
    accounts.enable_user("viewer").unwrap();
    until("the user can sign in", async || {
        (login(&client, "viewer", PASSWORD).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(status_of(&client, &access).await, 401);
    anonymous.post("/api/auth/refresh", &body).await.expect_error(401, "INVALID_REFRESH_TOKEN");
}

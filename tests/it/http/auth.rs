//! Who is let in, to what, and how that is told.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request};
use contactd::auth::{Role, Roles};
use contactd::http::{Optional, access_table};
use serde_json::{Value, json};

use super::client::{Answer, send_as_it_is};
use super::fixture::Fixture;
use crate::support::access::{self, PASSWORD};
use crate::support::client::Client;
use crate::support::instance::{Instance, until};

/// Not by who it is or what it may do.
fn is_let_in(answer: &Answer) -> bool {
    if answer.status.is_success() {
        return true;
    }
    let code = answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned();
    !["AUTHENTICATION_REQUIRED", "INVALID_API_KEY", "FORBIDDEN"].contains(&code.as_str())
}

/// A request of that endpoint that changes nothing.
async fn try_it(client: &Client, method: &Method, template: &str) -> Answer {
    let mut path = String::new();
    for (index, part) in template.split(['{', '}']).enumerate() {
        path.push_str(if index % 2 == 1 { "nothing-of-that-name" } else { part });
    }
    // What is for the page alone would refuse anybody else.
    client.clone().with("x-contactd-page", "1").head_of(method.clone(), &path).await
}

#[tokio::test]
async fn every_endpoint_lets_in_the_roles_of_its_row_and_nobody_else() {
    // More fail than one address may.
    let instance = Instance::builder().with("limits.auth", "off").start().await;
    let table = access_table(Optional::default());
    assert!(table.len() > 8, "the table is not the table");
    let mut cells = 0;
    for (method, path, needed) in &table {
        let what = format!("{method} {path}");
        let anonymous = try_it(&instance.client().anonymous(), method, path).await;
        match needed {
            None => assert!(is_let_in(&anonymous), "{what} is public"),
            Some(_) => {
                let anonymous = anonymous.expect_error(401, "AUTHENTICATION_REQUIRED");
                assert_eq!(anonymous.header("www-authenticate"), "Bearer realm=\"contactd\"");
            }
        }
        let unknown = instance.client().with("x-api-key", "ck_unknown");
        let unknown = try_it(&unknown, method, path).await;
        assert_eq!(is_let_in(&unknown), needed.is_none(), "{what}");
        for role in Role::ALL {
            let answer = try_it(&instance.client().with_role(role), method, path).await;
            let may = needed.is_none_or(|needed| needed.has(role));
            assert_eq!(is_let_in(&answer), may, "{what} as {}", role.as_str());
            if !may {
                let answer = answer.expect_error(403, "FORBIDDEN");
                let words = needed.map(Roles::words).unwrap_or_default();
                assert_eq!(answer.json()["error"]["details"]["requiredRoles"], json!(words));
                let scope = format!("scope=\"{}\"", words.join(" "));
                assert!(answer.header("www-authenticate").contains(&scope));
            }
            cells += 1;
        }
    }
    assert_eq!(cells, table.len() * Role::ALL.len());
}

#[test]
fn an_operator_changes_nothing_but_what_is_tried_again() {
    let may_change = access_table(Optional::ALL)
        .into_iter()
        .filter(|(method, path, needed)| {
            method != Method::GET
                && needed.is_some_and(|needed| needed.has(Role::Operator))
                && !path.starts_with("/api/auth/")
        })
        .map(|(method, path, _)| format!("{method} {path}"));
    let may_change: BTreeSet<String> = may_change.collect();
    let expected = [
        "DELETE /api/dead-letters/redrives/{id}",
        "POST /api/backups",
        "POST /api/dead-letters/redrive",
        "POST /api/dead-letters/redrive/{id}",
        "POST /api/followers/{name}/parked/{id}/redrive",
        "POST /api/followers/{name}/pause",
        "POST /api/followers/{name}/replay",
        "POST /api/followers/{name}/resume",
        "POST /api/reload",
    ];
    assert_eq!(may_change, expected.map(str::to_owned).into());
}

async fn login(client: &Client, body: Value) -> Answer {
    client.clone().anonymous().post("/api/auth/login", &body).await
}

#[tokio::test]
async fn a_password_gives_a_token_and_the_token_lets_in() {
    let instance = Instance::start().await;
    let client = instance.client();
    for who in [json!({"username": "viewer"}), json!({"email": "Viewer@Example.com"})] {
        let mut body = who;
        body["password"] = json!(PASSWORD);
        let answer = login(&client, body).await.expect(200);
        assert_eq!(answer.header("cache-control"), "no-store");
        let tokens = answer.json();
        assert_eq!((&tokens["tokenType"], &tokens["expiresIn"]), (&json!("Bearer"), &json!(900)));
        let client = client.clone().with_token(tokens["accessToken"].as_str().unwrap());
        client.get("/api/contacts").await.expect(200);
        let me = client.get("/api/auth/me").await.expect(200).json();
        assert_eq!(me["principal"], "user:viewer");
        assert_eq!(
            (&me["username"], &me["email"]),
            (&json!("viewer"), &json!("viewer@example.com"))
        );
        assert_eq!(me["roles"], json!(["viewer"]));
        assert!(me["session"].is_string() && me["expiresAt"].is_string());
        let other = client.with("authorization", "Bearer a.b.c");
        let other = other.get("/api/contacts").await.expect_error(401, "INVALID_TOKEN");
        assert!(other.header("www-authenticate").contains("error=\"invalid_token\""));
    }
    let me = client.get("/api/auth/me").await.expect(200).json();
    assert_eq!((&me["principal"], &me["kind"]), (&json!("key:admin"), &json!("key")));
    assert_eq!((&me["session"], &me["expiresAt"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_told_alike() {
    let fixture = Fixture::with_contacts(0);
    let router = fixture.router();
    let mut told = Vec::new();
    for name in ["viewer", "nobody", "nobody@example.com"] {
        let body = json!({"username": name, "password": "not that one"}).to_string();
        let request = Request::post("/api/auth/login").header("content-type", "application/json");
        let answer = send_as_it_is(&router, request.body(Body::from(body)).unwrap()).await;
        let answer = answer.expect(401);
        assert_eq!(answer.code(), "INVALID_CREDENTIALS");
        assert!(answer.headers.contains_key("www-authenticate"));
        told.push(answer.stable_error());
    }
    assert!(told.iter().all(|error| *error == told[0]), "{told:?}");
}

#[tokio::test]
async fn a_login_that_is_none_says_what_is_wrong_with_it() {
    let fixture = Fixture::with_contacts(0);
    let router = fixture.router();
    let json = "application/json";
    let all_fields = r#"{"username":1,"password":2,"role":"admin"}"#;
    for (kind, body, status, code, words) in [
        ("text/plain", "{}", 415, "UNSUPPORTED_MEDIA_TYPE", vec!["application/json"]),
        (json, "", 400, "INVALID_BODY", vec![]),
        (json, "[]", 400, "INVALID_BODY", vec!["object"]),
        (json, "{\"password\": \"hunter2", 400, "INVALID_BODY", vec!["line 1"]),
        (json, "{}", 422, "VALIDATION_FAILED", vec!["username", "password"]),
        (json, all_fields, 422, "VALIDATION_FAILED", vec!["username", "password", "role"]),
        (
            "application/json; charset=utf-8",
            r#"{"username":"a","email":"a@b.c","password":"hunter2"}"#,
            422,
            "VALIDATION_FAILED",
            vec!["email"],
        ),
    ] {
        let request = Request::post("/api/auth/login").header("content-type", kind);
        let answer = send_as_it_is(&router, request.body(Body::from(body)).unwrap()).await;
        let text = String::from_utf8(answer.body.clone()).unwrap();
        let answer = answer.expect_error(status, code);
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        for word in words {
            assert!(message.contains(word), "{message}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn credentials_twice_over_are_refused() {
    let fixture = Fixture::with_contacts(1);
    let router = fixture.router();
    let key = access::key(Role::Admin);
    for headers in [
        vec![("x-api-key", key.as_str()), ("x-api-key", key.as_str())],
        vec![("x-api-key", key.as_str()), ("authorization", "Bearer x")],
        vec![("authorization", "Basic YTpi")],
    ] {
        let mut request = Request::get("/api/contacts");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = send_as_it_is(&router, request.body(Body::empty()).unwrap()).await;
        let answer = answer.expect_error(401, "AUTHENTICATION_REQUIRED");
        assert!(answer.header("www-authenticate").contains("error=\"invalid_request\""));
    }
}

#[tokio::test]
async fn metrics_can_be_kept_for_those_with_a_role() {
    let instance = Instance::builder().with("telemetry.require_role", "true").start().await;
    instance.client().anonymous().get("/metrics").await.expect(401);
    instance.client().with_role(Role::Viewer).get("/metrics").await.expect(403);
    for role in [Role::Metrics, Role::Admin] {
        instance.client().with_role(role).get("/metrics").await.expect(200);
    }
    instance.client().anonymous().get("/livez").await.expect(200);
}

#[tokio::test]
async fn a_change_of_the_file_counts_without_a_restart() {
    use crate::support::instance::until;
    use contactd::auth::Accounts;
    let instance = Instance::start().await;
    let accounts = Accounts::at(instance.path().join("users.toml"));
    let key = accounts.create_key("new", Roles::of(&[Role::Viewer]), None).unwrap();
    let client = instance.client().with("x-api-key", &key);
    let status = async || client.get("/api/contacts").await.status.as_u16();
    until("the new key is known", async || (status().await == 200).then_some(())).await;
    accounts.revoke_key("new").unwrap();
    until("the key is gone", async || (status().await == 401).then_some(())).await;
}

#[tokio::test]
async fn many_sign_ins_at_once_leave_reads_alone() {
    let instance = Instance::builder().with("limits.auth", "off").with("limits.account", "off");
    let instance = instance.start().await;
    let client = instance.client();
    let mut logins = tokio::task::JoinSet::new();
    for number in 0..200 {
        let client = client.clone();
        logins.spawn(async move {
            let body = json!({"username": format!("user{number}"), "password": "not that one"});
            login(&client, body).await.status.as_u16()
        });
    }
    client.get("/api/contacts?limit=1").await.expect(200);
    let statuses: Vec<u16> = logins.join_all().await;
    let busy = statuses.iter().filter(|status| **status == 503).count();
    assert!(statuses.iter().all(|status| [401, 503].contains(status)), "{statuses:?}");
    assert!(busy > 0 && busy < 200, "{busy} of 200 were sent away");
}

/// Signs in, and returns the access token and the refresh token.
async fn signed_in(client: &Client, name: &str) -> (String, String) {
    let answer = login(client, json!({ "username": name, "password": PASSWORD })).await;
    pair(&answer.expect(200))
}

fn pair(answer: &Answer) -> (String, String) {
    let json = answer.json();
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    (text("accessToken"), text("refreshToken"))
}

async fn refresh(client: &Client, token: &str) -> Answer {
    client.clone().anonymous().post("/api/auth/refresh", &json!({ "refreshToken": token })).await
}

async fn status_of(client: &Client, token: &str) -> u16 {
    client.clone().with_token(token).get("/api/auth/me").await.status.as_u16()
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_reuse_ends_the_sign_in() {
    let instance = Instance::builder().with("auth.refresh_grace", "0s").start().await;
    let client = instance.client();
    let (first, refresh_1) = signed_in(&client, "viewer").await;
    let (second, refresh_2) = pair(&refresh(&client, &refresh_1).await.expect(200));
    assert_ne!((&first, &refresh_1), (&second, &refresh_2));
    assert_eq!((status_of(&client, &first).await, status_of(&client, &second).await), (200, 200));
    let reused = refresh(&client, &refresh_1).await.expect_error(401, "INVALID_REFRESH_TOKEN");
    assert!(reused.headers.contains_key("www-authenticate"));
    refresh(&client, &refresh_2).await.expect_error(401, "INVALID_REFRESH_TOKEN");
    for token in [&first, &second] {
        let answer = client.clone().with_token(token).get("/api/contacts").await;
        answer.expect_error(401, "TOKEN_REVOKED");
    }
    // Another sign-in of the same user goes on.
    let (other, _) = signed_in(&client, "viewer").await;
    assert_eq!(status_of(&client, &other).await, 200);
    let text = String::from_utf8(client.get("/metrics").await.body).unwrap();
    assert!(text.contains("contactd_auth_refreshes_total{result=\"reused\"} 1\n"));
}

/// Eight refreshes at once with one token.
async fn eight_at_once(client: &Client, token: &str) -> Vec<Answer> {
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (client, token) = (client.clone(), token.to_owned());
        tries.spawn(async move { refresh(&client, &token).await });
    }
    tries.join_all().await
}

#[tokio::test]
async fn without_grace_one_of_the_refreshes_at_once_with_one_token_wins() {
    let builder = Instance::builder().with("limits.auth", "off").with("auth.refresh_grace", "0s");
    let instance = builder.start().await;
    let client = instance.client();
    let (_, mut token) = signed_in(&client, "editor").await;
    for _ in 0..5 {
        let answers = eight_at_once(&client, &token).await;
        let won: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
        let lost = answers.iter().filter(|answer| answer.status == 401).count();
        assert_eq!((won.len(), lost), (1, 7), "one of eight");
        // Those that began after the winner had won may have ended the family: then begin anew.
        let (access, next) = pair(won[0]);
        token = next;
        if status_of(&client, &access).await == 401 {
            token = signed_in(&client, "editor").await.1;
        }
    }
}

#[tokio::test]
async fn refreshes_with_one_token_get_the_same_successor_in_the_grace() {
    let instance = Instance::builder().with("limits.auth", "off").start().await;
    let client = instance.client();
    let (_, mut token) = signed_in(&client, "editor").await;
    for _ in 0..5 {
        let answers = eight_at_once(&client, &token).await;
        let (access, next) = pair(&answers[0].clone().expect(200));
        for answer in &answers {
            let (other, same) = pair(&answer.clone().expect(200));
            assert_eq!(same, next, "one successor");
            assert_eq!(status_of(&client, &other).await, 200);
        }
        // The answer was lost, it is asked for once more.
        let (_, again) = pair(&refresh(&client, &token).await.expect(200));
        assert_eq!((again, status_of(&client, &access).await), (next.clone(), 200));
        token = next;
    }
    // The one before the last is a copy that somebody has, grace or not.
    let (_, second) = pair(&refresh(&client, &token).await.expect(200));
    let (access, _) = pair(&refresh(&client, &second).await.expect(200));
    refresh(&client, &token).await.expect_error(401, "INVALID_REFRESH_TOKEN");
    assert_eq!(status_of(&client, &access).await, 401);
}

#[tokio::test]
async fn a_refresh_token_that_comes_again_after_its_grace_ends_the_sign_in() {
    let instance = Instance::builder()
        .with("auth.refresh_grace", "1s")
        .with("limits.auth", "off")
        .start()
        .await;
    let client = instance.client();
    let (_, token) = signed_in(&client, "viewer").await;
    let (access, next) = pair(&refresh(&client, &token).await.expect(200));
    let mut repeats = 0;
    // Repeats do not stretch it.
    let refused = until("the grace is over", async || {
        let answer = refresh(&client, &token).await;
        if answer.status == 200 {
            assert_eq!(pair(&answer).1, next);
            repeats += 1;
            return None;
        }
        Some(answer)
    })
    .await;
    refused.expect_error(401, "INVALID_REFRESH_TOKEN");
    assert!(repeats > 0);
    assert_eq!(status_of(&client, &access).await, 401);
    refresh(&client, &next).await.expect_error(401, "INVALID_REFRESH_TOKEN");
}

#[tokio::test]
async fn what_is_no_refresh_token_ends_nothing() {
    let instance = Instance::start().await;
    let client = instance.client();
    let (access, token) = signed_in(&client, "viewer").await;
    let mut parts: Vec<&str> = token.split('.').collect();
    parts[4] = "bm90LXRoZS1zZWNyZXQ";
    let forged = parts.join(".");
    for wrong in ["", "x", "rt1....", &access, &forged, &token[1..], &format!("{token}x")] {
        refresh(&client, wrong).await.expect_error(401, "INVALID_REFRESH_TOKEN");
    }
    client.clone().with_token(&token).get("/api/auth/me").await.expect(401);
    assert_eq!(status_of(&client, &access).await, 200);
    refresh(&client, &token).await.expect(200);
}

#[tokio::test]
async fn signing_out_ends_the_tokens_and_a_restart_brings_none_back() {
    let instance = Instance::start().await;
    let client = instance.client();
    let (access, token) = signed_in(&client, "viewer").await;
    let (other, _) = signed_in(&client, "viewer").await;
    let mine = client.clone().with_token(&access);
    assert!(mine.post("/api/auth/logout", &json!({})).await.expect(204).body.is_empty());
    mine.get("/api/auth/me").await.expect_error(401, "TOKEN_REVOKED");
    refresh(&client, &token).await.expect_error(401, "INVALID_REFRESH_TOKEN");
    assert_eq!(status_of(&client, &other).await, 200);
    // A key belongs to no sign-in.
    let none = client.post("/api/auth/logout", &json!({})).await;
    none.expect_error(404, "SESSION_NOT_FOUND");
    let directory = instance.stop().await;
    let again = Instance::builder().start_on(directory).await;
    let client = again.client();
    assert_eq!(status_of(&client, &access).await, 401);
    assert_eq!(status_of(&client, &other).await, 200);
    refresh(&client, &token).await.expect_error(401, "INVALID_REFRESH_TOKEN");
}

#[tokio::test]
async fn sign_ins_are_listed_and_ended_by_their_user_or_an_admin() {
    let instance = Instance::start().await;
    let client = instance.client();
    let (one, _) = signed_in(&client.clone().with("user-agent", "one/1"), "viewer").await;
    let (two, _) = signed_in(&client.clone().with("user-agent", "two/2"), "viewer").await;
    let mine = client.clone().with_token(&one);
    let list = mine.get("/api/auth/tokens").await.expect(200).json();
    let list = list["data"].as_array().unwrap();
    assert_eq!(list.len(), 2);
    let find = |agent: &str| list.iter().find(|it| it["userAgent"] == agent).unwrap();
    assert_eq!(
        (&find("one/1")["current"], &find("two/2")["current"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(find("one/1")["address"], "127.0.0.1");
    let id = find("two/2")["id"].as_str().unwrap();
    let editor = client.clone().with_token(&signed_in(&client, "editor").await.0);
    editor.get("/api/auth/tokens?user=viewer").await.expect_error(403, "FORBIDDEN");
    editor.delete(&format!("/api/auth/tokens/{id}?user=viewer")).await.expect(403);
    editor.delete(&format!("/api/auth/tokens/{id}")).await.expect_error(404, "SESSION_NOT_FOUND");
    let seen = client.get("/api/auth/tokens?user=viewer").await.expect(200).json();
    assert_eq!(seen["data"].as_array().unwrap().len(), 2);
    let first = client.get("/api/auth/tokens?user=viewer&limit=1").await.expect(200);
    assert!(first.header("link").ends_with("rel=\"next\""));
    let first = first.json();
    let cursor = first["meta"]["nextCursor"].as_str().unwrap();
    let path = format!("/api/auth/tokens?limit=1&cursor={cursor}");
    let last = client.get(&format!("{path}&user=viewer")).await.expect(200).json();
    assert_eq!(last["meta"]["nextCursor"], json!(null));
    assert_eq!(json!([first["data"][0], last["data"][0]]), seen["data"]);
    client.get(&path).await.expect_error(400, "INVALID_CURSOR");
    client.delete(&format!("/api/auth/tokens/{id}?user=viewer")).await.expect(204);
    assert_eq!((status_of(&client, &one).await, status_of(&client, &two).await), (200, 401));
    mine.delete(&format!("/api/auth/tokens/{id}")).await.expect(404);
}

#[tokio::test]
async fn too_many_wrong_passwords_slow_down_the_account_and_not_who_is_at_home_there() {
    let instance = Instance::builder().with("limits.auth", "off").with("limits.account", "3/1h");
    let instance = instance.start().await;
    let client = instance.client();
    for name in ["editor", "nobody"] {
        let wrong = json!({ "username": name, "password": "not that one" });
        for _ in 0..3 {
            login(&client, wrong.clone()).await.expect(401);
        }
        let refused = login(&client, wrong).await.expect_error(429, "RATE_LIMITED");
        refused.header("retry-after");
    }
    login(&client, json!({ "username": "viewer", "password": PASSWORD })).await.expect(200);
    for _ in 0..5 {
        // Right ones don't count.
        login(&client, json!({ "username": "viewer", "password": PASSWORD })).await.expect(200);
    }
}

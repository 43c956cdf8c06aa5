//! The mock's API: contacts, errors, limits and faults.

use std::time::Duration;

use contactd::acme::mock::MockOptions;
use contactd::telemetry::AcmeCall;
use serde_json::{Value, json};

use crate::support::acme::{API_KEY, MockAcme};
use crate::support::answer::Answer;
use crate::support::client::Client;

const CONTACTS: &str = "/acme/contacts";

#[track_caller]
fn refused(answer: Answer, status: u16, code: &str) -> Answer {
    let answer = answer.expect(status);
    let json = answer.json();
    assert_eq!(json["error"]["code"], code, "{json}");
    assert!(json["error"]["message"].as_str().unwrap().len() > 10, "{json}");
    answer
}

#[tokio::test]
async fn contacts_are_made_read_changed_and_removed() {
    let acme = MockAcme::start();
    let client = acme.client().await;
    let ada = json!({"id": "ada/1", "acme_first_name": "Ada", "acme_phone": "1"});
    let made = client.post(CONTACTS, &ada).await.expect(201);
    assert_eq!(made.header("etag"), "\"1\"");
    let at = "/acme/contacts/ada%2F1";
    let body = json!({"acme_phone": null, "acme_title": "Countess"});
    let right = client.clone().with("if-match", "\"1\"");
    let changed = right.put(at, &body).await.expect(200);
    let stale = right.put(at, &json!({"acme_title": "x"})).await;
    refused(stale, 412, "version_conflict");
    let read = client.get(at).await.expect(200);
    assert_eq!((read.header("etag"), &read.body), ("\"2\"", &changed.body));
    let read = read.json();
    let created = made.json()["acme_created_at"].clone();
    let expected = json!({
        "id": "ada/1", "acme_first_name": "Ada", "acme_last_name": null, "acme_email": null,
        "acme_phone": null, "acme_company": null, "acme_title": "Countess", "acme_version": 2,
        "acme_created_at": created, "acme_updated_at": read["acme_updated_at"],
    });
    assert_eq!(read, expected);
    // As it was: no change, which is counted.
    client.put(at, &read).await.expect(200);
    client.delete(at).await.expect(204);
    refused(client.get(at).await, 404, "not_found");
    refused(client.delete(at).await, 404, "not_found");
    let stats = client.anonymous().get("/acme/stats").await.expect(200).json();
    assert_eq!((&stats["writes"], &stats["writesWithoutChange"]), (&json!(3), &json!(1)));
    let requests = json!({
        "login": {"200": 1}, "get": {"200": 1, "404": 1}, "create": {"201": 1},
        "update": {"200": 2, "412": 1}, "delete": {"204": 1, "404": 1},
    });
    assert_eq!(stats["requests"], requests);
}

#[tokio::test]
async fn pages_hold_every_contact_once() {
    let acme = MockAcme::start();
    let ids: Vec<String> = (0..7).map(|number| format!("contact {number}")).collect();
    ids.iter().for_each(|id| drop(acme.put(id, json!({"acme_email": "a@example.com"}))));
    let client = acme.client().await;
    let (mut found, mut path) = (Vec::new(), format!("{CONTACTS}?limit=3"));
    loop {
        let page = client.get(&path).await.expect(200).json();
        let contacts = page["contacts"].as_array().unwrap();
        found.extend(contacts.iter().map(|contact| contact["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("{CONTACTS}?limit=3&cursor={cursor}");
    }
    assert_eq!(found, ids);
    for wrong in ["limit=0", "limit=201", "limit=x", "cursor=%21"] {
        refused(client.get(&format!("{CONTACTS}?{wrong}")).await, 400, "bad_request");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_as_acme_says_it() {
    let acme = MockAcme::start_with(MockOptions { contacts_max: 1, ..MockAcme::options() });
    let nobody = Client::new(acme.address);
    refused(nobody.get(CONTACTS).await, 401, "unauthorized");
    refused(nobody.clone().with_token("a.b.c").get(CONTACTS).await, 401, "unauthorized");
    refused(nobody.post("/acme/login", &json!({"apiKey": "x"})).await, 401, "unauthorized");
    refused(nobody.post("/acme/login", &json!({})).await, 400, "bad_request");
    let client = acme.client().await;
    client.post(CONTACTS, &json!({"id": "ada"})).await.expect(201);
    refused(client.post(CONTACTS, &json!({"id": "ada"})).await, 409, "exists");
    refused(client.post(CONTACTS, &json!({})).await, 503, "full");
    refused(client.post(CONTACTS, &json!({"name": "Ada"})).await, 400, "bad_request");
    refused(client.post(CONTACTS, &json!([])).await, 400, "bad_request");
    let large = json!({"acme_title": "x".repeat(70_000)});
    refused(client.post(CONTACTS, &large).await, 413, "too_large");
    let at = "/acme/contacts/ada";
    refused(client.clone().with("if-match", "x").put(at, &json!({})).await, 400, "bad_request");
    refused(client.get("/acme/contact").await, 404, "no_route");
    refused(client.post(at, &json!({})).await, 405, "method_not_allowed");
    refused(client.put("/acme/faults", &json!({"failRate": 2})).await, 400, "bad_request");
    refused(client.put("/acme/faults", &json!({"fail": 1})).await, 400, "bad_request");
}

#[tokio::test]
async fn each_kind_of_call_has_a_limit_of_its_own() {
    let acme = MockAcme::start_with(MockOptions { requests_per_minute: 2, ..MockAcme::options() });
    let client = acme.client().await;
    for number in 0..2 {
        client.post(CONTACTS, &json!({"id": number.to_string()})).await.expect(201);
    }
    let limited = refused(client.post(CONTACTS, &json!({})).await, 429, "rate_limited");
    let seconds: u64 = limited.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    client.get(CONTACTS).await.expect(200);
    // Neither do requests count that nobody may make, nor those of the mock itself.
    for _ in 0..3 {
        refused(client.clone().anonymous().get(CONTACTS).await, 401, "unauthorized");
        client.clone().anonymous().get("/acme/stats").await.expect(200);
    }
    client.get(CONTACTS).await.expect(200);
}

#[tokio::test]
async fn faults_come_as_asked_for_and_end() {
    let acme = MockAcme::start();
    let client = acme.client().await;
    let put = async |faults: Value| {
        client.put("/acme/faults", &faults).await.expect(200);
    };
    put(
        json!({"failRate": 1, "failStatus": 429, "retryAfter": 7, "kinds": ["create"], "times": 1}),
    )
    .await;
    client.get(CONTACTS).await.expect(200);
    let failed = refused(client.post(CONTACTS, &json!({"id": "a"})).await, 429, "injected");
    assert_eq!(failed.header("retry-after"), "7");
    client.post(CONTACTS, &json!({"id": "a"})).await.expect(201);
    put(json!({"failRate": 1, "failStatus": 200, "html": true})).await;
    let page = client.get(CONTACTS).await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
    put(json!({})).await;
    client.get(CONTACTS).await.expect(200);
}

#[tokio::test]
async fn what_is_not_answered_is_done_all_the_same() {
    let acme = MockAcme::start();
    let client = acme.client().await;
    let token = client.post("/acme/login", &json!({"apiKey": API_KEY})).await.expect(200).json();
    let http = reqwest::Client::builder().timeout(Duration::from_millis(300)).build().unwrap();
    let create = |id: &str| {
        let request = http.post(format!("{}{CONTACTS}", acme.url()));
        let request = request.bearer_auth(token["token"].as_str().unwrap());
        request.json(&json!({"id": id})).send()
    };
    acme.set_faults(json!({"cutRate": 1, "kinds": ["create"], "times": 1}));
    let answer = create("cut").await.expect("a head");
    assert_eq!(answer.status(), 201);
    assert!(answer.bytes().await.is_err(), "it is only half there");
    acme.set_faults(json!({"noAnswerRate": 1, "kinds": ["create"], "times": 1}));
    assert!(create("lost").await.unwrap_err().is_timeout());
    assert!(acme.contact("cut").is_some() && acme.contact("lost").is_some());
    assert_eq!(acme.stats().requests[&AcmeCall::Create]["lost"], 2);
    assert_eq!(create("cut").await.unwrap().status(), 409);
}

#[tokio::test]
async fn tokens_end_with_their_time_and_when_they_are_revoked() {
    let acme = MockAcme::start_with(MockOptions { token_seconds: 60, ..MockAcme::options() });
    let client = acme.client().await;
    client.get(CONTACTS).await.expect(200);
    acme.set_faults(json!({"clockOffsetMs": 61_000}));
    refused(client.get(CONTACTS).await, 401, "unauthorized");
    let client = acme.client().await;
    client.get(CONTACTS).await.expect(200);
    client.delete("/acme/tokens").await.expect(204);
    refused(client.get(CONTACTS).await, 401, "unauthorized");
    acme.client().await.get(CONTACTS).await.expect(200);
}

//! Payments as clients and topics see them: made once however often they are asked for, added up exactly, and
//! the same after a restart.

use contactd::auth::Role;
use contactd::event_log::Ack;
use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::instance::{Builder, Instance, until};
use crate::support::sse::SseClient;

const SUCCEEDS: &str = "4242424242424242";

fn on() -> Builder {
    Instance::builder().with("payments.enabled", "true")
}

async fn contact(client: &Client, id: &str) {
    client.post("/api/contacts", &json!({ "id": id, "lastName": "Lovelace" })).await.expect(201);
}

fn order(contact: &str, amount: u64, card: &str) -> Value {
    json!({
        "contactId": contact, "amount": amount, "currency": "EUR", "card": card,
        "description": "Order 1729",
    })
}

async fn pay(client: &Client, key: &str, body: &Value) -> Answer {
    client.clone().with("idempotency-key", key).post("/api/payments", body).await
}

/// An event of a payment, as a shop would put it onto the topic.
fn told(kind: &str, payment: &str, contact: &str, second: u32, more: Value) -> Value {
    let mut data = json!({ "id": payment, "contactId": contact });
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({
        "id": format!("{payment}-{kind}-{second}"), "eventType": format!("payment.{kind}"),
        "timestamp": format!("2026-11-21T10:00:{second:02}Z"), "source": "shop", "data": data,
    })
}

async fn append(instance: &Instance, contact: &str, event: &Value) -> Ack {
    instance.append_bytes(contact, event.to_string().as_bytes()).await
}

/// The payments of a contact, once they come to so much.
async fn until_paid(client: &Client, contact: &str, currency: &str, expected: &Value) -> Value {
    let path = format!("/api/contacts/{contact}/payments");
    until("the payments come to that", async || {
        let answer = client.get(&path).await;
        let body = if answer.status == 200 { answer.json() } else { Value::Null };
        let totals = &body["totals"][currency];
        let is_it = expected.as_object().unwrap().iter().all(|(name, sum)| &totals[name] == sum);
        is_it.then(|| body.clone())
    })
    .await
}

#[tokio::test]
async fn a_payment_is_made_once_however_often_it_is_asked_for() {
    let instance = on().start().await;
    let client = instance.client();
    contact(&client, "ada").await;
    let body = order("ada", 1999, SUCCEEDS);
    let first = pay(&client, "order-1", &body).await.expect(201);
    let made = first.json();
    assert_eq!((&made["status"], &made["amount"]), (&json!("SUCCEEDED"), &json!(1999)));
    assert_eq!((&made["card"], &made["exponent"]), (&json!("4242"), &json!(2)));
    let path = format!("/api/payments/{}", made["id"].as_str().unwrap());
    assert_eq!(first.header("location"), path);
    let again = pay(&client, "order-1", &body).await.expect(201).json();
    assert_eq!(again, made);
    pay(&client, "order-1", &order("ada", 2000, SUCCEEDS))
        .await
        .expect_error(422, "IDEMPOTENCY_KEY_REUSED");
    contact(&client, "bob").await;
    pay(&client, "order-1", &order("bob", 1999, SUCCEEDS))
        .await
        .expect_error(422, "IDEMPOTENCY_KEY_REUSED");
    // Two at once: one of them makes it, the other is told so or to ask again.
    let twice = order("ada", 500, SUCCEEDS);
    let (one, other) =
        tokio::join!(pay(&client, "order-2", &twice), pay(&client, "order-2", &twice));
    let mut statuses = [one.status, other.status].map(|status| status.as_u16());
    statuses.sort_unstable();
    assert!(statuses == [201, 201] || statuses == [201, 409], "{statuses:?}");
    let all = client.get("/api/contacts/ada/payments").await.expect(200).json();
    assert_eq!((&all["total"], &all["totals"]["EUR"]["paid"]), (&json!(2), &json!(2499)));
    assert_eq!(client.get(&path).await.expect(200).json(), made);
    let history = client.get(&format!("{path}/history")).await.expect(200).json();
    let types = history["data"].as_array().unwrap().iter();
    let types: Vec<_> = types.map(|change| change["eventType"].as_str().unwrap()).collect();
    assert_eq!(types, ["payment.succeeded", "payment.created"]);
    // It is no contact, and no path leads to it as one.
    let id = format!("/api/contacts/ada%1F{}", made["id"].as_str().unwrap());
    client.get(&id).await.expect_error(404, "CONTACT_NOT_FOUND");
    assert_eq!(client.get("/api/contacts").await.expect(200).json()["meta"]["total"], 2);
    let directory = instance.stop().await;
    let instance = on().start_on(directory).await;
    let client = instance.client();
    assert_eq!(client.get(&path).await.expect(200).json(), made);
    assert_eq!(client.get("/api/contacts/ada/payments").await.expect(200).json(), all);
    assert_eq!(pay(&client, "order-1", &body).await.expect(201).json(), made);
}

#[tokio::test]
async fn the_card_says_how_a_payment_goes() {
    let instance = on().start().await;
    let client = instance.client();
    contact(&client, "ada").await;
    let declined = pay(&client, "k1", &order("ada", 100, "4000000000000002")).await.expect(201);
    let declined = declined.json();
    assert_eq!(
        (&declined["status"], &declined["failureReason"]),
        (&json!("FAILED"), &json!("card_declined"))
    );
    let confirm = |id: &Value| format!("/api/payments/{}/confirm", id.as_str().unwrap());
    let nothing = json!({});
    client.post(&confirm(&declined["id"]), &nothing).await.expect_error(409, "PAYMENT_CONFLICT");
    let secure = pay(&client, "k2", &order("ada", 200, "4000002500003155")).await.expect(201);
    let secure = secure.json();
    assert_eq!((&secure["status"], &secure["nextAction"]), (&json!("PENDING"), &json!("confirm")));
    let again = pay(&client, "k2", &order("ada", 200, "4000002500003155")).await.expect(201);
    assert_eq!(again.json(), secure);
    let confirmed = client.post(&confirm(&secure["id"]), &nothing).await.expect(200).json();
    assert_eq!(
        (&confirmed["status"], &confirmed["nextAction"]),
        (&json!("SUCCEEDED"), &Value::Null)
    );
    client.post(&confirm(&secure["id"]), &nothing).await.expect(200);
    let silent = order("ada", 300, "4000 0000 0000 0341");
    let lost = pay(&client, "k3", &silent).await.expect_error(504, "GATEWAY_TIMEOUT").json();
    let id = lost["error"]["details"]["paymentId"].as_str().unwrap().to_owned();
    let pending = client.get(&format!("/api/payments/{id}")).await.expect(200).json();
    assert_eq!(pending["status"], "PENDING");
    let known = pay(&client, "k3", &silent).await.expect(201).json();
    assert_eq!((&known["id"], &known["status"]), (&json!(id), &json!("SUCCEEDED")));
    let real = pay(&client, "k4", &order("ada", 1, "5555555555554444")).await;
    let real = real.expect_error(422, "VALIDATION_FAILED");
    assert!(String::from_utf8_lossy(&real.body).contains(SUCCEEDS), "it names the cards");
    let totals = client.get("/api/contacts/ada/payments").await.expect(200).json();
    let totals = &totals["totals"]["EUR"];
    assert_eq!((&totals["paid"], &totals["failed"]), (&json!(500), &json!(100)));
    // No more than four digits of a card are anywhere on the disk.
    let directory = instance.stop().await;
    for file in files(directory.path()) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let has = |number: &str| bytes.windows(number.len()).any(|at| at == number.as_bytes());
        assert!(!has("4000002500003155") && !has("4000000000000002"), "{}", file.display());
    }
}

fn files(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn no_more_is_given_back_than_was_paid() {
    let instance = on().start().await;
    let client = instance.client();
    contact(&client, "ada").await;
    let made = pay(&client, "k1", &order("ada", 1000, SUCCEEDS)).await.expect(201).json();
    let path = format!("/api/payments/{}/refunds", made["id"].as_str().unwrap());
    let keyed = |key: &str| client.clone().with("idempotency-key", key);
    let some = json!({ "amount": 300 });
    let refunded = keyed("r1").post(&path, &some).await.expect(201).json();
    assert_eq!(
        (&refunded["status"], &refunded["refunded"]),
        (&json!("PARTIALLY_REFUNDED"), &json!(300))
    );
    assert_eq!(keyed("r1").post(&path, &some).await.expect(201).json(), refunded);
    keyed("r1")
        .post(&path, &json!({ "amount": 1 }))
        .await
        .expect_error(422, "IDEMPOTENCY_KEY_REUSED");
    let much = client.post(&path, &json!({ "amount": 701 })).await;
    let much = much.expect_error(422, "REFUND_TOO_LARGE");
    assert_eq!(much.json()["error"]["details"]["left"], 700);
    // Of two that together are too much, one is done.
    let most = json!({ "amount": 400 });
    let (one, other) = tokio::join!(client.post(&path, &most), client.post(&path, &most));
    let mut statuses = [one.status, other.status].map(|status| status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 422]);
    let rest = client.post(&path, &json!({})).await.expect(201).json();
    assert_eq!((&rest["status"], &rest["refunded"]), (&json!("REFUNDED"), &json!(1000)));
    let declined = pay(&client, "k2", &order("ada", 5, "4000000000000002")).await.expect(201);
    let id = declined.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/payments/{id}/refunds");
    client.post(&path, &json!({})).await.expect_error(409, "PAYMENT_CONFLICT");
    client
        .post("/api/payments/none/refunds", &json!({}))
        .await
        .expect_error(404, "PAYMENT_NOT_FOUND");
}

#[tokio::test]
async fn payments_of_the_topic_come_to_the_same_in_any_order() {
    let instance = on().start().await;
    let client = instance.client();
    let events = [
        told("created", "p1", "ada", 1, json!({ "amount": 1000, "currency": "EUR" })),
        told("succeeded", "p1", "ada", 2, json!({})),
        told("refunded", "p1", "ada", 3, json!({ "refundId": "r1", "amount": 400 })),
        told("created", "p2", "ada", 4, json!({ "amount": 70, "currency": "JPY" })),
        told("failed", "p2", "ada", 5, json!({ "reason": "insufficient_funds" })),
    ];
    for event in events.iter().rev().chain(&events) {
        append(&instance, "ada", event).await;
    }
    // Nobody has told of that contact: its payments are there all the same.
    client.get("/api/contacts/ada").await.expect_error(404, "CONTACT_NOT_FOUND");
    let euros = json!({ "paid": 1000, "refunded": 400, "net": 600, "payments": 1 });
    until_paid(&client, "ada", "EUR", &euros).await;
    let yen = json!({ "failed": 70, "paid": 0, "exponent": 0 });
    let all = until_paid(&client, "ada", "JPY", &yen).await;
    let ids: Vec<_> = all["data"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert_eq!(ids, ["p2", "p1"], "newest first");
    assert_eq!(all["data"][0]["failureReason"], "insufficient_funds");
    let by = client.get("/api/stats?by=currency,status,day").await.expect(200).json();
    let groups = by["payments"].as_array().unwrap();
    let euros = groups.iter().find(|group| group["currency"] == "EUR").unwrap();
    assert_eq!((&euros["status"], &euros["refunded"]), (&json!("PARTIALLY_REFUNDED"), &json!(400)));
    assert_eq!(euros["day"], "2026-11-21T00:00:00.000Z");
    // What can't be is a dead letter that says why.
    let bad = told("created", "p3", "ada", 6, json!({ "amount": 9.5, "currency": "EUR" }));
    let Ack { lane, offset } = append(&instance, "ada", &bad).await;
    let path = format!("/api/dead-letters/contacts:{lane}:{offset}");
    let letter = until("it is a dead letter", async || {
        let answer = client.get(&path).await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    assert_eq!(letter["reason"], "invalid_payment");
    assert!(letter["detail"].as_str().unwrap().contains("minor units"), "{letter}");
}

#[tokio::test]
async fn the_feed_tells_of_payments_with_their_contact() {
    let instance = on().start().await;
    let client = instance.client();
    let url = format!("http://{}/api/feed?type=payment.*&contact=ada", instance.address);
    let mut feed = SseClient::connect(&url, &[]).await.expect("a feed");
    contact(&client, "ada").await;
    contact(&client, "bob").await;
    pay(&client, "k0", &order("bob", 5, SUCCEEDS)).await.expect(201);
    pay(&client, "k1", &order("ada", 1999, SUCCEEDS)).await.expect(201);
    let changes = feed.changes(2).await;
    let names: Vec<_> = changes.iter().map(|change| change.event.as_str()).collect();
    assert_eq!(names, ["payment.created", "payment.succeeded"]);
    let last = changes.last().unwrap().json();
    assert_eq!(
        (&last["payment"]["contactId"], &last["payment"]["amount"]),
        (&json!("ada"), &json!(1999))
    );
    assert!(last.get("contact").is_none(), "{last}");
    assert_eq!(last["change"]["principal"], "key:admin");
}

#[tokio::test]
async fn a_contact_that_is_gone_pays_nothing_and_keeps_what_it_paid() {
    let instance = on().start().await;
    let client = instance.client();
    pay(&client, "k0", &order("none", 5, SUCCEEDS)).await.expect_error(404, "CONTACT_NOT_FOUND");
    contact(&client, "ada").await;
    contact(&client, "old").await;
    pay(&client, "k1", &order("ada", 100, SUCCEEDS)).await.expect(201);
    let of_old = pay(&client, "k2", &order("old", 30, SUCCEEDS)).await.expect(201).json();
    let merge = json!({ "from": "old" });
    client.post("/api/contacts/ada/merge", &merge).await.expect(200);
    let gone = pay(&client, "k3", &order("old", 5, SUCCEEDS)).await;
    let gone = gone.expect_error(409, "CONTACT_DELETED");
    assert_eq!(gone.json()["error"]["details"]["mergedInto"], "ada");
    let all = client.get("/api/contacts/ada/payments").await.expect(200).json();
    assert_eq!((&all["total"], &all["totals"]["EUR"]["paid"]), (&json!(2), &json!(130)));
    client.delete("/api/contacts/ada?erase=true").await.expect(204);
    let all = client.get("/api/contacts/ada/payments").await.expect(200).json();
    let of_ada = all["data"].as_array().unwrap().iter().find(|it| it["contactId"] == "ada");
    let of_ada = of_ada.unwrap();
    assert_eq!(of_ada["amount"], 100, "what was paid stays, for the books");
    assert_eq!((&of_ada["card"], &of_ada["description"]), (&Value::Null, &Value::Null));
    let path = format!("/api/payments/{}", of_ada["id"].as_str().unwrap());
    let shown = client.get(&format!("{path}/history")).await.expect(200);
    assert!(!String::from_utf8_lossy(&shown.body).contains("1729"));
    let path = format!("/api/payments/{}", of_old["id"].as_str().unwrap());
    assert_eq!(client.get(&path).await.expect(200).json()["contactId"], "old");
}

#[tokio::test]
async fn what_can_be_no_payment_is_refused_with_every_reason() {
    let instance = on().start().await;
    let client = instance.client();
    contact(&client, "ada").await;
    for (member, value, problem) in [
        ("amount", json!(19.99), "minor units"),
        ("amount", json!(-5), "minor units"),
        ("amount", json!(0), "minor units"),
        ("amount", json!("1999"), "minor units"),
        ("amount", json!(1e30), "minor units"),
        ("currency", json!("XYZ"), "ISO 4217"),
        ("card", json!("4242424242424241"), "card's number"),
        ("description", json!(""), "1 to 1024"),
        ("more", json!(1), "no field"),
    ] {
        let mut body = order("ada", 5, SUCCEEDS);
        body[member] = value.clone();
        let answer = client.post("/api/payments", &body).await;
        let answer = answer.expect_error(422, "VALIDATION_FAILED");
        assert!(String::from_utf8_lossy(&answer.body).contains(problem), "{member}: {value}");
    }
    let all = client.get("/api/contacts/ada/payments").await.expect(200).json();
    assert_eq!((&all["total"], &all["totals"]), (&json!(0), &json!({})));
    let reader = client.clone().with_role(Role::Viewer);
    reader.get("/api/contacts/ada/payments").await.expect(200);
    let refused = reader.post("/api/payments", &order("ada", 5, SUCCEEDS)).await;
    refused.expect_error(403, "FORBIDDEN");
}

#[tokio::test]
async fn where_payments_are_off_there_is_nothing_of_them() {
    let instance = Instance::start().await;
    let client = instance.client();
    let off = client.get("/api/payments/p1").await.expect_error(404, "ROUTE_NOT_FOUND");
    assert!(String::from_utf8_lossy(&off.body).contains("payments.enabled"));
    let event = told("created", "p1", "ada", 1, json!({ "amount": 5, "currency": "EUR" }));
    let Ack { lane, offset } = append(&instance, "ada", &event).await;
    let path = format!("/api/dead-letters/contacts:{lane}:{offset}");
    let letter = until("it is a dead letter", async || {
        let answer = client.get(&path).await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    assert_eq!(letter["reason"], "unknown_event_type");
}

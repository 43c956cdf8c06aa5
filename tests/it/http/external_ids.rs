//! Ids that sources have of their own: whose they are, by themselves, by a tie, and after a merge.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::Method;
use contactd::domain::external_ids::{contact_id_of, erased_form};
use contactd::domain::headers::{CONTACT_ID, EXTERNAL_ID, SOURCE};
use contactd::event_log::{Ack, NewRecord};
use contactd::ingest::{now_ms, sign_acme};
use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::bridge::{input, raw};
use crate::support::client::Client;
use crate::support::instance::{Builder, Instance, until};
use crate::support::logs::KafkaTopic;
use crate::support::services::{KAFKA, service};
use crate::support::sse::SseClient;

const SECRET: &str = "a-webhook-secret-of-at-least-32-bytes";
/// Numbers events, and orders those of one millisecond.
static TOLD: AtomicU64 = AtomicU64::new(0);

/// Two CRMs that call contacts by ids of their own, and one by ours.
fn crms() -> Builder {
    let own = |builder: Builder, name: &str| {
        builder
            .with(&format!("source.{name}.ids"), "own")
            .with(&format!("source.{name}.secret"), SECRET)
    };
    let builder = own(own(Instance::builder(), "crm"), "shop");
    builder.with("source.plain.secret", SECRET)
}

fn own(source: &str, id: &str) -> String {
    contact_id_of(source.as_bytes(), id.as_bytes())
}

/// What a source says of what it calls so; the answer, once it is kept.
async fn tell(client: &Client, source: &str, kind: &str, id: &str, data: Value) -> Answer {
    let number = TOLD.fetch_add(1, Ordering::Relaxed);
    let mut event = json!({ "id": format!("e{number}"), "eventType": kind, "data": data });
    event["timestamp"] = json!(now_ms() + number);
    event["data"]["id"] = json!(id);
    let body = event.to_string().into_bytes();
    let time = (now_ms() / 1000).to_string();
    let client = client.clone().anonymous();
    let client = client.with("x-acme-signature", &sign_acme(SECRET, &time, &body));
    let client = client.with("x-acme-timestamp", &time);
    client.send_bytes(Method::POST, &format!("/api/webhooks/{source}"), Some(body)).await
}

/// The same, once it is applied to that contact.
async fn told(client: &Client, source: &str, id: &str, title: &str) -> String {
    let answer = tell(client, source, "contact.updated", id, json!({ "title": title })).await;
    let result = &answer.expect(200).json()["results"][0];
    let contact = result["contactId"].as_str().unwrap().to_owned();
    until("the event is applied", async || {
        let answer = client.get(&format!("/api/contacts/{contact}?includeDeleted=true")).await;
        (answer.status == 200 && answer.json()["title"] == json!(title)).then_some(())
    })
    .await;
    contact
}

/// Ids of the contacts that a source has an id for.
async fn found(client: &Client, external_id: &str) -> Vec<String> {
    let answer = client.get(&format!("/api/contacts?externalId={external_id}")).await.expect(200);
    let data = answer.json()["data"].as_array().unwrap().clone();
    data.iter().map(|contact| contact["id"].as_str().unwrap().to_owned()).collect()
}

async fn link(client: &Client, contact: &str, source: &str, id: &str) -> Answer {
    let body = json!({ "source": source, "id": id });
    client.post(&format!("/api/contacts/{contact}/links"), &body).await
}

#[tokio::test]
async fn an_id_of_a_source_says_itself_whose_it_is() {
    let instance = crms().start().await;
    let client = instance.client();
    assert_eq!(found(&client, "crm:7").await, Vec::<String>::new());
    let contact = told(&client, "crm", "7", "x").await;
    assert_eq!(contact, own("crm", "7"));
    // The same id of another source is another contact's.
    assert_eq!(told(&client, "shop", "7", "y").await, own("shop", "7"));
    assert_eq!(told(&client, "plain", "7", "z").await, "7");
    let shown = client.get(&format!("/api/contacts/{contact}")).await.expect(200).json();
    assert_eq!(shown["externalIds"], json!({ "crm": "7" }));
    assert_eq!(client.get("/api/contacts/7").await.expect(200).json().get("externalIds"), None);
    assert_eq!(found(&client, "crm:7").await, [&*contact]);
    let history = client.get(&format!("/api/contacts/{contact}/history")).await.expect(200).json();
    assert_eq!(history["data"][0]["contact"]["externalIds"], json!({ "crm": "7" }));
    tell(&client, "crm", "contact.deleted", "7", json!({})).await.expect(200);
    until("it is deleted", async || found(&client, "crm:7").await.is_empty().then_some(())).await;
    let deleted = client.get("/api/contacts?externalId=crm:7&includeDeleted=true").await;
    assert_eq!(deleted.expect(200).json()["meta"]["total"], json!(1));
}

#[tokio::test]
async fn an_id_that_was_tied_by_hand_leads_to_its_contact_and_is_known_after_a_restart() {
    let instance = crms().start().await;
    let client = instance.client();
    client.post("/api/contacts", &json!({ "id": "ada" })).await.expect(201);
    let linked = link(&client, "ada", "crm", "7").await.expect(200);
    assert_eq!(linked.json()["externalIds"], json!({ "crm": "7" }));
    let reader = client.clone().with("position", linked.header("position"));
    assert_eq!(found(&reader, "crm:7").await, ["ada"]);
    assert_eq!(told(&reader, "crm", "7", "x").await, "ada");
    // Again, and by the contact itself: as it is.
    link(&client, "ada", "crm", "7").await.expect(200);
    let instance = crms().start_on(instance.stop().await).await;
    let client = instance.client();
    assert_eq!(told(&client, "crm", "7", "y").await, "ada");
    assert_eq!(found(&client, "crm:7").await, ["ada"]);
    let untied = client.delete("/api/contacts/ada/links/crm").await.expect(200);
    assert_eq!(untied.json().get("externalIds"), None);
    let reader = client.clone().with("position", untied.header("position"));
    assert_eq!(told(&reader, "crm", "7", "z").await, own("crm", "7"));
    assert_eq!(found(&client, "crm:7").await, [own("crm", "7")]);
}

#[tokio::test]
async fn an_id_of_another_contact_is_not_tied() {
    let instance = crms().start().await;
    let client = instance.client();
    client.post("/api/contacts", &json!({ "id": "ada" })).await.expect(201);
    client.post("/api/contacts", &json!({ "id": "gone" })).await.expect(201);
    client.delete("/api/contacts/gone").await.expect(204);
    let holder = told(&client, "crm", "7", "x").await;
    let taken = link(&client, "ada", "crm", "7").await.expect_error(409, "EXTERNAL_ID_TAKEN");
    assert_eq!(taken.json()["error"]["details"], json!({ "contactId": holder }));
    link(&client, "gone", "crm", "8").await.expect_error(404, "CONTACT_NOT_FOUND");
    link(&client, "none", "crm", "8").await.expect_error(404, "CONTACT_NOT_FOUND");
    for (source, id) in [
        ("nobody", "1"),
        ("crm", ""),
        ("crm", "a\u{7}b"),
        ("crm", &"7".repeat(10 << 10)),
        (&"s".repeat(300), "1"),
    ] {
        let refused = link(&client, "ada", source, id).await;
        refused.expect_error(422, "VALIDATION_FAILED");
    }
    let body = json!({ "source": "crm", "id": "8", "more": 1 });
    client.post("/api/contacts/ada/links", &body).await.expect(422);
    for wrong in ["crm", "crm:", ":7", "crm:7&q=x", "crm:%07"] {
        let path = format!("/api/contacts?externalId={wrong}");
        client.get(&path).await.expect_error(400, "INVALID_PARAMETER");
    }
    let patch = json!({ "externalIds": { "crm": "9" } });
    client.patch("/api/contacts/ada", &patch).await.expect_error(422, "VALIDATION_FAILED");
    for data in [json!("a\u{7}b"), json!("7".repeat(10 << 10))] {
        let id = data.as_str().unwrap();
        tell(&client, "crm", "contact.updated", id, json!({})).await.expect(422);
    }
}

#[tokio::test]
async fn a_contact_has_ids_of_sixteen_sources_at_most() {
    let mut builder = crms();
    for number in 0..17 {
        builder = builder.with(&format!("source.s{number}.ids"), "own");
    }
    let instance = builder.start().await;
    let client = instance.client();
    client.post("/api/contacts", &json!({ "id": "ada" })).await.expect(201);
    for number in 0..16 {
        link(&client, "ada", &format!("s{number}"), "1").await.expect(200);
    }
    let refused = link(&client, "ada", "s16", "1").await.expect_error(422, "CONTACT_TOO_LARGE");
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("17 sources, at most 16"), "{message}");
    client.delete("/api/contacts/ada/links/s3").await.expect(200);
    link(&client, "ada", "s16", "1").await.expect(200);
}

#[tokio::test]
async fn what_comes_for_a_contact_that_was_merged_is_the_survivors() {
    let instance = crms().start().await;
    let client = instance.client();
    client.post("/api/contacts", &json!({ "id": "ada", "title": "x" })).await.expect(201);
    let of_crm = told(&client, "crm", "7", "x").await;
    let of_shop = told(&client, "shop", "9", "x").await;
    let merge = async |into: &str, from: &str| {
        let (path, body) = (format!("/api/contacts/{into}/merge"), json!({ "from": from }));
        client.post(&path, &body).await.expect(200)
    };
    let merged = merge(&of_crm, &of_shop).await;
    assert_eq!(merged.json()["externalIds"], json!({ "crm": "7", "shop": "9" }));
    // By a chain of merges, by both ids, and by the id that is ours.
    let merged = merge("ada", &of_crm).await;
    assert_eq!(merged.json()["externalIds"], json!({ "crm": "7", "shop": "9" }));
    let reader = client.clone().with("position", merged.header("position"));
    reader.get("/api/contacts/ada").await.expect(200);
    assert_eq!(told(&reader, "shop", "9", "a").await, "ada");
    assert_eq!(told(&reader, "crm", "7", "b").await, "ada");
    assert_eq!(told(&reader, "plain", &of_shop, "c").await, "ada");
    assert_eq!(found(&reader, "shop:9").await, ["ada"]);
    // Who has an id of the source already keeps it, and is not deleted with the other one.
    let second = told(&reader, "crm", "8", "x").await;
    let merged = merge("ada", &second).await;
    assert_eq!(merged.json()["externalIds"]["crm"], json!("7"));
    let reader = client.clone().with("position", merged.header("position"));
    reader.get("/api/contacts/ada").await.expect(200);
    assert_eq!(told(&reader, "crm", "8", "d").await, "ada");
    let ada = client.get("/api/contacts/ada").await.expect(200).json();
    assert_eq!(ada["externalIds"], json!({ "crm": "7", "shop": "9" }));
    let deleted = tell(&client, "crm", "contact.deleted", "8", json!({})).await.expect(200);
    assert_eq!(deleted.json()["results"][0]["contactId"], json!(second));
    let deleted = tell(&client, "crm", "contact.deleted", "7", json!({})).await.expect(200);
    assert_eq!(deleted.json()["results"][0]["contactId"], json!("ada"));
}

#[tokio::test]
async fn what_comes_by_the_bridge_is_looked_up_likewise() {
    let test = "what_comes_by_the_bridge_is_looked_up_likewise";
    let Some(brokers) = service(KAFKA, test) else { return };
    let contacts = KafkaTopic::unused(&brokers);
    let made = contacts.clone();
    let changes = tokio::task::spawn_blocking(move || {
        made.create(&[]);
        input(&made, "changes", &[])
    });
    let changes = changes.await.unwrap();
    let instance = Instance::builder()
        .following(&contacts)
        .with("source.salesforce.preset", "salesforce-cdc")
        .with("bridge.topics", &changes.topic)
        .with(&format!("input.{}.source", changes.topic), "salesforce")
        .start()
        .await;
    let client = instance.client();
    client.post("/api/contacts", &json!({ "id": "ada" })).await.expect(201);
    let linked = link(&client, "ada", "salesforce", "003B").await.expect(200);
    client.clone().with("position", linked.header("position")).get("/api/contacts").await;
    // One event of two contacts.
    let event = json!({ "payload": { "Email": "a@b.c", "ChangeEventHeader": {
        "entityName": "Contact", "changeType": "UPDATE", "recordIds": ["003A", "003B"],
        "commitTimestamp": now_ms(), "transactionKey": "t", "sequenceNumber": 1,
    } } });
    let record = raw(0, Some("k"), Some(event.to_string().into_bytes()), now_ms() as i64);
    tokio::task::spawn_blocking(move || changes.append([record].into_iter())).await.unwrap();
    let has_email = |answer: &Answer| answer.status == 200 && answer.json()["email"] == "a@b.c";
    let alone = instance.until_contact(&own("salesforce", "003A"), has_email).await.json();
    assert_eq!(alone["externalIds"], json!({ "salesforce": "003A" }));
    let tied = instance.until_contact("ada", has_email).await.json();
    assert_eq!(tied["externalIds"], json!({ "salesforce": "003B" }));
}

/// The contact, a deleted one too, once it was merged into that one.
async fn merged_into(client: &Client, id: &str, into: &str) {
    until("the two are one", async || {
        let path = format!("/api/contacts/{id}?includeDeleted=true");
        let contact = client.get(&path).await.expect(200).json();
        (contact["status"] == "DELETED" && contact["attributes"]["mergedInto"] == into)
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_contact_that_comes_by_an_own_id_joins_the_one_older_that_has_its_email() {
    let instance = crms().with("source.crm.match", "email").start().await;
    let client = instance.client();
    for (id, email) in
        [("ada", "Ada@example.com"), ("one", "two@example.com"), ("two", "two@example.com")]
    {
        client.post("/api/contacts", &json!({ "id": id, "email": email })).await.expect(201);
    }
    let came = async |source: &str, id: &str, email: &str| {
        let data = json!({ "email": email });
        let told = tell(&client, source, "contact.updated", id, data).await.expect(200).json();
        told["results"][0]["contactId"].as_str().unwrap().to_owned()
    };
    // Of a source that does not match; of an e-mail that two have; of one that nobody has.
    let others =
        [came("shop", "1", "ada@example.com").await, came("crm", "2", "two@example.com").await];
    let third = came("crm", "3", "three@example.com").await;
    let joined = came("crm", "7", "ada@example.com").await;
    // Three have it until the shop's is gone.
    client.delete(&format!("/api/contacts/{}", own("shop", "1"))).await;
    came("crm", "7", "ADA@example.com").await;
    merged_into(&client, &joined, "ada").await;
    let ada = client.get("/api/contacts/ada").await.expect(200).json();
    assert_eq!(ada["externalIds"], json!({ "crm": "7" }));
    // The second one of a source that has an id for it already stays.
    let again = came("crm", "8", "ada@example.com").await;
    until("all was looked at", async || {
        let answer = client.get(&format!("/api/contacts/{again}?includeDeleted=true")).await;
        let joining = client.get("/api/followers/joining").await.expect(200).json();
        let is_done = joining["lagRecords"] == json!(0) && joining["waiting"] == json!(0);
        (is_done && answer.status == 200).then_some(())
    })
    .await;
    assert_eq!(told(&client, "crm", "3", "x").await, third);
    assert_eq!(told(&client, "crm", "8", "x").await, again);
    for id in [&again, &third, &others[1]] {
        client.get(&format!("/api/contacts/{id}")).await.expect(200);
    }
}

#[tokio::test]
async fn two_contacts_that_have_one_id_of_a_source_become_one() {
    let instance = crms().start().await;
    let client = instance.client();
    client.post("/api/contacts", &json!({ "id": "ada" })).await.expect(201);
    link(&client, "ada", "crm", "7").await.expect(200);
    // As an instance that has not heard of the tie brings it.
    let second = own("crm", "7");
    let event = json!({ "id": "late", "eventType": "contact.updated", "timestamp": now_ms(),
        "data": { "id": "7", "title": "x" } });
    let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    let record = NewRecord {
        key: second.clone().into_bytes(),
        value: Some(event.to_string().into_bytes()),
        headers: vec![header(SOURCE, "crm"), header(CONTACT_ID, &second), header(EXTERNAL_ID, "7")],
        timestamp_ms: now_ms() as i64,
        lane: None,
    };
    instance.log().append(vec![record]).await.unwrap();
    let has_title = |answer: &Answer| answer.status == 200 && answer.json()["title"] == "x";
    instance.until_contact("ada", has_title).await;
    merged_into(&client, &second, "ada").await;
}

#[tokio::test]
async fn a_contact_that_was_erased_is_not_filled_again_by_its_crm() {
    let instance = crms().start().await;
    let client = instance.client();
    let beginning = client.get("/api/contacts").await.expect(200);
    client.post("/api/contacts", &json!({ "id": "ada", "title": "Countess" })).await.expect(201);
    link(&client, "ada", "crm", "7").await.expect(200);
    told(&client, "crm", "7", "Lady").await;
    let Ack { lane, offset } = instance.append_bytes("ada", br#"{"title":"Lady""#).await;
    let letter = format!("/api/dead-letters/contacts:{lane}:{offset}");
    let has_value = |answer: &Answer| !answer.json()["value"].is_null();
    until("it is a dead letter", async || {
        let answer = client.get(&letter).await;
        (answer.status == 200 && has_value(&answer)).then_some(())
    })
    .await;
    let erased = client.delete("/api/contacts/ada?erase=true").await.expect(204);
    let reader = client.clone().with("position", erased.header("position"));
    // At once no history shows what was said before.
    let history = reader.get("/api/contacts/ada/history").await.expect(200).json();
    let titles = history["data"].as_array().unwrap().iter();
    let titles: Vec<_> = titles.map(|change| &change["contact"]["title"]).collect();
    assert_eq!(titles, [&Value::Null; 4]);
    assert!(!has_value(&reader.get(&letter).await.expect(200)));
    let data = json!({ "title": "Lady", "vip": true });
    let answer = tell(&reader, "crm", "contact.updated", "7", data).await.expect(200).json();
    let result = &answer["results"][0];
    assert_eq!(result["contactId"], "ada");
    let event = format!("/api/events/{}", result["eventId"].as_str().unwrap());
    until("the event is judged", async || {
        (client.get(&event).await.json()["status"] == "stale").then_some(())
    })
    .await;
    let shown = client.get("/api/contacts/ada?includeDeleted=true").await.expect(200).json();
    assert_eq!((&shown["title"], &shown["attributes"]), (&Value::Null, &json!({})));
    assert_eq!(shown["externalIds"], json!({ "crm": erased_form(b"crm", b"7") }));
    let taken = link(&client, "none", "crm", "7").await.expect_error(409, "EXTERNAL_ID_TAKEN");
    assert_eq!(taken.json()["error"]["details"], json!({ "contactId": "ada" }));
    link(&client, "ada", "crm", "8").await.expect_error(404, "CONTACT_NOT_FOUND");
    // The CRM has it anew.
    tell(&client, "crm", "contact.created", "7", json!({ "title": "Dame" })).await.expect(200);
    let is_back = |answer: &Answer| answer.status == 200 && answer.json()["title"] == "Dame";
    let back = instance.until_contact("ada", is_back).await.json();
    assert_eq!(back["externalIds"], json!({ "crm": "7" }));
    let history = client.get("/api/contacts/ada/history").await.expect(200);
    assert!(!String::from_utf8_lossy(&history.body).contains("Lady"));
    let everything = client.get("/api/contacts/ada/everything").await.expect(200);
    assert!(!String::from_utf8_lossy(&everything.body).contains("Lady"));
    let everything = everything.json();
    assert_eq!(everything["contact"]["title"], "Dame");
    assert_eq!(everything["history"].as_array().unwrap().len(), 5);
    // Nor does the feed from before all of it.
    let after = beginning.header("position");
    let url = format!("http://{}/api/feed?after={after}", instance.address);
    let mut feed = SseClient::connect(&url, &[]).await.expect("a feed");
    let changes = feed.changes(5).await;
    assert!(!changes.iter().any(|change| change.data.contains("Lady")), "{changes:?}");
    assert!(changes.last().unwrap().data.contains("Dame"));
}

//! Ids that sources have of their own: whose they are, by themselves, by a tie, and after a merge.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::Method;
use contactd::domain::external_ids::contact_id_of;
use contactd::domain::headers::{CONTACT_ID, EXTERNAL_ID, SOURCE};
use contactd::event_log::NewRecord;
use contactd::ingest::{now_ms, sign_acme};
use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::bridge::{input, raw};
use crate::support::client::Client;
use crate::support::instance::{Builder, Instance, until};
use crate::support::logs::KafkaTopic;
use crate::support::services::{KAFKA, service};

const SECRET: &str = "a-webhook-secret-of-at-least-32-bytes";
/// Numbers events, and orders those of one millisecond.
static TOLD: AtomicU64 = AtomicU64::new(0);

/// Two CRMs that call contacts by ids of their own, and one by ours.
pub(super) fn crms() -> Builder {
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
pub(super) async fn tell(
    client: &Client,
    source: &str,
    kind: &str,
    id: &str,
    data: Value,
) -> Answer {
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
pub(super) async fn told(client: &Client, source: &str, id: &str, title: &str) -> String {
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

pub(super) async fn link(client: &Client, contact: &str, source: &str, id: &str) -> Answer {
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
    // A deleted one's is free, an erased one's is not; that is shown once.
    tell(&client, "crm", "contact.deleted", "7", json!({})).await.expect(200);
    until("it is deleted", async || found(&client, "crm:7").await.is_empty().then_some(())).await;
    link(&client, "ada", "crm", "7").await.expect(200);
    let erased = own("crm", "6");
    told(&client, "crm", "6", "x").await;
    let answer = client.delete(&format!("/api/contacts/{erased}?erase=true")).await.expect(204);
    let reader = client.clone().with("position", answer.header("position"));
    let shown = reader.get("/api/contacts?externalId=crm:6&includeDeleted=true").await;
    assert_eq!(shown.expect(200).json()["meta"]["total"], json!(1));
    let taken = link(&client, "ada", "crm", "6").await.expect_error(409, "EXTERNAL_ID_TAKEN");
    assert_eq!(taken.json()["error"]["details"], json!({ "contactId": erased }));
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

/// Tells that a contact of `plain` is deleted, and waits until it is.
async fn deleted(client: &Client, id: &str) {
    tell(client, "plain", "contact.deleted", id, json!({})).await.expect(200);
    until("it is deleted", async || {
        let shown = client.get(&format!("/api/contacts/{id}?includeDeleted=true")).await;
        (shown.expect(200).json()["status"] == "DELETED").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_contact_is_an_alias_by_its_merge_alone_and_until_it_comes_back() {
    let instance = crms().start().await;
    let client = instance.client();
    client.post("/api/contacts", &json!({ "id": "ada" })).await.expect(201);
    // A source says so itself.
    told(&client, "plain", "forged", "x").await;
    let says = json!({ "mergedInto": "ada", "title": "y" });
    tell(&client, "plain", "contact.updated", "forged", says).await.expect(200);
    deleted(&client, "forged").await;
    assert_eq!(told(&client, "plain", "forged", "z").await, "forged");
    // It was merged, restored, and deleted by its CRM.
    told(&client, "plain", "back", "x").await;
    let merged = client.post("/api/contacts/ada/merge", &json!({ "from": "back" })).await;
    let reader = client.clone().with("position", merged.expect(200).header("position"));
    reader.get("/api/contacts/ada").await.expect(200);
    assert_eq!(told(&reader, "plain", "back", "y").await, "ada");
    let restored = client.post("/api/contacts/back/restore", &json!({})).await.expect(200);
    let reader = client.clone().with("position", restored.header("position"));
    reader.get("/api/contacts/back").await.expect(200);
    deleted(&client, "back").await;
    let created = tell(&client, "plain", "contact.created", "back", json!({})).await.expect(200);
    assert_eq!(created.json()["results"][0]["contactId"], "back");
}

#[tokio::test]
async fn a_merge_outlives_an_erase_and_an_untied_survivor_a_delete() {
    let instance = crms().start().await;
    let client = instance.client();
    client.post("/api/contacts", &json!({ "id": "ada" })).await.expect(201);
    told(&client, "plain", "other", "x").await;
    let of_crm = told(&client, "crm", "7", "x").await;
    for from in ["other", &of_crm] {
        client.post("/api/contacts/ada/merge", &json!({ "from": from })).await.expect(200);
    }
    let erased = client.delete("/api/contacts/other?erase=true").await.expect(204);
    let reader = client.clone().with("position", erased.header("position"));
    let other = reader.get("/api/contacts/other?includeDeleted=true").await.expect(200).json();
    assert_eq!(
        (&other["title"], &other["attributes"]["mergedInto"]),
        (&Value::Null, &json!("ada"))
    );
    assert_eq!(told(&reader, "plain", "other", "y").await, "ada");
    let untied = client.delete("/api/contacts/ada/links/crm").await.expect(200);
    let reader = client.clone().with("position", untied.header("position"));
    reader.get("/api/contacts/ada").await.expect(200);
    let deleted = tell(&client, "crm", "contact.deleted", "7", json!({})).await.expect(200);
    assert_eq!(deleted.json()["results"][0]["contactId"], json!(of_crm));
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

#[tokio::test]
async fn a_dead_letter_that_is_redriven_after_a_merge_is_the_survivors() {
    let instance = crms().with("apply.future_tolerance", "1s").start().await;
    let client = instance.client();
    client.post("/api/contacts", &json!({ "id": "ada" })).await.expect(201);
    let of_crm = told(&client, "crm", "7", "x").await;
    // What intake has found out, and applying sets aside as too early.
    let early_ms = now_ms() + 2_500;
    let event = json!({
        "id": "early", "eventType": "contact.updated", "timestamp": early_ms,
        "data": { "id": "7", "phone": "123" },
    });
    let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    let headers =
        vec![header(SOURCE, "crm"), header(CONTACT_ID, &of_crm), header(EXTERNAL_ID, "7")];
    let (key, value) = (of_crm.clone().into_bytes(), Some(event.to_string().into_bytes()));
    let timestamp_ms = now_ms() as i64;
    let record = NewRecord { key, value, headers, timestamp_ms, lane: None };
    instance.log().append(vec![record]).await.unwrap();
    let letter = until("the letter is kept", async || {
        let letters = client.get("/api/dead-letters").await;
        let letters = (letters.status == 200).then(|| letters.json()["data"].clone())?;
        letters.as_array()?.first().and_then(|letter| Some(letter["id"].as_str()?.to_owned()))
    })
    .await;
    let body = json!({ "from": of_crm });
    client.post("/api/contacts/ada/merge", &body).await.expect(200);
    until("it is no longer early", async || (now_ms() > early_ms).then_some(())).await;
    client.post(&format!("/api/dead-letters/redrive/{letter}"), &Value::Null).await.expect(201);
    let has_phone = |answer: &Answer| answer.status == 200 && answer.json()["phone"] == "123";
    instance.until_contact("ada", has_phone).await;
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
    // Somebody takes that back.
    let path = format!("/api/contacts/{second}");
    let restored = client.post(&format!("{path}/restore"), &json!({})).await.expect(200);
    let reader = client.clone().with("position", restored.header("position"));
    reader.get(&path).await.expect(200);
    all_joined(&reader).await;
    reader.get(&path).await.expect(200);
}

/// Once the follower has looked at everything.
async fn all_joined(client: &Client) {
    until("all was looked at", async || {
        let joining = client.get("/api/followers/joining").await.expect(200).json();
        (joining["lagRecords"] == json!(0) && joining["waiting"] == json!(0)).then_some(())
    })
    .await;
}

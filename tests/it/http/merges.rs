//! Two contacts that are one: both halves or nothing, whoever else wants one of the two.

use std::collections::{BTreeMap, VecDeque};

use contactd::app;
use contactd::auth::Role;
use contactd::domain::command::Condition;
use contactd::domain::control::ControlRecord;
use contactd::domain::headers::{COMMAND, MERGES_INTO};
use contactd::domain::position::{CONTROL_LANE, Position};
use contactd::event_log::NewRecord;
use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::instance::{Instance, until};
use crate::support::logs::{KafkaTopic, TestLog};
use crate::support::services::{KAFKA, service};

async fn create(client: &Client, body: Value) {
    client.post("/api/contacts", &body).await.expect(201);
}

async fn merge(client: &Client, into: &str, from: &str) -> Answer {
    client.post(&format!("/api/contacts/{into}/merge"), &json!({"from": from})).await
}

/// The contact, a deleted one too.
async fn contact(client: &Client, id: &str) -> Value {
    client.get(&format!("/api/contacts/{id}?includeDeleted=true")).await.expect(200).json()
}

/// How a merge ended, once it has.
async fn ended(client: &Client, location: &str) -> Value {
    until("the merge ends", async || {
        let shown = client.get(location).await.expect(200).json();
        (shown["status"] != "running").then_some(shown)
    })
    .await
}

/// What binds a contact, as a merge's first command does; nobody ends this one.
async fn bind(instance: &Instance, id: &str, into: &str) {
    let event = json!({"id": format!("bind-{into}"), "eventType": "contact.updated",
        "timestamp": "2026-11-21T10:00:00Z", "data": {"id": id}});
    let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    let record = NewRecord {
        key: id.as_bytes().to_vec(),
        value: Some(event.to_string().into_bytes()),
        headers: vec![header(COMMAND, "bind"), header(MERGES_INTO, into)],
        timestamp_ms: i64::try_from(app::now_ms()).unwrap(),
        lane: None,
    };
    instance.log().append(vec![record]).await.unwrap();
    let path = format!("/api/events/bind-{into}");
    let client = instance.client();
    until("the contact is bound", async || {
        let answer = client.get(&path).await;
        (answer.status == 200 && answer.json()["status"] == "unchanged").then_some(())
    })
    .await;
}

/// So many merges of somebody's that do not end: they are begun from what will not be applied.
async fn begun(instance: &Instance, principal: &str, count: usize) {
    let stats = instance.client().get("/api/stats").await.expect(200);
    let mut far = Position::decode(stats.header("position")).unwrap();
    far.next.values_mut().for_each(|next| next.0 += 1_000_000);
    let record = |number: usize| {
        let job = json!({
            "into": format!("into-{number}"), "from": format!("from-{number}"),
            "condition": Condition::default(), "requestHash": null,
            "commands": format!("c-{number}"), "seen": far.encode(), "principal": principal,
            "requestId": "r", "atMs": app::now_ms(), "end": null,
        });
        let record = ControlRecord {
            id: format!("job-{number}"),
            key: format!("merge/job/{number}"),
            value: Some(job.to_string().into_bytes()),
            ..ControlRecord::default()
        };
        NewRecord {
            key: record.key.clone().into_bytes(),
            value: Some(record.encode().unwrap()),
            timestamp_ms: i64::try_from(app::now_ms()).unwrap(),
            lane: Some(CONTROL_LANE),
            ..NewRecord::default()
        }
    };
    instance.log().append((0..count).map(record).collect()).await.unwrap();
    let last = format!("/api/merges/{}", count - 1);
    let client = instance.client();
    until("they are known", async || (client.get(&last).await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn who_has_its_part_of_the_merges_under_way_is_refused_and_others_merge() {
    let instance = Instance::start().await;
    let client = instance.client();
    for id in ["one", "other", "third"] {
        create(&client, json!({"id": id})).await;
    }
    let full = client.clone().with_role(Role::Editor).with("prefer", "respond-async");
    begun(&instance, "key:editor", 32).await;
    let refused = merge(&full, "one", "other").await.expect_error(503, "OVERLOADED");
    refused.header("retry-after");
    let told = &refused.json()["error"];
    assert_eq!(told["details"], json!({"limit": "merges", "max": 32}), "{told}");
    assert!(told["message"].as_str().is_some_and(|text| text.contains("of yours")), "{told}");
    let hurried = client.clone().with("prefer", "respond-async");
    merge(&hurried, "one", "other").await.expect(202);
    // What is refused to one is the others'.
    merge(&full, "one", "third").await.expect_error(503, "OVERLOADED");
}

#[tokio::test]
async fn two_contacts_become_one_and_both_say_so() {
    let instance = Instance::start().await;
    let client = instance.client();
    let one = json!({"id": "one", "firstName": "Ada", "attributes": {"a": 1}});
    let other = json!({"id": "other", "firstName": "A.", "email": "ada@example.com",
        "attributes": {"a": 2, "b": {"c": null}}});
    for body in [&one, &other] {
        client.post("/api/contacts", body).await.expect(201);
    }
    let merge = |body: Value| {
        let client = client.clone();
        async move { client.post("/api/contacts/one/merge", &body).await }
    };
    let merged = merge(json!({"from": "other"})).await.expect(200);
    let contact = merged.json();
    assert_eq!((&contact["firstName"], &contact["email"]), (&json!("Ada"), &other["email"]));
    let attributes = json!({"a": 1, "b": {"c": null}, "mergedFrom": ["other"]});
    assert_eq!(contact["attributes"], attributes);
    client.get("/api/contacts/other").await.expect(404);
    let gone = client.get("/api/contacts/other?includeDeleted=true").await.expect(200).json();
    assert_eq!(gone["attributes"]["mergedInto"], "one");
    // Again: nothing more happens.
    let again = merge(json!({"from": "other"})).await.expect(200);
    assert_eq!(again.header("etag"), merged.header("etag"));
    for (body, status) in [
        (json!({"from": "none"}), 422),
        (json!({"from": "one"}), 422),
        (json!({"from": 1}), 422),
        (json!({}), 422),
    ] {
        merge(body).await.expect(status);
    }
    client.post("/api/contacts/none/merge", &json!({"from": "one"})).await.expect(404);
}

#[tokio::test]
async fn a_merge_that_is_accepted_tells_how_it_ends() {
    let instance = Instance::start().await;
    let client = instance.client();
    create(&client, json!({"id": "one"})).await;
    create(&client, json!({"id": "other", "title": "Countess"})).await;
    let hurried = client.clone().with("prefer", "respond-async");
    let accepted = merge(&hurried, "one", "other").await.expect(202);
    let body = accepted.json();
    let location = accepted.header("location");
    assert_eq!(location, format!("/api/merges/{}", body["mergeId"].as_str().unwrap()));
    assert_eq!((&body["status"], &body["contactId"]), (&json!("ACCEPTED"), &json!("one")));
    let shown = ended(&client, location).await;
    assert_eq!((&shown["status"], &shown["error"]), (&json!("done"), &json!(null)));
    assert_eq!((&shown["contactId"], &shown["from"]), (&json!("one"), &json!("other")));
    let reader = client.clone().with("position", shown["position"].as_str().unwrap());
    assert_eq!(contact(&reader, "one").await["title"], "Countess");
    client.get("/api/contacts/other").await.expect(404);
    client.get("/api/merges/none").await.expect_error(404, "MERGE_NOT_FOUND");
}

#[tokio::test]
async fn the_same_merge_is_answered_as_the_first_time() {
    let instance = Instance::start().await;
    let client = instance.client();
    create(&client, json!({"id": "one"})).await;
    create(&client, json!({"id": "other", "title": "Countess"})).await;
    let keyed = client.clone().with("idempotency-key", "k1");
    let first = merge(&keyed, "one", "other").await.expect(200);
    let patch = json!({"title": "Lady"});
    client.patch("/api/contacts/one", &patch).await.expect(200);
    let again = merge(&keyed, "one", "other").await.expect(200);
    assert_eq!((again.header("etag"), &again.body), (first.header("etag"), &first.body));
    merge(&keyed, "one", "third").await.expect_error(422, "IDEMPOTENCY_KEY_REUSED");
    // Restored since: a new request merges anew, the old one does not.
    client.post("/api/contacts/other/restore", &json!({})).await.expect(200);
    assert_eq!(merge(&keyed, "one", "other").await.expect(200).body, first.body);
    client.get("/api/contacts/other").await.expect(200);
    merge(&client, "one", "other").await.expect(200);
    client.get("/api/contacts/other").await.expect(404);
}

#[tokio::test]
async fn a_merge_that_is_refused_changes_neither_and_is_tried_anew() {
    let instance = Instance::builder().with("apply.contact_bytes_max", "1KiB").start().await;
    let client = instance.client();
    create(&client, json!({"id": "one", "attributes": {"a": "a".repeat(700)}})).await;
    create(&client, json!({"id": "other", "attributes": {"b": "b".repeat(700)}})).await;
    create(&client, json!({"id": "gone"})).await;
    client.delete("/api/contacts/gone").await.expect(204);
    let before = (contact(&client, "one").await, contact(&client, "other").await);
    let stale = client.clone().with("if-match", "\"9-0000000000000000\"");
    let refused = merge(&stale, "one", "other").await.expect_error(412, "PRECONDITION_FAILED");
    let etag = client.get("/api/contacts/one").await.header("etag").to_owned();
    assert_eq!(refused.header("etag"), etag);
    merge(&client, "gone", "other").await.expect_error(404, "CONTACT_NOT_FOUND");
    merge(&client, "one", "gone").await.expect_error(422, "VALIDATION_FAILED");
    let keyed = client.clone().with("idempotency-key", "k1").with("if-match", &etag);
    merge(&keyed, "one", "other").await.expect_error(422, "CONTACT_TOO_LARGE");
    // Nor does anything hold the other.
    assert_eq!(before, (contact(&client, "one").await, contact(&client, "other").await));
    client.patch("/api/contacts/other", &json!({"attributes": {"b": "b"}})).await.expect(200);
    merge(&keyed, "one", "other").await.expect(200);
    client.delete("/api/contacts/other?erase=true").await.expect(204);
}

#[tokio::test]
async fn a_bound_contact_is_neither_erased_nor_merged_elsewhere() {
    let instance = Instance::start().await;
    let client = instance.client();
    for id in ["one", "two", "other"] {
        create(&client, json!({"id": id})).await;
    }
    bind(&instance, "other", "one").await;
    let erased = client.delete("/api/contacts/other?erase=true").await;
    let erased = erased.expect_error(409, "CONTACT_MERGING").json();
    assert_eq!(erased["error"]["details"], json!({"into": "one"}));
    let elsewhere = merge(&client, "two", "other").await.expect_error(409, "CONTACT_MERGING");
    let details = json!({"id": "other", "into": "one"});
    assert_eq!(elsewhere.json()["error"]["details"], details);
    // Who is given away takes nobody in.
    let circle = merge(&client, "other", "two").await.expect_error(409, "CONTACT_MERGING");
    assert_eq!(circle.json()["error"]["details"], details);
    // It may change, and the merge that it is bound for takes place.
    client.patch("/api/contacts/other", &json!({"title": "Countess"})).await.expect(200);
    let merged = merge(&client, "one", "other").await.expect(200).json();
    assert_eq!(merged["title"], "Countess");
    client.post("/api/contacts/other/restore", &json!({})).await.expect(200);
    client.delete("/api/contacts/other?erase=true").await.expect(204);
}

/// Changes a contact all the time: some events that are not applied yet always stand before what comes.
async fn keep_changing(instance: &Instance, id: &str) {
    let client = instance.client();
    let log = instance.client().get("/api/stats").await.expect(200);
    let log = Position::decode(log.header("position")).unwrap().log;
    let mut waiting = VecDeque::new();
    for round in 0_u64.. {
        let event = |number: u64| {
            let number = round * 20 + number;
            let event = json!({"id": format!("e{number}"), "eventType": "contact.updated",
                "timestamp": 1_790_000_000_000 + number, "source": "crm",
                "data": {"id": id, "phone": number.to_string()}});
            NewRecord {
                key: id.as_bytes().to_vec(),
                value: Some(event.to_string().into_bytes()),
                timestamp_ms: i64::try_from(app::now_ms()).unwrap(),
                ..NewRecord::default()
            }
        };
        let acks = instance.log().append((0..20).map(event).collect()).await.unwrap();
        waiting.push_back(acks[0]);
        if waiting.len() > 3 {
            let ack = waiting.pop_front().unwrap();
            let at = Position::behind(log, ack.lane, ack.offset).encode();
            client.clone().with("position", &at).get(&format!("/api/contacts/{id}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_gives_way_to_who_changes_the_survivor_all_the_time() {
    let instance = Instance::builder().with("apply.batch_records_max", "1").start().await;
    let client = instance.client();
    let hurried = client.clone().with("prefer", "respond-async");
    let mut number = 0;
    // Where the others are slow for a moment the two are merged, and it is done with two more.
    let giving_way = until("a merge gives way", async || {
        client.get("/api/contacts/one").await.status.is_success().then_some(())?;
        number += 1;
        let other = format!("other-{number}");
        create(&client, json!({"id": other, "title": "Countess"})).await;
        let accepted = merge(&hurried, "one", &other).await.expect(202);
        let shown = ended(&client, accepted.header("location")).await;
        (shown["status"] == "failed").then_some((other, shown))
    });
    let (other, shown) = tokio::select! {
        given_way = giving_way => given_way,
        () = keep_changing(&instance, "one") => unreachable!("it does not end"),
    };
    assert_eq!(shown["error"]["code"], "CONTENDED", "{shown}");
    // It let the other go, as it was.
    let left = contact(&client, &other).await;
    assert_eq!((&left["status"], &left["title"]), (&json!("ACTIVE"), &json!("Countess")));
    client.delete(&format!("/api/contacts/{other}?erase=true")).await.expect(204);
}

/// Of two at once that can't both be, one is done, and the other has changed nothing.
async fn of_two_at_once_one_is_done(clients: &[Client]) {
    let other_client = &clients[clients.len() - 1];
    for round in 0..6 {
        let id = |name: &str| format!("{name}{round}");
        for name in ["one", "two", "other"] {
            let body = json!({"id": id(name), "attributes": {name: round}});
            let made = clients[0].post("/api/contacts", &body).await.expect(201);
            let reader = other_client.clone().with("position", made.header("position"));
            reader.get("/api/contacts").await.expect(200);
        }
        // Into two survivors, or each into the other.
        let [first, second] = match round % 2 {
            0 => [(id("one"), id("other")), (id("two"), id("other"))],
            _ => [(id("one"), id("other")), (id("other"), id("one"))],
        };
        let (here, there) = tokio::join!(
            merge(&clients[0], &first.0, &first.1),
            merge(other_client, &second.0, &second.1)
        );
        let answers = BTreeMap::from([(&first, here), (&second, there)]);
        let (won, lost): (Vec<_>, Vec<_>) =
            answers.iter().partition(|(_, answer)| answer.status == 200);
        assert_eq!(won.len(), 1, "{answers:?}");
        assert!(matches!(lost[0].1.status.as_u16(), 404 | 409 | 422), "{answers:?}");
        let reader = clients[0].clone().with("position", won[0].1.header("position"));
        let ((into, from), survivor) = (won[0].0, won[0].1.json());
        let gone = contact(&reader, from).await;
        assert_eq!(
            (&gone["status"], &gone["attributes"]["mergedInto"]),
            (&json!("DELETED"), &json!(into))
        );
        assert_eq!(survivor["attributes"]["mergedFrom"], json!([from]));
        assert_eq!(contact(&reader, into).await["status"], "ACTIVE");
        if round % 2 == 0 {
            let loser = contact(&clients[0], &lost[0].0.0).await;
            assert_eq!(loser["version"], 1, "{loser}");
        }
    }
}

#[tokio::test]
async fn of_two_merges_at_once_that_can_not_both_be_one_is_done() {
    let instance = Instance::start().await;
    of_two_at_once_one_is_done(&[instance.client()]).await;
}

#[tokio::test]
async fn of_two_merges_at_two_instances_one_is_done() {
    let log = TestLog::mock();
    let TestLog::Mock(cluster) = &log else { unreachable!("it is the mock") };
    let topic = KafkaTopic { brokers: cluster.bootstrap_servers(), topic: "contacts".to_owned() };
    at_two_instances(&topic).await;
}

#[tokio::test]
async fn of_two_merges_at_two_instances_of_real_kafka_one_is_done() {
    let test = "of_two_merges_at_two_instances_of_real_kafka_one_is_done";
    let Some(brokers) = service(KAFKA, test) else {
        return;
    };
    let topic = KafkaTopic::unused(&brokers);
    let made = topic.clone();
    tokio::task::spawn_blocking(move || made.create(&[])).await.unwrap();
    at_two_instances(&topic).await;
}

/// Which also end what the other began.
async fn at_two_instances(topic: &KafkaTopic) {
    let one = Instance::builder().following(topic).start().await;
    let two = Instance::builder().following(topic).start().await;
    let clients = [one.client(), two.client()];
    of_two_at_once_one_is_done(&clients).await;
    // The same request at both, at once and afterwards, is one merge.
    for (number, client) in clients.iter().enumerate() {
        let ids = [format!("keyed{number}"), format!("taken{number}")];
        create(client, json!({"id": ids[0]})).await;
        let made = client.post("/api/contacts", &json!({"id": ids[1], "title": "x"})).await;
        let with = |client: &Client| {
            let client = client.clone().with("position", made.header("position"));
            client.with("idempotency-key", "k")
        };
        let (here, there) = (with(&clients[0]), with(&clients[1]));
        let (first, second) =
            tokio::join!(merge(&here, &ids[0], &ids[1]), merge(&there, &ids[0], &ids[1]));
        assert_eq!(first.expect(200).body, second.expect(200).body);
    }
    // Who had the role is gone: the other takes it over.
    create(&clients[1], json!({"id": "late"})).await;
    create(&clients[1], json!({"id": "later", "title": "x"})).await;
    one.stop().await;
    let hurried = clients[1].clone().with("prefer", "respond-async");
    let accepted = merge(&hurried, "late", "later").await.expect(202);
    let shown = ended(&clients[1], accepted.header("location")).await;
    assert_eq!(shown["status"], "done", "{shown}");
}

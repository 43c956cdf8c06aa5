//! Dead letters over the API: looked at, redriven, discarded.

use contactd::auth::Role;
use contactd::domain::control::ControlRecord;
use contactd::domain::position::CONTROL_LANE;
use contactd::event_log::NewRecord;
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::instance::{Instance, until};

/// Waits until so many letters are listed; the page, newest first.
async fn until_letters(client: &Client, count: usize) -> Vec<Value> {
    until(&format!("{count} dead letters are listed"), async || {
        // 503 until the archive was read.
        let page = client.get("/api/dead-letters?limit=200").await.json();
        let letters = page["data"].as_array()?.clone();
        (letters.len() == count).then_some(letters)
    })
    .await
}

fn event(id: &str, first_name: &str) -> Value {
    json!({
        "id": format!("e-{id}"), "eventType": "contact.created",
        "timestamp": "2026-11-21T10:00:00Z", "source": "test",
        "data": { "id": id, "firstName": first_name },
    })
}

#[tokio::test]
async fn a_bad_record_is_listed_shown_and_redriven_to_the_same_end() {
    let instance = Instance::start().await;
    let client = instance.client();
    let ack = instance.append_bytes("ada", b"{\"id\": \x1b[31m").await;
    let letters = until_letters(&client, 1).await;
    let id = format!("contacts:{}:{}", ack.lane, ack.offset);
    assert_eq!(letters[0]["id"], id);
    assert_eq!(
        (&letters[0]["reason"], &letters[0]["status"]),
        (&json!("malformed_json"), &json!("kept"))
    );
    let shown = client.get(&format!("/api/dead-letters/{id}")).await.expect(200).json();
    assert_eq!(shown["value"]["text"], "{\"id\": \\u{1b}[31m");
    assert_eq!(shown["key"]["text"], "ada");
    let job = client.post(&format!("/api/dead-letters/redrive/{id}"), &Value::Null).await;
    let job = job.expect(201).json();
    assert_eq!((&job["state"], &job["counts"]["done"]), (&json!("done"), &json!(1)), "{job}");
    // It is as bad as before: a letter of its own, one hop on.
    let letters = until_letters(&client, 2).await;
    assert_eq!((&letters[0]["hops"], &letters[0]["status"]), (&json!(1), &json!("kept")));
    assert_eq!((&letters[1]["id"], &letters[1]["redriven"]), (&json!(id), &json!(1)));
    assert_eq!(letters[1]["lastRedrive"]["job"], job["id"]);
}

#[tokio::test]
async fn a_dead_letter_is_found_by_its_events_id_where_that_could_be_read() {
    let instance = Instance::start().await;
    let client = instance.client();
    let spoilt = |id: &str, spoil: &dyn Fn(&mut Value)| {
        let mut event = event(id, "Ada");
        spoil(&mut event);
        event
    };
    let no_date = |event: &mut Value| event["timestamp"] = json!("yesterday");
    // Flat: the only id may be the contact's.
    let flat = json!({ "id": "e-flat", "eventType": "contact.updated", "firstName": {} });
    for bad in [
        spoilt("type", &|event| event["eventType"] = json!("contact.renamed")),
        spoilt("time", &no_date),
        spoilt("field", &|event| event["data"]["firstName"] = json!({})),
        spoilt("contact", &|event| event["data"]["id"] = json!("batch")),
    ] {
        instance.append(&bad).await;
    }
    let text = spoilt("data", &|event| event["data"] = json!("a text"));
    for bad in [flat, text] {
        instance.append_bytes("key", bad.to_string().as_bytes()).await;
    }
    until_letters(&client, 6).await;
    for (id, reason) in [
        ("e-type", "unknown_event_type"),
        ("e-time", "invalid_timestamp"),
        ("e-field", "wrong_type"),
        ("e-data", "wrong_type"),
        ("e-contact", "invalid_id"),
    ] {
        let found = client.get(&format!("/api/events/{id}")).await.expect(200).json();
        let told = found.to_string();
        assert!(told.contains("dead_lettered") && told.contains(reason), "{id}: {told}");
    }
    client.get("/api/events/e-flat").await.expect(404);
}

#[tokio::test]
async fn a_mended_cause_and_a_redrive_heal_the_contact() {
    let strict = Instance::builder().with("apply.contact_bytes_max", "1KiB").start().await;
    let client = strict.client();
    strict.append(&event("ada", &"A".repeat(200))).await;
    let mut large = event("ada", "Ada");
    large["id"] = json!("e-2");
    large["timestamp"] = json!("2026-11-21T10:00:01Z");
    large["data"]["attributes"] = json!({ "notes": "x".repeat(2000) });
    strict.append(&large).await;
    let letters = until_letters(&client, 1).await;
    assert_eq!(letters[0]["reason"], "too_large");
    let directory = strict.stop().await;
    let mended = Instance::builder().start_on(directory).await;
    let client = mended.client();
    until_letters(&client, 1).await;
    for _ in 0..3 {
        let order = json!({ "reason": "too_large", "again": true });
        let job = client.post("/api/dead-letters/redrive", &order).await.expect(201).json();
        let path = format!("/api/dead-letters/redrives/{}", job["id"].as_str().unwrap());
        until("the redrive is done", async || {
            let job = client.get(&path).await.expect(200).json();
            (job["state"] == "done" && job["counts"]["done"] == 1).then_some(())
        })
        .await;
    }
    let healed = |answer: &crate::support::answer::Answer| answer.json()["firstName"] == "Ada";
    let contact = mended.until_contact("ada", healed).await.json();
    assert_eq!(contact["version"], 2, "three redrives, one effect");
    let letter = &until_letters(&client, 1).await[0];
    assert_eq!((&letter["status"], &letter["redriven"]), (&json!("redriven"), &json!(3)));
}

#[tokio::test]
async fn records_under_names_that_nobody_mapped_are_healed_by_the_mapping_and_a_redrive() {
    // One partition is at home for a key of any form.
    let unmapped = Instance::builder().with("embedded_log.partitions", 1).start().await;
    let event = json!({
        "id": "e-1", "eventType": "contact.created", "timestamp": "2026-11-21T10:00:00Z",
        "source": "erp", "data": { "kundennummer": "k-7", "vorname": "Ada" },
    });
    let key = r#"{"kundennummer":"k-7"}"#;
    unmapped.append_bytes(key, event.to_string().as_bytes()).await;
    let letters = until_letters(&unmapped.client(), 1).await;
    assert_eq!(letters[0]["reason"], "missing_contact_id");
    let directory = unmapped.stop().await;
    let mapped = Instance::builder()
        .with("embedded_log.partitions", 1)
        .with("source.erp.fields.id", "kundennummer")
        .with("source.erp.fields.firstName", "vorname")
        .start_on(directory)
        .await;
    let client = mapped.client();
    until_letters(&client, 1).await;
    let order = json!({ "reason": "missing_contact_id" });
    client.post("/api/dead-letters/redrive", &order).await.expect(201);
    let contact = mapped.until_contact("k-7", |answer| answer.status == 200).await.json();
    assert_eq!((&contact["firstName"], &contact["source"]), (&json!("Ada"), &json!("erp")));
}

async fn append_control(instance: &Instance, key: &str, value: Vec<u8>) {
    let record = NewRecord {
        key: key.as_bytes().to_vec(),
        value: Some(value),
        headers: Vec::new(),
        timestamp_ms: i64::try_from(contactd::app::now_ms()).unwrap(),
        lane: Some(CONTROL_LANE),
    };
    instance.log().append(vec![record]).await.unwrap();
}

async fn until_job(client: &Client, id: &str, state: &str) -> Value {
    until(&format!("the redrive is {state}"), async || {
        let answer = client.get(&format!("/api/dead-letters/redrives/{id}")).await;
        // What a test appended itself may not be applied yet.
        let job = if answer.status == 404 { return None } else { answer.expect(200).json() };
        (job["state"] == state).then_some(job)
    })
    .await
}

#[tokio::test]
async fn pages_and_filters_lead_through_all_letters_once() {
    let instance = Instance::start().await;
    let client = instance.client();
    for number in 0..25 {
        instance.append_bytes(&format!("c{number}"), b"{").await;
    }
    instance.append_bytes("ada", br#"{"eventType":"contact.painted","data":{"id":"ada"}}"#).await;
    append_control(&instance, "k", b"no control record".to_vec()).await;
    let all = until_letters(&client, 27).await;
    let mut paged = Vec::new();
    let mut path = "/api/dead-letters?limit=4&reason=malformed_json&topic=contacts".to_owned();
    loop {
        let answer = client.get(&path).await.expect(200);
        let page = answer.json();
        paged.extend(page["data"].as_array().unwrap().clone());
        assert!(page["data"].as_array().unwrap().len() <= 4);
        let Some(cursor) = page["meta"]["nextCursor"].as_str() else { break };
        assert!(answer.header("link").contains(cursor));
        let other = format!("/api/dead-letters?limit=4&cursor={cursor}");
        client.get(&other).await.expect_error(400, "INVALID_CURSOR");
        path = path.split("&cursor").next().unwrap().to_owned() + "&cursor=" + cursor;
    }
    let malformed: Vec<Value> = all
        .iter()
        .filter(|letter| letter["reason"] == "malformed_json" && letter["topic"] == "contacts")
        .cloned()
        .collect();
    assert_eq!((paged.len(), &paged), (25, &malformed));
    let count = async |query: &str| {
        let page = client.get(&format!("/api/dead-letters?{query}")).await.expect(200).json();
        page["data"].as_array().unwrap().len()
    };
    assert_eq!(count("reason=unknown_event_type").await, 1);
    assert_eq!(count("topic=contactd.control").await, 1);
    assert_eq!(count("status=redriven").await, 0);
    assert_eq!(count("since=2100-01-01T00:00:00Z").await, 0);
    assert_eq!(count("until=2020-01-01T00:00:00Z").await, 0);
    assert_eq!(count("since=2020-01-01T00:00:00Z&limit=200").await, 27);
    for wrong in ["reason=none", "topic=other", "since=yesterday", "status=lost", "limit=0"] {
        let path = format!("/api/dead-letters?{wrong}");
        client.get(&path).await.expect_error(400, "INVALID_PARAMETER");
    }
}

#[tokio::test]
async fn control_records_and_loops_are_not_redriven() {
    let instance = Instance::builder().with("dead_letters.redrive_hops_max", 2).start().await;
    let client = instance.client();
    append_control(&instance, "k", b"no control record".to_vec()).await;
    let control = until_letters(&client, 1).await[0].clone();
    assert_eq!(control["redrivable"], false);
    let path = |letter: &Value| format!("/api/dead-letters/{}", letter["id"].as_str().unwrap());
    let redrive = async |letter: &Value| {
        let id = letter["id"].as_str().unwrap();
        client.post(&format!("/api/dead-letters/redrive/{id}"), &Value::Null).await
    };
    redrive(&control).await.expect_error(409, "NOT_REDRIVABLE");
    instance.append_bytes("ada", b"{").await;
    for hops in 0..2 {
        let newest = until_letters(&client, 2 + hops).await[0].clone();
        assert_eq!(newest["hops"], hops);
        redrive(&newest).await.expect(201);
    }
    let last = until_letters(&client, 4).await[0].clone();
    assert_eq!(last["hops"], 2);
    redrive(&last).await.expect_error(409, "NOT_REDRIVABLE");
    let order = json!({ "all": true, "again": true, "dryRun": true });
    let dry = client.post("/api/dead-letters/redrive", &order).await.expect(200).json();
    assert_eq!((&dry["counts"]["done"], &dry["counts"]["selected"]), (&json!(2), &json!(4)));
    let left_out = &dry["counts"]["leftOut"];
    assert_eq!((&left_out["control"], &left_out["hops"]), (&json!(1), &json!(1)));
    // What is discarded is neither listed nor redriven, and still there.
    client.delete(&path(&last)).await.expect(204);
    let listed = until_letters(&client, 3).await;
    assert!(!listed.contains(&last));
    let shown = client.get(&path(&last)).await.expect(200).json();
    assert_eq!(
        (&shown["status"], &shown["discarded"]["by"]),
        (&json!("discarded"), &json!("key:admin"))
    );
    redrive(&last).await.expect_error(409, "NOT_REDRIVABLE");
    client.get("/api/dead-letters/contacts:0:999").await.expect_error(404, "DEAD_LETTER_NOT_FOUND");
    client.get("/api/dead-letters/nonsense").await.expect_error(404, "DEAD_LETTER_NOT_FOUND");
}

#[tokio::test]
async fn an_order_names_its_letters_and_only_an_admin_gives_it() {
    let instance = Instance::start().await;
    let client = instance.client();
    instance.append_bytes("ada", b"{").await;
    until_letters(&client, 1).await;
    for wrong in [
        json!({}),
        json!({ "all": false }),
        json!({ "all": true, "reason": "malformed_json" }),
        json!({ "reason": "none" }),
        json!({ "topic": "other" }),
        json!({ "since": "yesterday" }),
        json!({ "all": true, "rate": 0 }),
        json!({ "all": true, "limit": "many" }),
        json!({ "all": true, "dry": true }),
    ] {
        let answer = client.post("/api/dead-letters/redrive", &wrong).await;
        answer.expect_error(422, "VALIDATION_FAILED");
    }
    let editor = client.clone().with_role(Role::Editor);
    editor.get("/api/dead-letters").await.expect(200);
    let all = json!({ "all": true });
    editor.post("/api/dead-letters/redrive", &all).await.expect_error(403, "FORBIDDEN");
    let viewer = client.clone().with_role(Role::Viewer);
    viewer.get("/api/dead-letters").await.expect_error(403, "FORBIDDEN");
    let discarded = client.post("/api/dead-letters/discard", &all).await.expect(201).json();
    assert_eq!((&discarded["state"], &discarded["counts"]["done"]), (&json!("done"), &json!(1)));
    until_letters(&client, 0).await;
    let jobs = client.get("/api/dead-letters/redrives").await.expect(200).json();
    assert_eq!(jobs["data"][0]["id"], discarded["id"]);
    client.get("/api/dead-letters/redrives/none").await.expect_error(404, "REDRIVE_NOT_FOUND");
}

#[tokio::test]
async fn a_redrive_keeps_to_its_rate_and_can_be_stopped() {
    let instance = Instance::start().await;
    let client = instance.client();
    for number in 0..40 {
        instance.append_bytes(&format!("c{number}"), b"{").await;
    }
    until_letters(&client, 40).await;
    let order = json!({ "all": true, "rate": 2 });
    let job = client.post("/api/dead-letters/redrive", &order).await.expect(201).json();
    let id = job["id"].as_str().unwrap();
    until_letters(&client, 41).await;
    client.delete(&format!("/api/dead-letters/redrives/{id}")).await.expect(204);
    let stopped = until_job(&client, id, "stopped").await;
    assert_eq!(stopped["why"], "stopped by key:admin");
    client.delete(&format!("/api/dead-letters/redrives/{id}")).await.expect(204);
    let page = client.get("/api/dead-letters?limit=200").await.json();
    assert!(page["data"].as_array().unwrap().len() < 60, "it was slow, and came to its end");
    // The others are still to be had.
    let order = json!({ "all": true, "limit": 5 });
    let job = client.post("/api/dead-letters/redrive", &order).await.expect(201).json();
    let done = until_job(&client, job["id"].as_str().unwrap(), "done").await;
    assert_eq!(done["counts"]["done"], 5);
}

#[tokio::test]
async fn two_redrives_of_one_filter_at_once_send_each_letter_once() {
    let instance = Instance::start().await;
    let client = instance.client();
    for number in 0..90 {
        instance.append_bytes(&format!("c{number}"), b"{").await;
    }
    until_letters(&client, 90).await;
    // Slow enough to be under way together, in chunks.
    let order = json!({ "all": true, "rate": 60 });
    let redrive = || client.post("/api/dead-letters/redrive", &order);
    let (one, other) = tokio::join!(redrive(), redrive());
    let mut sent = 0;
    for answer in [one, other] {
        let id = answer.expect(201).json()["id"].as_str().expect("a job").to_owned();
        let job = until_job(&client, &id, "done").await;
        sent += job["counts"]["done"].as_u64().unwrap();
    }
    assert_eq!(sent, 90);
    let first = client.get("/api/dead-letters/redrives?limit=1").await.expect(200).json();
    let cursor = first["meta"]["nextCursor"].as_str().unwrap();
    let path = format!("/api/dead-letters/redrives?limit=1&cursor={cursor}");
    let last = client.get(&path).await.expect(200).json();
    assert!(first["data"][0]["id"].as_str() > last["data"][0]["id"].as_str());
    assert_eq!(last["meta"]["nextCursor"], json!(null));
    until_letters(&client, 180).await;
}

#[tokio::test]
async fn a_redrive_whose_instance_is_gone_is_taken_over_where_it_was() {
    let instance = Instance::start().await;
    let client = instance.client();
    let mut places = Vec::new();
    for number in 0..6 {
        places.push(instance.append_bytes(&format!("c{number}"), b"{").await);
    }
    until_letters(&client, 6).await;
    // As another instance left it, with the first three behind it.
    let next = |acks: &[contactd::event_log::Ack]| {
        let mut next = serde_json::Map::new();
        for ack in acks {
            next.insert(ack.lane.to_string(), (ack.offset.0 + 1).into());
        }
        next
    };
    let job = json!({
        "kind": "redrive", "selection": {}, "rate": 1000, "hopsMax": 5, "by": "key:admin",
        "atMs": 1, "state": "running", "upTo": next(&places), "done": next(&places[..3]),
        "counts": { "done": 3 }, "updatedMs": 1,
    });
    let control = |id: &str, job: &Value| ControlRecord {
        id: id.to_owned(),
        key: "dead_letter/job/0190-taken-over".to_owned(),
        expected_revision: Some(0),
        value: Some(job.to_string().into_bytes()),
        ..ControlRecord::default()
    };
    let record = control("one", &job);
    append_control(&instance, &record.key, record.encode().unwrap()).await;
    let job = until_job(&client, "0190-taken-over", "done").await;
    let behind = next(&places[..3]);
    let left = places.iter().filter(|ack| {
        let done = behind.get(&ack.lane.to_string()).and_then(Value::as_u64).unwrap_or(0);
        ack.offset.0 >= done
    });
    let left = left.count();
    assert!(left > 0 && left < 6, "{left}");
    assert_eq!((&job["counts"]["done"], &job["by"]), (&json!(3 + left), &json!("key:admin")));
    until_letters(&client, 6 + left).await;
}

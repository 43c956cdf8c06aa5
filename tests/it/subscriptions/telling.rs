//! What subscribers are told, and what is done with subscriptions.

use std::time::{Duration, Instant};

use axum::http::Method;
use serde_json::json;

use super::subscriber::{Manner, OK, Subscriber};
use super::{PATH, builder, create, deliveries, rename, subscribe, until_it};
use crate::support::instance::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_told_signed_and_each_attempt_is_shown() {
    let instance = builder().start().await;
    let (client, subscriber) = (instance.client(), Subscriber::start().await);
    let (id, secret) = subscribe(&client, &subscriber, json!({"description": "billing"})).await;
    create(&client, "ada").await;
    let told = subscriber.has(1).await;
    assert_eq!(told[0].signatures_by(&secret), 1);
    assert_eq!(told[0].header("contactd-subscription"), id);
    let body = told[0].json();
    assert_eq!(body["type"], "contact.created");
    assert_eq!(body["data"]["contact"]["firstName"], "Ada");
    assert_eq!(body["data"]["change"]["eventType"], "contact.created");
    let shown = until("the attempt is shown", async || {
        let all = deliveries(&client, &id).await;
        (all.len() == 1).then(|| all[0].clone())
    })
    .await;
    assert_eq!(shown["id"], told[0].header("webhook-id"));
    assert_eq!((&shown["state"], &shown["contact"]), (&json!("delivered"), &json!("ada")));
    let attempt = &shown["attempts"][0];
    assert_eq!((&attempt["status"], &attempt["response"]), (&json!(200), &json!("thank you")));
    // The secret is shown this once, and lies nowhere.
    let again = client.get(&format!("{PATH}/{id}")).await.expect(200).json();
    assert_eq!((&again["secret"], &again["state"]), (&json!(null), &json!("active")));
    assert!(again["here"].as_bool().unwrap());
    let bytes = secret.trim_start_matches("whsec_").as_bytes();
    for file in files(instance.path()) {
        let text = std::fs::read(&file).unwrap();
        let lies = text.windows(bytes.len()).any(|window| window == bytes);
        assert!(!lies, "the secret lies in {}", file.display());
    }
}

fn files(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_told_what_its_filter_lets_through() {
    let instance = builder().start().await;
    let (client, all) = (instance.client(), Subscriber::start().await);
    let [mails, gone, others, ids] = [
        json!({"events": ["contact.updated"], "fields": ["email", "attributes"], "send": "change"}),
        json!({"statuses": ["DELETED"]}),
        json!({"notSources": ["api"]}),
        json!({"events": ["contact.created"], "send": "ids"}),
    ];
    let mut subscribers = Vec::new();
    for wish in [mails, gone, others, ids] {
        let subscriber = Subscriber::start().await;
        subscribe(&client, &subscriber, wish).await;
        subscribers.push(subscriber);
    }
    subscribe(&client, &all, json!({})).await;
    create(&client, "ada").await;
    rename(&client, "ada", "Augusta").await;
    let mail = json!({"email": "ada@example.com", "attributes": {"plan": "gold"}});
    client.patch("/api/contacts/ada", &mail).await.expect(200);
    client.delete("/api/contacts/ada").await.expect(204);
    let event = json!({
        "id": "e1", "eventType": "contact.created", "source": "crm",
        "timestamp": "2026-11-21T10:00:00Z", "data": {"id": "bob", "email": "bob@example.com"},
    });
    instance.append(&event).await;
    let told = all.has(5).await;
    let kinds: Vec<_> = told.iter().map(super::subscriber::Received::kind).collect();
    let updated = "contact.updated";
    let expected = ["contact.created", updated, updated, "contact.deleted", "contact.created"];
    assert_eq!(kinds, expected);
    let told = subscribers[0].has(1).await[0].json();
    let fields = json!({"email": "ada@example.com", "attributes.plan": "gold"});
    assert_eq!((&told["data"]["fields"], &told["data"]["contact"]["id"]), (&fields, &json!("ada")));
    assert_eq!(subscribers[1].has(1).await[0].kind(), "contact.deleted");
    assert_eq!(subscribers[2].has(1).await[0].contact(), "bob");
    let told = subscribers[3].has(2).await[0].json();
    assert_eq!(told["data"]["contact"], json!({"id": "ada", "version": 1, "status": "ACTIVE"}));
    assert!(told["data"]["change"]["source"].is_null());
    let counts: Vec<_> = subscribers.iter().map(|it| it.received().len()).collect();
    assert_eq!(counts, [1, 1, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_t_be_had_is_refused_by_its_name() {
    let instance = builder().with("subscriptions.max", "2").start().await;
    let (client, subscriber) = (instance.client(), Subscriber::start().await);
    let url = subscriber.url();
    for (wish, field) in [
        (json!({"url": url, "fields": ["emial"]}), "emial"),
        (json!({"url": url, "fields": ["attributes."]}), "attributes."),
        (json!({"url": url, "events": ["contact.upserted"]}), "contact.upserted"),
        (json!({"url": url, "events": ["con*"]}), "con*"),
        (json!({"url": url, "statuses": ["active"]}), "active"),
        (json!({"url": url, "sources": [""]}), "sources"),
        (json!({"url": url, "send": "all"}), "send"),
        (json!({"url": url, "rate": -1}), "rate"),
        (json!({"url": url, "retries": 3}), "retries"),
        (json!({"events": ["*"]}), "url"),
    ] {
        let refused = client.post(PATH, &wish).await.expect_error(422, "VALIDATION_FAILED");
        let text = String::from_utf8(refused.body.clone()).unwrap();
        assert!(text.contains(field), "{wish}: {text}");
    }
    for url in [
        "http://169.254.169.254/latest",
        "http://10.0.0.1/",
        "ftp://127.0.0.1/",
        "http://user:secret@127.0.0.1/",
        "nonsense",
    ] {
        client.post(PATH, &json!({"url": url})).await.expect_error(422, "TARGET_NOT_ALLOWED");
    }
    let (id, _) = subscribe(&client, &subscriber, json!({})).await;
    let change = json!({"url": "http://10.0.0.1/"});
    let path = format!("{PATH}/{id}");
    let changed = client.send(Method::PATCH, &path, Some(&change)).await;
    changed.expect_error(422, "TARGET_NOT_ALLOWED");
    subscribe(&client, &subscriber, json!({})).await;
    client.post(PATH, &json!({"url": url})).await.expect_error(409, "SUBSCRIPTION_CONFLICT");
    client.delete(&path).await.expect(204);
    client.get(&path).await.expect_error(404, "SUBSCRIPTION_NOT_FOUND");
    client
        .post(&format!("{path}/test"), &json!({}))
        .await
        .expect_error(404, "SUBSCRIPTION_NOT_FOUND");
    let secure = builder().with("subscriptions.require_https", "true").start().await;
    secure.client().post(PATH, &json!({"url": url})).await.expect_error(422, "TARGET_NOT_ALLOWED");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_in_a_pause_is_told_after_it() {
    let instance = builder().start().await;
    let (client, subscriber) = (instance.client(), Subscriber::start().await);
    let (id, _) = subscribe(&client, &subscriber, json!({"ordered": true})).await;
    let path = format!("{PATH}/{id}");
    create(&client, "ada").await;
    subscriber.has(1).await;
    client.post(&format!("{path}/pause"), &json!({})).await.expect(200);
    for number in 0..300 {
        rename(&client, "ada", &format!("name {number}")).await;
    }
    let shown = client.get(&path).await.expect(200).json();
    assert_eq!(shown["state"], "paused");
    assert_eq!(subscriber.received().len(), 1);
    let shown = client.post(&format!("{path}/resume"), &json!({})).await.expect(200).json();
    assert_eq!(shown["state"], "active");
    let told = subscriber.has(301).await;
    let versions: Vec<_> = told.iter().map(super::subscriber::Received::version).collect();
    assert_eq!(versions, (1..=301).collect::<Vec<_>>(), "in order");
    until_it(&client, &id, |shown| shown["behind"] == false).await;
    rename(&client, "ada", "Countess").await;
    subscriber.has(302).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_is_told_once_more_under_its_id() {
    let instance = builder().start().await;
    let (client, subscriber) = (instance.client(), Subscriber::start().await);
    let (id, secret) = subscribe(&client, &subscriber, json!({})).await;
    let path = format!("{PATH}/{id}");
    for number in 0..3 {
        create(&client, &format!("c{number}")).await;
    }
    let ids = |count: usize| {
        let subscriber = &subscriber;
        async move {
            let told = subscriber.has(count).await;
            told.iter().map(|it| it.header("webhook-id").to_owned()).collect::<Vec<_>>()
        }
    };
    let first = ids(3).await;
    client.post(&format!("{path}/deliveries/{}/resend", first[1]), &json!({})).await.expect(204);
    assert_eq!(ids(4).await[3], first[1]);
    let unknown = format!("{path}/deliveries/msg_0000000000000000_0_1/resend");
    client.post(&unknown, &json!({})).await.expect_error(404, "DELIVERY_NOT_FOUND");
    let since = json!({"since": "2020-01-01T00:00:00Z"});
    client.post(&format!("{path}/recover"), &since).await.expect(200);
    let mut again = ids(7).await[4..].to_vec();
    again.sort();
    let mut expected = first.clone();
    expected.sort();
    assert_eq!(again, expected);
    // Both secrets sign for a day.
    let rotated = client.post(&format!("{path}/rotate"), &json!({})).await.expect(200).json();
    let other = rotated["secret"].as_str().unwrap();
    assert!(other != secret && rotated["oldSecretUntil"].is_string());
    create(&client, "late").await;
    let told = subscriber.has(8).await;
    assert_eq!((told[7].signatures_by(&secret), told[7].signatures_by(other)), (1, 1));
    let tested = client.post(&format!("{path}/test"), &json!({})).await.expect(200).json();
    assert_eq!((&tested["delivered"], &tested["attempt"]["status"]), (&json!(true), &json!(200)));
    let told = subscriber.has(9).await;
    assert_eq!(told[8].kind(), "subscription.test");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_nothing_and_repeats_carry_their_ids() {
    let subscriber = Subscriber::start().await;
    let instance = builder().start().await;
    let client = instance.client();
    subscriber.behaves(Manner::Answers(503, "", "not now"));
    let (id, secret) = subscribe(&client, &subscriber, json!({})).await;
    for number in 0..20 {
        create(&client, &format!("c{number}")).await;
    }
    let shown = until_it(&client, &id, |shown| shown["state"] == "failing").await;
    assert!(shown["why"].as_str().unwrap().contains("503"), "{shown}");
    let failed = subscriber.has(1).await[0].header("webhook-id").to_owned();
    let directory = instance.stop().await;
    subscriber.behaves(OK);
    let before = subscriber.received().len();
    let instance = builder().start_on(directory).await;
    let client = instance.client();
    create(&client, "after").await;
    let all = || {
        let told = subscriber.received().split_off(before);
        told.iter().map(|it| it.contact()).collect::<std::collections::BTreeSet<_>>()
    };
    until("all are told", async || (all().len() == 21).then_some(())).await;
    let told = subscriber.received().split_off(before);
    assert!(told.iter().any(|it| it.header("webhook-id") == failed), "under the id that it had");
    assert!(told.iter().all(|it| it.signatures_by(&secret) == 1), "by the same secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_changes_are_told_soon_and_each_once() {
    let instance = builder().start().await;
    let (client, subscriber) = (instance.client(), Subscriber::start().await);
    let (id, _) = subscribe(&client, &subscriber, json!({"events": ["contact.created"]})).await;
    create(&client, "first").await;
    subscriber.has(1).await;
    let began = Instant::now();
    create(&client, "soon").await;
    subscriber.has(2).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    for number in 0..1_000 {
        let id = format!("c{number}");
        let event = json!({
            "id": id, "eventType": "contact.created", "timestamp": "2026-11-21T10:00:00Z",
            "data": {"id": id},
        });
        instance.append(&event).await;
    }
    let told = subscriber.has(1_002).await;
    let ids: std::collections::BTreeSet<_> =
        told.iter().map(|it| it.header("webhook-id").to_owned()).collect();
    assert_eq!((told.len(), ids.len()), (1_002, 1_002));
    until_it(&client, &id, |shown| shown["behind"] == false && shown["failures"] == 0).await;
    let kept = client.get(&format!("{PATH}/{id}/deliveries?limit=200")).await.expect(200).json();
    assert_eq!(kept["data"].as_array().unwrap().len(), 100, "the newest hundred are remembered");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_write_back_do_not_go_round_for_ever() {
    let instance = builder().start().await;
    let (client, subscriber) = (instance.client(), Subscriber::start().await);
    subscribe(&client, &subscriber, json!({})).await;
    create(&client, "ada").await;
    let mut rounds = 1;
    loop {
        let told = subscriber.has(rounds).await[rounds - 1].clone();
        let hops = told.header("contactd-hops").to_owned();
        assert_eq!(hops, rounds.to_string());
        let back = client.clone().with("contactd-hops", &hops).with("x-request-id", "back");
        let name = json!({"firstName": format!("round {rounds}")});
        let answer = back.patch("/api/contacts/ada", &name).await;
        if rounds > 8 {
            answer.expect_error(508, "LOOP_DETECTED");
            break;
        }
        answer.expect(200);
        rounds += 1;
    }
    let strange = client.clone().with("contactd-hops", "many");
    strange.delete("/api/contacts/ada").await.expect_error(508, "LOOP_DETECTED");
}

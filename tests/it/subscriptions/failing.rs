//! Subscribers that do not take what they are told.

use std::time::{Duration, Instant};

use serde_json::json;

use super::subscriber::{Manner, OK, Subscriber};
use super::{PATH, builder, create, deliveries, rename, subscribe, until_it};
use crate::support::instance::until;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_subscriber_does_is_a_failure_that_says_so_and_holds_up_nobody_else() {
    let instance = builder().with("subscriptions.timeout", "300ms").start().await;
    let (client, sound) = (instance.client(), Subscriber::start().await);
    let manners = [
        (Manner::Hangs, "no answer within 300 ms"),
        (Manner::Closes, "closed"),
        (Manner::Resets, "reset"),
        (Manner::Breaks, ""),
        (Manner::After(Duration::from_secs(2)), "no answer within 300 ms"),
        (Manner::Answers(302, "location: http://127.0.0.1:1/\r\n", ""), "no redirect is followed"),
        (Manner::Answers(500, "", "oops"), "500"),
        (Manner::Answers(401, "", ""), "401"),
        (Manner::Answers(429, "retry-after: 3600\r\n", ""), "429"),
    ];
    let mut failing = Vec::new();
    for (manner, why) in manners {
        let subscriber = Subscriber::start().await;
        subscriber.behaves(manner.clone());
        let (id, _) = subscribe(&client, &subscriber, json!({})).await;
        failing.push((subscriber, id, why, manner));
    }
    subscribe(&client, &sound, json!({})).await;
    let flood = Subscriber::start().await;
    flood.behaves(Manner::Floods);
    let (flooded, _) = subscribe(&client, &flood, json!({})).await;
    for number in 0..50 {
        create(&client, &format!("c{number}")).await;
    }
    sound.has(50).await;
    for (subscriber, id, why, manner) in &failing {
        let shown = until_it(&client, id, |shown| shown["state"] == "failing").await;
        assert!(shown["why"].as_str().unwrap().contains(why), "{manner:?}: {shown}");
        assert!(shown["retryAt"].is_string() && shown["behind"] == true, "{manner:?}: {shown}");
        let tried = subscriber.received().len();
        assert!(tried <= 4, "{manner:?}: {tried} messages were sent to one that fails");
        let attempt = deliveries(&client, id).await[0]["attempts"][0].clone();
        assert!(attempt["retryInMs"].as_u64().unwrap() >= 1_000, "{manner:?}: {attempt}");
    }
    // An answer without end is read up to its first KiB, and taken.
    until("the flood took all", async || (flood.received().len() == 50).then_some(())).await;
    let delivery = deliveries(&client, &flooded).await[0].clone();
    assert_eq!(delivery["state"], "delivered");
    assert_eq!(delivery["attempts"][0]["responseIsCut"], true);
    assert_eq!(delivery["attempts"][0]["response"].as_str().unwrap().len(), 1_024);
    assert!(
        client
            .get("/readyz?verbose")
            .await
            .expect(200)
            .body
            .windows(13)
            .any(|it| it == b"subscriptions")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_is_tried_again_and_told_everything() {
    let instance = builder().start().await;
    let (client, subscriber) = (instance.client(), Subscriber::start().await);
    subscriber.behaves(Manner::Answers(503, "retry-after: 1\r\n", ""));
    let (id, _) = subscribe(&client, &subscriber, json!({"ordered": true})).await;
    create(&client, "ada").await;
    for number in 0..400 {
        rename(&client, "ada", &format!("name {number}")).await;
    }
    let first = subscriber.has(1).await[0].at;
    let second = subscriber.has(2).await[1].at;
    assert!(second - first >= Duration::from_millis(990), "{:?}", second - first);
    subscriber.behaves(OK);
    let before = subscriber.received().len();
    let versions = || {
        let told = subscriber.received().split_off(before);
        told.iter().map(super::subscriber::Received::version).collect::<Vec<_>>()
    };
    until("all are told", async || (versions().len() >= 401).then_some(())).await;
    assert_eq!(versions(), (1..=401).collect::<Vec<_>>(), "each once and in order");
    let shown = until_it(&client, &id, |shown| shown["state"] == "active").await;
    assert_eq!((&shown["failures"], &shown["why"]), (&json!(0), &json!(null)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_alone_is_refused_holds_up_nothing_else() {
    let instance = builder().start().await;
    let (client, subscriber) = (instance.client(), Subscriber::start().await);
    subscriber.behaves(Manner::Refuses("bad"));
    let (id, _) = subscribe(&client, &subscriber, json!({"ordered": true})).await;
    create(&client, "bad").await;
    rename(&client, "bad", "second").await;
    for number in 0..100 {
        create(&client, &format!("c{number}")).await;
    }
    let of = |contact: &str| {
        let told = subscriber.received();
        told.into_iter().filter(|it| (it.contact() == "bad") == (contact == "bad")).count()
    };
    until("the others are told", async || (of("others") == 100).then_some(())).await;
    assert!(subscriber.received().iter().all(|it| it.contact() != "bad" || it.version() == 1));
    let shown = client.get(&format!("{PATH}/{id}")).await.expect(200).json();
    assert_eq!(shown["state"], "active");
    subscriber.behaves(OK);
    client.post(&format!("{PATH}/{id}/resume"), &json!({})).await.expect(200);
    let versions = || {
        let told = subscriber.received().into_iter().filter(|it| it.contact() == "bad");
        told.map(|it| it.version()).collect::<Vec<_>>()
    };
    until("both are told", async || versions().contains(&2).then_some(())).await;
    assert!(versions().is_sorted(), "{:?}", versions());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_gone_is_disabled_and_others_are_told() {
    let instance = builder().start().await;
    let (client, gone, watcher) =
        (instance.client(), Subscriber::start().await, Subscriber::start().await);
    gone.behaves(Manner::Answers(410, "", "moved away"));
    let (id, _) = subscribe(&client, &gone, json!({})).await;
    subscribe(&client, &watcher, json!({"events": ["subscription.disabled"]})).await;
    create(&client, "ada").await;
    let told = watcher.has(1).await[0].json();
    assert_eq!(told["type"], "subscription.disabled");
    assert_eq!(told["data"]["subscription"]["id"], id.as_str());
    let shown = until_it(&client, &id, |shown| shown["state"] == "disabled").await;
    assert!(shown["why"].as_str().unwrap().contains("410"), "{shown}");
    create(&client, "bob").await;
    let path = format!("{PATH}/{id}");
    client
        .post(&format!("{path}/pause"), &json!({}))
        .await
        .expect_error(409, "SUBSCRIPTION_CONFLICT");
    assert_eq!(gone.received().len(), 1);
    gone.behaves(OK);
    client.post(&format!("{path}/resume"), &json!({})).await.expect(200);
    let told = gone.has(3).await;
    assert_eq!([told[1].contact(), told[2].contact()], ["ada", "bob"]);
    assert_eq!(watcher.received().len(), 1, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_hang_take_no_places_from_the_others() {
    let instance = builder()
        .with("subscriptions.under_way_max", "64")
        .with("subscriptions.timeout", "5s")
        .start()
        .await;
    let client = instance.client();
    let (hanging, sound) = (Subscriber::start().await, Subscriber::start().await);
    hanging.behaves(Manner::Hangs);
    for _ in 0..40 {
        subscribe(&client, &hanging, json!({})).await;
    }
    subscribe(&client, &sound, json!({})).await;
    let began = Instant::now();
    for number in 0..200 {
        create(&client, &format!("c{number}")).await;
    }
    sound.has(200).await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert!(hanging.received().len() <= 120, "{}", hanging.received().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_before_an_erasure_goes_nowhere() {
    let instance = builder().start().await;
    let (client, subscriber) = (instance.client(), Subscriber::start().await);
    let (id, _) = subscribe(&client, &subscriber, json!({})).await;
    let path = format!("{PATH}/{id}");
    client.post(&format!("{path}/pause"), &json!({})).await.expect(200);
    let secret = json!({"id": "ada", "email": "ada@example.com"});
    client.post("/api/contacts", &secret).await.expect(201);
    client.delete("/api/contacts/ada?erase=true").await.expect(204);
    create(&client, "bob").await;
    client.post(&format!("{path}/resume"), &json!({})).await.expect(200);
    until("what comes after is told", async || {
        subscriber.received().iter().any(|it| it.contact() == "bob").then_some(())
    })
    .await;
    let told = subscriber.received();
    assert!(told.iter().any(|it| it.kind() == "contact.erased"));
    let texts: String = told.iter().map(|it| it.json().to_string()).collect();
    assert!(!texts.contains("ada@example.com"), "{texts}");
}

//! RabbitMQ that is stopped, killed, restarted, full, and cuts its connections: nothing is lost, a repeat has the id
//! that it had, and the greatest version comes last.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::event;
use crate::support::instance::{Instance, until};
use crate::support::rabbitmq::{Message, Queue};
use crate::support::services::OwnRabbitmq;

const CONTACTS: usize = 5;

/// What a consumer has seen.
#[derive(Default)]
struct Seen {
    /// By contact, each version in the order in which it came.
    versions: BTreeMap<String, Vec<u64>>,
    /// By contact and version.
    ids: BTreeMap<(String, u64), BTreeSet<String>>,
}

impl Seen {
    fn take(&mut self, message: &Message) {
        let (contact, version) = (message.attribute("subject"), message.version());
        self.versions.entry(contact.clone()).or_default().push(version);
        self.ids.entry((contact, version)).or_default().insert(message.id.clone());
    }

    fn is_whole(&self, versions: u64) -> bool {
        let has_last = |seen: &Vec<u64>| seen.last() == Some(&versions);
        self.versions.len() == CONTACTS && self.versions.values().all(has_last)
    }

    fn check(&self, versions: u64) {
        for (contact, seen) in &self.versions {
            let all: BTreeSet<u64> = seen.iter().copied().collect();
            assert_eq!(all, (1..=versions).collect(), "{contact}: {seen:?}");
            assert_eq!(seen.last(), Some(&versions), "{contact}: the greatest comes last");
        }
        assert!(self.ids.values().all(|ids| ids.len() == 1), "{:?}", self.ids);
    }
}

async fn run(rabbitmq: &Arc<OwnRabbitmq>, action: &'static str) {
    let rabbitmq = Arc::clone(rabbitmq);
    tokio::task::spawn_blocking(move || rabbitmq.run(action)).await.unwrap();
}

async fn say(instance: &Instance, versions: std::ops::Range<usize>) {
    for version in versions {
        for contact in 0..CONTACTS {
            instance.append(&event(&format!("c{contact}"), "acme", version)).await;
        }
    }
}

async fn follower(instance: &Instance) -> Value {
    instance.client().get("/api/followers/rabbitmq").await.expect(200).json()
}

async fn until_trouble(instance: &Instance, words: &str) {
    let told = async || {
        let follower = follower(instance).await;
        let why = follower["trouble"]["why"].as_str()?;
        why.contains(words).then_some(())
    };
    until(words, told).await;
}

async fn until_delivered(instance: &Instance) {
    let done = async || {
        let it = follower(instance).await;
        (it["trouble"].is_null() && it["waiting"] == 0 && it["lagRecords"] == 0).then_some(())
    };
    until("all is delivered", done).await;
}

/// Reads on until all is there, over whatever connections it takes.
async fn read(address: &str, seen: &mut Seen, versions: u64) {
    let mut queue = Queue::bound(address, "seen", "contactd", "contact.#").await;
    while !seen.is_whole(versions) {
        let message = queue.next().await;
        seen.take(&message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outages_of_rabbitmq_lose_nothing_and_the_greatest_version_comes_last() {
    const TEST: &str = "outages_of_rabbitmq_lose_nothing_and_the_greatest_version_comes_last";
    let started = tokio::task::spawn_blocking(|| OwnRabbitmq::start(TEST)).await.unwrap();
    let Some(rabbitmq) = started.map(Arc::new) else { return };
    let address = rabbitmq.address();
    // The queue is there, and durable, before anything is said.
    drop(Queue::bound(&address, "seen", "contactd", "contact.#").await);
    let instance = Instance::builder()
        .with("rabbitmq.url", format!("amqp://guest:guest@{address}"))
        .with("rabbitmq.timeout", "2s")
        .start()
        .await;
    let begun = async || (follower(&instance).await["state"] == "running").then_some(());
    until("the follower runs", begun).await;
    let mut seen = Seen::default();
    say(&instance, 1..4).await;
    until_delivered(&instance).await;
    // Its disk is full: what is said waits, and is told once there is room.
    run(&rabbitmq, "alarm").await;
    say(&instance, 4..7).await;
    until_trouble(&instance, "low on disk").await;
    run(&rabbitmq, "ease").await;
    until_delivered(&instance).await;
    read(&address, &mut seen, 6).await;
    // The connection is cut in the middle of what is said.
    let cut = run(&rabbitmq, "cut");
    tokio::join!(cut, say(&instance, 7..40));
    until_delivered(&instance).await;
    read(&address, &mut seen, 39).await;
    // Stopped in order, and killed.
    for (action, versions) in [("stop", 40..50), ("kill", 50..60)] {
        let greatest = versions.end as u64 - 1;
        let ended = run(&rabbitmq, action);
        tokio::join!(ended, say(&instance, versions));
        until_trouble(&instance, "RabbitMQ").await;
        run(&rabbitmq, "start").await;
        until_delivered(&instance).await;
        read(&address, &mut seen, greatest).await;
    }
    seen.check(59);
    assert_eq!(follower(&instance).await["parked"], 0);
    let restarted = instance.stop();
    let directory =
        tokio::time::timeout(Duration::from_secs(30), restarted).await.expect("it ends");
    drop(directory);
}

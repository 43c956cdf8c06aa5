//! Hostile bodies by the ten thousand, signed as by a sender that is known: each has its answer, none
//! is our fault, and what was said to be kept is applied.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::Method;
use contactd::ingest::{now_ms, sign_acme};
use contactd::simulate::hostile;
use serde_json::Value;

use crate::support::client::Client;
use crate::support::instance::{Instance, until};

const SECRET: &str = "a-webhook-secret-of-at-least-32-bytes";
/// How many, where nothing else is said.
const BODIES: u64 = 10_000;
/// Says how many.
const BODIES_VARIABLE: &str = "CONTACTD_HOSTILE_BODIES";
const SEED_VARIABLE: &str = "CONTACTD_HOSTILE_SEED";
const CONNECTIONS: usize = 8;

fn number(variable: &str, otherwise: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(otherwise, |text| text.parse().expect("a number"))
}

/// One event, or now and then several.
fn body(seed: u64, number: u64) -> Vec<u8> {
    let value = |number| hostile(seed, number).value.unwrap_or_default();
    if !number.is_multiple_of(8) {
        return value(number);
    }
    let values: Vec<Vec<u8>> = (0..number % 5).map(|more| value(number + more)).collect();
    [b"[", values.join(&b","[..]).as_slice(), b"]"].concat()
}

/// What the answers said, summed up.
#[derive(Debug, Default)]
struct Told {
    statuses: BTreeMap<u16, u64>,
    accepted: u64,
    rejected: u64,
}

impl Told {
    fn take(&mut self, status: u16, body: &[u8], what: &str) {
        *self.statuses.entry(status).or_default() += 1;
        let answer: Value =
            serde_json::from_slice(body).unwrap_or_else(|error| panic!("{what}: {error}"));
        let code = answer["error"]["code"].as_str();
        match (status, code) {
            (200, _) => {
                self.accepted += answer["accepted"].as_u64().expect("accepted");
                self.rejected += answer["rejected"].as_u64().expect("rejected");
            }
            (422, Some("EVENT_REJECTED")) => {
                let results = answer["error"]["details"]["results"].as_array().expect("results");
                assert!(results.iter().all(|item| item["reason"].is_string()), "{what}: {answer}");
                self.rejected += results.len() as u64;
            }
            // Of the body as a whole.
            (400, Some("INVALID_BODY")) => self.rejected += 1,
            // It never came to the webhooks.
            (413, Some("BODY_TOO_LARGE")) => {}
            _ => panic!("{what}: {status} {answer}"),
        }
    }

    fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.accepted += other.accepted;
        self.rejected += other.rejected;
    }
}

async fn send(client: Client, seed: u64, next: Arc<AtomicU64>, bodies: u64) -> Told {
    let mut told = Told::default();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= bodies {
            return told;
        }
        let body = body(seed, number);
        let time = (now_ms() / 1000).to_string();
        let signature = sign_acme(SECRET, &time, &body);
        let signed =
            client.clone().with("x-acme-timestamp", &time).with("x-acme-signature", &signature);
        let answer = signed.send_bytes(Method::POST, "/api/webhooks", Some(body)).await;
        told.take(answer.status.as_u16(), &answer.body, &format!("body {number} of seed {seed}"));
    }
}

/// The sum of a metric's samples, by the value of its label.
fn samples(instance: &Instance, name: &str) -> BTreeMap<String, u64> {
    let text = String::from_utf8(instance.metrics.render().expect("metrics")).expect("text");
    let of_name = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
    let sample = |line: &str| {
        let (labels, value) = line.rsplit_once("} ")?;
        let label = labels.split('"').nth(1)?;
        Some((label.to_owned(), value.parse::<f64>().ok()? as u64))
    };
    of_name.filter_map(sample).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_hostile_body_is_answered_and_what_is_kept_is_applied() {
    let (seed, bodies) = (number(SEED_VARIABLE, 6), number(BODIES_VARIABLE, BODIES));
    let instance = Instance::builder()
        .with("acme.webhook_secret", SECRET)
        .with("store.dirty_bytes_max", "16MiB")
        .start()
        .await;
    let started = std::time::Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let client = Client::new(instance.address);
        senders.spawn(send(client, seed, Arc::clone(&next), bodies));
    }
    let mut told = Told::default();
    while let Some(sender) = senders.join_next().await {
        told.add(sender.expect("a sender"));
    }
    eprintln!("{bodies} bodies in {:?}: {told:?}", started.elapsed());
    assert_eq!(told.statuses.values().sum::<u64>(), bodies);
    assert!(told.accepted > bodies / 20 && told.rejected > bodies / 4, "{told:?}");
    let by_outcome = samples(&instance, "contactd_webhook_events_total");
    assert_eq!((by_outcome["log"], by_outcome["rejected"]), (told.accepted, told.rejected));
    assert_eq!(by_outcome.values().sum::<u64>(), told.accepted + told.rejected, "{by_outcome:?}");
    until("all that was kept is applied", async || {
        let applied = samples(&instance, "contactd_events_applied_total");
        (applied.values().sum::<u64>() == told.accepted).then_some(())
    })
    .await;
    // What is taken can be applied, but for what a contact has grown to.
    let mut letters = samples(&instance, "contactd_dead_letter_total");
    letters.remove("too_large");
    assert_eq!(letters.values().sum::<u64>(), 0, "{letters:?}");
    instance.client().get("/readyz").await.expect(200);
}

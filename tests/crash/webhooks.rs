//! 2xx means kept: signed webhooks while the broker is killed and started again, and contactd too.
//! Each sender sends its next event when the one before was acknowledged, again and again until it
//! is, as a CRM does. In the end each contact has had each of its events once, in their order.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use contactd::auth::Role;
use contactd::ingest::sign_acme;
use serde_json::{Value, json};

use crate::seed;
use crate::support::access;
use crate::support::client::Client;
use crate::support::image::Image;
use crate::support::logs::TestLog;
use crate::support::node::{Node, Running};
use crate::support::services::OwnBroker;
use crate::support::wait::wait_until;

const SECRET: &str = "a-webhook-secret-of-at-least-32-bytes";
const SENDERS: usize = 8;
/// Kills of the broker, and of contactd; where more kills are asked for, fewer show nothing.
const KILLS: u32 = 4;
const KILLS_LONG: u32 = 20;
/// Acknowledged from the outbox in each round, before the broker comes back.
const OUTBOX_ACKS_A_ROUND: u64 = 60;
const PATIENCE: Duration = Duration::from_secs(60);

/// What the senders have seen.
#[derive(Default)]
struct Seen {
    on_log: AtomicU64,
    in_outbox: AtomicU64,
    is_over: AtomicBool,
}

/// Each restart of a broker takes seconds, so the long run is asked for.
fn kills() -> u32 {
    if std::env::var_os("CONTACTD_CRASH_KILLS").is_some() { KILLS_LONG } else { KILLS }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// Sends events of one contact until the run is over; returns how many were acknowledged.
async fn send(contact: String, url: String, seen: Arc<Seen>) -> u64 {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let mut acknowledged = 0;
    let mut time_ms = 0;
    while !seen.is_over.load(Ordering::SeqCst) {
        // One contact's events must not share a millisecond, or their order is not the clock's.
        time_ms = now_ms().max(time_ms + 1);
        let event = json!({
            "id": format!("{contact}-{acknowledged}"), "eventType": "contact.updated",
            "timestamp": time_ms, "data": { "id": contact, "firstName": acknowledged.to_string() },
        })
        .to_string();
        loop {
            let time = (now_ms() / 1000).to_string();
            let request = client
                .post(&url)
                .header("x-acme-timestamp", &time)
                .header("x-acme-signature", sign_acme(SECRET, &time, event.as_bytes()))
                .body(event.clone());
            let Ok(answer) = request.send().await else {
                tokio::task::yield_now().await;
                continue;
            };
            let status = answer.status();
            assert!(status.is_success() || status == 503, "{status}");
            let Ok(body) = answer.json::<Value>().await else {
                continue;
            };
            match body["kept"].as_str() {
                Some("log") => seen.on_log.fetch_add(1, Ordering::SeqCst),
                Some(_) => seen.in_outbox.fetch_add(1, Ordering::SeqCst),
                None => continue,
            };
            acknowledged += 1;
            break;
        }
    }
    acknowledged
}

/// Kills broker and contactd in turn, in the middle of what goes on.
fn havoc(broker: &OwnBroker, node: &Node, seen: &Seen, random: &mut fastrand::Rng) -> Running {
    let mut running = node.start("");
    let more = |counter: &AtomicU64, count: u64, what: &str| {
        let goal = counter.load(Ordering::SeqCst) + count;
        let far = || (seen.on_log.load(Ordering::SeqCst), seen.in_outbox.load(Ordering::SeqCst));
        let what = format!("{what} (from {:?} on)", far());
        wait_until(PATIENCE, &what, || counter.load(Ordering::SeqCst) >= goal);
    };
    more(&seen.on_log, 50, "webhooks are kept on the log");
    let mut own_kills = 0;
    for _ in 0..kills() {
        broker.run("kill");
        more(
            &seen.in_outbox,
            random.u64(1..OUTBOX_ACKS_A_ROUND),
            "webhooks are kept in the outbox",
        );
        let while_away = random.bool();
        if while_away {
            running.kill();
            running = node.start("");
            own_kills += 1;
        }
        more(&seen.in_outbox, OUTBOX_ACKS_A_ROUND, "webhooks are kept in the outbox");
        broker.run("start");
        if !while_away {
            more(&seen.in_outbox, 1, "webhooks go on");
            running.kill();
            running = node.start("");
            own_kills += 1;
        }
        more(&seen.on_log, 10, "the outbox is forwarded, and webhooks are kept on the log again");
    }
    assert!(own_kills >= kills(), "only {own_kills} kills of contactd");
    running
}

fn outbox_records(url: &str) -> Option<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = runtime.block_on(async { reqwest::get(url).await.ok()?.text().await.ok() })?;
    let line = text.lines().find(|line| line.starts_with("contactd_outbox_records "))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn acknowledged_webhooks_survive_kills_of_the_broker_and_of_contactd() {
    const TEST: &str = "acknowledged_webhooks_survive_kills_of_the_broker_and_of_contactd";
    let Some(broker) = OwnBroker::start(TEST) else {
        return;
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut random = fastrand::Rng::with_seed(seed(TEST));
    let started = Instant::now();
    let dir = tempfile::tempdir().unwrap();
    let log = TestLog::kafka(&broker.address());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let node = log
        .followed_by(Node::new(&dir.path().join("store")))
        .with("server.listen", format!("127.0.0.1:{port}"))
        .with("limits.webhook", "off")
        .with("acme.webhook_secret", SECRET)
        .with("outbox.ack_timeout", "300ms");
    let seen = Arc::new(Seen::default());
    let url = format!("http://127.0.0.1:{port}/api/webhooks");
    let sending = std::thread::spawn({
        let (seen, url) = (Arc::clone(&seen), url.clone());
        move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let sends = (0..SENDERS).map(|number| {
                    let contact = format!("contact-{number}");
                    let sent = send(contact.clone(), url.clone(), Arc::clone(&seen));
                    async move { (contact, sent.await) }
                });
                futures_util::future::join_all(sends).await.into_iter().collect()
            })
        }
    });
    let running = havoc(&broker, &node, &seen, &mut random);
    seen.is_over.store(true, Ordering::SeqCst);
    let sent: BTreeMap<String, u64> = sending.join().unwrap();
    let metrics = format!("http://127.0.0.1:{port}/metrics");
    wait_until(PATIENCE, "the outbox is empty", || outbox_records(&metrics) == Some(0));
    let ended = running.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    node.catch_up_soundly();
    let exported = node.command(&["store", "export"]).output().unwrap();
    assert!(exported.status.success());
    let lines = String::from_utf8(exported.stdout).unwrap();
    let (on_log, in_outbox) =
        (seen.on_log.load(Ordering::SeqCst), seen.in_outbox.load(Ordering::SeqCst));
    let _ = writeln!(
        std::io::stderr(),
        "{on_log} webhooks acknowledged from the log, {in_outbox} from the outbox, {} kills of the \
         broker and as many of contactd in {:?}",
        kills(),
        started.elapsed()
    );
    let acks_min = u64::from(kills()) * OUTBOX_ACKS_A_ROUND;
    assert!(in_outbox >= acks_min, "only {in_outbox} were acknowledged from the outbox");
    assert_eq!(lines.lines().count(), SENDERS);
    for line in lines.lines() {
        let contact: Value = serde_json::from_str(line).unwrap();
        let id = contact["id"].as_str().unwrap();
        let count = sent[id];
        // Each event changes the contact: one that was lost, or came after a later one, is missing.
        assert_eq!(contact["version"], count, "{id}");
        assert_eq!(contact["firstName"], (count - 1).to_string(), "{id}");
    }
}

/// What is answered, where it is there and somebody answers.
async fn found(url: &str) -> Option<Value> {
    let asked = reqwest::Client::new().get(url).header("x-api-key", access::key(Role::Admin));
    let answer = asked.send().await.ok()?.error_for_status().ok()?;
    Some(answer.json().await.unwrap_or_default())
}

/// The outbox's cursor moves after the acknowledgement: after a kill in between the log has it already.
#[test]
fn a_write_that_the_log_has_already_is_not_forwarded_again() {
    const TEST: &str = "a_write_that_the_log_has_already_is_not_forwarded_again";
    let Some(broker) = OwnBroker::start(TEST) else { return };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users.toml");
    access::write_users(&users);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let log = TestLog::kafka(&broker.address());
    let node = log
        .followed_by(Node::new(&dir.path().join("store")))
        .with("server.listen", address)
        .with("auth.users_file", users.display())
        .with("outbox.ack_timeout", "300ms");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = Client::new(address).with_role(Role::Admin);
    let is_there = |path: &str, is_right: &dyn Fn(&Value) -> bool| {
        let url = format!("http://{address}{path}");
        wait_until(PATIENCE, path, || runtime.block_on(found(&url)).as_ref().is_some_and(is_right));
    };
    let running = node.start("");
    is_there("/readyz", &|_| true);
    let made = json!({ "id": "c1", "firstName": "Ada" });
    runtime.block_on(client.post("/api/contacts", &made));
    is_there("/api/contacts/c1", &|_| true);
    broker.run("kill");
    let title = json!({ "title": "Countess" });
    let patched = runtime.block_on(client.patch("/api/contacts/c1", &title)).expect(202);
    let event = patched.header("location").to_owned();
    running.kill();
    let forwarding = node.start("kill:outbox_appended:1");
    broker.run("start");
    assert!(forwarding.wait().was_killed());
    let running = node.start("");
    is_there(&event, &|told| told["status"] == "applied" && told["records"].is_array());
    let metrics = format!("http://{address}/metrics");
    wait_until(PATIENCE, "the outbox is empty", || outbox_records(&metrics) == Some(0));
    is_there(&event, &|told| told["records"].as_array().is_some_and(|records| records.len() == 1));
    assert!(running.stop().status.success());
    node.catch_up_soundly();
    let image = Image::read(&node.store);
    assert_eq!(image.contacts["c1"].version, 2);
}

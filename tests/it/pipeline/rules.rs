//! The rules stand on the log: whoever reads it, with whatever files, at whatever time, judges alike.

use std::process::Command;
use std::time::Duration;

use contactd::domain::founding::Founding;
use contactd::domain::headers::{FOUNDING, HOMES, MARKER};
use contactd::domain::partitioner::Partitioner;
use contactd::domain::rules::{Marker, RuleSet, RuleText};
use contactd::event_log::NewRecord;
use serde_json::{Value, json};

use super::node;
use crate::support::image::{self, Image};
use crate::support::instance::{Builder, Instance, until};
use crate::support::logs::{KafkaTopic, LANES, RawRecord, TestLog};
use crate::support::services::{KAFKA, service};

/// Where a source's e-mail goes by the new rules.
const NEW: (&str, &str) = ("source.crm.fields.email", "mail");

fn event(contact: &str, number: u64) -> Value {
    json!({
        "id": format!("{contact}-{number}"), "eventType": "contact.updated", "source": "crm",
        "timestamp": 1_790_000_000_000_u64 + number * 1_000,
        "data": { "id": contact, "mail": format!("{number}@example.com") },
    })
}

/// A marker as anybody may write one.
fn forged(lane: u16, number: &str, founding: &str, value: &[u8]) -> RawRecord {
    let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    RawRecord {
        lane: Some(lane),
        value: Some(value.to_vec()),
        headers: vec![
            header(MARKER, number),
            header(FOUNDING, founding),
            header(HOMES, &homes().to_header()),
        ],
        timestamp_ms: 1_790_000_000_000,
        ..RawRecord::default()
    }
}

fn homes() -> Founding {
    Founding::first(Partitioner::Murmur2, LANES)
}

fn rules(tolerance_ms: u64) -> RuleSet {
    let text = RuleText { future_tolerance_ms: tolerance_ms, ..RuleText::built_in() };
    RuleSet::compile(text).expect("rules")
}

async fn note(instance: &Instance) -> String {
    let ready = instance.client().get("/readyz?verbose").await.expect(200).json();
    ready["parts"]["rules"]["note"].as_str().unwrap_or_default().to_owned()
}

/// What tells two instances apart, once they have read as far as each other.
async fn until_equal(one: &Instance, other: &Instance) -> Value {
    let stats = async |instance: &Instance| {
        let stats = instance.client().get("/api/stats").await.expect(200).json();
        json!({
            "next": stats["nextOffsets"], "digest": stats["digest"], "events": stats["events"],
            "fingerprint": stats["fingerprint"], "contacts": stats["contacts"],
        })
    };
    until("both instances hold the same", async || {
        let (one, other) = (stats(one).await, stats(other).await);
        (one == other).then_some(one)
    })
    .await
}

fn on(topic: &KafkaTopic) -> Builder {
    // What it publishes by itself is not the same on both.
    Instance::builder().following(topic).with("dead_letters.topic", "off")
}

async fn one_place_on_every_instance(topic: &KafkaTopic) {
    let old = on(topic).start().await;
    let new = on(topic).with(NEW.0, NEW.1).start().await;
    old.append(&event("before", 1)).await;
    for instance in [&old, &new] {
        let found = instance.until_contact("before", |found| found.status.is_success()).await;
        assert_eq!(found.json()["email"], Value::Null, "the log's rules hold, not the files'");
    }
    assert!(note(&new).await.contains("source.crm"), "{}", note(&new).await);
    assert!(!note(&old).await.contains("source."), "{}", note(&old).await);
    let metrics = new.client().get("/metrics").await.expect(200);
    assert!(String::from_utf8_lossy(&metrics.body).contains("contactd_rules_differ 1"));

    let load = async {
        for number in 0..400 {
            old.append(&event(&format!("contact-{}", number % 40), 100 + number)).await;
        }
    };
    let adopting = async {
        old.until_contact("contact-7", |found| found.status.is_success()).await;
        new.client().post("/api/rules/adopt", &json!({})).await.expect(200).json()
    };
    let ((), adopted) = tokio::join!(load, adopting);
    assert_eq!(adopted, json!({ "number": 1, "adopted": true }));
    old.append(&event("after", 1)).await;
    old.until_contact("after", |found| found.json()["email"] == "1@example.com").await;
    let held = until_equal(&old, &new).await;
    assert!(note(&old).await.contains("source.crm"), "{}", note(&old).await);
    assert!(!note(&new).await.contains("source."), "{}", note(&new).await);
    assert!(note(&new).await.contains("number 1"), "{}", note(&new).await);
    assert!(note(&old).await.contains("adopted by key:"), "{}", note(&old).await);

    let again = new.client().post("/api/rules/adopt", &json!({})).await.expect(200).json();
    assert_eq!(again, json!({ "number": 1, "adopted": false }));
    let meant = json!({ "fingerprint": rules(9).fingerprint().to_string() });
    new.client().post("/api/rules/adopt", &meant).await.expect_error(409, "RULES_DIFFER");

    // From nothing, with the old files.
    let third = on(topic).start().await;
    assert_eq!(until_equal(&old, &third).await["digest"], held["digest"]);
    for id in ["before", "after", "contact-7"] {
        let of = async |instance: &Instance| {
            let path = format!("/api/contacts/{id}/history?limit=200");
            instance.client().get(&path).await.expect(200).json()["data"].clone()
        };
        assert_eq!(of(&old).await, of(&third).await, "the history of {id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_rules_hold_from_one_place_on_every_instance() {
    let mock = TestLog::mock();
    let TestLog::Mock(cluster) = &mock else { panic!("it is the mock cluster") };
    let brokers = cluster.bootstrap_servers();
    one_place_on_every_instance(&KafkaTopic { brokers, topic: "contacts".to_owned() }).await;
    if let Some(brokers) = service(KAFKA, "new_rules_hold_from_one_place_on_every_instance") {
        // Asking the brokers blocks.
        let topic = tokio::task::spawn_blocking(move || {
            let topic = KafkaTopic::unused(&brokers);
            topic.create(&[]);
            topic
        });
        one_place_on_every_instance(&topic.await.expect("a topic")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_log_takes_new_rules_at_the_start_and_a_rebuild_judges_as_it_was_judged() {
    let first = Instance::start().await;
    first.append(&event("before", 1)).await;
    first.until_contact("before", |found| found.status.is_success()).await;
    let directory = first.stop().await;

    let second = Instance::builder().with(NEW.0, NEW.1).start_on(directory).await;
    until("its own rules are adopted", async || {
        note(&second).await.contains("number 1").then_some(())
    })
    .await;
    second.append(&event("after", 1)).await;
    second.until_contact("after", |found| found.json()["email"] == "1@example.com").await;
    let before = second.client().get("/api/contacts/before").await.expect(200).json();
    assert_eq!(
        (&before["email"], &before["attributes"]["mail"]),
        (&Value::Null, &json!("1@example.com"))
    );
    let directory = second.stop().await;

    // The same files once more: nothing new.
    let third = Instance::builder().with(NEW.0, NEW.1).start_on(directory).await;
    let adopted = third.client().post("/api/rules/adopt", &json!({})).await.expect(200).json();
    assert_eq!(adopted, json!({ "number": 1, "adopted": false }));
    let directory = third.stop().await;

    // From nothing, by other files, as a rebuild reads it.
    let kept = Image::read(directory.path());
    let log = TestLog::embedded(&directory.path().join("log"));
    let rebuilt = log.followed_by(node(directory.path(), &log));
    rebuilt.catch_up_soundly();
    assert_eq!(Image::read(&rebuilt.store).differences(&kept), Vec::<String>::new());
}

#[test]
fn adopting_works_in_the_directory_where_no_instance_runs() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = TestLog::embedded(&dir.path().join("log"));
    // Nobody listens there, whatever runs on this machine.
    let node = node(dir.path(), &log).with("server.listen", "127.0.0.1:1");
    let adopt = |node: &crate::support::node::Node| {
        let output = node.command(&["config", "adopt", "--json"]).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    node.catch_up_soundly();
    assert_eq!(adopt(&node), json!({ "number": 0, "adopted": false }));
    let stricter = node.clone().with("apply.future_tolerance", "1s");
    assert_eq!(adopt(&stricter), json!({ "number": 1, "adopted": true }));
    assert_eq!(adopt(&stricter), json!({ "number": 1, "adopted": false }));
    let rules = image::open(&node.store).reader.rules();
    let newest = rules.newest().expect("rules");
    assert_eq!((newest.number, newest.rules.future_tolerance_ms()), (1, 1_000));
    assert_eq!(rules.lanes().len(), 4, "every lane has it");
}

#[test]
fn markers_that_are_forged_doubled_or_out_of_order_get_their_verdicts() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for log in super::every_log(dir.path(), "markers_that_are_forged_doubled_or_out_of_order") {
        let node = node(dir.path(), &log);
        node.catch_up_soundly();
        let [two, three] = [rules(2), rules(3)];
        let mut too_large = vec![0_u8; 950_000];
        too_large[0] = 1;
        let unbounded = RuleText { contact_bytes_max: 4 << 20, ..RuleText::built_in() };
        let unbounded = serde_json::to_vec(&unbounded).expect("JSON");
        let unbounded = lz4_flex::block::compress_prepend_size(&unbounded);
        log.append([
            forged(0, "2", "1", two.packed()),
            forged(0, "2", "1", two.packed()),
            forged(0, "2", "1", three.packed()),
            forged(0, "1", "1", three.packed()),
            forged(0, "7", "0", three.packed()),
            forged(0, "-1", "1", three.packed()),
            forged(0, "9", "1", b"nothing"),
            forged(0, "9", "1", &too_large),
            forged(0, "9", "1", &unbounded),
            forged(1, "5", "1", three.packed()),
        ]);
        node.catch_up_soundly();
        let read = Image::read(&node.store);
        assert_eq!(read.letters.len(), 4, "{}", log.name());
        for letter in read.letters.values() {
            assert_eq!(letter.reason.as_str(), "invalid_marker");
        }
        let opened = image::open(&node.store);
        let rules = opened.reader.rules();
        let of = |lane: u16| {
            let at = &rules.lanes()[&contactd::domain::position::Lane(lane)];
            (at.number, at.rules.future_tolerance_ms())
        };
        assert_eq!((of(0), of(1), of(2)), ((2, 2), (5, 3), (0, 300_000)));
        let verified = opened.reader.verify(&mut |_, _| {}).expect("a verification");
        assert!(verified.is_sound(), "{:?}", verified.discrepancies);
        drop(opened);
        // A restart judges alike, and so does a store that starts from nothing.
        let other = node.clone().on(&dir.path().join(format!("other-{}", log.name())));
        other.catch_up_soundly();
        assert_eq!(Image::read(&other.store).differences(&read), Vec::<String>::new());
    }
}

#[test]
fn founding_anew_brings_the_past_under_present_rules_and_stops_who_has_not_rebuilt() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = TestLog::embedded(&dir.path().join("log"));
    let node = node(dir.path(), &log);
    let other = node.clone().on(&dir.path().join("other"));
    let value = event("c1", 1).to_string().into_bytes();
    let timestamp_ms = 1_790_000_002_000;
    let key = Some(b"c1".to_vec());
    log.append([RawRecord { key, value: Some(value), timestamp_ms, ..RawRecord::default() }]);
    node.catch_up_soundly();
    other.catch_up_soundly();
    let email = |node: &crate::support::node::Node| {
        let opened = image::open(&node.store);
        let found = opened.reader.contact(b"c1").expect("a read").expect("the contact");
        let view = found.view().expect("a contact");
        view.field(contactd::domain::event::EMAIL).map(str::to_owned)
    };
    assert_eq!(email(&node), None);
    let rebuild = |node: &crate::support::node::Node, more: &[&str]| {
        let arguments = [&["store", "rebuild", "--yes"], more].concat();
        node.start_command(&arguments, "").wait()
    };
    let anew = node.clone().with(NEW.0, NEW.1);
    let ended = rebuild(&anew, &["--under-present-rules"]);
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(email(&anew).as_deref(), Some("1@example.com"));
    let rules = image::open(&anew.store).reader.rules();
    assert_eq!((rules.founding(), rules.newest().expect("rules").number), (2, 1));
    // The other one stops before it, whatever its files, until it has rebuilt.
    let stopped = other.catch_up("");
    stopped.assert_refused(&["founded anew", "store rebuild"]);
    assert_eq!(email(&other), None);
    // One that is behind counts on from what the log says, not from what its store knows.
    let behind = node.clone().on(&dir.path().join("behind"));
    let copied = Command::new("cp").arg("-a").args([&other.store, &behind.store]).status();
    assert!(copied.expect("cp runs").success());
    let ended = rebuild(&other, &[]);
    assert!(ended.status.success(), "{}", ended.stderr);
    let (one, two) = (Image::read(&anew.store), Image::read(&other.store));
    assert_eq!(one.differences(&two), Vec::<String>::new());
    let ended = rebuild(&behind, &["--under-present-rules"]);
    assert!(ended.status.success(), "{}", ended.stderr);
    let rules = image::open(&behind.store).reader.rules();
    assert_eq!((rules.founding(), rules.newest().expect("rules").number), (3, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_an_unknown_version_stop_their_lane_and_reads_are_answered() {
    let instance = Instance::start().await;
    instance.append(&event("before", 1)).await;
    instance.until_contact("before", |found| found.status.is_success()).await;
    let text = br#"{"applyVersion":77,"other":true}"#;
    let (headers, _) = Marker::record(5, 1, homes(), &rules(1), Some("mallory"));
    let packed = [&(text.len() as u32).to_le_bytes()[..], &literal(text)].concat();
    let lane = |lane| NewRecord {
        value: Some(packed.clone()),
        headers: headers.clone(),
        lane: Some(contactd::domain::position::Lane(lane)),
        timestamp_ms: 1_790_000_000_000,
        ..NewRecord::default()
    };
    instance.log().append((0..4).map(lane).collect()).await.expect("acknowledged");
    instance.append(&event("later", 1)).await;
    let ready = until("it is not ready", async || {
        let ready = instance.client().get("/readyz").await;
        (ready.status == 503).then(|| ready.json())
    })
    .await;
    let why = ready["parts"]["apply"]["reason"].as_str().expect("a reason").to_owned();
    assert!(why.contains("APPLY_VERSION 77") && why.contains("newer contactd"), "{why}");
    instance.client().get("/api/contacts/before").await.expect(200);
    instance.client().get("/api/contacts/later").await.expect(404);
    let directory = instance.stop().await;
    // Nothing behind the marker was passed over: the lanes stand before it.
    let again = Instance::builder().begin(directory);
    let ready = until("it is not ready again", async || {
        let ready = again.client().get("/readyz").await;
        let why = ready.json()["parts"]["apply"]["reason"].to_string();
        why.contains("APPLY_VERSION 77").then_some(why)
    })
    .await;
    assert!(ready.contains("partition 0"), "{ready}");
    again.client().get("/api/contacts/before").await.expect(200);
}

/// An LZ4 block of literals alone.
fn literal(text: &[u8]) -> Vec<u8> {
    assert!((15..270).contains(&text.len()));
    [&[0xf0, (text.len() - 15) as u8], text].concat()
}

/// A restatement is due when a fourth of the retention has passed.
#[tokio::test(flavor = "multi_thread")]
async fn rules_are_said_again_before_the_log_drops_them() {
    let age = Duration::from_secs(8);
    let instance = Instance::builder()
        .with("embedded_log.retention_age", format!("{}s", age.as_secs()))
        .start()
        .await;
    let high = |lane| {
        let lane = contactd::domain::position::Lane(lane);
        instance.log().watermarks(lane).expect("watermarks").high.0
    };
    until("every lane has its rules again", async || {
        (0..4).all(|lane| high(lane) >= 2).then_some(())
    })
    .await;
    assert!(note(&instance).await.contains("number 0"), "nothing new by it");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_said_again_before_a_limit_by_bytes_drops_them() {
    let first = Instance::start().await;
    for number in 0..80 {
        first.append(&event(&format!("contact-{number}"), number)).await;
    }
    first.until_contact("contact-79", |found| found.status.is_success()).await;
    let high = |instance: &Instance| {
        let lanes = (0..LANES).map(contactd::domain::position::Lane);
        lanes.map(|lane| instance.log().watermarks(lane).expect("watermarks").high.0).sum::<u64>()
    };
    let (before, directory) = (high(&first), first.stop().await);
    let bounded = Instance::builder().with("embedded_log.retention_bytes", "1GiB");
    let second = bounded.start_on(directory).await;
    until("every partition has its rules again", async || {
        (high(&second) >= before + u64::from(LANES)).then_some(())
    })
    .await;
    assert!(note(&second).await.contains("number 0"), "nothing new by it");
}

#[test]
fn a_run_that_ends_by_itself_ends_where_waiting_changes_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = TestLog::embedded(&dir.path().join("log"));
    let text = br#"{"applyVersion":77,"other":true}"#;
    let packed = [&(text.len() as u32).to_le_bytes()[..], &literal(text)].concat();
    log.append([forged(0, "0", "1", &packed)]);
    let node = node(dir.path(), &log);
    node.catch_up("").assert_refused(&["APPLY_VERSION 77", "start a newer contactd"]);
}

#[test]
fn what_is_no_configuration_of_rules_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let check = |key: &str, value: &str| {
        let log = TestLog::embedded(&dir.path().join("log"));
        let node = node(dir.path(), &log).with(key, value);
        let output = node.command(&["config", "check"]).output().expect("it runs");
        assert_eq!(output.status.code(), Some(3));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let told = check("rules.adopt", "sometimes");
    assert!(told.contains("rules.adopt") && told.contains("manual"), "{told}");
}

//! What every contact's home follows from, for the log's whole life: whoever starts when, whatever
//! producers do, and however many partitions are added.

use std::collections::BTreeMap;
use std::time::Duration;

use contactd::domain::partitioner::Partitioner;
use serde_json::{Value, json};

use super::event;
use crate::support::bridge::export;
use crate::support::image::Image;
use crate::support::instance::Instance;
use crate::support::logs::{KafkaTopic, LANES, RawRecord};
use crate::support::node::Node;
use crate::support::services::{KAFKA, service};
use crate::support::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(90);
/// What the topic grows to.
const MORE: u16 = 8;
/// The rules' markers that a log begins with, one a partition.
const MARKERS: i64 = LANES as i64;

/// A topic at the real Kafka.
fn topic(test: &str) -> Option<KafkaTopic> {
    let topic = KafkaTopic::unused(&service(KAFKA, test)?);
    topic.create(&[]);
    Some(topic)
}

/// A node on a store of its own, with nothing said about the partitioner.
fn unset(topic: &KafkaTopic, dir: &std::path::Path, name: &str) -> Node {
    let node = topic.followed_by(Node::new(&dir.join(name)));
    node.with("kafka.partitioner", "auto").with("telemetry.log", "warn,contactd=info")
}

/// One event of each of so many contacts, where a producer with that partitioner puts it.
fn produced(by: Partitioner, lanes: u16, contacts: u64, number: u64) -> Vec<RawRecord> {
    let one = |contact: u64| {
        let id = format!("contact-{contact}");
        let name = format!(r#""firstName":"name {number}""#);
        let record = RawRecord::from(event("updated", &id, number, &name));
        RawRecord { lane: Some(by.lane(id.as_bytes(), lanes).0), ..record }
    };
    (0..contacts).map(one).collect()
}

/// Brings home and applies all that there is, then ends.
#[track_caller]
fn settle(node: &Node, topic: &KafkaTopic, records: i64) {
    let running = node.clone().with("bridge.rehome", "true").start("");
    let records = records + MARKERS;
    wait_until(PATIENCE, "all are at home", || topic.ends().iter().sum::<i64>() == records);
    let ended = running.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    node.catch_up_soundly();
}

#[test]
fn instances_that_start_before_and_after_the_records_judge_alike() {
    let Some(topic) = topic("instances_that_start_before_and_after_the_records_judge_alike") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    // The one founds the empty topic; then come records by another partitioner.
    let before = unset(&topic, dir.path(), "before");
    before.catch_up_soundly();
    for number in 1..4 {
        topic.append(produced(Partitioner::Crc32, LANES, 80, number).into_iter());
    }
    let away = |record: &RawRecord| {
        let key = record.key.as_deref().unwrap_or_default();
        record.lane != Some(Partitioner::Murmur2.lane(key, LANES).0)
    };
    let strays =
        3 * produced(Partitioner::Crc32, LANES, 80, 1).iter().filter(|at| away(at)).count();
    settle(&before, &topic, 240 + strays as i64);
    let after = unset(&topic, dir.path(), "after");
    after.catch_up_soundly();
    let (one, two) = (Image::read(&before.store), Image::read(&after.store));
    assert_eq!(one.differences(&two), Vec::<String>::new());
    assert_eq!(one.verdict_totals["rehomed"], strays as u64);
    assert_eq!((one.contacts.len(), one.letters.len()), (80, 0));
}

#[test]
fn a_producer_with_other_defaults_loses_nothing_and_is_told_once() {
    let Some(topic) = topic("a_producer_with_other_defaults_loses_nothing_and_is_told_once") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let node = unset(&topic, dir.path(), "store").with("bridge.rehome", "true");
    let mut running = node.start("");
    running.wait_until_it_says(PATIENCE, "the log is founded");
    for number in 1..12 {
        topic.append(produced(Partitioner::Crc32, LANES, 100, number).into_iter());
    }
    running.wait_until_it_says(PATIENCE, "murmur2_random");
    let strays = produced(Partitioner::Crc32, LANES, 100, 1)
        .iter()
        .filter(|at| {
            at.lane != Some(Partitioner::Murmur2.lane(at.key.as_deref().unwrap(), LANES).0)
        })
        .count();
    let records = 1_100 + 11 * strays as i64 + MARKERS;
    wait_until(PATIENCE, "all are at home", || topic.ends().iter().sum::<i64>() == records);
    let ended = running.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("most keys lie by another partitioner").count(), 1);
    node.clone().with("bridge.rehome", "false").catch_up_soundly();
    let image = Image::read(&node.store);
    assert_eq!((image.letters.len(), image.contacts.len()), (0, 100));
    assert!(export(&node).values().all(|contact| contact["firstName"] == "name 11"));
}

#[test]
fn a_topic_of_another_partitioner_is_not_founded_before_that_is_said() {
    let Some(topic) = topic("a_topic_of_another_partitioner_is_not_founded_before_that_is_said")
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    topic.append(produced(Partitioner::Crc32, LANES, 200, 1).into_iter());
    let node = unset(&topic, dir.path(), "store");
    let mut running = node.start("");
    running.wait_until_it_says(PATIENCE, "200 of 200 keys lie by crc32, and kafka.partitioner");
    running.kill();
    let told = node.clone().with("kafka.partitioner", "crc32");
    told.catch_up_soundly();
    let image = Image::read(&told.store);
    assert_eq!((image.verdict_totals["applied"], image.verdict_totals["rehomed"]), (200, 0));
    // From now on the log says it.
    let later = unset(&topic, dir.path(), "later");
    later.catch_up_soundly();
    assert_eq!(image.differences(&Image::read(&later.store)), Vec::<String>::new());
}

#[test]
fn a_founding_that_the_log_has_lost_is_asked_for() {
    let Some(topic) = topic("a_founding_that_the_log_has_lost_is_asked_for") else { return };
    let dir = tempfile::tempdir().unwrap();
    let ours = ("contactd_source".to_owned(), Some(b"acme".to_vec()));
    let records = produced(Partitioner::Murmur2, LANES, 40, 1);
    topic.append(
        records.into_iter().map(|record| RawRecord { headers: vec![ours.clone()], ..record }),
    );
    let node = unset(&topic, dir.path(), "store");
    let mut running = node.start("");
    running.wait_until_it_says(PATIENCE, "contactd topics found");
    assert!(running.stderr().contains("topics adopt-control"), "{}", running.stderr());
    let found = |lanes: &str| {
        let asked = ["topics", "found", "--partitioner", "murmur2", "--lanes", lanes];
        let done = node.command(&asked).output().unwrap();
        (done.status.success(), String::from_utf8(done.stderr).unwrap())
    };
    // More than there are, then as it was, then again, then otherwise.
    let (is_done, text) = found("64");
    assert!(!is_done && text.contains("has 4 partitions"), "{text}");
    for _ in 0..2 {
        let (is_done, text) = found("4");
        assert!(is_done && text.contains("murmur2 over 4 lanes"), "{text}");
    }
    let (is_done, text) = found("2");
    assert!(!is_done && text.contains("murmur2 over 4 lanes"), "{text}");
    // The one that waited goes on.
    wait_until(PATIENCE, "it applies", || node.journal_bytes() > 0);
    let ended = running.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    node.catch_up_soundly();
    assert_eq!(Image::read(&node.store).verdict_totals["applied"], 40);
}

#[test]
fn a_founding_that_a_later_version_wrote_stops_the_start_and_says_what_to_do() {
    const TEST: &str = "a_founding_that_a_later_version_wrote_stops_the_start_and_says_what_to_do";
    let Some(topic) = topic(TEST) else { return };
    let dir = tempfile::tempdir().unwrap();
    let control = topic.control();
    control.create_single(&[]);
    let later = RawRecord {
        key: Some(b"log/founding".to_vec()),
        value: Some(br#"{"id":"f1","form":2,"founding":{"lanes":4}}"#.to_vec()),
        lane: Some(0),
        ..RawRecord::from(event("updated", "c1", 1, ""))
    };
    control.append(std::iter::once(later));
    let refused = unset(&topic, dir.path(), "store").catch_up("");
    refused.assert_refused(&["log/founding", "start the version that wrote it"]);
}

/// Gives the topic more partitions, and waits until the brokers tell of them.
#[track_caller]
fn grow(topic: &KafkaTopic) {
    topic.grow(usize::from(MORE));
    wait_until(PATIENCE, "they are there", || topic.ends().len() == usize::from(MORE));
}

#[test]
fn without_a_control_topic_the_first_marker_says_how_the_log_was_founded() {
    const TEST: &str = "without_a_control_topic_the_first_marker_says_how_the_log_was_founded";
    let Some(topic) = topic(TEST) else { return };
    let dir = tempfile::tempdir().unwrap();
    // One that is compacted is refused, as one that may not be written is.
    topic.control().create_single(&[("cleanup.policy", "compact")]);
    let node = |name: &str, partitioner: &str| {
        let node = topic.followed_by(Node::new(&dir.path().join(name)));
        node.with("kafka.partitioner", partitioner)
    };
    let before = node("before", "murmur2");
    topic.append(produced(Partitioner::Murmur2, LANES, 60, 1).into_iter());
    before.catch_up_soundly();
    grow(&topic);
    // Whatever its own files say, and with none that says anything.
    for partitioner in ["murmur2", "crc32", "auto"] {
        let after = node(partitioner, partitioner);
        after.catch_up_soundly();
        let (one, two) = (Image::read(&before.store), Image::read(&after.store));
        assert_eq!((one.contacts, two.verdict_totals["rehomed"]), (two.contacts, 0));
    }
}

#[test]
fn a_log_whose_control_topic_was_deleted_is_not_founded_again() {
    const TEST: &str = "a_log_whose_control_topic_was_deleted_is_not_founded_again";
    let Some(topic) = topic(TEST) else { return };
    let dir = tempfile::tempdir().unwrap();
    // The markers stand in the middle of what others write: at no end of a partition.
    topic.append(produced(Partitioner::Murmur2, LANES, 600, 1).into_iter());
    unset(&topic, dir.path(), "before").catch_up_soundly();
    topic.append(produced(Partitioner::Murmur2, LANES, 600, 2).into_iter());
    topic.control().delete();
    grow(&topic);
    let node = unset(&topic, dir.path(), "store");
    let mut running = node.start("");
    running.wait_until_it_says(PATIENCE, "murmur2 over 4 lanes, as its first marker says");
    assert!(running.stderr().contains("contactd topics found"), "{}", running.stderr());
    running.kill();
    let found = |lanes: &str| {
        let asked = ["topics", "found", "--partitioner", "murmur2", "--lanes", lanes];
        node.command(&asked).output().unwrap()
    };
    let refused = found("8");
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && text.contains("murmur2 over 4 lanes"), "{text}");
    assert!(found("4").status.success());
    node.catch_up_soundly();
    assert_eq!(Image::read(&node.store).verdict_totals["applied"], 1_200);
}

/// Contacts that the API knows, by id.
async fn answered(instance: &Instance) -> BTreeMap<String, Value> {
    let page = instance.client().get("/api/contacts?limit=200").await.expect(200);
    let contacts = page.json()["data"].as_array().cloned().unwrap_or_default();
    let by_id = contacts.into_iter();
    by_id.map(|at| (at["id"].as_str().unwrap_or_default().to_owned(), at)).collect()
}

#[test]
fn partitions_that_are_added_while_it_runs_change_no_contacts_home() {
    const TEST: &str = "partitions_that_are_added_while_it_runs_change_no_contacts_home";
    let Some(topic) = topic(TEST) else { return };
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let instance = runtime.block_on(Instance::builder().following(&topic).start());
    let client = instance.client();
    topic.append(produced(Partitioner::Murmur2, LANES, 60, 1).into_iter());
    let is_at = |number: u64| {
        let name = format!("name {number}");
        wait_until(PATIENCE, &name, || {
            let all = runtime.block_on(answered(&instance));
            let events = all.iter().filter(|(id, _)| id.starts_with("contact-"));
            events.clone().count() == 60
                && events.into_iter().all(|(_, at)| at["firstName"] == name.as_str())
        });
    };
    is_at(1);
    let old = runtime.block_on(client.get("/api/stats")).expect(200);
    let old = old.header("position").to_owned();
    topic.grow(usize::from(MORE));
    // As producers do that have heard of it, and writes meanwhile.
    topic.append(produced(Partitioner::Murmur2, MORE, 60, 2).into_iter());
    for number in 0..10 {
        let made = json!({ "id": format!("made-{number}"), "firstName": "Made" });
        let answer = runtime.block_on(client.post("/api/contacts", &made)).expect(201);
        let after = client.clone().with("position", answer.header("position"));
        let path = format!("/api/contacts/made-{number}");
        runtime.block_on(after.get(&path)).expect(200);
    }
    is_at(2);
    let reading =
        runtime.block_on(client.clone().with("position", &old).get("/api/contacts/contact-1"));
    reading.expect(200);
    // The feed goes on from before, and tells of each contact once.
    let told =
        runtime.block_on(client.get(&format!("/api/feed?after={old}&follow=false"))).expect(200);
    let told = String::from_utf8(told.body).unwrap();
    assert_eq!(told.matches("event: contact.updated").count(), 60, "{told}");
    assert_eq!(told.matches("event: contact.created").count(), 10, "{told}");
    topic.append(produced(Partitioner::Murmur2, MORE, 60, 3).into_iter());
    is_at(3);
    // They have the rules' marker too, besides what producers put there.
    let put = produced(Partitioner::Murmur2, MORE, 60, 2);
    let put = 2 * put.iter().filter(|at| at.lane >= Some(LANES)).count() as i64;
    wait_until(PATIENCE, "the markers are there", || {
        topic.ends().iter().skip(usize::from(LANES)).sum::<i64>() == put + i64::from(MORE - LANES)
    });
    runtime.block_on(instance.stop());

    // From nothing, and once more: the same contacts, versions and history.
    let [one, two] = ["one", "two"].map(|name| {
        let node = topic.followed_by(Node::new(&dir.path().join(name)));
        node.catch_up_soundly();
        Image::read(&node.store)
    });
    assert_eq!(one.differences(&two), Vec::<String>::new());
    assert_eq!((one.contacts.len(), one.letters.len()), (70, 0));
    assert!(one.verdict_totals["rehomed"] > 20, "{:?}", one.verdict_totals);
    let applied = |id: &str| one.contacts[id].version;
    assert!((0..60).all(|contact| applied(&format!("contact-{contact}")) == 3));
    assert_eq!(one.next_offsets.keys().filter(|lane| **lane < MORE).count(), usize::from(MORE));
}

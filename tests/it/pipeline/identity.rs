//! Logs that are not what they were: each is refused by name, with its remedy.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use contactd::config::{KafkaConfig, Mode, Sources};
use contactd::event_log::kafka::{KafkaLog, TopicPlan};
use contactd::ingest::Outbox;

use super::{event, every_log, node};
use crate::support::image::Image;
use crate::support::load::{ControlLoad, Load};
use crate::support::logs::{KafkaTopic, LANES, TestLog};
use crate::support::node::Node;
use crate::support::services::{KAFKA, service};

/// What a node may take to notice.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_store_that_follows_another_log_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for log in every_log(dir.path(), "a_store_that_follows_another_log_is_refused") {
        log.append(Load::new(1, 50).take(100));
        let followed = node(dir.path(), &log);
        followed.catch_up_soundly();
        let before = Image::read(&followed.store);
        let other = TestLog::embedded(&dir.path().join(format!("another-than-{}", log.name())));
        other.append(Load::new(2, 50).take(100));
        let exit = other.followed_by(followed.clone()).catch_up("");
        exit.assert_refused(&["follows", "rebuild"]);
        // It is as it was, and goes on with its own.
        assert!(before == Image::read(&followed.store), "a refused start changed the store");
        log.append(Load::new(3, 50).take(10));
        followed.catch_up_soundly();
    }
}

#[test]
fn an_embedded_log_that_is_shorter_than_what_was_read_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("log");
    let log = TestLog::embedded(&path);
    log.append(Load::new(1, 50).take(100));
    let copy = dir.path().join("earlier");
    copy_dir(&path, &copy);
    log.append(Load::new(1, 50).take(200));
    let node = node(dir.path(), &log);
    node.catch_up_soundly();
    // A backup of the log, put back.
    fs::remove_dir_all(&path).expect("the log goes");
    fs::rename(&copy, &path).expect("its earlier self comes");
    node.catch_up("").assert_refused(&["rebuild"]);
    // Filled with other records to the same length, it is still not the log that was read.
    log.append(Load::new(9, 50).take(400));
    node.catch_up("").assert_refused(&["rebuild"]);
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory to copy") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}

/// A topic at the real Kafka, filled and followed.
fn followed_topic(dir: &std::path::Path, brokers: &str) -> (KafkaTopic, Node) {
    let topic = KafkaTopic::unused(brokers);
    topic.create(&[]);
    topic.append(Load::new(4, 50).take(200).into_iter().map(Into::into));
    let node = topic.followed_by(Node::new(&dir.join("store")));
    node.catch_up_soundly();
    (topic, node)
}

#[test]
fn a_topic_that_was_made_anew_is_refused() {
    let Some(brokers) = service(KAFKA, "a_topic_that_was_made_anew_is_refused") else {
        return;
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (topic, node) = followed_topic(dir.path(), &brokers);
    topic.delete();
    topic.create(&[]);
    // Empty, it is shorter than what was read.
    node.catch_up("").assert_refused(&["partition", "rebuild"]);
    // As long as the old one, its records are others.
    topic.append(Load::new(5, 50).take(400).into_iter().map(Into::into));
    node.catch_up("").assert_refused(&["partition", "rebuild"]);
}

#[test]
fn a_compacted_topic_is_refused() {
    let Some(brokers) = service(KAFKA, "a_compacted_topic_is_refused") else {
        return;
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let topic = KafkaTopic::unused(&brokers);
    topic.create(&[("cleanup.policy", "compact")]);
    let node = topic.followed_by(Node::new(&dir.path().join("store")));
    node.catch_up("").assert_refused(&[&topic.topic, "compact", "topics ensure --yes"]);
    let made = ensure(&topic);
    assert!(made.policy_mended && !made.created);
    topic.append([event("created", "a", 1, "").into()].into_iter());
    node.catch_up_soundly();
    assert_eq!(Image::read(&node.store).received(), 1);
}

#[test]
fn a_missing_topic_is_waited_for() {
    let Some(brokers) = service(KAFKA, "a_missing_topic_is_waited_for") else {
        return;
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let topic = KafkaTopic::unused(&brokers);
    let node = topic.followed_by(Node::new(&dir.path().join("store")));
    let mut running = node.clone().flag("--until-caught-up").start("");
    running.wait_until_it_says(PATIENCE, "does not exist");
    assert!(ensure(&topic).created);
    topic.append(
        (0..10).map(|number| event("created", &format!("contact {number}"), number, "").into()),
    );
    let exit = running.wait();
    assert!(exit.status.success(), "{}: {}", exit.status, exit.stderr);
    node.catch_up_soundly();
    assert_eq!(Image::read(&node.store).received(), 10);
}

#[test]
fn a_log_that_no_longer_starts_at_0_needs_to_be_accepted() {
    let Some(brokers) = service(KAFKA, "a_log_that_no_longer_starts_at_0_needs_to_be_accepted")
    else {
        return;
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let topic = KafkaTopic::unused(&brokers);
    topic.create(&[]);
    topic.append(Load::new(4, 50).take(400).into_iter().map(Into::into));
    let whole = topic.followed_by(Node::new(&dir.path().join("whole")));
    whole.catch_up_soundly();
    let contacts = |store: &std::path::Path| {
        let mut image = Image::read(store);
        image.next_offsets.retain(|lane, _| *lane < LANES);
        (image.received(), image.next_offsets)
    };
    let (_, lanes) = contacts(&whole.store);
    let half: BTreeMap<u16, i64> =
        lanes.iter().map(|(lane, next)| (*lane, *next as i64 / 2)).collect();
    topic.delete_records(&half);
    // The one that has read it all goes on.
    whole.catch_up_soundly();
    let node = topic.followed_by(Node::new(&dir.path().join("store")));
    node.catch_up("").assert_refused(&["partition", "--accept-gap --sole"]);
    let node = node.flag("--accept-gap").flag("--sole");
    node.catch_up_soundly();
    let left: u64 = lanes.iter().map(|(lane, next)| next - half[lane] as u64).sum();
    // Each lane's marker of the log's rules is counted by nobody.
    assert_eq!(contacts(&node.store), (left - u64::from(LANES), lanes));
    // Now that one is what the log goes on from, and the other is told.
    topic.append(Load::new(6, 50).take(10).into_iter().map(Into::into));
    node.catch_up_soundly();
    whole.catch_up("").assert_refused(&["base"]);
}

#[test]
fn a_control_topic_made_anew_stops_no_contact() {
    let Some(brokers) = service(KAFKA, "a_control_topic_made_anew_stops_no_contact") else {
        return;
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let topic = KafkaTopic::unused(&brokers);
    topic.create(&[]);
    let log = TestLog::Kafka(topic.clone());
    log.append(Load::new(7, 50).take(100));
    log.append_control(ControlLoad::new(7).take(30));
    let node = topic.followed_by(Node::new(&dir.path().join("store")));
    node.catch_up_soundly();
    let before = Image::read(&node.store);
    topic.control().delete();
    log.append_control(ControlLoad::new(8).take(30));
    log.append(Load::new(9, 50).take(100));
    let exit = node.catch_up("");
    assert!(exit.status.success(), "{}: {}", exit.status, exit.stderr);
    assert!(exit.stderr.contains("no control records"), "{}", exit.stderr);
    let after = Image::read(&node.store);
    assert_eq!(after.received(), before.received() + 100);
    assert_eq!(
        (after.control_verdicts, &after.controls),
        (before.control_verdicts, &before.controls)
    );
}

#[test]
fn a_rebuild_leaves_what_waits_in_the_outbox_and_says_so() {
    let Some(brokers) = service(KAFKA, "a_rebuild_leaves_what_waits_in_the_outbox_and_says_so")
    else {
        return;
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (topic, node) = followed_topic(dir.path(), &brokers);
    let outbox = || Outbox::open(&node.store.join("outbox"), 64 << 20).expect("an outbox");
    let waiting = (0..25).map(|number| event("created", &format!("late {number}"), number, ""));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let kept = outbox();
    runtime.block_on(kept.keep(waiting.collect())).expect("they are kept");
    kept.shutdown().expect("the outbox's end");
    drop(kept);
    let rebuilt = node.command(&["store", "rebuild", "--yes"]).output().expect("a rebuild");
    let said = String::from_utf8_lossy(&rebuilt.stderr);
    assert!(rebuilt.status.success(), "{said}");
    assert!(said.contains("25 records wait in the outbox"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(outbox().records(), 25);
    assert_eq!(Image::read(&node.store).received(), 200);
    // They go where they belong when contactd is started.
    let running = node.start("");
    topic.read_at_least(225 + usize::from(LANES));
    let ended = running.stop();
    assert!(ended.status.success(), "{}", ended.stderr);
    node.catch_up_soundly();
    let late = Image::read(&node.store).contacts;
    let late = late.iter().filter(|(id, _)| id.starts_with("late "));
    assert_eq!(late.filter(|(_, contact)| contact.version == 1).count(), 25);
}

fn ensure(topic: &KafkaTopic) -> contactd::event_log::kafka::TopicEnsured {
    let mut sources = Sources::new(Mode::Serve);
    sources.environment.insert("KAFKA_BROKERS".into(), topic.brokers.clone());
    sources.environment.insert("CONTACTD_KAFKA__TOPIC".into(), topic.topic.clone());
    let config: KafkaConfig = contactd::config::load(&sources).expect("a configuration").kafka;
    let log = KafkaLog::open(&config).expect("the log opens");
    log.ensure_topic(TopicPlan { mends_policy: true, ..TopicPlan::contacts(LANES, Some(1)) })
        .expect("the topic is made")
}

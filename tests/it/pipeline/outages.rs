//! Brokers that are away: waited for, and nothing is lost or applied twice.

use std::time::Duration;

use super::node;
use crate::support::assert_same;
use crate::support::image::Image;
use crate::support::load::Load;
use crate::support::logs::{KafkaTopic, TestLog};
use crate::support::node::Node;
use crate::support::services::OwnBroker;

const RECORDS: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// The topic's records, applied by a node that met no outage.
fn calm(dir: &std::path::Path, topic: &KafkaTopic) -> Image {
    let calm = topic.followed_by(Node::new(&dir.join("calm")));
    calm.catch_up_soundly();
    Image::read(&calm.store)
}

#[test]
fn a_broker_that_is_down_at_the_start_is_waited_for() {
    let Some(broker) = OwnBroker::prepare("a_broker_that_is_down_at_the_start_is_waited_for")
    else {
        return;
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let topic = KafkaTopic::unused(&broker.address());
    let node = topic.followed_by(Node::new(&dir.path().join("store")));
    let mut running = node.start("");
    running.wait_until_it_says(PATIENCE, "can't be reached");
    broker.run("start");
    topic.create(&[]);
    topic.append(Load::new(21, 100).take(RECORDS).into_iter().map(Into::into));
    node.wait_until_journal_exceeds(10_000);
    let exit = running.stop();
    let expected = calm(dir.path(), &topic);
    assert!(exit.status.success(), "{}: {}", exit.status, exit.stderr);
    node.catch_up_soundly();
    assert_same(&expected, &Image::read(&node.store), "after a late broker");
}

#[test]
fn broker_restarts_in_the_middle_of_a_drain_change_nothing() {
    let Some(broker) = OwnBroker::start("broker_restarts_in_the_middle_of_a_drain_change_nothing")
    else {
        return;
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let topic = KafkaTopic::unused(&broker.address());
    topic.create(&[]);
    topic.append(Load::new(22, 100).take(RECORDS * 5).into_iter().map(Into::into));
    // A commit a record, and hardly anything fetched ahead: most of it is still at the broker.
    let node = topic
        .followed_by(Node::new(&dir.path().join("store")))
        .with("apply.batch_records_max", "1")
        .with("kafka.properties.queued_max_messages_kbytes", "8")
        .with("kafka.properties.fetch_message_max_bytes", "4096");
    let running = node.start("");
    let mut cut_at = Vec::new();
    for action in ["stop", "kill"] {
        node.wait_until_journal_exceeds(cut_at.last().copied().unwrap_or(0) + 1_000);
        broker.run(action);
        cut_at.push(node.journal_bytes());
        broker.run("start");
    }
    let expected = calm(dir.path(), &topic);
    let in_all = expected.received();
    let (ended, exit) = (node.journal_bytes(), running.stop());
    eprintln!("{in_all} records, journal bytes at the cuts {cut_at:?}, then {ended}");
    assert!(exit.status.success(), "{}: {}", exit.status, exit.stderr);
    node.catch_up_soundly();
    assert!(cut_at.iter().all(|cut| *cut < node.journal_bytes()), "cut after the drain");
    assert_same(&expected, &Image::read(&node.store), "after broker restarts");
}

#[test]
fn a_mock_broker_that_goes_and_comes_changes_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = TestLog::mock();
    let TestLog::Mock(cluster) = &log else {
        unreachable!("a mock was made");
    };
    let mut load = Load::new(23, 100);
    let node = node(dir.path(), &log);
    let running = node.start("");
    for _ in 0..3 {
        let before = node.journal_bytes();
        log.append(load.take(RECORDS));
        node.wait_until_journal_exceeds(before);
        cluster.broker_down(1).expect("the broker goes");
        cluster.broker_up(1).expect("the broker comes");
    }
    let exit = running.stop();
    assert!(exit.status.success(), "{}: {}", exit.status, exit.stderr);
    node.catch_up_soundly();
    let calm = node.clone().on(&dir.path().join("calm"));
    calm.catch_up_soundly();
    assert_same(
        &Image::read(&calm.store),
        &Image::read(&node.store),
        "after a mock broker's absence",
    );
}

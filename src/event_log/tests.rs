//! The channel between a log and its consumer.

use std::thread;
use std::time::Duration;

use super::*;
use crate::domain::record::RecordBatch;

fn batch(lane: u16, offset: u64, bytes: usize) -> Delivery {
    let mut batch = RecordBatch::new(Lane(lane));
    batch.push(Offset(offset), 0, None, Some(&vec![0; bytes]), std::iter::empty());
    Delivery::Batch(batch)
}

fn pair(records_max: usize, bytes_max: usize) -> (DeliverySender, Consumer) {
    let from = BTreeMap::from([(Lane(0), NextOffset(0)), (Lane(1), NextOffset(5))]);
    deliveries("contacts", &from, ConsumeBounds { records_max, bytes_max })
}

#[test]
fn feed_is_bounded_by_records_and_by_bytes() {
    for (records_max, bytes_max) in [(2, usize::MAX), (usize::MAX, 1500)] {
        let (sender, mut consumer) = pair(records_max, bytes_max);
        assert!(sender.push(batch(0, 0, 1000)));
        assert!(sender.has_room());
        assert!(sender.push(batch(0, 1, 1000)));
        assert!(!sender.has_room());
        assert!(!sender.wait_for_room(Duration::from_millis(1)));
        assert!(matches!(consumer.next(Duration::ZERO), Ok(Some(Delivery::Batch(_)))));
        assert!(sender.has_room());
    }
}

#[test]
fn batch_beyond_the_bounds_passes_alone() {
    let (sender, mut consumer) = pair(1, 10);
    assert!(sender.send(batch(0, 0, 1000)));
    let sender = thread::spawn(move || {
        assert!(sender.send(batch(0, 1, 1000)));
        sender
    });
    for offset in 0..2 {
        let Ok(Some(Delivery::Batch(batch))) = consumer.next(Duration::from_secs(10)) else {
            panic!("a batch must come");
        };
        assert_eq!(batch.next, NextOffset(offset + 1));
    }
    drop(sender.join().unwrap());
}

#[test]
fn waiting_sender_ends_with_its_consumer() {
    let (sender, consumer) = pair(1, 1);
    assert!(sender.send(batch(0, 0, 10)));
    let sender = thread::spawn(move || sender.send(batch(0, 1, 10)));
    consumer.stop();
    assert!(!sender.join().unwrap());
}

#[test]
fn failure_comes_after_what_was_delivered_before() {
    let (sender, mut consumer) = pair(10, 10_000);
    sender.push(batch(1, 5, 1));
    sender.push(Delivery::CaughtUp(Lane(1)));
    let status = consumer.status();
    assert!(!status.is_caught_up());
    assert!(status.lane(Lane(1)).unwrap().caught_up.load(std::sync::atomic::Ordering::Acquire));
    sender.fail(LogError::MissingTopic { topic: "contacts".into() });
    assert!(matches!(consumer.next(Duration::ZERO), Ok(Some(Delivery::Batch(_)))));
    assert!(matches!(consumer.next(Duration::ZERO), Ok(Some(Delivery::CaughtUp(Lane(1))))));
    assert!(matches!(consumer.next(Duration::ZERO), Err(LogError::MissingTopic { .. })));
    assert!(matches!(consumer.next(Duration::ZERO), Err(LogError::Closed { .. })));
}

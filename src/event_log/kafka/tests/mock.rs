//! On librdkafka's mock cluster.

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};

use super::*;
use crate::domain::Class;
use crate::domain::partitioner::Partitioner;
use crate::domain::record::owned_headers;
use crate::event_log::{EventLog, contract};

struct Mock {
    cluster: MockCluster<'static, DefaultProducerContext>,
    log: KafkaLog,
    lanes: u16,
}

fn mock(test: &str, lanes: u16, change: impl FnOnce(&mut KafkaConfig)) -> Mock {
    let cluster = MockCluster::new(1).unwrap();
    let topic = topic_name(test);
    cluster.create_topic(&topic, i32::from(lanes), 1).unwrap();
    let mut config = config(&cluster.bootstrap_servers(), &topic);
    // It has no admin API by which this could be made.
    cluster.create_topic(&config.control_topic, 1, 1).unwrap();
    change(&mut config);
    let log = KafkaLog::open(&config).unwrap();
    Mock { cluster, log, lanes }
}

impl Mock {
    fn consumer(&self) -> Consumer {
        self.log.consume(&from_start(self.lanes), BOUNDS).unwrap()
    }
}

#[test]
fn records_come_back_as_they_were_appended() {
    let mock = mock("roundtrip", 3, |_| {});
    let mut sent = records(0..50);
    sent.push(NewRecord {
        key: b"contact-1".to_vec(),
        value: None,
        headers: vec![
            ("a".into(), Some(b"1".to_vec())),
            ("a".into(), Some(Vec::new())),
            ("a".into(), None),
        ],
        timestamp_ms: 5,
        lane: Some(Lane(2)),
    });
    let acks = block_on_tokio(mock.log.append(sent.clone())).unwrap();
    for (record, ack) in sent.iter().zip(&acks) {
        let home = Partitioner::Murmur2.lane(&record.key, 3);
        assert_eq!(ack.lane, record.lane.unwrap_or(home));
    }
    let mut consumer = mock.consumer();
    let mut seen = BTreeMap::new();
    while seen.len() < sent.len() {
        let Some(Delivery::Batch(batch)) = consumer.next(DEADLINE).unwrap() else {
            continue;
        };
        assert_eq!(batch.next, batch.records.last().unwrap().offset.next());
        for record in &batch.records {
            let read = NewRecord {
                key: batch.key(record).unwrap().to_vec(),
                value: batch.value(record).map(<[u8]>::to_vec),
                headers: owned_headers(batch.headers(record)),
                timestamp_ms: record.timestamp_ms,
                lane: None,
            };
            seen.insert(Ack { lane: batch.lane, offset: record.offset }, read);
        }
    }
    for (record, ack) in sent.iter().zip(&acks) {
        assert_eq!(seen.get(ack), Some(&NewRecord { lane: None, ..record.clone() }));
    }
}

/// Appends await a tokio blocking thread the first time.
fn block_on_tokio<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn lanes_catch_up_and_the_status_follows() {
    let mock = mock("caught-up", 4, |_| {});
    mock.log.append_blocking(records(0..1000)).unwrap();
    mock.log.flush().unwrap();
    let mut consumer = mock.consumer();
    let status = consumer.status();
    let mut all = Read::new();
    read(&mut consumer, &mut all, 1000);
    assert_gapless(&all, 1000);
    wait_until("every lane is caught up", || {
        drop(consumer.next(Duration::from_millis(10)).unwrap());
        status.is_caught_up()
    });
    for (lane, status) in status.lanes() {
        let high = mock.log.watermarks(lane).unwrap().high;
        assert_eq!(status.high.load(Ordering::Acquire), high.0);
        assert_eq!(status.next.load(Ordering::Acquire), high.0);
    }
    mock.log.append_blocking(records(1000..1100)).unwrap();
    read(&mut consumer, &mut all, 1100);
    assert_gapless(&all, 1100);
}

#[test]
fn reading_goes_on_from_the_offset_that_the_caller_names() {
    let mock = mock("from", 1, |_| {});
    mock.log.append_blocking(records(0..10)).unwrap();
    mock.log.flush().unwrap();
    let from = BTreeMap::from([(Lane(0), NextOffset(7))]);
    let mut consumer = mock.log.consume(&from, BOUNDS).unwrap();
    let mut all = Read::new();
    read(&mut consumer, &mut all, 3);
    let offsets: Vec<_> = all[&Lane(0)].iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, [7, 8, 9]);
}

#[test]
fn an_offset_out_of_range_ends_the_consumer_and_names_the_lane() {
    let mock = mock("range", 3, |_| {});
    mock.log.append_blocking(records(0..30)).unwrap();
    mock.log.flush().unwrap();
    let mut from = from_start(3);
    from.insert(Lane(1), NextOffset(5000));
    let mut consumer = mock.log.consume(&from, BOUNDS).unwrap();
    let error = read_until_failure(&mut consumer, &mut Read::new());
    assert!(
        matches!(error, LogError::OffsetOutOfRange { lane: Lane(1), next: NextOffset(5000), .. }),
        "{error}",
    );
    assert!(matches!(consumer.next(Duration::ZERO), Err(LogError::Closed { .. })));
}

#[test]
fn brokers_that_are_away_at_the_start_are_waited_for() {
    let mock = mock("down-at-start", 2, |_| {});
    mock.log.append_blocking(records(0..20)).unwrap();
    mock.log.flush().unwrap();
    mock.cluster.broker_down(1).unwrap();
    let mut consumer = mock.consumer();
    let status = consumer.status();
    wait_until("the status says why nothing comes", || {
        assert!(consumer.next(Duration::from_millis(10)).unwrap().is_none());
        status.trouble().is_some()
    });
    assert!(!status.is_caught_up());
    mock.cluster.broker_up(1).unwrap();
    let mut all = Read::new();
    read(&mut consumer, &mut all, 20);
    assert_gapless(&all, 20);
    wait_until("the trouble is over", || {
        drop(consumer.next(Duration::from_millis(10)).unwrap());
        status.trouble().is_none()
    });
}

#[test]
fn identity_of_brokers_that_are_away_is_worth_a_retry() {
    let mock = mock("identity-down", 2, |_| {});
    mock.cluster.broker_down(1).unwrap();
    let error = mock.log.identity().unwrap_err();
    assert_eq!(error.class(), Class::Retry, "{error}");
    mock.cluster.broker_up(1).unwrap();
    wait_until("the brokers answer", || mock.log.identity().is_ok());
    assert_eq!(mock.log.lanes().unwrap(), 2);
}

#[test]
fn an_outage_while_reading_neither_loses_nor_repeats() {
    let mock = mock("outage", 3, |_| {});
    let mut consumer = mock.consumer();
    let mut all = Read::new();
    for round in 0..3 {
        mock.log.append_blocking(records(round * 100..round * 100 + 100)).unwrap();
        // It knows no sequence of an idempotent producer without transactions, so what it took
        // and did not answer before it went would be there twice.
        mock.log.flush().unwrap();
        mock.cluster.broker_down(1).unwrap();
        mock.log.append_blocking(records(1000 + round * 100..1100 + round * 100)).unwrap();
        mock.cluster.broker_up(1).unwrap();
        mock.log.flush().unwrap();
        read(&mut consumer, &mut all, (round + 1) * 200);
    }
    assert_gapless(&all, 600);
}

#[test]
fn an_append_that_is_not_acknowledged_in_time_is_worth_a_retry() {
    let mock = mock("unacknowledged", 1, |config| {
        config.properties.insert("delivery.timeout.ms".into(), "500".into());
    });
    wait_until("appending works", || block_on_tokio(mock.log.append(records(0..1))).is_ok());
    mock.cluster.broker_down(1).unwrap();
    let error = block_on_tokio(mock.log.append(records(1..2))).unwrap_err();
    assert!(matches!(error, LogError::NotAcknowledged { .. }), "{error}");
    assert_eq!(error.class(), Class::Retry);
    mock.log.append_blocking(records(2..3)).unwrap();
    assert!(matches!(mock.log.flush(), Err(LogError::NotAcknowledged { .. })));
    mock.cluster.broker_up(1).unwrap();
    wait_until("appending works again", || block_on_tokio(mock.log.append(records(3..4))).is_ok());
}

#[test]
fn a_producer_that_brought_nothing_through_in_a_records_time_is_made_anew() {
    let mock = mock("stuck", 1, |config| {
        config.properties.insert("delivery.timeout.ms".into(), "500".into());
    });
    wait_until("appending works", || block_on_tokio(mock.log.append(records(0..1))).is_ok());
    let appender = || mock.log.appender.lock().clone().unwrap();
    let first = appender();
    mock.cluster.broker_down(1).unwrap();
    assert!(!first.is_failed());
    block_on_tokio(mock.log.append(records(1..2))).unwrap_err();
    assert!(first.is_failed());
    mock.cluster.broker_up(1).unwrap();
    wait_until("appending works again", || block_on_tokio(mock.log.append(records(2..3))).is_ok());
    assert!(!Arc::ptr_eq(&first, &appender()));
}

#[test]
fn a_full_queue_holds_the_caller_back_and_loses_nothing() {
    let mock = mock("backpressure", 2, |config| {
        config.properties.insert("queue.buffering.max.messages".into(), "50".into());
    });
    for round in 0..20 {
        mock.log.append_blocking(records(round * 100..round * 100 + 100)).unwrap();
    }
    block_on_tokio(mock.log.append(records(2000..2100))).unwrap();
    mock.log.flush().unwrap();
    let mut all = Read::new();
    read(&mut mock.consumer(), &mut all, 2100);
    assert_gapless(&all, 2100);
}

#[test]
fn a_record_that_is_too_large_is_poison() {
    let mock = mock("too-large", 1, |_| {});
    let record = NewRecord { value: Some(vec![b'x'; 9 << 20]), ..record("contact-1", "") };
    let error = block_on_tokio(mock.log.append(vec![record])).unwrap_err();
    assert!(matches!(error, LogError::RecordTooLarge { .. }), "{error}");
    assert_eq!(error.class(), Class::Poison);
}

#[test]
fn one_record_is_read_and_what_the_lane_does_not_hold_is_none() {
    let mock = mock("read-one", 2, |_| {});
    let ack = block_on_tokio(mock.log.append(records(0..40))).unwrap()[17];
    let read = mock.log.read_one(ack.lane, ack.offset).unwrap().unwrap();
    assert_eq!(read.value.as_deref(), Some(b"value-17".as_slice()));
    assert_eq!(
        (read.timestamp_ms, read.key.as_deref()),
        (1_790_000_000_123, Some(b"contact-17".as_slice()))
    );
    assert_eq!(mock.log.read_one(ack.lane, Offset(40)).unwrap(), None);
    assert!(matches!(
        mock.log.read_one(Lane(2), Offset(0)),
        Err(LogError::UnknownLane { lanes: 2, .. })
    ));
}

#[test]
fn while_nobody_takes_records_the_lanes_are_paused_and_nothing_is_lost() {
    let mock = mock("paused", 2, |_| {});
    mock.log.append_blocking(records(0..2000)).unwrap();
    mock.log.flush().unwrap();
    let bounds = ConsumeBounds { records_max: 40, bytes_max: 1 << 20 };
    let (mut consumer, context) =
        mock.log.start(&from_start(2), bounds, Duration::from_millis(1)).unwrap();
    wait_until("the lanes are paused", || context.pauses() > 0);
    let mut all = Read::new();
    read(&mut consumer, &mut all, 2000);
    assert_gapless(&all, 2000);
}

#[test]
fn the_last_commit_is_what_lag_tools_see() {
    let mock = mock("commit", 2, |_| {});
    mock.log.append_blocking(records(0..50)).unwrap();
    mock.log.flush().unwrap();
    for (first, second) in [(1, 2), (3, 5)] {
        let next = BTreeMap::from([(Lane(0), NextOffset(first)), (Lane(1), NextOffset(second))]);
        mock.log.commit(&next).unwrap();
    }
    mock.log.shutdown().unwrap();
    let settings = settings::reader(&mock.log.topic.config);
    let reader: BaseConsumer = settings.create().unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(&mock.log.topic.config.topic, 0, 1);
    let committed = reader.committed_offsets(asked, DEADLINE).unwrap();
    let offsets: Vec<_> = committed.elements().iter().map(|element| element.offset()).collect();
    assert_eq!(offsets, [KafkaOffset::Offset(3), KafkaOffset::Offset(5)]);
}

/// The mock cluster does not tell a topic's settings.
#[test]
fn where_the_brokers_do_not_tell_the_retention_both_topics_have_the_default_or_what_is_set() {
    let day = Duration::from_secs(86_400);
    let told = mock("retention", 1, |_| {});
    let default = Retention { age: Some(7 * day), is_by_bytes: false };
    assert_eq!(told.log.retention().unwrap(), default);
    assert_eq!(told.log.control_retention().unwrap(), Some(7 * day));
    let set = mock("retention-set", 1, |config| {
        (config.retention, config.control_retention) = (Some(2 * day), Some(3 * day));
    });
    assert_eq!(set.log.retention().unwrap().age, Some(2 * day));
    assert_eq!(set.log.control_retention().unwrap(), Some(3 * day));
}

#[test]
fn after_shutdown_appending_is_closed() {
    let mock = mock("shutdown", 1, |_| {});
    mock.log.append_blocking(records(0..10)).unwrap();
    mock.log.shutdown().unwrap();
    assert_eq!(mock.log.watermarks(Lane(0)).unwrap().high, NextOffset(10));
    assert!(matches!(mock.log.append_blocking(records(0..1)), Err(LogError::Closed { .. })));
}

#[test]
fn stopping_ends_the_thread_soon() {
    let mock = mock("stop", 1, |_| {});
    let consumer = mock.consumer();
    let started = Instant::now();
    consumer.stop();
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_consumer_that_knows_no_broker_any_more_is_made_anew_and_reads_on() {
    use rdkafka::ClientContext as _;
    let mock = mock("lost-brokers", 2, |_| {});
    mock.log.append_blocking(records(0..100)).unwrap();
    let (mut consumer, context) = mock.log.start(&from_start(2), BOUNDS, PAUSE_AFTER).unwrap();
    let mut all = Read::new();
    read(&mut consumer, &mut all, 100);
    let lost =
        r#"{"brokers":{"GroupCoordinator":{"nodeid":-1,"state":"INIT","source":"logical"}}}"#;
    // Its own statistics may come in between.
    wait_until("it has lost its brokers", || {
        (0..10).for_each(|_| context.stats_raw(lost.as_bytes()));
        context.has_lost_brokers()
    });
    wait_until("it has begun anew", || !context.has_lost_brokers());
    mock.log.append_blocking(records(100..200)).unwrap();
    read(&mut consumer, &mut all, 200);
    assert_gapless(&all, 200);
}

/// Without waiting in between, librdkafka ends the process.
#[test]
fn partitions_are_assigned_again_and_again_without_a_pause() {
    let mock = mock("assigned-anew", 16, |_| {});
    mock.log.append_blocking(records(0..100)).unwrap();
    mock.log.flush().unwrap();
    for _ in 0..50 {
        let consumer: BaseConsumer<TopicContext> = settings::create(
            &settings::consumer(&mock.log.topic.config),
            TopicContext::new("assigned-anew"),
        )
        .unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..16 {
            let topic = &mock.log.topic.config.topic;
            list.add_partition_offset(topic, partition, KafkaOffset::Beginning).unwrap();
        }
        for _ in 0..20 {
            assign::assign(&consumer, &list).unwrap();
        }
    }
}

#[test]
fn the_mock_cluster_keeps_the_contract() {
    let Mock { cluster, log, .. } = mock("contract", 3, |_| {});
    contract::check_all(&EventLog::Kafka(Arc::new(log))).unwrap();
    drop(cluster);
}

//! On a real broker (CONTACTD_TEST_KAFKA): what the mock cluster can't do.

use std::path::PathBuf;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::*;
use crate::domain::Class;
use crate::domain::partitioner::Partitioner;
use crate::domain::position::CONTROL_LANE;
use crate::event_log::{ControlAccess, EventLog, contract};

const PLAN: TopicPlan = TopicPlan::contacts(3, Some(1));

fn admin(brokers: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap()
}

/// A log on a topic of its own, which exists.
fn real(test: &str) -> Option<KafkaLog> {
    let log = real_without_topic(test)?;
    assert!(log.ensure_topic(PLAN).unwrap().created);
    wait_until("the topic is known", || log.identity().is_ok());
    Some(log)
}

fn real_without_topic(test: &str) -> Option<KafkaLog> {
    let brokers = service("CONTACTD_TEST_KAFKA", test)?;
    Some(KafkaLog::open(&config(&brokers, &topic_name(test))).unwrap())
}

fn brokers(log: &KafkaLog) -> &str {
    &log.topic.config.brokers[0]
}

fn name(log: &KafkaLog) -> &str {
    &log.topic.config.topic
}

fn append(log: &KafkaLog, records: Vec<NewRecord>) {
    log.append_blocking(records).unwrap();
    log.flush().unwrap();
}

#[test]
fn a_missing_topic_is_waited_for_and_read_once_it_is_made() {
    let Some(log) = real_without_topic("missing") else {
        return;
    };
    let error = log.identity().unwrap_err();
    assert!(matches!(error, LogError::MissingTopic { .. }), "{error}");
    assert_eq!(error.class(), Class::Retry);
    assert!(matches!(log.append_blocking(records(0..1)), Err(LogError::MissingTopic { .. })));
    let mut consumer = log.consume(&from_start(3), BOUNDS).unwrap();
    let status = consumer.status();
    wait_until("the status names the missing topic", || {
        assert!(consumer.next(Duration::from_millis(10)).unwrap().is_none());
        status.trouble().is_some_and(|trouble| trouble.contains("does not exist"))
    });
    let ensured = log.ensure_topic(PLAN).unwrap();
    assert_eq!(ensured, TopicEnsured { created: true, policy_mended: false });
    wait_until("the topic is known", || log.identity().is_ok());
    append(&log, records(0..100));
    let mut all = Read::new();
    read(&mut consumer, &mut all, 100);
    assert_gapless(&all, 100);
}

#[test]
fn real_kafka_keeps_the_contract() {
    let Some(log) = real("contract") else { return };
    contract::check_all(&EventLog::Kafka(Arc::new(log))).unwrap();
}

#[test]
fn identity_names_cluster_topic_and_partitions() {
    let Some(log) = real("identity") else { return };
    let identity = log.identity().unwrap();
    assert!(!identity.cluster.is_empty());
    assert_eq!((identity.topic.as_str(), log.lanes().unwrap()), (name(&log), 3));
    assert_eq!(identity, log.identity().unwrap());
}

#[test]
fn a_compacted_topic_is_refused_and_ensure_mends_it() {
    let Some(log) = real_without_topic("compacted") else {
        return;
    };
    let topic = NewTopic::new(name(&log), 2, TopicReplication::Fixed(1))
        .set("cleanup.policy", "compact,delete")
        .set("retention.ms", "86400123");
    block_on(admin(brokers(&log)).create_topics([&topic], &AdminOptions::new())).unwrap();
    wait_until("the topic is known as compacted", || {
        matches!(log.identity(), Err(LogError::CompactedTopic { .. }))
    });
    assert_eq!(log.identity().unwrap_err().class(), Class::Fatal);
    let refused = log.ensure_topic(PLAN).unwrap_err().to_string();
    assert!(refused.contains("topics ensure --yes"), "{refused}");
    assert!(log.identity().is_err(), "nothing was changed");
    let ensured = log.ensure_topic(TopicPlan { mends_policy: true, ..PLAN }).unwrap();
    assert_eq!(ensured, TopicEnsured { created: false, policy_mended: true });
    wait_until("the topic is accepted", || log.identity().is_ok());
    assert_eq!(log.lanes().unwrap(), 2, "its partitions stay");
    let kept = Admin::new(&log.topic.config, &log.topic.config.topic)
        .unwrap()
        .setting("retention.ms")
        .unwrap();
    assert_eq!(kept.as_deref(), Some("86400123"), "its other settings stay");
    assert_eq!(
        log.ensure_topic(PLAN).unwrap(),
        TopicEnsured { created: false, policy_mended: false }
    );
}

#[test]
fn a_topic_made_anew_while_it_is_read_ends_the_consumer() {
    let Some(log) = real("made-anew") else { return };
    append(&log, records(0..30));
    let mut consumer = log.consume(&from_start(3), BOUNDS).unwrap();
    read(&mut consumer, &mut Read::new(), 30);
    let admin = admin(brokers(&log));
    block_on(admin.delete_topics(&[name(&log)], &AdminOptions::new())).unwrap();
    wait_until("it can be made anew", || {
        log.ensure_topic(PLAN).is_ok_and(|ensured| ensured.created)
    });
    // More records than before: no offset is out of range, only the topic's id tells.
    let anew = KafkaLog::open(&log.topic.config).unwrap();
    wait_until("appends to the new topic", || anew.append_blocking(records(100..200)).is_ok());
    anew.flush().unwrap();
    let mut all = Read::new();
    let error = read_until_failure(&mut consumer, &mut all);
    assert!(matches!(error, LogError::TopicChanged { .. }), "{error}");
    assert_eq!(error.class(), Class::Fatal);
    assert!(all.is_empty(), "records of another topic were delivered: {all:?}");
}

#[test]
fn a_topic_that_goes_while_it_is_read_is_told_at_once_and_as_long_as_it_is_away() {
    let Some(log) = real("gone") else { return };
    append(&log, records(0..30));
    let mut consumer = log.consume(&from_start(3), BOUNDS).unwrap();
    let status = consumer.status();
    read(&mut consumer, &mut Read::new(), 30);
    assert!(!status.is_gone());
    let admin = admin(brokers(&log));
    block_on(admin.delete_topics(&[name(&log)], &AdminOptions::new())).unwrap();
    let deleted = Instant::now();
    let mut look = || {
        drop(consumer.next(Duration::from_millis(10)).unwrap());
        status.is_gone() && status.trouble().is_some_and(|trouble| trouble.contains("deleted"))
    };
    wait_until("the status says that the topic is gone", &mut look);
    assert!(deleted.elapsed() < Duration::from_secs(30), "it took {:?}", deleted.elapsed());
    // Statistics, which come every second, go on as if it were there.
    let told = Instant::now();
    wait_until("it stays so", || {
        assert!(look(), "it is there again");
        told.elapsed() >= Duration::from_secs(5)
    });
}

#[test]
fn partitions_added_while_it_is_read_are_read_from_their_start_and_are_nobodys_home() {
    let Some(log) = real("partitions-added") else {
        return;
    };
    log.found(&log.founding().unwrap());
    let mut consumer = log.consume(&from_start(3), BOUNDS).unwrap();
    append(&log, records(0..30));
    let mut all = Read::new();
    read(&mut consumer, &mut all, 30);
    let more = NewPartitions::new(name(&log), 5);
    block_on(admin(brokers(&log)).create_partitions([&more], &AdminOptions::new())).unwrap();
    wait_until("the partitions are known", || log.lanes().unwrap() == 5);
    let elsewhere = [3, 4].map(|lane| NewRecord { lane: Some(Lane(lane)), ..record("x", "y") });
    append(&log, elsewhere.to_vec());
    append(&log, records(30..60));
    read(&mut consumer, &mut all, 62);
    assert_eq!((all[&Lane(3)].len(), all[&Lane(4)].len()), (1, 1));
    assert_eq!(consumer.status().lanes().len(), 5);
}

#[test]
fn records_of_an_aborted_transaction_are_not_delivered_and_leave_no_lag() {
    let Some(log) = real("transactions") else {
        return;
    };
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers(&log))
        .set("transactional.id", name(&log))
        .create()
        .unwrap();
    let send = |value: &str| {
        let record = BaseRecord::<str, str>::to(name(&log)).partition(0).key("k").payload(value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    };
    producer.init_transactions(DEADLINE).unwrap();
    producer.begin_transaction().unwrap();
    send("aborted");
    producer.flush(DEADLINE).unwrap();
    producer.abort_transaction(DEADLINE).unwrap();
    producer.begin_transaction().unwrap();
    send("committed");
    producer.commit_transaction(DEADLINE).unwrap();
    let from = BTreeMap::from([(Lane(0), NextOffset(0))]);
    let mut consumer = log.consume(&from, BOUNDS).unwrap();
    let mut all = Read::new();
    read(&mut consumer, &mut all, 1);
    // 0 aborted, 1 its marker, 2 committed, 3 its marker.
    assert_eq!(all[&Lane(0)], [(2, "committed".to_owned())]);
    let status = consumer.status();
    wait_until("caught up", || {
        drop(consumer.next(Duration::from_millis(10)).unwrap());
        status.is_caught_up()
    });
    let lane = status.lane(Lane(0)).unwrap();
    assert_eq!(lane.high.load(Ordering::Acquire), lane.next.load(Ordering::Acquire));
    assert_eq!(log.watermarks(Lane(0)).unwrap().high, NextOffset(4));
    assert_eq!(log.read_one(Lane(0), Offset(0)).unwrap(), None, "it was aborted");
    assert!(log.read_one(Lane(0), Offset(2)).unwrap().is_some());
}

#[test]
fn what_the_topic_holds_shows_before_it_is_founded() {
    let Some(log) = real("signs") else { return };
    let mut config = log.topic.config.clone();
    config.partitioner = PartitionerChoice::Crc32;
    append(&KafkaLog::open(&config).unwrap(), records(0..200));
    let signs = log.look_around().unwrap();
    assert_eq!((signs.keys.partitioner, signs.keys.fitting), (Partitioner::Crc32, 200));
    assert!(!signs.has_ours);
    let ours = vec![("contactd_source".to_owned(), Some(b"acme".to_vec()))];
    append(&log, vec![NewRecord { headers: ours, ..record("contact-1", "{}") }]);
    assert!(log.look_around().unwrap().has_ours);
    assert_eq!(log.prepare_control().unwrap(), ControlAccess::Ready);
    let nothing = ControlFounding { founding: Ok(None), is_whole: true };
    wait_until("the control topic is there", || log.read_founding().is_ok());
    assert_eq!(log.read_founding().unwrap(), nothing);
}

#[test]
fn partitions_that_are_added_while_the_offsets_are_looked_up_are_read() {
    let Some(log) = real("added-at-the-start") else { return };
    let from = from_start(3);
    let more = NewPartitions::new(name(&log), 5);
    block_on(admin(brokers(&log)).create_partitions([&more], &AdminOptions::new())).unwrap();
    wait_until("they are known", || log.lanes().unwrap() == 5);
    let mut consumer = log.consume(&from, BOUNDS).unwrap();
    append(&log, vec![NewRecord { lane: Some(Lane(4)), ..record("contact-1", "added") }]);
    let mut all = Read::new();
    read(&mut consumer, &mut all, 1);
    assert_eq!(all[&Lane(4)], [(0, "added".to_owned())]);
}

#[test]
fn a_topics_limits_of_age_and_bytes_are_told() {
    let Some(log) = real_without_topic("retention") else { return };
    let topic = NewTopic::new(name(&log), 1, TopicReplication::Fixed(1))
        .set("retention.ms", "-1")
        .set("retention.bytes", "1000000");
    block_on(admin(brokers(&log)).create_topics([&topic], &AdminOptions::new())).unwrap();
    wait_until("the topic is known", || log.identity().is_ok());
    let told = Retention { age: None, is_by_bytes: true };
    wait_until("its limits are told", || log.retention().unwrap() == told);
}

#[test]
fn a_record_beyond_the_topics_limit_is_poison() {
    let Some(log) = real_without_topic("too-large") else {
        return;
    };
    let topic =
        NewTopic::new(name(&log), 1, TopicReplication::Fixed(1)).set("max.message.bytes", "100000");
    block_on(admin(brokers(&log)).create_topics([&topic], &AdminOptions::new())).unwrap();
    wait_until("the topic is known", || log.identity().is_ok());
    let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(200_000).collect();
    let large = NewRecord { value: Some(noise), ..record("contact-1", "") };
    log.append_blocking(vec![record("contact-0", ""), large, record("contact-2", "")]).unwrap();
    let error = log.flush().unwrap_err();
    assert!(matches!(error, LogError::RecordTooLarge { bytes_max: 100_000, .. }), "{error}");
    assert_eq!(error.class(), Class::Poison);
    let mut all = Read::new();
    read(&mut log.consume(&from_start(1), BOUNDS).unwrap(), &mut all, 2);
    assert_eq!(all[&Lane(0)].len(), 2, "its neighbours are kept");
}

#[cfg(feature = "tls")]
fn secured(
    test: &str,
    variable: &str,
    mechanism: &str,
    password: Option<&str>,
) -> Option<KafkaLog> {
    let mut config = config(&service(variable, test)?, &topic_name(test));
    config.security_protocol = SecurityProtocol::SaslSsl;
    config.sasl_mechanism = mechanism.to_owned();
    config.ssl_ca_location = Some(PathBuf::from(service("CONTACTD_TEST_KAFKA_CA", test)?));
    config.sasl_username = service("CONTACTD_TEST_KAFKA_USER", test)?;
    let right = service("CONTACTD_TEST_KAFKA_PASSWORD", test)?;
    config.sasl_password = Some(Secret::new(password.unwrap_or(&right)));
    Some(KafkaLog::open(&config).unwrap())
}

#[cfg(feature = "tls")]
fn reads_and_appends(log: &KafkaLog) {
    log.ensure_topic(PLAN).unwrap();
    wait_until("the topic is known", || log.identity().is_ok());
    append(log, records(0..50));
    let mut all = Read::new();
    read(&mut log.consume(&from_start(3), BOUNDS).unwrap(), &mut all, 50);
    assert_gapless(&all, 50);
}

#[test]
#[cfg(feature = "tls")]
fn scram_over_tls_reads_and_appends() {
    let variable = "CONTACTD_TEST_KAFKA_SASL_SSL";
    let Some(log) = secured("scram", variable, "SCRAM-SHA-512", None) else {
        return;
    };
    reads_and_appends(&log);
}

#[test]
#[cfg(feature = "tls")]
fn plain_over_tls_reads_and_appends() {
    let variable = "CONTACTD_TEST_KAFKA_SASL_SSL_PLAIN";
    let Some(log) = secured("plain", variable, "PLAIN", None) else {
        return;
    };
    reads_and_appends(&log);
}

#[test]
#[cfg(feature = "tls")]
fn a_wrong_password_is_a_refusal_and_shows_in_the_status() {
    let variable = "CONTACTD_TEST_KAFKA_SASL_SSL";
    let Some(log) = secured("refused", variable, "SCRAM-SHA-512", Some("wrong")) else {
        return;
    };
    let error = log.identity().unwrap_err();
    assert!(matches!(error, LogError::Refused { .. }), "{error}");
    assert_eq!(error.class(), Class::Fatal);
    assert!(!error.to_string().contains("wrong"), "{error}");
    let mut consumer = log.consume(&from_start(1), BOUNDS).unwrap();
    let status = consumer.status();
    wait_until("the status says that we are refused", || {
        drop(consumer.next(Duration::from_millis(10)));
        status.trouble().is_some_and(|trouble| trouble.contains("uthentication"))
    });
}

#[test]
#[cfg(feature = "tls")]
fn a_certificate_that_is_not_trusted_is_not_accepted() {
    let variable = "CONTACTD_TEST_KAFKA_SASL_SSL";
    let Some(log) = secured("untrusted", variable, "SCRAM-SHA-512", None) else {
        return;
    };
    let mut config = log.topic.config.clone();
    config.ssl_ca_location = None;
    let error = KafkaLog::open(&config).unwrap().identity().unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[test]
fn the_control_topic_is_made_dated_by_the_broker_and_kept_for_90_days() {
    let Some(log) = real("control") else {
        return;
    };
    assert_eq!(log.prepare_control().unwrap(), ControlAccess::Ready);
    let config = &log.topic.config;
    let admin = Admin::new(config, &config.control_topic).unwrap();
    wait_until("the control topic is known", || log.watermarks(CONTROL_LANE).is_ok());
    let setting = |name| admin.setting(name).unwrap().unwrap();
    assert_eq!(setting("cleanup.policy"), "delete");
    assert_eq!(setting("retention.ms"), "7776000000");
    assert_eq!(setting("message.timestamp.type"), "LogAppendTime");
    assert_eq!(log.prepare_control().unwrap(), ControlAccess::Ready);
    assert!(!log.ensure_control_topic(TopicPlan::control(None)).unwrap().created);
}

#[test]
fn a_compacted_control_topic_is_refused_and_contacts_are_read() {
    let Some(log) = real("control-compacted") else {
        return;
    };
    let topic = NewTopic::new(&log.topic.config.control_topic, 1, TopicReplication::Fixed(1))
        .set("cleanup.policy", "compact");
    block_on(admin(brokers(&log)).create_topics([&topic], &AdminOptions::new())).unwrap();
    wait_until(
        "it is refused",
        || matches!(log.prepare_control(), Ok(ControlAccess::Refused(why)) if why.contains("compact")),
    );
    append(&log, records(0..10));
    let mut consumer = log.consume(&from_start(3), BOUNDS).unwrap();
    let mut all = Read::new();
    read(&mut consumer, &mut all, 10);
    let plan = TopicPlan { mends_policy: true, ..TopicPlan::control(None) };
    assert!(log.ensure_control_topic(plan).unwrap().policy_mended);
    wait_until("it is taken", || log.prepare_control().unwrap() == ControlAccess::Ready);
}

#[test]
fn a_control_topic_that_goes_is_no_end_of_the_contacts() {
    let Some(log) = real("control-gone") else {
        return;
    };
    log.prepare_control().unwrap();
    wait_until("the control topic is known", || log.watermarks(CONTROL_LANE).is_ok());
    let mut from = from_start(3);
    from.insert(CONTROL_LANE, NextOffset(0));
    let mut consumer = log.consume(&from, BOUNDS).unwrap();
    let status = consumer.status();
    append(&log, records(0..10));
    let mut all = Read::new();
    read(&mut consumer, &mut all, 10);
    let gone = [log.topic.config.control_topic.as_str()];
    block_on(admin(brokers(&log)).delete_topics(&gone, &AdminOptions::new())).unwrap();
    wait_until("the status says so", || {
        assert!(consumer.next(Duration::from_millis(10)).is_ok());
        status.control_trouble().is_some()
    });
    assert_eq!(status.trouble(), None);
    append(&log, records(10..20));
    read(&mut consumer, &mut all, 20);
    assert_gapless(&all, 20);
}

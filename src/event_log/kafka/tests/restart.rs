//! A broker of its own, so that it can be stopped and killed (CONTACTD_TEST_KAFKA_JARS).

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use super::*;

struct Broker {
    directory: tempfile::TempDir,
    port: u16,
    jars: String,
}

impl Broker {
    fn start(test: &str) -> Option<Self> {
        let jars = service("CONTACTD_TEST_KAFKA_JARS", test)?;
        let broker = Self { directory: tempfile::tempdir().unwrap(), port: free_ports(), jars };
        broker.run("up", &["all", "start"]);
        Some(broker)
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn run(&self, script: &str, arguments: &[&str]) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services").join(script);
        let output = Command::new(path)
            .arg(self.directory.path())
            .args(arguments)
            .env("CONTACTD_TEST_KAFKA_PORT", self.port.to_string())
            .env("CONTACTD_TEST_JARS", &self.jars)
            .env("CONTACTD_TEST_WITHOUT", "redis s3 rabbitmq")
            .output()
            .unwrap();
        assert!(output.status.success(), "{script} {arguments:?}: {output:?}");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.run("down", &[]);
    }
}

/// The first of four ports in a row that nobody listens on.
fn free_ports() -> u16 {
    loop {
        let first = fastrand::u16(20_000..30_000);
        let taken: Vec<_> =
            (first..first + 4).map(|port| TcpListener::bind(("127.0.0.1", port))).collect();
        if taken.iter().all(Result::is_ok) {
            return first;
        }
    }
}

fn append(log: &KafkaLog, range: std::ops::Range<usize>) {
    log.append_blocking(records(range)).unwrap();
    log.flush().unwrap();
}

#[test]
fn a_broker_that_is_stopped_and_killed_while_it_is_read_costs_nothing() {
    let Some(broker) = Broker::start("restart") else {
        return;
    };
    let mut config = config(&broker.address(), &topic_name("restart"));
    config.properties.insert("delivery.timeout.ms".into(), "60000".into());
    let log = KafkaLog::open(&config).unwrap();
    log.ensure_topic(TopicPlan::contacts(4, Some(1))).unwrap();
    wait_until("the topic is known", || log.identity().is_ok());
    append(&log, 0..2000);

    let mut consumer = log.consume(&from_start(4), BOUNDS).unwrap();
    let status = consumer.status();
    let mut all = Read::new();
    read(&mut consumer, &mut all, 500);
    let mut total = 2000;
    for how in ["stop", "kill"] {
        broker.run("up", &["broker", how]);
        wait_until("the status says why nothing comes", || {
            if let Some(Delivery::Batch(batch)) = consumer.next(Duration::from_millis(10)).unwrap()
            {
                keep(&mut all, &batch);
            }
            status.trouble().is_some()
        });
        // Appended while the broker is away: acknowledged once it is back.
        log.append_blocking(records(total..total + 500)).unwrap();
        broker.run("up", &["broker", "start"]);
        log.flush().unwrap();
        append(&log, total + 500..total + 1000);
        total += 1000;
        read(&mut consumer, &mut all, total);
        wait_until("the trouble is over", || {
            drop(consumer.next(Duration::from_millis(10)).unwrap());
            status.trouble().is_none()
        });
    }
    assert_gapless(&all, total);
}

impl Broker {
    /// Copies what it holds to a name, or puts it back from there; it must be stopped.
    fn copy(&self, from: &str, to: &str) {
        let path = |name: &str| self.directory.path().join(name);
        let _ = std::fs::remove_dir_all(path(to));
        let copied = Command::new("cp").arg("-a").arg(path(from)).arg(path(to)).status();
        assert!(copied.unwrap().success());
    }
}

#[test]
fn a_log_whose_end_was_lost_while_it_was_read_ends_the_consumer() {
    const DATA: &str = "kafka/data";
    let Some(broker) = Broker::start("lost-end") else {
        return;
    };
    let config = config(&broker.address(), &topic_name("lost-end"));
    let log = KafkaLog::open(&config).unwrap();
    log.ensure_topic(TopicPlan::contacts(2, Some(1))).unwrap();
    wait_until("the topic is known", || log.identity().is_ok());
    append(&log, 0..100);
    broker.run("up", &["broker", "stop"]);
    broker.copy(DATA, "backup");
    broker.run("up", &["broker", "start"]);
    // What the log will have become: longer, so that no offset is out of range.
    append(&log, 500..700);
    broker.run("up", &["broker", "stop"]);
    broker.copy(DATA, "other");
    broker.copy("backup", DATA);
    broker.run("up", &["broker", "start"]);
    let log = KafkaLog::open(&config).unwrap();
    append(&log, 100..150);
    let mut consumer = log.consume(&from_start(2), BOUNDS).unwrap();
    read(&mut consumer, &mut Read::new(), 150);
    broker.run("up", &["broker", "kill"]);
    broker.copy("other", DATA);
    broker.run("up", &["broker", "start"]);
    let mut others = Read::new();
    let error = read_until_failure(&mut consumer, &mut others);
    assert!(matches!(error, LogError::AnotherRecord { .. }), "{error}");
    assert!(error.to_string().contains("store rebuild"), "{error}");
    assert_eq!(error.class(), crate::domain::Class::Fatal);
    assert!(others.is_empty(), "records of another log were delivered: {others:?}");
}

#[test]
fn what_retention_takes_while_the_broker_is_away_is_no_lost_end() {
    let Some(broker) = Broker::start("retention") else {
        return;
    };
    let topic = topic_name("retention");
    let log = KafkaLog::open(&config(&broker.address(), &topic)).unwrap();
    log.ensure_topic(TopicPlan::contacts(2, Some(1))).unwrap();
    wait_until("the topic is known", || log.identity().is_ok());
    append(&log, 0..100);
    let mut consumer = log.consume(&from_start(2), BOUNDS).unwrap();
    let mut all = Read::new();
    read(&mut consumer, &mut all, 100);
    let admin: rdkafka::admin::AdminClient<rdkafka::client::DefaultClientContext> =
        rdkafka::ClientConfig::new().set("bootstrap.servers", broker.address()).create().unwrap();
    let mut everything = rdkafka::TopicPartitionList::new();
    everything.add_partition_offset(&topic, 0, rdkafka::Offset::End).unwrap();
    everything.add_partition_offset(&topic, 1, rdkafka::Offset::End).unwrap();
    block_on(admin.delete_records(&everything, &rdkafka::admin::AdminOptions::new())).unwrap();
    broker.run("up", &["broker", "kill"]);
    broker.run("up", &["broker", "start"]);
    append(&log, 100..200);
    read(&mut consumer, &mut all, 200);
    assert_gapless(&all, 200);
}

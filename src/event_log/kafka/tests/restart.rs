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
            .env("CONTACTD_TEST_WITHOUT", "redis")
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

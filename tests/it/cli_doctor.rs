//! `doctor`: each fault is made, and named by its check.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use contactd::domain::partitioner::Partitioner;
use rdkafka::mocking::MockCluster;
use serde_json::Value;

use crate::cli::text;
use crate::support::logs::{KafkaTopic, LANES, RawRecord, TestLog};
use crate::support::node::{Node, Running};
use crate::support::services::{KAFKA, service, skip};
use crate::support::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(60);

/// Nothing is wrong with it.
fn sound(directory: &Path) -> Node {
    Node::new(&directory.join("store")).with("log.kind", "embedded")
}

/// What `doctor` says, and its exit code.
#[track_caller]
fn doctor(node: &Node, arguments: &[&str]) -> (Value, i32) {
    let arguments = [&["doctor", "--json"], arguments].concat();
    let output = node.command(&arguments).output().unwrap();
    let told = text(&output.stderr);
    let report = serde_json::from_slice(&output.stdout);
    (report.unwrap_or_else(|error| panic!("{error}: {told}")), output.status.code().unwrap())
}

fn check<'r>(report: &'r Value, name: &str) -> &'r Value {
    let mut checks = report["checks"].as_array().unwrap().iter();
    checks.find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}: {report:#}"))
}

/// The check stands so, says this, and advises something where it is wrong.
#[track_caller]
fn expect(report: &Value, name: &str, state: &str, part: &str) {
    let check = check(report, name);
    assert_eq!(check["state"], state, "{check:#}");
    assert!(check["found"].as_str().unwrap().contains(part), "no {part:?} in {check:#}");
    assert_eq!(check["advice"].is_string(), matches!(state, "warning" | "fault"), "{check:#}");
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn at_kafka(directory: &Path, brokers: &str) -> Node {
    Node::new(&directory.join("store")).with("log.kind", "kafka").with("kafka.brokers", brokers)
}

fn started(node: &Node) -> Running {
    let running = node.start("");
    wait_until(PATIENCE, "it is ready", || {
        node.command(&["status"]).output().unwrap().status.success()
    });
    running
}

#[test]
fn a_sound_setup_is_0_and_nothing_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let node = sound(directory.path()).with("server.listen", format!("127.0.0.1:{}", free_port()));
    let (report, code) = doctor(&node, &[]);
    assert_eq!((code, &report["severity"]), (0, &Value::from("right")), "{report:#}");
    expect(&report, "brokers", "not_looked", "on this machine's disk");
    expect(&report, "instance", "not_looked", "does not answer");
    assert!(std::fs::read_dir(directory.path()).unwrap().next().is_none(), "something was made");
    let output = node.command(&["doctor"]).output().unwrap();
    assert!(text(&output.stdout).contains("right    configuration"), "{}", text(&output.stdout));
}

#[test]
fn what_is_wrong_with_this_machine_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let secret = path.join("secret");
    std::fs::write(&secret, "q3Jx0b+8v1Yy5wz2m1bUq8rW4pQ7n9Lk0TzVfX2cH6s").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::create_dir(path.join("store")).unwrap();
    // An hour ahead of the clock.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let ahead = (now + Duration::from_secs(3600)).as_micros();
    std::fs::write(path.join("store/stamp"), ahead.to_string()).unwrap();
    let node = sound(path)
        .with("server.listen", "127.0.0.1:1")
        .with("server.connections_max", "4096")
        .with("jwt.secret_previous_file", secret.display())
        .with("store.min_free_bytes", "1TiB")
        .with("redis.url", format!("redis://127.0.0.1:{}", free_port()))
        .with("schema_registry.url", format!("http://127.0.0.1:{}", free_port()))
        .with("server.request_timeout", "soon")
        .with_open_files(600);
    let (report, code) = doctor(&node, &[]);
    assert_eq!(code, 2, "{report:#}");
    expect(&report, "configuration", "fault", "server.request_timeout");
    expect(&report, "clock", "warning", "behind what was stamped here before");
    expect(&report, "disk", "fault", "below store.min_free_bytes");
    expect(&report, "descriptors", "warning", "suffice for");
    expect(&report, "permissions", "warning", "jwt.secret_previous_file: others may read");
    expect(&report, "redis", "warning", "redis");
    expect(&report, "schema_registry", "fault", "");
}

#[test]
fn a_certificate_that_ends_soon_is_a_fault() {
    let directory = tempfile::tempdir().unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=contactd", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(directory.path())
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        return skip("a_certificate_that_ends_soon_is_a_fault", "there is no openssl command");
    }
    let node = sound(directory.path())
        .with("server.tls_certificate", directory.path().join("cert.pem").display())
        .with("server.tls_key", directory.path().join("key.pem").display());
    let (report, code) = doctor(&node, &[]);
    assert_eq!(code, 2);
    expect(&report, "certificate", "fault", "it ends in ");
}

#[test]
fn brokers_that_are_away_and_topics_that_are_missing_or_wrong_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let away = at_kafka(directory.path(), &format!("127.0.0.1:{}", free_port()));
    let (report, code) = doctor(&away, &[]);
    assert_eq!(code, 2);
    expect(&report, "brokers", "fault", "");
    expect(&report, "topic", "not_looked", "can't be asked");
    let cluster = MockCluster::new(3).unwrap();
    let node = at_kafka(directory.path(), &cluster.bootstrap_servers());
    let (report, code) = doctor(&node, &[]);
    assert_eq!(code, 2);
    expect(&report, "brokers", "right", "");
    expect(&report, "topic", "fault", "contacts");
    cluster.create_topic("contacts", i32::from(LANES), 1).unwrap();
    let (report, _) = doctor(&node, &[]);
    expect(&report, "topic", "right", "contacts is there");
    expect(&report, "control_topic", "warning", "does not exist");
    expect(&report, "writers", "warning", "whoever reaches them");
    cluster.create_topic("contactd.control", 3, 3).unwrap();
    let (report, _) = doctor(&node, &[]);
    expect(&report, "control_topic", "fault", "has 3 partitions and must have one");
    expect(&report, "partitions", "warning", "contacts has one copy only");
    // Its only copy is away.
    cluster.partition_leader("contacts", 0, None).unwrap();
    let (report, _) = doctor(&node, &[]);
    expect(&report, "partitions", "fault", "1 of 4 partitions of contacts have no leader");
}

#[test]
fn producers_with_another_partitioner_and_a_clock_ahead_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let log = TestLog::mock();
    let now = contactd::app::now_ms() as i64;
    let records = (0..40).map(|number| {
        let key = format!("c{number}").into_bytes();
        let lane = Partitioner::Crc32.lane(&key, LANES).0;
        let value = Some(b"{}".to_vec());
        let timestamp_ms = now + 3_600_000;
        RawRecord { lane: Some(lane), key: Some(key), value, timestamp_ms, ..RawRecord::default() }
    });
    log.append(records);
    let node = log.followed_by(Node::new(&directory.path().join("store")));
    let unset = node.clone().with("kafka.partitioner", "auto");
    let (report, _) = doctor(&unset, &[]);
    expect(&report, "partitioner", "fault", "40 of 40 keys lie by crc32");
    expect(&report, "clock", "warning", "behind the newest record");
    let (report, _) = doctor(&node.with("kafka.partitioner", "murmur2"), &[]);
    expect(&report, "partitioner", "warning", "kafka.partitioner is murmur2");
}

#[test]
fn what_a_running_instance_knows_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let node = sound(directory.path())
        .with("server.listen", &address)
        .with("webhooks.default_source", "acme")
        .with("simulator.enabled", "true")
        .with("simulator.fire_on_writes", "true")
        .with("acme.webhook_secret", "w2Jx0b+8v1Yy5wz2m1bUq8rW4pQ7n9Lk0TzVfX2cH6s");
    let running = started(&node);
    let (report, code) = doctor(&node, &[]);
    assert_eq!(code, 0, "{report:#}");
    expect(&report, "instance", "right", "is ready");
    expect(&report, "followers", "right", "follow");
    expect(&report, "webhooks", "right", "");
    let mut stream = TcpStream::connect(&address).unwrap();
    let head = "POST /api/webhooks HTTP/1.1\r\nhost: it\r\nx-acme-signature: sha256=00\r\n\
        content-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let paused = node.command(&["follower", "pause", "simulator_writes"]).output().unwrap();
    assert!(paused.status.success(), "{}", text(&paused.stderr));
    let (report, code) = doctor(&node, &["--replica", &format!("http://{address}")]);
    assert_eq!(code, 1, "{report:#}");
    expect(&report, "webhooks", "warning", "1 were not signed");
    expect(&report, "followers", "warning", "simulator_writes is paused");
    expect(&report, "replicas", "right", "the same");
    running.stop();
    // Its files say something else than the log.
    let differing = node.with("apply.contact_bytes_max", "32KiB").with("rules.adopt", "manual");
    let running = started(&differing);
    let (report, _) = doctor(&differing, &[]);
    expect(&report, "rules", "warning", "contact_bytes_max");
    running.stop();
}

#[test]
fn an_instance_that_is_not_ready_is_a_fault() {
    let directory = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let node = at_kafka(directory.path(), "127.0.0.1:1").with("server.listen", &address);
    let _running = node.start("");
    wait_until(PATIENCE, "it is live", || {
        node.command(&["status", "--quiet"]).output().unwrap().status.success()
    });
    let (report, code) = doctor(&node, &[]);
    assert_eq!(code, 2);
    expect(&report, "instance", "fault", "is not ready: ");
}

#[test]
#[cfg(feature = "tls")]
fn who_may_not_write_the_topics_is_told_without_a_record() {
    const TEST: &str = "who_may_not_write_the_topics_is_told_without_a_record";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let topic = KafkaTopic::unused(&brokers);
    topic.create(&[("retention.ms", "86400000")]);
    topic.control().create_single(&[]);
    let directory = tempfile::tempdir().unwrap();
    let node = topic.followed_by(Node::new(&directory.path().join("store")));
    let (report, _) = doctor(&node, &[]);
    expect(&report, "rights", "right", "both topics may be read and written");
    expect(&report, "retention", "right", "records are kept for 1d");
    expect(&report, "control_topic", "right", "");
    assert!(topic.make_readable(TEST));
    let reader = |variable: &str| service(variable, TEST).unwrap();
    let node = node
        .with("kafka.brokers", reader("CONTACTD_TEST_KAFKA_SASL_SSL_PLAIN"))
        .with("kafka.security_protocol", "sasl_ssl")
        .with("kafka.ssl_ca_location", reader("CONTACTD_TEST_KAFKA_CA"))
        .with("kafka.sasl_username", reader("CONTACTD_TEST_KAFKA_READER"))
        .with("kafka.sasl_password", reader("CONTACTD_TEST_KAFKA_PASSWORD"));
    let (report, code) = doctor(&node, &[]);
    assert_eq!(code, 2);
    expect(&report, "rights", "fault", &format!("writing to {}: ", topic.topic));
    expect(&report, "writers", "right", "");
    assert_eq!(topic.ends().iter().sum::<i64>(), 0, "a record was left");
}

//! From a log to a store, contactd as a process of its own: the same scenarios over the embedded
//! log, librdkafka's mock cluster and, where it is there, real Kafka.

use std::path::Path;

use contactd::event_log::NewRecord;

use crate::support::logs::TestLog;
use crate::support::node::Node;
use crate::support::services::{KAFKA, service};

mod avro;
mod bad_input;
mod bridge;
mod control;
mod disk;
mod drain;
mod founding;
mod golden;
mod hostile;
mod identity;
mod lame_duck;
mod leases;
mod outages;
mod partial;
mod rehoming;
mod rights;
mod rules;
mod tasks;
mod transactions;

/// One empty log of each kind; real Kafka only where it is there.
fn every_log(dir: &Path, test: &str) -> Vec<TestLog> {
    let mut logs = vec![TestLog::embedded(&dir.join("log")), TestLog::mock()];
    logs.extend(service(KAFKA, test).map(|brokers| TestLog::kafka(&brokers)));
    logs
}

/// A node on a store of its own for a log.
fn node(dir: &Path, log: &TestLog) -> Node {
    log.followed_by(Node::new(&dir.join(format!("store-{}", log.name()))))
}

/// An event of a contact, dated a second before its record.
fn event(kind: &str, contact: &str, number: u64, data: &str) -> NewRecord {
    let at_ms = 1_790_000_000_000 + number * 1_000;
    let comma = if data.is_empty() { "" } else { "," };
    let value = format!(
        r#"{{"id":"event-{contact}-{number}","eventType":"contact.{kind}","timestamp":{at_ms},"source":"acme","version":{number},"data":{{"id":"{contact}"{comma}{data}}}}}"#
    );
    NewRecord {
        key: contact.as_bytes().to_vec(),
        value: Some(value.into_bytes()),
        timestamp_ms: at_ms as i64 + 1_000,
        ..NewRecord::default()
    }
}

//! Publishing dead letters, as a follower, to a topic of librdkafka's mock cluster.

use std::sync::Arc;

use contactd::config::{Config, KafkaConfig, Mode, PartitionerChoice};
use contactd::effects::dead_letters::{Publisher, Topics};
use contactd::effects::follower::Row;
use contactd::event_log::NewRecord;
use contactd::event_log::kafka::KafkaLog;
use contactd::telemetry::Metrics;
use rdkafka::mocking::MockCluster;

use super::Counted;
use super::suite;
use super::world::{Subject, World};
use crate::support::logs::LANES;

const TOPIC: &str = "contacts.dlq";

/// The brokers of the one topic for all worlds.
struct Published(String);

impl Subject for Published {
    type Sink = Publisher;

    fn row(&self) -> Row {
        Publisher::row()
    }

    fn sink(&self, world: &World) -> Publisher {
        let kafka = Config::built_in(Mode::Serve).unwrap().kafka;
        let topic = KafkaConfig {
            brokers: vec![self.0.clone()],
            topic: TOPIC.to_owned(),
            partitioner: PartitionerChoice::Murmur2,
            ..kafka
        };
        let topics = Topics { contacts: "contacts".to_owned(), control: "control".to_owned() };
        let (letters, contacts) = (KafkaLog::open(&topic).unwrap(), world.follower.log.clone());
        Publisher::new(letters, contacts, topics, Arc::new(Metrics::new().unwrap()))
    }

    fn record(&self, number: usize) -> NewRecord {
        NewRecord { value: Some(b"{\"id\": ".to_vec()), ..Counted.record(number) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_dead_letters_keeps_all_promises() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, i32::from(LANES), 1).unwrap();
    suite::run(Published(cluster.bootstrap_servers())).await;
}

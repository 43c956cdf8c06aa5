//! What goes out, as followers: to topics of librdkafka's mock cluster, and to a real RabbitMQ.

use contactd::config::{Config, FlagSetting, KafkaConfig, Mode, PartitionerChoice, Sources, load};
use contactd::effects::follower::{Row, Start};
use contactd::effects::publish::{ChangePublisher, StatePublisher, Topic};
use contactd::event_log::kafka::Purpose;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::suite;
use super::world::{Subject, World};
use crate::support::logs::LANES;

/// The brokers of the one topic for all worlds.
struct States(String);
struct Changes(String);

fn topic(world: &World, brokers: &str, purpose: Purpose) -> Topic {
    let config = KafkaConfig {
        brokers: vec![brokers.to_owned()],
        topic: "published".to_owned(),
        partitioner: PartitionerChoice::Murmur2,
        ..Config::built_in(Mode::Serve).unwrap().kafka
    };
    Topic::open(&config, purpose, world.follower.log.clone()).unwrap()
}

impl Subject for States {
    type Sink = StatePublisher;

    /// Where it begins with all contacts, one may be told twice: by itself, and by its change.
    fn row(&self) -> Row {
        Row { start: Start::Beginning, ..StatePublisher::row() }
    }

    fn sink(&self, world: &World) -> StatePublisher {
        let reader = world.follower.reader.clone();
        StatePublisher::new(topic(world, &self.0, Purpose::States), reader)
    }
}

impl Subject for Changes {
    type Sink = ChangePublisher;

    fn row(&self) -> Row {
        Row { start: Start::Beginning, ..ChangePublisher::row() }
    }

    fn sink(&self, world: &World) -> ChangePublisher {
        let reader = world.follower.reader.clone();
        ChangePublisher::new(topic(world, &self.0, Purpose::Changes), reader)
    }
}

fn cluster() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("published", i32::from(LANES), 1).unwrap();
    cluster
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_states_keeps_all_promises() {
    let cluster = cluster();
    suite::run(States(cluster.bootstrap_servers())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_changes_keeps_all_promises() {
    let cluster = cluster();
    suite::run(Changes(cluster.bootstrap_servers())).await;
}

#[cfg(feature = "rabbitmq")]
mod rabbitmq {
    use std::sync::Arc;

    use contactd::effects::rabbitmq::{Notifier, Server};
    use contactd::telemetry::Metrics;

    use super::*;
    use crate::support::services::{RABBITMQ, service};

    struct Notified(Arc<Server>);

    impl Subject for Notified {
        type Sink = Notifier;

        fn row(&self) -> Row {
            Row { start: Start::Beginning, ..Notifier::row() }
        }

        fn sink(&self, world: &World) -> Notifier {
            let metrics = Metrics::new().unwrap().followers.rabbitmq.clone();
            Notifier::new(Arc::clone(&self.0), world.follower.reader.clone(), metrics)
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn notifying_rabbitmq_keeps_all_promises() {
        let Some(address) = service(RABBITMQ, "notifying_rabbitmq_keeps_all_promises") else {
            return;
        };
        let flag = |(key, value): (&str, String)| FlagSetting {
            flag: "test".to_owned(),
            key: key.to_owned(),
            value,
        };
        let settings = [
            ("rabbitmq.url", format!("amqp://guest:guest@{address}")),
            ("rabbitmq.exchange", "suite".to_owned()),
        ];
        let flags = settings.into_iter().map(flag).collect();
        let config = load(&Sources { flags, ..Sources::new(Mode::Dev) }).unwrap();
        let server = Server::new(config.rabbitmq.as_ref().unwrap()).unwrap();
        suite::run(Notified(Arc::new(server))).await;
    }
}

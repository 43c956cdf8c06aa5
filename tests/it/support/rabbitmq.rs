//! A queue of RabbitMQ's, as a consumer of notifications has it.

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{
    BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};
use serde_json::Value;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A message as it arrived.
#[derive(Clone, Debug)]
pub struct Message {
    pub routing_key: String,
    pub id: String,
    pub is_persistent: bool,
    pub content_type: String,
    pub headers: FieldTable,
    pub body: Value,
}

impl Message {
    /// What stands under `cloudEvents:<name>`.
    pub fn attribute(&self, name: &str) -> String {
        match self.headers.inner().get(format!("cloudEvents:{name}").as_str()) {
            Some(AMQPValue::LongString(text)) => {
                String::from_utf8_lossy(text.as_bytes()).into_owned()
            }
            other => panic!("cloudEvents:{name} is {other:?}"),
        }
    }

    pub fn version(&self) -> u64 {
        self.attribute("subjectversion").parse().expect("a version")
    }
}

/// A durable queue, and who reads it.
pub struct Queue {
    _connection: Connection,
    channel: Channel,
    consumer: Consumer,
}

impl Queue {
    /// Declares queue and exchange, binds them, and begins to read.
    pub async fn bound(address: &str, name: &str, exchange: &str, key: &str) -> Self {
        let (connection, channel) = open(address).await;
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let table = FieldTable::default;
        channel
            .exchange_declare(exchange.into(), ExchangeKind::Topic, durable, table())
            .await
            .unwrap();
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(name.into(), durable, table()).await.unwrap();
        let bind = QueueBindOptions::default();
        channel.queue_bind(name.into(), exchange.into(), key.into(), bind, table()).await.unwrap();
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consumer =
            channel.basic_consume(name.into(), "".into(), options, table()).await.unwrap();
        Self { _connection: connection, channel, consumer }
    }

    /// The next message; fails where none comes.
    pub async fn next(&mut self) -> Message {
        self.next_within(PATIENCE).await.expect("a message comes")
    }

    /// The next message, if one comes in time and the connection is there.
    pub async fn next_within(&mut self, time: Duration) -> Option<Message> {
        let next = tokio::time::timeout(time, self.consumer.next()).await.ok()??;
        let delivery = next.ok()?;
        let properties = delivery.properties;
        let text = |text: &Option<lapin::types::ShortString>| text.as_ref().unwrap().to_string();
        Some(Message {
            routing_key: delivery.routing_key.to_string(),
            id: text(properties.message_id()),
            is_persistent: *properties.delivery_mode() == Some(2),
            content_type: text(properties.content_type()),
            headers: properties.headers().clone().unwrap(),
            body: serde_json::from_slice(&delivery.data).unwrap(),
        })
    }

    pub fn is_open(&self) -> bool {
        self.channel.status().connected()
    }
}

/// A connection and a channel of the test's own.
pub async fn open(address: &str) -> (Connection, Channel) {
    let uri = format!("amqp://guest:guest@{address}");
    let connection = Connection::connect(&uri, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

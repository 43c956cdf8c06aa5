//! What goes out to Kafka and RabbitMQ, as others read it.

mod kafka;
#[cfg(feature = "rabbitmq")]
mod picture;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
#[cfg(feature = "rabbitmq")]
mod rabbitmq_outages;

use serde_json::{Value, json};

/// An event of a source about a contact's title; `number` orders it.
fn event(contact: &str, source: &str, number: usize) -> Value {
    json!({
        "id": format!("{contact}-{number}"), "eventType": "contact.updated", "source": source,
        "timestamp": 1_790_000_000_000_u64 + number as u64,
        "data": { "id": contact, "title": format!("t{number}") },
    })
}

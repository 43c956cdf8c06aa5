//! Dead letters in whole processes and with a real Kafka: published, redriven, through kills.

mod commands;
mod kafka;

use serde_json::{Value, json};

/// An event that sets a contact's first name.
fn event(contact: &str, number: u64, first_name: &str) -> Value {
    json!({
        "id": format!("{contact}-{number}"), "eventType": "contact.updated", "source": "test",
        "timestamp": 1_795_255_200_000 + number,
        "data": { "id": contact, "firstName": first_name },
    })
}

//! `asyncapi`: what comes in and goes out as messages, as an AsyncAPI 3.0 document: the contact
//! topic, its dead letters, and webhooks. Made from the published schemas and the configured topic.

mod messages;

use serde_json::{Map, Value, json};

use crate::config::Mode;
use crate::domain::schemas::published;

use super::output;
use super::settings::SettingsArgs;

const ABOUT: &str = "\
contactd keeps contacts current from events. Producers write them to the contact topic, keyed by the \
contact's id, or post them, signed, as webhooks. Each schema by itself: `GET /schemas/{name}` of a \
running instance, or `contactd schemas`. The HTTP API is described at `/openapi.json`.";

pub(super) fn run(settings: &SettingsArgs) -> anyhow::Result<()> {
    // No secret is needed to describe it.
    let config = settings.load(Mode::Dev, Vec::new())?;
    let document = document(&config.kafka.topic);
    let text = serde_json::to_string_pretty(&document)? + "\n";
    output::write_all(text.as_bytes())
}

fn document(topic: &str) -> Value {
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "contactd",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": env!("CARGO_PKG_LICENSE") },
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "localhost:9092", "protocol": "kafka",
                "description": "The brokers that hold the contact topic.",
            },
            "http": {
                "host": "localhost:3000", "protocol": "http",
                "description": "A contactd.",
            },
        },
        "channels": channels(topic),
        "operations": operations(),
        "components": { "messages": messages::messages(), "schemas": components() },
    })
}

fn channels(topic: &str) -> Value {
    let kafka = json!([{ "$ref": "#/servers/kafka" }]);
    let dead_letters = format!("{topic}.dlq");
    let binding = |topic: &str| {
        json!({ "kafka": {
            "topic": topic, "topicConfiguration": { "cleanup.policy": ["delete"] },
            "bindingVersion": "0.5.0",
        } })
    };
    json!({
        "contacts": {
            "address": topic, "servers": kafka, "title": "The contact topic",
            "description": "Every record about one contact has its id as the key, so that all are in \
                one partition. The same events in any order, any number of times, give the same \
                contact.",
            "messages": messages::references(messages::ON_THE_TOPIC),
            "bindings": binding(topic),
        },
        "deadLetters": {
            "address": dead_letters, "servers": kafka, "title": "What could not be applied",
            "description": "The record as it was, with where it stood and why it was set aside in \
                headers.",
            "messages": messages::references(&["deadLetter"]),
            "bindings": binding(&dead_letters),
        },
        "webhooks": {
            "address": "/api/webhooks/{source}", "servers": [{ "$ref": "#/servers/http" }],
            "title": "Webhooks",
            "description": "Signed over the raw bytes of the body. 200: every accepted event is kept. \
                Sending one again changes nothing.",
            "parameters": { "source": {
                "default": "acme",
                "description": "As configured under `[source.<name>]`. Without it: the default source.",
            } },
            "messages": messages::references(messages::BY_WEBHOOK),
        },
    })
}

fn operations() -> Value {
    let operation = |action: &str, channel: &str, summary: &str| {
        json!({
            "action": action, "channel": { "$ref": format!("#/channels/{channel}") }, "summary": summary,
        })
    };
    let mut webhook = operation("receive", "webhooks", "Keep a sender's events.");
    if let Some(members) = webhook.as_object_mut() {
        let binding = json!({ "http": { "method": "POST", "bindingVersion": "0.3.0" } });
        members.insert("bindings".to_owned(), binding);
    }
    json!({
        "applyContactEvents": operation("receive", "contacts", "Apply events to contacts."),
        "publishDeadLetters": operation("send", "deadLetters", "Tell of what could not be applied."),
        "receiveWebhooks": webhook,
    })
}

/// The published schemas as components: AsyncAPI's own dialect, so definitions stand beside them.
fn components() -> Map<String, Value> {
    let mut components = Map::new();
    for published in published() {
        let mut schema = published.schema;
        let Some(members) = schema.as_object_mut() else {
            continue;
        };
        members.remove("$schema");
        members.remove("$id");
        let definitions = members.remove("$defs");
        move_references(&mut schema, &published.name);
        for (name, mut definition) in
            definitions.as_ref().and_then(Value::as_object).cloned().unwrap_or_default()
        {
            move_references(&mut definition, &published.name);
            components.insert(format!("{}.{name}", published.name), definition);
        }
        components.insert(published.name, schema);
    }
    components.extend(messages::schemas());
    components
}

fn move_references(schema: &mut Value, of: &str) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(place)) = members.get_mut("$ref")
                && let Some(name) = place.strip_prefix("#/$defs/")
            {
                *place = format!("#/components/schemas/{of}.{name}");
            }
            members.values_mut().for_each(|member| move_references(member, of));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, of)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests;

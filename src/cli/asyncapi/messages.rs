//! The messages of the AsyncAPI document, each with headers and examples.

use serde_json::{Map, Value, json};

use crate::domain::schemas::{ACME, EVENT_TYPES};

/// What producers may write to the contact topic.
pub(super) const ON_THE_TOPIC: &[&str] =
    &["contactEvent", "cloudEvent", "acmeCreated", "acmeUpdated", "acmeDeleted"];
/// What a webhook may carry.
pub(super) const BY_WEBHOOK: &[&str] = &["webhookEvent", "webhookEvents"];
const ACME_MESSAGES: [&str; 3] = ["acmeCreated", "acmeUpdated", "acmeDeleted"];

/// Channels name their messages so.
pub(super) fn references(names: &[&str]) -> Map<String, Value> {
    let reference = |name: &&str| {
        ((*name).to_owned(), json!({ "$ref": format!("#/components/messages/{name}") }))
    };
    names.iter().map(reference).collect()
}

fn component(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn examples(payloads: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let example = |(name, payload)| json!({ "name": name, "payload": payload });
    payloads.into_iter().map(example).collect()
}

/// By name.
pub(super) fn messages() -> Map<String, Value> {
    let mut all = Map::new();
    all.insert("contactEvent".to_owned(), contact_event());
    all.insert("cloudEvent".to_owned(), cloud_event());
    for ((name, event_type), payload) in
        ACME_MESSAGES.into_iter().zip(EVENT_TYPES).zip(acme_events())
    {
        let message = json!({
            "name": event_type,
            "title": format!("{event_type}, as Acme writes it"),
            "payload": component(&format!("{ACME}.{event_type}")),
            "bindings": keyed(),
            "examples": examples([(event_type, payload)]),
        });
        all.insert(name.to_owned(), message);
    }
    all.insert("webhookEvent".to_owned(), webhook("webhook-event", "An event", webhook_event()));
    let both = json!([webhook_event(), acme_events().pop()]);
    all.insert("webhookEvents".to_owned(), webhook("webhook-events", "Many events", both));
    all.insert("deadLetter".to_owned(), dead_letter());
    all
}

fn keyed() -> Value {
    let key = json!({ "type": "string", "description": "The contact's id." });
    json!({ "kafka": { "key": key, "bindingVersion": "0.5.0" } })
}

fn contact_event() -> Value {
    let created = json!({
        "id": "evt_01J", "eventType": "contact.created", "timestamp": "2026-11-21T10:00:00.000Z",
        "version": 1, "source": "crm",
        "data": {
            "id": "c8b5", "firstName": "Ada", "lastName": "Lovelace", "email": "ada@example.com",
            "attributes": { "plan": "gold" },
        },
    });
    let updated = json!({
        "id": "evt_02J", "eventType": "contact.updated", "timestamp": 1_795_255_200_000_u64,
        "version": 2, "source": "crm", "data": { "id": "c8b5", "title": "Countess", "phone": null },
    });
    let deleted = json!({
        "id": "evt_03J", "eventType": "contact.deleted", "timestamp": "2026-11-21T11:00:00+01:00",
        "source": "crm", "data": { "id": "c8b5" },
    });
    json!({
        "name": "contact event", "title": "An event in our own words",
        "payload": component("contact-event"),
        "bindings": keyed(),
        "examples": examples([("created", created), ("updated", updated), ("deleted", deleted)]),
    })
}

fn cloud_event() -> Value {
    let event = json!({
        "specversion": "1.0", "id": "evt_04J", "type": "contact.updated", "source": "crm",
        "subject": "c8b5", "time": "2026-11-21T10:00:00Z", "data": { "lastName": "King" },
    });
    json!({
        "name": "cloud event", "title": "A CloudEvent 1.0",
        "summary": "Structured, as here; or binary: the same attributes in headers `ce_…`, the data as \
            the value.",
        "contentType": "application/cloudevents+json",
        "payload": component("cloud-event"),
        "bindings": keyed(),
        "examples": examples([("structured", event)]),
    })
}

fn acme_events() -> Vec<Value> {
    let event = |number: u64, event_type: &str, data: Value| {
        json!({
            "id": format!("evt_acme_{number}"), "eventType": event_type,
            "timestamp": format!("2026-11-21T10:00:0{number}.000Z"), "version": number,
            "source": ACME, "data": data,
        })
    };
    let data = [
        json!({ "id": "c8b5", "acme_first_name": "Ada", "acme_email": "ada@example.com" }),
        json!({ "id": "c8b5", "acme_last_name": "Lovelace", "acme_phone": null }),
        json!({ "id": "c8b5" }),
    ];
    let numbered = (1..).zip(EVENT_TYPES).zip(data);
    numbered.map(|((number, event_type), data)| event(number, event_type, data)).collect()
}

fn webhook_event() -> Value {
    // Neither id nor time: the signature vouches for the one, the bytes make the other.
    json!({ "eventType": "contact.updated", "data": { "id": "c8b5", "acme_company": "Analytical Engines" } })
}

fn webhook(payload: &str, title: &str, example: Value) -> Value {
    let headers = json!({
        "x-acme-timestamp": "1795255200",
        "x-acme-signature": format!("sha256={}", "0".repeat(64)),
    });
    json!({
        "name": payload, "title": title,
        "summary": "Samples that sign and send are in config/samples/.",
        "headers": component("webhook-headers"),
        "payload": component(payload),
        "examples": [{ "name": "acme", "headers": headers, "payload": example }],
    })
}

fn dead_letter() -> Value {
    json!({
        "name": "dead letter", "title": "A record that could not be applied",
        "summary": "Key, value and headers as they were, byte for byte, with headers added.",
        "contentType": "application/octet-stream",
        "headers": component("dead-letter-headers"),
        "payload": { "description": "The record's own value, whatever it is." },
        "bindings": keyed(),
    })
}

/// Those that are not published by themselves.
pub(super) fn schemas() -> Map<String, Value> {
    let text = || json!({ "type": "string" });
    let any_of_acme: Value =
        EVENT_TYPES.iter().map(|event_type| component(&format!("{ACME}.{event_type}"))).collect();
    let schemas = json!({
        "cloud-event": {
            "type": "object",
            "properties": {
                "specversion": { "const": "1.0" }, "id": text(), "source": text(),
                "type": { "enum": EVENT_TYPES },
                "subject": { "type": "string", "description": "The contact's id, unless the data has it." },
                "time": { "type": "string", "format": "date-time" },
                "datacontenttype": text(),
                "sourceversion": { "type": "integer", "description": "The contact's version at the source." },
                "data": { "type": ["object", "null"] },
            },
            "required": ["specversion", "id", "source", "type"],
        },
        "webhook-event": { "anyOf": any_of_acme },
        "webhook-events": {
            "type": "array", "minItems": 1, "items": component("webhook-event"),
            "description": "`webhooks.events_max` (1000) at most. Each has its own verdict in the answer.",
        },
        "webhook-headers": {
            "type": "object",
            "description": "By the source's scheme: `acme` both x-acme-…, `acme-body` only the signature \
                (of the body alone), `standard` (Standard Webhooks 1.0) the three webhook-….",
            "properties": {
                "x-acme-timestamp": { "type": "string", "description": "When it was signed: seconds since 1970 or RFC 3339." },
                "x-acme-signature": {
                    "type": "string", "pattern": "^(sha256=)?[0-9a-fA-F]{64}$",
                    "description": "HMAC-SHA256 of `<timestamp>.<body>` in hex.",
                },
                "webhook-id": text(), "webhook-timestamp": text(),
                "webhook-signature": { "type": "string", "description": "`v1,` and the HMAC-SHA256 of `<id>.<timestamp>.<body>` in base64." },
            },
        },
        "dead-letter-headers": dead_letter_headers(),
    });
    schemas.as_object().cloned().unwrap_or_default()
}

/// Ours, and those that the tools of Kafka Connect and of Spring read.
const DEAD_LETTER_HEADERS: [(&str, &str); 21] = [
    ("contactd_dead_letter_id", "The dead letter's name, as the API has it."),
    ("contactd_dead_letter_reason", "Why: a stable word."),
    ("contactd_dead_letter_detail", "Why, in words."),
    (
        "contactd_value_length",
        "The value's length in bytes, where the value could not be published.",
    ),
    ("contactd_value_xxh3", "The xxh3_64 of such a value, 16 hex digits."),
    ("__connect.errors.topic", "Where it stood."),
    ("__connect.errors.partition", "As text."),
    ("__connect.errors.offset", "As text."),
    ("__connect.errors.connector.name", "`contactd`."),
    ("__connect.errors.task.id", "`0`."),
    ("__connect.errors.stage", "Where Connect would have failed, `VALUE_CONVERTER` for instance."),
    ("__connect.errors.class.name", "`contactd`."),
    ("__connect.errors.exception.class.name", "`contactd.` and the reason."),
    ("__connect.errors.exception.message", "Reason and detail."),
    ("kafka_dlt-original-topic", "Where it stood."),
    ("kafka_dlt-original-partition", "Four bytes, big-endian."),
    ("kafka_dlt-original-offset", "Eight bytes, big-endian."),
    (
        "kafka_dlt-original-timestamp",
        "The record's time in ms since 1970: eight bytes, big-endian.",
    ),
    ("kafka_dlt-original-timestamp-type", "`CreateTime`."),
    ("kafka_dlt-exception-fqcn", "`contactd.` and the reason."),
    ("kafka_dlt-exception-message", "Reason and detail."),
];

fn dead_letter_headers() -> Value {
    let header = |(name, about): &(&str, &str)| {
        ((*name).to_owned(), json!({ "type": "string", "description": about }))
    };
    let headers: Map<String, Value> = DEAD_LETTER_HEADERS.iter().map(header).collect();
    json!({
        "type": "object",
        "description": "Headers of the record itself stay as they are.",
        "properties": headers,
    })
}

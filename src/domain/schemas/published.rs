//! The schemas that senders go by: an event and its contact in our own words, and the events of the
//! sources whose schemas are built in, which are held against them when they come in.

use serde_json::{Value, json};

use super::ACME;
use crate::domain::event::EventKind;

const EVENT: &str = include_str!("../../../config/schemas/contact-event.json");
const CONTACT: &str = include_str!("../../../config/schemas/contact.json");
const ACME_EVENT: &str = include_str!("../../../config/schemas/acme-event.json");

/// The events that others may send.
pub const EVENT_TYPES: [&str; 3] =
    [EventKind::Created.as_str(), EventKind::Updated.as_str(), EventKind::Deleted.as_str()];

/// A schema with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// `contact-event`, `contact`, or `<source>.<event type>`.
    pub name: String,
    /// Whose events it is for; none: anybody's.
    pub source: Option<&'static str>,
    /// The one event type that it is for.
    pub event_type: Option<&'static str>,
    /// Self-contained.
    pub schema: Value,
}

impl Published {
    /// For people.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(&self.schema).unwrap_or_default() + "\n"
    }

    /// Its file below a directory: those of a source are named as its configuration wants them.
    pub fn path(&self) -> String {
        match (self.source, self.event_type) {
            (Some(source), Some(event_type)) => format!("{source}/{event_type}.json"),
            (Some(_), None) | (None, _) => format!("{}.json", self.name),
        }
    }
}

/// All of them, each with all that it needs.
pub fn published() -> Vec<Published> {
    // The texts are ours, and a test reads them.
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let ours = |name: &str, schema| Published {
        name: name.to_owned(),
        source: None,
        event_type: None,
        schema,
    };
    let contact = read(CONTACT);
    let mut all = vec![
        ours("contact-event", with_contact(read(EVENT), contact.clone())),
        ours("contact", contact),
    ];
    all.extend(EVENT_TYPES.map(|event_type| {
        let mut schema = read(ACME_EVENT);
        let name = format!("{ACME}.{event_type}");
        if let Some(members) = schema.as_object_mut() {
            members.insert("$id".to_owned(), json!(format!("urn:contactd:schema:{name}")));
            members.insert("title".to_owned(), json!(format!("{event_type} of the Acme CRM")));
        }
        if let Some(kind) = schema.pointer_mut("/properties/eventType") {
            *kind = json!({ "const": event_type });
        }
        Published { name, source: Some(ACME), event_type: Some(event_type), schema }
    }));
    all
}

/// The event's schema with its contact's inside, whose own definitions move up.
fn with_contact(mut event: Value, mut contact: Value) -> Value {
    let mut definitions = json!({});
    if let (Some(all), Some(members)) = (definitions.as_object_mut(), contact.as_object_mut()) {
        if let Some(Value::Object(own)) = members.remove("$defs") {
            all.extend(own);
        }
        members.remove("$schema");
        members.remove("$id");
        all.insert("contact".to_owned(), contact);
    }
    if let Some(members) = event.as_object_mut() {
        members.insert("$defs".to_owned(), definitions);
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_one_and_stands_alone() {
        let all = published();
        let names: Vec<&str> = all.iter().map(|schema| schema.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "contact-event",
                "contact",
                "acme.contact.created",
                "acme.contact.updated",
                "acme.contact.deleted"
            ]
        );
        for schema in &all {
            jsonschema::draft202012::meta::validate(&schema.schema).unwrap();
            let validator = jsonschema::draft202012::new(&schema.schema).unwrap();
            assert!(!validator.is_valid(&json!([])), "{}", schema.name);
            assert!(schema.schema["$id"].as_str().unwrap().ends_with(&schema.name));
        }
        assert_eq!(all[3].path(), "acme/contact.updated.json");
    }

    #[test]
    fn the_event_says_what_is_wrong_with_its_contact() {
        let schema = published().remove(0).schema;
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let event = |data: Value| json!({ "eventType": "contact.updated", "data": data });
        assert!(validator.is_valid(&event(json!({ "id": "c1", "firstName": null, "plan": 1 }))));
        for wrong in
            [json!({}), json!({ "id": "c1", "phone": 1 }), json!({ "id": "c", "title": "\u{1}" })]
        {
            assert!(!validator.is_valid(&event(wrong.clone())), "{wrong}");
        }
    }
}

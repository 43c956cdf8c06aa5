//! What is asked for, and the bodies that it becomes: events as Acme writes them.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::domain::clock::Clock;
use crate::domain::contact::ContactView;
use crate::domain::event::{EventKind, FIELDS};
use crate::domain::timestamp::format_rfc3339_us;
use crate::effects::said_of::SaidOf;
use crate::ingest::now_ms;
use crate::simulate::ChaosOptions;

use super::SimulatorError;

/// Events of one order at most.
pub const COUNT_MAX: usize = 500;
/// Bytes of one event at most: a contact is at most 64 KiB, and more would be refused.
pub const EVENT_BYTES_MAX: usize = 128 << 10;
/// What Acme calls each of [`FIELDS`].
const ACME_FIELDS: [&str; FIELDS.len()] =
    ["acme_first_name", "acme_last_name", "acme_email", "acme_phone", "acme_company", "acme_title"];

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// `contact.created`, `contact.updated` or `contact.deleted`.
    pub kind: EventKind,
    /// The event's data, as it is.
    pub data: Map<String, Value>,
    /// Where it goes; none: the configured target.
    pub target_url: Option<String>,
    /// The event's id; of several events it is what each one's begins with. None: one is made.
    pub id: Option<String>,
    /// The source's version of the contact; of several events the first one's.
    pub version: Option<u64>,
    /// Events, each of its own id, 1 ms after the other.
    pub count: usize,
    /// What becomes of them on the way.
    pub chaos: ChaosOptions,
}

/// One event, written.
#[derive(Debug)]
pub struct Event {
    pub(super) id: String,
    pub(super) kind: EventKind,
    pub(super) body: Vec<u8>,
    /// The contact that it has values of; none: of nobody who is known here.
    pub(super) said_of: Option<SaidOf>,
}

impl Order {
    pub(super) fn events(&self) -> Result<Vec<Event>, SimulatorError> {
        let count = self.count.clamp(1, COUNT_MAX) as u64;
        let id = match &self.id {
            Some(id) => id.clone(),
            None => format!("evt_{}", Uuid::now_v7().as_simple()),
        };
        // The last of them is not ahead of the clock.
        let first_ms = now_ms().saturating_sub(count - 1);
        // Ours and Acme's ids are the same. What is asked for now is said after all that was erased.
        let contact_id = self.data.get("id").map(|id| match id {
            Value::String(id) => id.clone(),
            other => other.to_string(),
        });
        let erased = Some(Clock { ts_us: now_ms() * 1000, ..Clock::default() });
        let said_of = contact_id.map(|contact_id| SaidOf { contact_id, erased });
        let events = (0..count).map(|number| {
            let id = if count == 1 { id.clone() } else { format!("{id}-{number}") };
            let version = self.version.map(|version| version.saturating_add(number));
            let data = Value::Object(self.data.clone());
            let body = body(&id, self.kind, (first_ms + number) * 1000, version, &data);
            if body.len() > EVENT_BYTES_MAX {
                return Err(SimulatorError::TooLarge { bytes: body.len() });
            }
            Ok(Event { id, kind: self.kind, body, said_of: said_of.clone() })
        });
        events.collect()
    }
}

/// What a write did to a contact.
pub(super) struct Write<'a> {
    pub(super) contact_id: &'a str,
    pub(super) event_id: &'a str,
    pub(super) kind: EventKind,
    pub(super) timestamp_us: u64,
    /// The contact after it.
    pub(super) view: &'a ContactView<'a>,
}

impl Write<'_> {
    /// Under the write's own id, time and version: whoever knows the write knows what this tells.
    pub(super) fn event(&self) -> Event {
        let view = self.view;
        // Acme has no other words for what becomes of a contact.
        let kind = match self.kind {
            EventKind::Created | EventKind::Restored => EventKind::Created,
            EventKind::Updated
            | EventKind::PaymentCreated
            | EventKind::PaymentSucceeded
            | EventKind::PaymentFailed
            | EventKind::PaymentRefunded => EventKind::Updated,
            EventKind::Deleted | EventKind::Erased => EventKind::Deleted,
        };
        let mut data = Map::new();
        data.insert("id".to_owned(), json!(self.contact_id));
        if kind != EventKind::Deleted {
            for (place, name) in ACME_FIELDS.iter().enumerate() {
                data.insert((*name).to_owned(), json!(view.field(place)));
            }
            for (name, text) in view.attributes() {
                let value: Value = serde_json::from_str(text).unwrap_or_default();
                data.entry(name.to_owned()).or_insert(value);
            }
        }
        let data = Value::Object(data);
        let body = body(self.event_id, kind, self.timestamp_us, Some(view.version()), &data);
        let said_of = SaidOf::new(self.contact_id, view);
        Event { id: self.event_id.to_owned(), kind, body, said_of: Some(said_of) }
    }
}

fn body(
    id: &str,
    kind: EventKind,
    timestamp_us: u64,
    version: Option<u64>,
    data: &Value,
) -> Vec<u8> {
    let mut event = json!({
        "id": id, "eventType": kind.as_str(), "timestamp": format_rfc3339_us(timestamp_us),
        "source": "acme", "data": data,
    });
    if let (Some(version), Some(members)) = (version, event.as_object_mut()) {
        members.insert("version".to_owned(), json!(version));
    }
    event.to_string().into_bytes()
}

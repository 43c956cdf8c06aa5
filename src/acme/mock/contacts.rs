//! The mock's contacts, and the webhooks that are owed for their changes. The time is handed in.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::acme::wire::{Contact, Fields};
use crate::domain::limits::ID_BYTES_MAX;
use crate::domain::sources::{ACME, Preset};
use crate::domain::timestamp::format_rfc3339;

use super::refusal::Refusal;

/// Webhooks on their way at once; those of one contact are in one lane, and so in order.
pub(super) const LANES: usize = 4;
/// Webhooks that wait at most; what comes then is given up.
const WAITING_MAX: usize = 10_000;
/// Bytes of a value at most.
const VALUE_BYTES_MAX: usize = 4_096;
/// What Acme sets itself; a client may send back what it has read.
const READ_ONLY: [&str; 4] = ["id", "acme_version", "acme_created_at", "acme_updated_at"];
/// A clock that is set back by more is believed.
const STEP_BACK_MS_MAX: u64 = 60_000;

/// A webhook's body: an event of Acme's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    pub(super) id: String,
    event_type: String,
    timestamp: String,
    version: u64,
    /// The contact's id, and what has changed: null where it was cleared.
    data: Fields,
}

/// What became of the writes and the webhooks since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Writes that changed something.
    pub writes: u64,
    /// Writes after which everything was as before.
    pub writes_without_change: u64,
    /// Webhooks that were taken.
    pub webhooks_sent: u64,
    /// Webhooks that the receiver refused for good.
    pub webhooks_refused: u64,
    /// Webhooks for which there was no room.
    pub webhooks_dropped: u64,
}

/// Everything that the mock holds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Contacts {
    contacts: BTreeMap<String, Contact>,
    /// The oldest first.
    waiting: [VecDeque<Event>; LANES],
    /// Told of by no webhooks where nobody wants any.
    #[serde(skip)]
    pub(super) has_webhooks: bool,
    #[serde(skip)]
    pub(super) contacts_max: usize,
    #[serde(skip)]
    pub(super) counts: Counts,
    /// Rises with everything that is to be saved.
    #[serde(skip)]
    pub(super) revision: u64,
    /// No two changes have one time.
    #[serde(skip)]
    last_ms: u64,
    #[serde(skip)]
    names: Vec<String>,
}

impl Default for Contacts {
    fn default() -> Self {
        Self {
            contacts: BTreeMap::new(),
            waiting: Default::default(),
            has_webhooks: false,
            contacts_max: usize::MAX,
            counts: Counts::default(),
            revision: 0,
            last_ms: 0,
            names: field_names(),
        }
    }
}

/// Acme's names, as its events have them.
fn field_names() -> Vec<String> {
    let fields = Preset::of(ACME).map(|preset| preset.text().fields).unwrap_or_default();
    fields.into_values().flat_map(|field| field.from).collect()
}

impl Contacts {
    /// From what was saved.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let read: Self = serde_json::from_slice(bytes)?;
        Ok(Self { contacts: read.contacts, waiting: read.waiting, ..Self::default() })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.contacts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.contacts.is_empty()
    }

    /// Webhooks that are not sent yet.
    pub fn waiting(&self) -> usize {
        self.waiting.iter().map(VecDeque::len).sum()
    }

    /// One of them.
    ///
    /// # Errors
    /// When there is none of this id.
    pub fn get(&self, id: &str) -> Result<&Contact, Refusal> {
        let contact = self.contacts.get(id);
        contact.ok_or_else(|| Refusal::new(404, "not_found", format!("there is no contact {id:?}")))
    }

    /// Those after an id, in the order of ids, and whether there are more.
    pub fn page(&self, after: Option<&str>, limit: usize) -> (Vec<Contact>, bool) {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.contacts.range::<str, _>((start, Bound::Unbounded));
        let page = rest.by_ref().take(limit).map(|(_, contact)| contact.clone()).collect();
        (page, rest.next().is_some())
    }

    /// Makes one; its id is made where none is named.
    ///
    /// # Errors
    /// When the body is not right, the id is taken, or there is no room.
    pub fn create(&mut self, body: &Fields, now_ms: u64) -> Result<Contact, Refusal> {
        let id = match body.get("id") {
            None | Some(Value::Null) => Uuid::now_v7().to_string(),
            Some(Value::String(id)) if is_id(id) => id.clone(),
            Some(_) => return Err(Refusal::bad_request("id is no text of 1 to 256 bytes")),
        };
        let given = self.values(body)?;
        if self.contacts.contains_key(&id) {
            let message = format!("there is a contact {id:?} already; PUT changes it");
            return Err(Refusal::new(409, "exists", message));
        }
        if self.contacts.len() >= self.contacts_max {
            let max = self.contacts_max;
            let message =
                format!("there are {max} contacts, and no more are kept (--contacts-max)");
            return Err(Refusal::new(503, "full", message));
        }
        let at = format_rfc3339(self.tick(now_ms));
        let mut fields: Fields =
            self.names.iter().map(|name| (name.clone(), Value::Null)).collect();
        fields.extend(given);
        let contact = Contact {
            id,
            fields,
            acme_version: 1,
            acme_created_at: at.clone(),
            acme_updated_at: at,
        };
        let told = contact.fields.iter().filter(|(_, value)| !value.is_null());
        let told = told.map(|(name, value)| (name.clone(), value.clone())).collect();
        self.tell("contact.created", &contact, told);
        self.contacts.insert(contact.id.clone(), contact.clone());
        Ok(contact)
    }

    /// Sets the values that are named. One that changes nothing leaves no trace but a count.
    ///
    /// # Errors
    /// When the body is not right, there is no such contact, or it has another version.
    pub fn update(
        &mut self,
        id: &str,
        version: Option<u64>,
        body: &Fields,
        now_ms: u64,
    ) -> Result<Contact, Refusal> {
        let mut contact = self.of_version(id, version)?.clone();
        if body.get("id").is_some_and(|given| given != id) {
            return Err(Refusal::bad_request("id is another one than that of the path"));
        }
        let mut told = self.values(body)?;
        told.retain(|name, value| contact.fields.get(name) != Some(value));
        if told.is_empty() {
            self.counts.writes_without_change += 1;
            return Ok(contact);
        }
        contact.fields.extend(told.clone());
        contact.acme_version += 1;
        contact.acme_updated_at = format_rfc3339(self.tick(now_ms));
        self.tell("contact.updated", &contact, told);
        self.contacts.insert(contact.id.clone(), contact.clone());
        Ok(contact)
    }

    /// Removes one.
    ///
    /// # Errors
    /// When there is no such contact, or it has another version.
    pub fn delete(&mut self, id: &str, version: Option<u64>, now_ms: u64) -> Result<(), Refusal> {
        let mut contact = self.of_version(id, version)?.clone();
        contact.acme_version += 1;
        contact.acme_updated_at = format_rfc3339(self.tick(now_ms));
        self.tell("contact.deleted", &contact, Fields::new());
        self.contacts.remove(id);
        Ok(())
    }

    fn of_version(&self, id: &str, version: Option<u64>) -> Result<&Contact, Refusal> {
        let contact = self.get(id)?;
        match version {
            Some(version) if version != contact.acme_version => {
                let is = contact.acme_version;
                let message = format!("the contact has version {is}, not {version}; read it again");
                Err(Refusal::new(412, "version_conflict", message))
            }
            _ => Ok(contact),
        }
    }

    /// The values of a body, each a text or null.
    fn values(&self, body: &Fields) -> Result<Fields, Refusal> {
        let mut values = Fields::new();
        for (name, value) in body.iter().filter(|(name, _)| !READ_ONLY.contains(&name.as_str())) {
            if !self.names.contains(name) {
                let known = self.names.join(", ");
                return Err(Refusal::bad_request(format!(
                    "{name:?} is no field; there are {known}"
                )));
            }
            match value {
                Value::Null => {}
                Value::String(text) if text.len() <= VALUE_BYTES_MAX => {}
                _ => {
                    let most = VALUE_BYTES_MAX;
                    let problem = format!("{name} must be a text of {most} bytes at most, or null");
                    return Err(Refusal::bad_request(problem));
                }
            }
            values.insert(name.clone(), value.clone());
        }
        Ok(values)
    }

    /// The time of a change.
    fn tick(&mut self, now_ms: u64) -> u64 {
        let is_set_back = self.last_ms.saturating_sub(now_ms) > STEP_BACK_MS_MAX;
        self.last_ms = if is_set_back { now_ms } else { now_ms.max(self.last_ms + 1) };
        self.last_ms
    }

    fn tell(&mut self, event_type: &str, contact: &Contact, mut data: Fields) {
        self.counts.writes += 1;
        self.revision += 1;
        if !self.has_webhooks {
            return;
        }
        if self.waiting() >= WAITING_MAX {
            self.counts.webhooks_dropped += 1;
            let dropped = self.counts.webhooks_dropped;
            if dropped.is_power_of_two() {
                tracing::warn!(
                    dropped,
                    "webhooks given up: as many wait as there may be, because the receiver does not \
                     take them; it has to read these changes by GET /acme/contacts"
                );
            }
            return;
        }
        data.insert("id".to_owned(), contact.id.clone().into());
        let event = Event {
            id: format!("acme_{}", Uuid::now_v7().simple()),
            event_type: event_type.to_owned(),
            timestamp: contact.acme_updated_at.clone(),
            version: contact.acme_version,
            data,
        };
        let lane = xxh3_64(contact.id.as_bytes()) % LANES as u64;
        if let Some(lane) = self.waiting.get_mut(lane as usize) {
            lane.push_back(event);
        }
    }

    /// What is to be sent next in a lane.
    pub(super) fn next(&self, lane: usize) -> Option<&Event> {
        self.waiting.get(lane)?.front()
    }

    /// The first of a lane is taken, or will never be.
    pub(super) fn sent(&mut self, lane: usize, is_taken: bool) {
        if self.waiting.get_mut(lane).and_then(VecDeque::pop_front).is_some() {
            self.revision += 1;
            match is_taken {
                true => self.counts.webhooks_sent += 1,
                false => self.counts.webhooks_refused += 1,
            }
        }
    }
}

fn is_id(id: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&id.len()) && !id.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        serde_json::from_value(value).unwrap()
    }

    fn contacts() -> Contacts {
        Contacts { has_webhooks: true, contacts_max: 2, ..Contacts::default() }
    }

    /// What waits, in order, where one contact is in question.
    fn told(contacts: &Contacts) -> Vec<(String, u64, Value)> {
        let events = contacts.waiting.iter().flatten();
        events
            .map(|event| (event.event_type.clone(), event.version, event.data.clone().into()))
            .collect()
    }

    #[test]
    fn each_change_is_told_once_with_what_changed() {
        let mut contacts = contacts();
        let ada = fields(json!({"id": "ada", "acme_first_name": "Ada", "acme_title": "Countess"}));
        let made = contacts.create(&ada, 1_000).unwrap();
        assert_eq!((made.acme_version, made.fields.len()), (1, 6));
        // What was read may be sent back.
        let mut whole = fields(serde_json::to_value(&made).unwrap());
        assert_eq!(contacts.update("ada", Some(1), &whole, 1_000).unwrap(), made);
        whole.insert("acme_title".to_owned(), Value::Null);
        let changed = contacts.update("ada", Some(1), &whole, 1_000).unwrap();
        assert_eq!(changed.acme_updated_at, "1970-01-01T00:00:01.001Z");
        contacts.delete("ada", None, 1_000).unwrap();
        let event = |kind: &str, version, data| (format!("contact.{kind}"), version, data);
        let first = json!({"id": "ada", "acme_first_name": "Ada", "acme_title": "Countess"});
        let expected = [
            event("created", 1, first),
            event("updated", 2, json!({"id": "ada", "acme_title": null})),
            event("deleted", 3, json!({"id": "ada"})),
        ];
        assert_eq!(told(&contacts), expected);
        assert_eq!((contacts.counts.writes, contacts.counts.writes_without_change), (3, 1));
        let saved = serde_json::to_vec(&contacts).unwrap();
        assert_eq!(told(&Contacts::read(&saved).unwrap()), expected);
    }

    #[test]
    fn what_is_not_right_changes_nothing() {
        let mut contacts = contacts();
        contacts.create(&fields(json!({"id": "ada"})), 1).unwrap();
        for body in [
            json!({"id": ""}),
            json!({"id": 7}),
            json!({"id": "x".repeat(257)}),
            json!({"id": "a\nb"}),
            json!({"firstName": "Ada"}),
            json!({"acme_email": 7}),
            json!({"acme_email": "x".repeat(4_097)}),
        ] {
            let refused = contacts.create(&fields(body.clone()), 1);
            assert_eq!(refused.unwrap_err().status, 400, "{body}");
        }
        let ada = fields(json!({"id": "ada"}));
        assert_eq!(contacts.create(&ada, 1).unwrap_err().code, "exists");
        let other = contacts.update("ada", None, &fields(json!({"id": "bob"})), 1);
        assert_eq!(other.unwrap_err().code, "bad_request");
        assert_eq!(contacts.update("ada", Some(2), &ada, 1).unwrap_err().code, "version_conflict");
        assert_eq!(contacts.delete("bob", None, 1).unwrap_err().code, "not_found");
        contacts.create(&Fields::new(), 1).unwrap();
        assert_eq!(contacts.create(&Fields::new(), 1).unwrap_err().code, "full");
        assert_eq!((contacts.counts.writes, contacts.waiting()), (2, 2));
    }

    #[test]
    fn pages_go_by_ids_and_end() {
        let mut contacts = Contacts::default();
        for id in ["b", "a", "c"] {
            contacts.create(&fields(json!({"id": id})), 1).unwrap();
        }
        let ids = |after, limit| {
            let (page, has_more) = contacts.page(after, limit);
            (page.into_iter().map(|contact| contact.id).collect::<String>(), has_more)
        };
        assert_eq!(ids(None, 2), ("ab".to_owned(), true));
        assert_eq!(ids(Some("b"), 2), ("c".to_owned(), false));
        assert_eq!(ids(None, 3), ("abc".to_owned(), false));
    }

    #[test]
    fn webhooks_without_room_are_counted_and_given_up() {
        let mut contacts = contacts();
        contacts.create(&fields(json!({"id": "ada"})), 1).unwrap();
        for number in 0..WAITING_MAX {
            let body = fields(json!({"acme_title": number.to_string()}));
            contacts.update("ada", None, &body, 1).unwrap();
        }
        assert_eq!((contacts.waiting(), contacts.counts.webhooks_dropped), (WAITING_MAX, 1));
    }
}

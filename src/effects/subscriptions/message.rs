//! What is told: an entry of the journal that subscribers may want.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::domain::contact::{ContactView, Status};
use crate::domain::control::ControlEntry;
use crate::domain::event::FIELDS;
use crate::domain::hops;
use crate::domain::json::write_string;
use crate::domain::payment::of_row;
use crate::domain::position::{Lane, Offset, Position};
use crate::domain::timestamp::{format_rfc3339, format_rfc3339_us};
use crate::effects::feed::write_change;
use crate::effects::said_of::SaidOf;
use crate::effects::told::{Told, What};
use crate::store::journal::{Applied, ControlChange, Entry, Outcome};
use crate::store::{Reader, StoreError};

use super::subscription::{Content, DISABLED, Facts, PREFIX, State, Subscription};

/// Who disables subscriptions, as their control entries name it.
pub(super) const DISABLER: &str = "follower:subscriptions";
/// What a message takes of memory besides its texts, about.
const OVERHEAD: usize = 512;

/// Where a change stands on the log.
pub(super) type Place = (Lane, Offset);

/// What happened, ready to be sent.
#[derive(Debug)]
pub struct Message {
    pub(super) place: Place,
    /// The contact's id, or what else stays in order.
    pub(super) key: String,
    pub(super) version: u64,
    pub(super) kind: String,
    source: String,
    pub(super) status: Option<Status>,
    /// When it happened: RFC 3339.
    timestamp: String,
    /// Whose values it has, and which erasures it knew.
    pub(super) said_of: Option<SaidOf>,
    event_id: String,
    /// How often it came round: from us to somebody who wrote, and was told of that.
    pub(super) hops: u8,
    /// What the feed says of the change, as JSON.
    change: String,
    /// The whole of what it happened to, as JSON.
    subject: String,
    /// Fields that have other values since, where somebody wants to know.
    changed: Option<BTreeMap<String, Value>>,
}

impl Message {
    /// What an entry tells; none: nothing, or nothing that `wants` wants. `compares`: whether it is looked at
    /// which fields changed.
    pub(super) fn of(
        entry: &Entry<'_>,
        reader: &Reader,
        wants: impl Fn(&Facts<'_>) -> bool,
        compares: bool,
    ) -> Option<Self> {
        match &entry.outcome {
            Outcome::Control(change) => {
                disabled(entry, change).filter(|message| wants(&message.facts()))
            }
            Outcome::Applied(_) => {
                let told = Told::of(entry)?;
                let source = String::from_utf8_lossy(told.applied.source);
                let status = told.status();
                let facts = Facts { kind: told.applied.kind.as_str(), source: &source, status };
                if !wants(&facts) {
                    return None;
                }
                applied(entry, &told, reader, compares)
            }
            Outcome::Noted(_)
            | Outcome::Rules(_)
            | Outcome::DeadLettered(_)
            | Outcome::Rehomed(_)
            | Outcome::Settled => None,
        }
    }

    /// One that tries whether everything is in order.
    pub(super) fn test(subscription: &Subscription, now_ms: u64) -> Self {
        Self {
            place: (Lane(0), Offset(0)),
            key: subscription.id.clone(),
            version: 0,
            kind: "subscription.test".to_owned(),
            source: String::new(),
            status: None,
            timestamp: format_rfc3339(now_ms),
            said_of: None,
            event_id: String::new(),
            hops: 0,
            change: String::new(),
            subject: json!({ "id": subscription.id, "description": subscription.description })
                .to_string(),
            changed: None,
        }
    }

    /// The same about another place and key.
    #[cfg(test)]
    pub(super) fn about(self, place: Place, key: &str) -> Self {
        Self { place, key: key.to_owned(), ..self }
    }

    pub(super) fn facts(&self) -> Facts<'_> {
        Facts { kind: &self.kind, source: &self.source, status: self.status }
    }

    /// Whether a subscription that wants it by its facts wants it by its fields.
    pub(super) fn is_wanted_by(&self, subscription: &Subscription) -> bool {
        let filter = &subscription.filter;
        let changed = self.changed.iter().flat_map(|changed| changed.keys().map(String::as_str));
        filter.passes(&self.facts()) && (self.status.is_none() || filter.wants_fields(changed))
    }

    /// Bytes of memory that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.change.len() + self.subject.len() + self.key.len() + OVERHEAD
    }

    /// What is sent to those that want so much of it.
    pub(super) fn body(&self, send: Content) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.change.len() + self.subject.len() + 128);
        out.extend_from_slice(b"{\"type\":");
        write_string(&self.kind, &mut out);
        out.extend_from_slice(
            format!(",\"timestamp\":\"{}\",\"data\":", self.timestamp).as_bytes(),
        );
        if self.change.is_empty() {
            out.extend_from_slice(format!("{{\"subscription\":{}}}}}", self.subject).as_bytes());
            return out;
        }
        let (name, head) = self.head();
        let data = match send {
            Content::Contact => {
                format!("{{\"{name}\":{},\"change\":{}}}", self.subject, self.change)
            }
            Content::Change => {
                let fields = json!(self.changed.as_ref());
                format!("{{\"{name}\":{head},\"change\":{},\"fields\":{fields}}}", self.change)
            }
            Content::Ids => {
                let change = json!({ "eventType": self.kind, "eventId": self.event_id });
                format!("{{\"{name}\":{head},\"change\":{change}}}")
            }
        };
        out.extend_from_slice(data.as_bytes());
        out.push(b'}');
        out
    }

    /// What it happened to, and its name, without its values.
    fn head(&self) -> (&'static str, Value) {
        match (of_row(self.key.as_bytes()), self.status) {
            (Some((contact, payment)), _) => {
                let text = |id| String::from_utf8_lossy(id);
                let (id, contact) = (text(payment), text(contact));
                ("payment", json!({ "id": id, "contactId": contact, "version": self.version }))
            }
            (None, status) => {
                let status = status.map_or("", Status::as_str);
                ("contact", json!({ "id": self.key, "version": self.version, "status": status }))
            }
        }
    }

    /// Whether its contact was erased since. May wait for the disk.
    pub(super) fn is_erased(&self, reader: &Reader) -> Result<bool, StoreError> {
        match &self.said_of {
            Some(said_of) => said_of.is_erased(reader),
            None => Ok(false),
        }
    }

    /// The same over all repeats, and of no other message.
    pub(super) fn id(&self, log: u64) -> String {
        id_of(log, self.place)
    }
}

/// The id of the message about a change of a log.
pub(super) fn id_of(log: u64, (lane, offset): Place) -> String {
    format!("msg_{log:016x}_{lane}_{offset}")
}

/// Where the change stands that a message is about; none: it is no id of this log's.
pub(super) fn place_of(id: &str, log: u64) -> Option<Place> {
    let rest = id.strip_prefix(&format!("msg_{log:016x}_"))?;
    let (lane, offset) = rest.split_once('_')?;
    let place = (Lane(lane.parse().ok()?), Offset(offset.parse().ok()?));
    (id_of(log, place) == id).then_some(place)
}

/// Before some places, as a position.
pub(super) fn before(mut position: Position, places: impl Iterator<Item = Place>) -> Position {
    for (lane, offset) in places {
        let next = position.next.entry(lane).or_default();
        next.0 = next.0.min(offset.0);
    }
    position
}

fn applied(entry: &Entry<'_>, told: &Told<'_>, reader: &Reader, compares: bool) -> Option<Message> {
    let (applied, subject) = (told.applied, told.subject(reader)?);
    let mut change = Vec::new();
    write_change(entry, applied, &mut change);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_default();
    Some(Message {
        place: (entry.lane, entry.offset),
        key: told.key.to_owned(),
        version: subject.version,
        kind: applied.kind.as_str().to_owned(),
        source: String::from_utf8_lossy(applied.source).into_owned(),
        status: told.status(),
        timestamp: format_rfc3339_us(told.time_us),
        said_of: Some(subject.said_of),
        event_id: String::from_utf8_lossy(applied.event_id).into_owned(),
        hops: applied.request_id.map_or(0, |id| hops::of(&String::from_utf8_lossy(id))),
        change: text(change),
        subject: text(subject.json),
        changed: match &told.what {
            What::Contact(view) if compares => Some(changed(applied, view, reader)),
            What::Contact(_) | What::Payment(_) => None,
        },
    })
}

/// Fields that have other values than before; all that there are where nothing is known of before.
fn changed(
    applied: &Applied<'_>,
    now: &ContactView<'_>,
    reader: &Reader,
) -> BTreeMap<String, Value> {
    let before = reader.body_before(applied).unwrap_or_else(|error| {
        tracing::error!(%error, "what a contact was before a change can't be read");
        None
    });
    let before = before.as_deref().and_then(|body| ContactView::parse(body).ok());
    let (before, now) = (before.map(|view| values(&view)).unwrap_or_default(), values(now));
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    let gone = gone.map(|name| (name.clone(), Value::Null)).collect::<Vec<_>>();
    let news = now.into_iter().filter(|(name, value)| before.get(name) != Some(value));
    news.chain(gone).collect()
}

/// Every value by the name that filters have for it.
fn values(view: &ContactView<'_>) -> BTreeMap<String, Value> {
    let mut values = Map::new();
    for (place, name) in FIELDS.into_iter().enumerate() {
        if let Some(value) = view.field(place) {
            values.insert(name.to_owned(), json!(value));
        }
    }
    for (name, value) in view.attributes() {
        let value = serde_json::from_str(value).unwrap_or_default();
        values.insert(format!("attributes.{name}"), value);
    }
    for (source, id) in view.external_ids() {
        values.insert(format!("externalIds.{source}"), json!(id));
    }
    values.insert("status".to_owned(), json!(view.status()));
    values.into_iter().collect()
}

/// A subscription was given up, by whichever instance sent it.
fn disabled(entry: &Entry<'_>, change: &ControlChange<'_>) -> Option<Message> {
    if change.principal != Some(DISABLER.as_bytes()) || !change.key.starts_with(PREFIX.as_bytes()) {
        return None;
    }
    let key = std::str::from_utf8(change.key).ok()?;
    let subscription = Subscription::of(key, &ControlEntry::decode(change.entry?)?)?;
    if subscription.state != State::Disabled {
        return None;
    }
    let Subscription { id, url, description, since, .. } = &subscription;
    let subject = json!({
        "id": id, "url": url, "description": description, "why": since.why,
        "disabledAt": format_rfc3339(since.at_ms),
    });
    Some(Message {
        kind: DISABLED.to_owned(),
        place: (entry.lane, entry.offset),
        timestamp: format_rfc3339(since.at_ms),
        subject: subject.to_string(),
        ..Message::test(&subscription, since.at_ms)
    })
}

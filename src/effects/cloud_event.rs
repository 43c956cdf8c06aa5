//! A change as a CloudEvent (CloudEvents 1.0), for whoever is told of changes outside.
//!
//! Its type, and what it says, are the feed's own; the transports have the attributes beside the data, each in
//! its own place (binary mode).

use std::sync::Arc;

use crate::domain::contact::{ContactView, Status, write_json};
use crate::domain::event::EventKind;
use crate::domain::texts::percent_encoded;
use crate::domain::timestamp::format_rfc3339_us;
use crate::store::journal::Entry;
use crate::store::{Reader, StoreError};

use super::feed::write_change;
use super::follower::{Change, Delivery, Picked};
use super::said_of::SaidOf;

/// The data's media type.
pub(crate) const CONTENT_TYPE: &str = "application/json";

/// A change of a contact, as others are told of it.
#[derive(Debug)]
pub struct CloudEvent {
    /// What happened: the feed's name for it.
    pub(super) kind: &'static str,
    /// Who said so; may be empty.
    pub(super) source: String,
    /// When, in µs since 1970: by the event's own time, or its record's.
    pub(super) time_us: u64,
    /// `{"contact":{…},"change":{…}}`; no change where it tells what is.
    pub(super) data: Vec<u8>,
    said_of: SaidOf,
}

impl CloudEvent {
    /// The change that an entry is; none: it is none.
    pub(super) fn pick(entry: &Entry<'_>) -> Option<Picked<Self>> {
        let Change { id, applied, view } = Change::of(entry)?;
        let mut data = Vec::new();
        write_change(entry, applied, &view, &mut data);
        let record_us = u64::try_from(entry.record_time_ms).unwrap_or(0).saturating_mul(1000);
        let event = Self {
            kind: applied.kind.as_str(),
            source: String::from_utf8_lossy(applied.source).into_owned(),
            time_us: applied.event_time_us.unwrap_or(record_us),
            data,
            said_of: SaidOf::new(id, &view),
        };
        Some(event.picked(id, &view))
    }

    /// What a contact is, for changes that are no longer known one by one.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(super) fn present(reader: &Reader, id: &str) -> Result<Option<Picked<Self>>, StoreError> {
        let Some(contact) = reader.contact(id.as_bytes())? else {
            return Ok(None);
        };
        let Ok(view) = contact.view() else {
            return Ok(None);
        };
        let kind = match (view.is_erased(), view.status()) {
            (true, _) => EventKind::Erased,
            (false, Status::Active) => EventKind::Updated,
            (false, Status::Deleted) => EventKind::Deleted,
        };
        let mut data = b"{\"contact\":".to_vec();
        write_json(id, &view, &mut data);
        data.extend_from_slice(b",\"change\":null}");
        let event = Self {
            kind: kind.as_str(),
            source: view.source().to_owned(),
            time_us: view.updated_at_us().unwrap_or(0),
            data,
            said_of: SaidOf::new(id, &view),
        };
        Ok(Some(event.picked(id, &view)))
    }

    fn picked(self, id: &str, view: &ContactView<'_>) -> Picked<Self> {
        let bytes = self.data.len() + self.source.len() + id.len();
        Picked { key: id.to_owned(), version: view.version(), bytes, item: self }
    }

    /// The attributes of one that is on its way, by their names.
    pub(super) fn attributes(delivery: &Delivery<Self>) -> Vec<(&'static str, String)> {
        let event = &delivery.item;
        let of = Attributes {
            id: &delivery.id,
            kind: event.kind,
            source: &event.source,
            subject: &delivery.key,
            time_us: event.time_us,
            version: delivery.version,
        };
        let mut attributes = of.list();
        if delivery.is_coalesced {
            attributes.push(("coalesced", "true".to_owned()));
        }
        attributes
    }
}

/// What every event has beside its data.
pub(super) struct Attributes<'a> {
    pub(super) id: &'a str,
    pub(super) kind: &'a str,
    /// Who said so; empty: nobody in particular.
    pub(super) source: &'a str,
    /// The contact's id.
    pub(super) subject: &'a str,
    pub(super) time_us: u64,
    pub(super) version: u64,
}

impl Attributes<'_> {
    pub(super) fn list(&self) -> Vec<(&'static str, String)> {
        let source = match self.source {
            "" => "/contactd".to_owned(),
            source => format!("/contactd/{}", percent_encoded(source)),
        };
        vec![
            ("specversion", "1.0".to_owned()),
            ("id", self.id.to_owned()),
            ("source", source),
            ("type", self.kind.to_owned()),
            ("subject", self.subject.to_owned()),
            ("time", format_rfc3339_us(self.time_us)),
            ("contactversion", self.version.to_string()),
        ]
    }
}

/// Which of them may still be told: what was said of a contact before it was erased is not any more, for the
/// erasure is told. May wait for the disk.
pub(super) async fn still_said(
    reader: &Reader,
    deliveries: &[Delivery<CloudEvent>],
) -> Result<Vec<bool>, String> {
    let reader = reader.clone();
    let events: Vec<_> = deliveries.iter().map(|delivery| Arc::clone(&delivery.item)).collect();
    let looked = tokio::task::spawn_blocking(move || {
        let is_said = |event: &Arc<CloudEvent>| Ok(!event.said_of.is_erased(&reader)?);
        events.iter().map(is_said).collect::<Result<_, StoreError>>()
    });
    let looked = looked.await.map_err(|error| error.to_string())?;
    looked.map_err(|error| error.to_string())
}

/// One with nothing to say.
#[cfg(all(test, feature = "rabbitmq"))]
pub(super) fn event_of(kind: &'static str, source: &str) -> CloudEvent {
    let said_of = SaidOf { contact_id: "c1".to_owned(), erased: None };
    CloudEvent { kind, source: source.to_owned(), time_us: 0, data: Vec::new(), said_of }
}

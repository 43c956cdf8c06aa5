//! A change as a CloudEvent (CloudEvents 1.0), for whoever is told of changes outside.
//!
//! Its type, and what it says, are the feed's own; the transports have the attributes beside the data, each in
//! its own place (binary mode).

use std::sync::Arc;

use crate::domain::contact::Status;
use crate::domain::event::EventKind;
use crate::domain::payment::{PaymentStatus, of_row};
use crate::domain::texts::percent_encoded;
use crate::domain::timestamp::format_rfc3339_us;
use crate::store::journal::Entry;
use crate::store::{Reader, StoreError};

use super::feed::write_change;
use super::follower::{Delivery, Picked};
use super::said_of::SaidOf;
use super::told::{Subject, Told};

/// The data's media type.
pub(crate) const CONTENT_TYPE: &str = "application/json";

/// A change of a contact or of a payment, as others are told of it.
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
    /// The change that an entry is; none: it is none. May wait for the disk.
    pub(super) fn pick(entry: &Entry<'_>, reader: &Reader) -> Option<Picked<Self>> {
        let told = Told::of(entry)?;
        let mut change = Vec::new();
        write_change(entry, told.applied, &mut change);
        let source = String::from_utf8_lossy(told.applied.source).into_owned();
        let subject = told.subject(reader)?;
        Some(Self::picked(told.key, told.applied.kind, source, told.time_us, (subject, &change)))
    }

    /// What a contact or a payment is, for changes that are no longer known one by one.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(super) fn present(reader: &Reader, key: &str) -> Result<Option<Picked<Self>>, StoreError> {
        if let Some((contact, payment)) = of_row(key.as_bytes()) {
            let Some(stored) = reader.payment(contact, payment)? else {
                return Ok(None);
            };
            let payment = stored.payment()?;
            let kind = match payment.facts().status {
                PaymentStatus::Pending => EventKind::PaymentCreated,
                PaymentStatus::Succeeded => EventKind::PaymentSucceeded,
                PaymentStatus::Failed => EventKind::PaymentFailed,
                PaymentStatus::PartiallyRefunded | PaymentStatus::Refunded => {
                    EventKind::PaymentRefunded
                }
            };
            let (clock, source) = payment.newest;
            let source = String::from_utf8_lossy(source).into_owned();
            let subject = Subject::of_payment(key.as_bytes(), payment, reader)?;
            let picked = Self::picked(key, kind, source, clock.ts_us, (subject, b"null"));
            return Ok(Some(picked));
        }
        let Some(contact) = reader.contact(key.as_bytes())? else {
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
        let (source, time_us) = (view.source().to_owned(), view.updated_at_us().unwrap_or(0));
        let subject = Subject::of_contact(key, &view);
        Ok(Some(Self::picked(key, kind, source, time_us, (subject, b"null"))))
    }

    fn picked(
        key: &str,
        kind: EventKind,
        source: String,
        time_us: u64,
        (subject, change): (Subject, &[u8]),
    ) -> Picked<Self> {
        let name = subject.name;
        let mut data = format!("{{\"{name}\":").into_bytes();
        data.extend_from_slice(&subject.json);
        data.extend_from_slice(b",\"change\":");
        data.extend_from_slice(change);
        data.push(b'}');
        let bytes = data.len() + source.len() + key.len();
        let version = subject.version;
        let item = Self { kind: kind.as_str(), source, time_us, data, said_of: subject.said_of };
        Picked { key: key.to_owned(), version, bytes, item }
    }

    /// Whose it is, by which it is partitioned.
    pub(super) fn contact_id(&self) -> &str {
        &self.said_of.contact_id
    }

    /// The attributes of one that is on its way, by their names.
    pub(super) fn attributes(delivery: &Delivery<Self>) -> Vec<(&'static str, String)> {
        let event = &delivery.item;
        let of = Attributes {
            id: &delivery.id,
            kind: event.kind,
            source: &event.source,
            subject: match of_row(delivery.key.as_bytes()) {
                Some((_, payment)) => std::str::from_utf8(payment).unwrap_or_default(),
                None => &delivery.key,
            },
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
    /// The id of the contact, or of the payment.
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
            ("subjectversion", self.version.to_string()),
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

//! A change of a contact or of a payment, for followers that tell others of both as the feed does.

use crate::domain::contact::{ContactView, Status, write_json};
use crate::domain::payment::{Payment, PaymentRecord, of_row};
use crate::domain::record::RecordKind;
use crate::store::journal::{Applied, Entry, Outcome};
use crate::store::{Reader, StoreError};

use super::follower::Change;
use super::said_of::SaidOf;

/// What happened, and to what.
pub(super) struct Told<'e> {
    /// What stays in order: the contact's id; of a payment that and its own.
    pub(super) key: &'e str,
    pub(super) applied: &'e Applied<'e>,
    /// When it happened, in µs since 1970: by the event's own time, else its record's.
    pub(super) time_us: u64,
    pub(super) what: What<'e>,
}

/// What it happened to, after the change.
#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack")]
pub(super) enum What<'e> {
    Contact(ContactView<'e>),
    Payment(Payment<'e>),
}

/// A contact or a payment as others are told of it.
pub(super) struct Subject {
    /// `contact` or `payment`.
    pub(super) name: &'static str,
    pub(super) version: u64,
    /// Its public shape.
    pub(super) json: Vec<u8>,
    pub(super) said_of: SaidOf,
}

fn unreadable(error: &dyn std::fmt::Display) {
    tracing::error!(%error, "a payment's change can't be read, and nobody is told of it");
}

impl<'e> Told<'e> {
    /// The change that an entry is; none: it is none that gave anything a new version, or it can't be read.
    pub(super) fn of(entry: &'e Entry<'e>) -> Option<Self> {
        let (key, applied, what) = match Change::of(entry) {
            Some(Change { id, applied, view }) => (id, applied, What::Contact(view)),
            None => of_payment(entry)?,
        };
        let record_us = u64::try_from(entry.record_time_ms).unwrap_or(0).saturating_mul(1000);
        let time_us = applied.event_time_us.unwrap_or(record_us);
        Some(Self { key, applied, time_us, what })
    }

    /// Of a contact.
    pub(super) fn status(&self) -> Option<Status> {
        match &self.what {
            What::Contact(view) => Some(view.status()),
            What::Payment(_) => None,
        }
    }

    /// None: it can't be read. May wait for the disk.
    pub(super) fn subject(&self, reader: &Reader) -> Option<Subject> {
        match &self.what {
            What::Contact(view) => Some(Subject::of_contact(self.key, view)),
            What::Payment(payment) => {
                let subject = Subject::of_payment(self.applied.id, payment.clone(), reader);
                subject.map_err(|error| unreadable(&error)).ok()
            }
        }
    }
}

fn of_payment<'e>(entry: &'e Entry<'e>) -> Option<(&'e str, &'e Applied<'e>, What<'e>)> {
    let (Outcome::Applied(applied), RecordKind::Payment) = (&entry.outcome, entry.record_kind)
    else {
        return None;
    };
    let key = std::str::from_utf8(applied.id).map_err(|error| unreadable(&error)).ok()?;
    let payment = Payment::parse(applied.body).map_err(|error| unreadable(&error)).ok()?;
    Some((key, applied, What::Payment(payment)))
}

impl Subject {
    pub(super) fn of_contact(id: &str, view: &ContactView<'_>) -> Self {
        let mut json = Vec::new();
        write_json(id, view, &mut json);
        Self { name: "contact", version: view.version(), json, said_of: SaidOf::new(id, view) }
    }

    /// Without what tells of a contact that was erased since.
    pub(super) fn of_payment(
        row: &[u8],
        payment: Payment<'_>,
        reader: &Reader,
    ) -> Result<Self, StoreError> {
        let ids = of_row(row).unwrap_or_default();
        let erased = reader.last_erased(ids.0)?;
        let payment = payment.since_erased(erased);
        let record = PaymentRecord::of(ids, &payment);
        Ok(Self {
            name: "payment",
            version: payment.version,
            // Texts and numbers: they always become JSON.
            json: serde_json::to_vec(&record).unwrap_or_default(),
            said_of: SaidOf { contact_id: record.contact_id, erased },
        })
    }
}

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
    pub(super) subject: Subject,
    /// The contact; none: it is a payment's.
    pub(super) view: Option<ContactView<'e>>,
}

/// A contact or a payment as others are told of it.
pub(super) struct Subject {
    /// `contact` or `payment`.
    pub(super) name: &'static str,
    pub(super) version: u64,
    /// Of a contact.
    pub(super) status: Option<Status>,
    /// Its public shape.
    pub(super) json: Vec<u8>,
    pub(super) said_of: SaidOf,
}

impl<'e> Told<'e> {
    /// The change that an entry is; none: it is none that gave anything a new version, or it can't be read.
    /// May wait for the disk.
    pub(super) fn of(entry: &'e Entry<'e>, reader: &Reader) -> Option<Self> {
        if let Some(Change { id, applied, view }) = Change::of(entry) {
            let subject = Subject::of_contact(id, &view);
            return Some(Self { key: id, applied, subject, view: Some(view) });
        }
        let (Outcome::Applied(applied), RecordKind::Payment) = (&entry.outcome, entry.record_kind)
        else {
            return None;
        };
        let unreadable = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "a payment's change can't be read, and nobody is told of it");
        };
        let key = std::str::from_utf8(applied.id).map_err(|error| unreadable(&error)).ok()?;
        let payment = Payment::parse(applied.body).map_err(|error| unreadable(&error)).ok()?;
        let subject = Subject::of_payment(applied.id, payment, reader);
        let subject = subject.map_err(|error| unreadable(&error)).ok()?;
        Some(Self { key, applied, subject, view: None })
    }
}

impl Subject {
    pub(super) fn of_contact(id: &str, view: &ContactView<'_>) -> Self {
        let mut json = Vec::new();
        write_json(id, view, &mut json);
        Self {
            name: "contact",
            version: view.version(),
            status: Some(view.status()),
            json,
            said_of: SaidOf::new(id, view),
        }
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
            status: None,
            // Texts and numbers: they always become JSON.
            json: serde_json::to_vec(&record).unwrap_or_default(),
            said_of: SaidOf { contact_id: record.contact_id, erased },
        })
    }
}

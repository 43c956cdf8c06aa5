//! What is stored under an id: a contact, or a payment of one. Both lie in the same keys, generations and
//! frames, so journal, checkpoint, snapshot and digest know no difference; here it is told, by the id.

use crate::domain::contact::{ContactView, Status};
use crate::domain::payment::{Payment, of_row};

use super::StoreError;

/// What a row counts as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RowClass {
    /// An ACTIVE contact.
    Active,
    /// A DELETED contact.
    #[default]
    Deleted,
    /// A payment.
    Payment,
}

impl RowClass {
    /// Of an id and its body.
    pub(crate) fn of(id: &[u8], body: &[u8]) -> Result<Self, StoreError> {
        if is_payment(id) {
            return Ok(Self::Payment);
        }
        match ContactView::status_of(body) {
            Ok(Status::Active) => Ok(Self::Active),
            Ok(Status::Deleted) => Ok(Self::Deleted),
            Err(error) => Err(unreadable(id, &error.to_string())),
        }
    }
}

/// Whether the id is a payment's and not a contact's.
pub(crate) fn is_payment(id: &[u8]) -> bool {
    of_row(id).is_some()
}

/// Whether a body can be read as what its id says.
pub(crate) fn is_readable(id: &[u8], body: &[u8]) -> bool {
    match is_payment(id) {
        true => Payment::parse(body).is_ok(),
        false => ContactView::parse(body).is_ok(),
    }
}

pub(crate) fn unreadable(id: &[u8], detail: &str) -> StoreError {
    let (what, id) = match of_row(id) {
        Some((_, payment)) => ("payment", payment),
        None => ("contact", id),
    };
    StoreError::damaged(format!("{what} {}", String::from_utf8_lossy(id)), detail)
}

//! One contact as it was found.

use xxhash_rust::xxh3::xxh3_64;

use crate::domain::contact::{ContactView, Status, write_json};
use crate::store::Value;

use super::error::QueryError;

/// A contact's bytes, not copied, with its id.
pub struct FoundContact<'i> {
    id: &'i str,
    value: Value,
}

/// What names one state of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateTag {
    /// The contact's version.
    pub version: u64,
    /// Of its canonical bytes: the same version has other content in a store that was built anew.
    pub hash: u64,
}

impl<'i> FoundContact<'i> {
    pub(super) fn new(id: &'i str, value: Value) -> Self {
        Self { id, value }
    }

    /// The contact, read.
    ///
    /// # Errors
    /// When its bytes are damaged.
    pub fn read(&self) -> Result<ReadContact<'_>, QueryError> {
        let view = self
            .value
            .view()
            .map_err(|source| QueryError::Corrupt { id: self.id.to_owned(), source })?;
        Ok(ReadContact { id: self.id, view })
    }
}

/// A contact that can be written out.
pub struct ReadContact<'a> {
    id: &'a str,
    view: ContactView<'a>,
}

impl ReadContact<'_> {
    /// ACTIVE or DELETED.
    pub fn status(&self) -> Status {
        self.view.status()
    }

    /// What names this state.
    pub fn tag(&self) -> StateTag {
        StateTag { version: self.view.version(), hash: xxh3_64(self.view.canonical()) }
    }

    /// Appends the contact as JSON.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        write_json(self.id, &self.view, out);
    }
}

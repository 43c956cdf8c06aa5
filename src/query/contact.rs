//! One contact as it was found.

use crate::domain::contact::{ContactView, StateTag, Status, write_json};
use crate::store::Value;

use super::error::QueryError;

/// A contact's bytes, not copied, with its id.
pub struct FoundContact<'i> {
    id: &'i str,
    value: Value,
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
        self.view.tag()
    }

    /// Appends the contact as JSON.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        write_json(self.id, &self.view, out);
    }
}

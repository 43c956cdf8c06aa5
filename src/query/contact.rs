//! One contact as it was found.

use crate::domain::contact::{Contact, ContactView, StateTag, Status, write_json};
use crate::store::Value;

use super::error::QueryError;

/// A contact's bytes, not copied.
pub struct FoundContact(Value);

impl FoundContact {
    pub(super) fn new(value: Value) -> Self {
        Self(value)
    }

    /// The contact of this id, read.
    ///
    /// # Errors
    /// When its bytes are damaged.
    pub fn read<'a>(&'a self, id: &'a str) -> Result<ReadContact<'a>, QueryError> {
        let view = self.0.view();
        let view = view.map_err(|source| QueryError::Corrupt { id: id.to_owned(), source })?;
        Ok(ReadContact { id, view })
    }
}

/// A contact as it was.
pub enum PastContact {
    /// So.
    Found(FoundContact),
    /// There was none yet, or there is none with such a version.
    NotYet,
    /// The journal does not reach so far back.
    Gone {
        /// The oldest version that it still has.
        version: u64,
        /// When that came, in ms since 1970; none: its record had no time.
        since_ms: Option<u64>,
    },
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

    /// The contact in its public shape.
    pub fn to_contact(&self) -> Contact {
        Contact::from_view(self.id, &self.view)
    }

    /// Appends the contact as JSON.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        write_json(self.id, &self.view, out);
    }
}

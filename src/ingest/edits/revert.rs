//! What a contact said at an earlier version, to be said again.

use crate::domain::contact::CorruptContact;
use crate::store::{Moment, Past, StoreError};

use super::{ContactPatch, Edits};

/// Why there is nothing to go back to.
#[derive(Debug, thiserror::Error)]
pub enum RevertError {
    /// There is no such contact.
    #[error("there is no contact with this id")]
    NotFound,
    /// It has no version with that number.
    #[error("the contact has no version {0}")]
    NoVersion(u64),
    /// The journal does not reach so far back.
    #[error("the journal reaches back to version {version}")]
    Gone {
        /// The oldest version that it still has.
        version: u64,
        /// When that came, in ms since 1970; none: its record had no time.
        since_ms: Option<u64>,
    },
    /// What it said then is forgotten.
    #[error("the contact was erased: what it said before is not kept")]
    Erased,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored can't be read.
    #[error(transparent)]
    Corrupt(#[from] CorruptContact),
}

impl Edits {
    /// What a contact said at a version. Waits for the disk.
    ///
    /// # Errors
    /// Where that is not known any more, or never was.
    pub fn said_at(&self, id: &str, version: u64) -> Result<ContactPatch, RevertError> {
        let reader = self.commands.reader();
        let past = reader.contact_at(id.as_bytes(), Moment::Version(version))?;
        let value = match past.ok_or(RevertError::NotFound)? {
            Past::Contact(value) => value,
            Past::NotYet => return Err(RevertError::NoVersion(version)),
            Past::Gone { version, since_ms } => {
                return Err(RevertError::Gone { version, since_ms });
            }
        };
        let now = reader.contact(id.as_bytes())?.ok_or(RevertError::NotFound)?;
        let (then, now) = (value.view()?, now.view()?);
        if then.is_erased() || then.erased() != now.erased() {
            return Err(RevertError::Erased);
        }
        Ok(ContactPatch::whole(&then))
    }
}

//! Of whom something was said: what leaves the house after an erasure was not said before it.

use crate::domain::clock::Clock;
use crate::domain::contact::ContactView;
use crate::store::{Reader, StoreError};

/// Of whom something was said, and after which erasure: it is not said any more after a later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SaidOf {
    pub(super) contact_id: String,
    pub(super) erased: Option<Clock>,
}

impl SaidOf {
    /// What a contact was after a change.
    pub(crate) fn new(contact_id: &str, view: &ContactView<'_>) -> Self {
        Self { contact_id: contact_id.to_owned(), erased: view.erased() }
    }

    /// Whether the contact was erased since. May wait for the disk.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(crate) fn is_erased(&self, reader: &Reader) -> Result<bool, StoreError> {
        Ok(reader.last_erased(self.contact_id.as_bytes())? > self.erased)
    }
}

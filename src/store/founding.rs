//! What contacts' homes follow from, and where the log began, as the writer is told.

use crate::domain::founding::{FOUNDING_KEY, Founding};

use super::{StoreError, Writer, identity};

impl Writer {
    /// What contacts' homes follow from here: as the store was told first, or as the control entries
    /// that it holds say.
    pub fn founding(&self) -> Result<Option<Founding>, StoreError> {
        let told = identity::founding(&self.shared.path)?;
        let on_log = self.founding_entry();
        match (&told, &on_log) {
            (Some(told), Some(on_log)) if told != on_log => Err(StoreError::AnotherFounding {
                path: self.shared.path.clone(),
                stored: told.to_string(),
                given: on_log.to_string(),
            }),
            (Some(_) | None, Some(_) | None) => Ok(told.or(on_log)),
        }
    }

    /// The founding that the control entries tell of.
    pub fn founding_entry(&self) -> Option<Founding> {
        let entry = self.controls().get(FOUNDING_KEY).filter(|entry| !entry.is_removed());
        entry.and_then(|entry| Founding::parse(&entry.value).ok())
    }

    /// Contacts' homes follow from this, here and from now on.
    ///
    /// # Errors
    /// [`StoreError::AnotherFounding`] when they followed from another one.
    pub fn settle_founding(&self, given: &Founding) -> Result<(), StoreError> {
        identity::settle_founding(&self.shared.path, given)
    }

    /// Id of the log's base, where it has one, and whether this store comes from it.
    pub fn base(&self) -> Result<Option<(String, bool)>, StoreError> {
        identity::base(&self.shared.path)
    }

    /// The log has this base from now on.
    pub fn settle_base(&self, id: &str, is_ours: bool) -> Result<(), StoreError> {
        identity::settle_base(&self.shared.path, id, is_ours)
    }
}

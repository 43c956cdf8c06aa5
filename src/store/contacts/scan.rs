//! All contacts, sorted by id, while writes go on.

use super::super::StoreError;
use super::super::codec::{CONTACT, StoredContact};
use super::super::cut::Cut;
use super::super::digest::{Digest, contact_hash};
use super::super::history::image_before;
use super::super::journal::Journal;
use super::Contacts;

impl Contacts {
    /// Shows every contact as it was at a cut, sorted by id.
    ///
    /// # Errors
    /// Also when what it showed is not what the cut's digest says.
    pub(crate) fn as_of(
        &self,
        journal: &Journal,
        cut: &Cut,
        mut each: impl FnMut(&[u8], &StoredContact) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut digest = Digest::default();
        let mut scratch = Vec::new();
        self.scan(|id, bytes| {
            let value = self.parsed(id, bytes)?;
            let Some(value) = image_before(journal, id, value, cut.next_frame)? else {
                return Ok(());
            };
            digest.add(contact_hash(id, value.body(), &mut scratch));
            each(id, &value)
        })?;
        if digest == cut.digest {
            return Ok(());
        }
        let detail = format!("the contacts' digest is {digest}, it should be {}", cut.digest);
        Err(self.commits.fail(StoreError::damaged("the store", detail)))
    }

    /// Shows the stored bytes of every contact that there was when it was called, sorted by id,
    /// each as it was then or is by now.
    pub(crate) fn scan(
        &self,
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        // Those that are not in the engine as they are, or not at all. Everyone else's value was
        // there before the scan began. These are read one by one, since the scan may have a page in
        // hand that is older than their way into the engine.
        let mut dirty = self.dirty.sorted_ids().into_iter().peekable();
        for entry in self.engine.scan(&[CONTACT], None) {
            let (key, value) = entry.map_err(|error| self.commits.fail(error.into()))?;
            let id = key.get(1..).unwrap_or_default();
            while let Some(id) = dirty.next_if(|dirty| **dirty < *id) {
                self.show(&id, &mut each)?;
            }
            match dirty.next_if(|dirty| **dirty == *id) {
                Some(id) => self.show(&id, &mut each)?,
                None => each(id, &value)?,
            }
        }
        dirty.try_for_each(|id| self.show(&id, &mut each))
    }

    fn show(
        &self,
        id: &[u8],
        each: &mut impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.get_in_engine(id)?.map_or(Ok(()), |value| each(id, value.bytes()))
    }
}

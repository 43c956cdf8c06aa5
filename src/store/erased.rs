//! Which contacts were erased, in memory: what was said of one before is not shown again, however old the
//! place in the journal that it is read from.

use hashbrown::HashSet;
use parking_lot::RwLock;

use crate::domain::contact::{ContactView, CorruptContact};

use super::codec::id_hash;

/// Hashes of the ids of contacts that were ever erased: filled by the scan at open and by every commit.
#[derive(Debug, Default)]
pub(crate) struct Erased(RwLock<HashSet<u64>>);

impl Erased {
    /// Takes what a contact has become.
    pub(crate) fn take(&self, contact_id: &[u8], body: &[u8]) {
        if ContactView::was_erased(body) {
            self.0.write().insert(id_hash(contact_id));
        }
    }

    /// Whether a contact may have been erased. For nearly all it is told at once that it was not.
    pub(crate) fn may_have(&self, contact_id: &[u8]) -> bool {
        let erased = self.0.read();
        !erased.is_empty() && erased.contains(&id_hash(contact_id))
    }

    /// Bytes of memory that it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.0.read().capacity() * (size_of::<u64>() + 1)
    }
}

/// An earlier body of a contact without values, if the contact was erased since; none: it may be shown.
pub(crate) fn hidden(
    body: &[u8],
    now: &ContactView<'_>,
) -> Result<Option<Vec<u8>>, CorruptContact> {
    if now.erased().is_none() || ContactView::parse_trusted(body)?.erased() >= now.erased() {
        return Ok(None);
    }
    ContactView::without_values(body).map(Some)
}

//! The answer that a request was given when it was first done.

use crate::domain::verdict::Verdict;
use crate::store::{Moment, Past, Reader, StoredContact};

use super::{Done, Edit, EditError, Edits, command_hash};

impl Edits {
    /// None: it was not done before, as far as its lane remembers.
    pub(super) fn first_answer(&self, edit: &Edit) -> Result<Option<Done>, EditError> {
        let Some(keyed) = &edit.keyed else {
            return Ok(None);
        };
        let reader = self.commands.reader();
        let Some(first) = reader.command_done(command_hash(&keyed.event_id)) else {
            return Ok(None);
        };
        if first.body_hash != keyed.request_hash {
            return Err(EditError::KeyReused);
        }
        let value = as_of(reader, edit.id.as_bytes(), first.version)?;
        // The journal may no longer hold that version.
        let is_new = first.verdict == Verdict::Applied && first.version == 1;
        edit.done(&keyed.event_id, is_new, value, None).map(Some)
    }
}

/// The contact at that version; as it is now, where the journal does not reach back so far.
pub(in crate::ingest) fn as_of(
    reader: &Reader,
    id: &[u8],
    wanted: u64,
) -> Result<StoredContact, EditError> {
    match reader.contact_at(id, Moment::Version(wanted))? {
        Some(Past::Contact(value)) => Ok(value),
        Some(Past::NotYet | Past::Gone { .. }) | None => {
            reader.contact(id)?.ok_or(EditError::NotFound)
        }
    }
}

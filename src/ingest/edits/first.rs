//! The answer that a request was given when it was first done.

use crate::domain::verdict::Verdict;
use crate::store::{ChangeRef, Reader, StoredContact};

use super::{Done, Edit, EditError, Edits, command_hash};

/// Changes that are looked through at a time.
const CHANGES_A_LOOK: usize = 32;

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
    let current = reader.contact(id)?.ok_or(EditError::NotFound)?;
    if current.view()?.version() == wanted {
        return Ok(current);
    }
    let mut before: Option<ChangeRef> = None;
    loop {
        let changes = reader.history(id, CHANGES_A_LOOK, before)?;
        for change in &changes {
            let version = change.view()?.version();
            if version == wanted {
                return Ok(change.value());
            }
            if version < wanted {
                return Ok(current);
            }
        }
        before = changes.last().map(|change| change.change);
        if before.is_none() {
            return Ok(current);
        }
    }
}

//! The answer that a request was given when it first came.

use crate::domain::contact::CommandOutcome;
use crate::store::{ChangeRef, StoredContact};

use super::{Done, Edit, EditError, Edits};

/// Changes that are looked through at a time.
const CHANGES_A_LOOK: usize = 32;

impl Edits {
    /// None: it was not applied before, as far as the contact remembers.
    pub(super) fn first_answer(
        &self,
        edit: &Edit,
        current: Option<&StoredContact>,
    ) -> Result<Option<Done>, EditError> {
        let (Some(keyed), Some(current)) = (&edit.keyed, current) else {
            return Ok(None);
        };
        let Some(first) = current.view()?.command(Edit::ring_hash(keyed)) else {
            return Ok(None);
        };
        if first.body_hash != keyed.request_hash {
            return Err(EditError::KeyReused);
        }
        let value = self.as_of(edit, current, &first)?;
        edit.check_applied(&value)?;
        Ok(Some(Done::Contact { value, position: None }))
    }

    /// The contact at that version; as it is now, where the journal does not reach back so far.
    fn as_of(
        &self,
        edit: &Edit,
        current: &StoredContact,
        first: &CommandOutcome,
    ) -> Result<StoredContact, EditError> {
        if current.view()?.version() == first.version {
            return Ok(current.clone());
        }
        let mut before: Option<ChangeRef> = None;
        loop {
            let id = edit.id.as_bytes();
            let changes = self.commands.reader().history(id, CHANGES_A_LOOK, before)?;
            for change in &changes {
                let version = change.view()?.version();
                if version == first.version {
                    return Ok(change.value());
                }
                if version < first.version {
                    return Ok(current.clone());
                }
            }
            before = changes.last().map(|change| change.change);
            if before.is_none() {
                return Ok(current.clone());
            }
        }
    }
}

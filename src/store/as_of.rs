//! Every contact as it was at one position, sorted by id, while writes go on.
//!
//! The scan is live; a value newer than the cut is replaced by its image along the links. The
//! digest of what came out is held against the cut's, so what was shown is whole or an error. The writer
//! waits for none of it: the cut is copied, and each contact is read as a page reads it.

use std::io::ErrorKind;
use std::ops::ControlFlow;

use crate::domain::contact::ContactView;
use crate::domain::position::Position;

use super::StoreError;
use super::codec::StoredContact;
use super::cut::Cut;
use super::history::image_before;
use super::reader::Reader;
use super::rows::is_payment;

/// All contacts at one position.
#[derive(Debug)]
pub struct AsOf {
    pub(super) reader: Reader,
    pub(super) cut: Cut,
}

impl Reader {
    /// All contacts at the position of the call.
    pub fn as_of_now(&self) -> AsOf {
        let cut = self.shared().commits.cut.lock().clone();
        AsOf { reader: self.clone(), cut }
    }
}

impl AsOf {
    /// As of where.
    pub fn position(&self) -> Position {
        self.reader.shared().commits.position_of(self.cut.next_offsets())
    }

    /// Shows each, DELETED ones too, until that breaks off.
    ///
    /// # Errors
    /// When the journal no longer holds what a contact was then, or the store fails.
    pub fn each(
        &self,
        show: &mut dyn FnMut(&str, &ContactView<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let shared = self.reader.shared();
        self.until_broken(show, |show| shared.contacts.as_of(&shared.journal, &self.cut, show))
    }

    /// Shows some of them likewise.
    pub(super) fn some(
        &self,
        ids: &[String],
        show: &mut dyn FnMut(&str, &ContactView<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let shared = self.reader.shared();
        self.until_broken(show, |show| {
            ids.iter().map(String::as_bytes).try_for_each(|id| {
                let value = shared.contacts.get_in_engine(id)?;
                let before = |value| image_before(&shared.journal, id, value, self.cut.next_frame);
                let value = value.map(before).transpose()?.flatten();
                value.map_or(Ok(()), |value| show(id, &value))
            })
        })
    }

    fn until_broken(
        &self,
        each: &mut dyn FnMut(&str, &ContactView<'_>) -> ControlFlow<()>,
        walk: impl FnOnce(
            &mut dyn FnMut(&[u8], &StoredContact) -> Result<(), StoreError>,
        ) -> Result<(), StoreError>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let shared = self.reader.shared();
        let mut broke = false;
        let walked = walk(&mut |id, value| {
            if is_payment(id) {
                return Ok(());
            }
            let text = std::str::from_utf8(id)
                .map_err(|error| StoreError::damaged("a contact's id", error.to_string()))?;
            if each(text, &shared.contacts.view(id, value)?).is_break() {
                broke = true;
                return Err(StoreError::io("showing", &shared.path)(ErrorKind::BrokenPipe.into()));
            }
            Ok(())
        });
        match walked {
            Err(_) if broke => Ok(ControlFlow::Break(())),
            Err(error) => Err(error),
            Ok(()) => Ok(ControlFlow::Continue(())),
        }
    }
}

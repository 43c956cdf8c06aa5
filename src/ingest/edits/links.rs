//! Whether an id of a source may be tied to a contact.

use crate::domain::contact::Status;
use crate::ingest::whose;
use crate::store::StoreError;

use super::Edits;

/// Why an id is not tied to a contact.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It leads to another one.
    #[error("the id is that of the contact {contact_id}")]
    Taken {
        /// The other one.
        contact_id: String,
        /// That one was erased.
        is_erased: bool,
    },
    /// There is no such source.
    #[error("there is no source {source_name}")]
    UnknownSource {
        /// As the request names it.
        source_name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Edits {
    /// Whether a source's id leads to no other contact than this one, as far as is known here. May wait for
    /// the disk.
    ///
    /// # Errors
    /// Why it may not be tied to it.
    pub fn check_link(&self, contact_id: &str, source: &str, id: &str) -> Result<(), LinkError> {
        let decoder = self.commands.decoder();
        let sources = decoder.sources();
        if sources.of(source.as_bytes()).is_none() {
            let known = sources.iter().map(|source| source.name().to_owned()).collect();
            return Err(LinkError::UnknownSource { source_name: source.to_owned(), known });
        }
        match whose::holder(self.commands.reader(), source, id)? {
            Some((holder, status)) if holder != contact_id => {
                let is_erased = status == Status::Deleted;
                Err(LinkError::Taken { contact_id: holder, is_erased })
            }
            Some(_) | None => Ok(()),
        }
    }
}

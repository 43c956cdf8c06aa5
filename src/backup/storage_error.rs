//! What storage elsewhere answers, on its way as an error of I/O.

use std::io;

/// The storage's own answer, or that there is none: nothing is said of what was read or written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct StorageError(pub(super) String);

/// Whether it is the storage that failed, not the files that came from it.
pub(super) fn is_of_storage(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|source| source.is::<StorageError>())
}

//! Parts of a data directory, each read by itself and without opening the store: for whoever holds them
//! against damage.

use std::path::Path;

use super::StoreError;
use super::checkpoint::{Checkpoint, IDENTITY, StoreIdentity};
use super::heap::Record;
use super::snapshot::Snapshot;

/// A checkpoint's or an identity's bytes, read and written again.
///
/// # Errors
/// When they are neither.
pub fn small_file_again(bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    match bytes.starts_with(&IDENTITY.magic) {
        true => StoreIdentity::again(bytes),
        false => Checkpoint::again(bytes),
    }
}

/// Shows what a snapshot holds, in its order: the prefix of its key in the engine, id and body.
///
/// # Errors
/// When it is not whole. What was shown before that is to be dropped.
pub fn snapshot_images(
    path: &Path,
    mut each: impl FnMut(u8, &[u8], &[u8]),
) -> Result<(), StoreError> {
    Snapshot::open(path)?.for_each(|image| {
        each(image.prefix, image.id, image.body);
        Ok(())
    })
}

/// A contact's id and value as the heap file has them.
pub fn contact_in_heap(id: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Record { id, value }.append_to(&mut bytes);
    bytes
}

/// Id and value back from [`contact_in_heap`]; none: they are not whole.
pub fn contact_of_heap(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    Record::parse(bytes).map(|record| (record.id, record.value))
}

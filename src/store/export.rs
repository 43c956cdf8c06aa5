//! Every contact as it was at one position, sorted by id, while writes go on.
//!
//! The scan is live; a value newer than the cut is replaced by its image along the links. The
//! digest of what came out is held against the cut's, so an export is whole or an error.

use std::io::{self, Write};
use std::path::Path;

use crate::domain::contact::{ContactView, Status, write_json};
use crate::domain::position::Position;

use super::StoreError;
use super::codec::{CONTACT, StoredContact, contact_key, id_hash};
use super::digest::{Digest, contact_hash};
use super::history::image_before;
use super::reader::Reader;
use super::shared::{Cut, Shared};

/// Output is handed on in pieces of about this many bytes.
const WRITE_BYTES: usize = 64 << 10;

/// What an export held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportReport {
    /// Contacts written.
    pub contacts: u64,
    /// As of where.
    pub position: Position,
    /// Of all contacts, those left out for being DELETED too.
    pub digest: Digest,
}

/// Writes one JSON object a line.
pub(super) fn export(
    reader: &Reader,
    include_deleted: bool,
    out: &mut dyn Write,
) -> Result<ExportReport, StoreError> {
    let shared = reader.shared();
    let cut = shared.cut.lock().clone();
    let mut lines = Vec::with_capacity(WRITE_BYTES * 2);
    let mut contacts = 0;
    as_of(shared, &cut, |id, value| {
        let view = reader.view(id, value)?;
        if view.status() == Status::Active || include_deleted {
            write_line(id, &view, &mut lines)?;
            contacts += 1;
        }
        if lines.len() >= WRITE_BYTES {
            out.write_all(&lines).map_err(unwritten)?;
            lines.clear();
        }
        Ok(())
    })?;
    out.write_all(&lines).and_then(|()| out.flush()).map_err(unwritten)?;
    Ok(ExportReport {
        contacts,
        position: shared.position_of(cut.next_offsets()),
        digest: cut.digest,
    })
}

fn write_line(id: &[u8], view: &ContactView<'_>, lines: &mut Vec<u8>) -> Result<(), StoreError> {
    let id = std::str::from_utf8(id)
        .map_err(|error| StoreError::damaged("a contact's id", error.to_string()))?;
    write_json(id, view, lines);
    lines.push(b'\n');
    Ok(())
}

fn unwritten(source: io::Error) -> StoreError {
    StoreError::io("writing", Path::new("the export"))(source)
}

/// Shows every contact as it was at the cut, sorted by id.
///
/// # Errors
/// Also when what it showed is not what the cut's digest says.
pub(super) fn as_of(
    shared: &Shared,
    cut: &Cut,
    mut each: impl FnMut(&[u8], &StoredContact) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut digest = Digest::default();
    let mut scratch = Vec::new();
    scan(shared, |id, bytes| {
        let value = stored(shared, id, bytes)?;
        let Some(value) = image_before(&shared.journal, id, value, cut.next_frame)? else {
            return Ok(());
        };
        digest.add(contact_hash(id, value.body(), &mut scratch));
        each(id, &value)
    })?;
    if digest == cut.digest {
        return Ok(());
    }
    let detail = format!("the contacts' digest is {digest}, it should be {}", cut.digest);
    Err(shared.fail(StoreError::damaged("the store", detail)))
}

/// Shows the stored bytes of every contact that there was when it was called, sorted by id, each
/// as it was then or is by now.
pub(super) fn scan(
    shared: &Shared,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    // Those that are not in the engine as they are, or not at all. Everyone else's value was there
    // before the scan began. These are read one by one, since the scan may have a page in hand that
    // is older than their way into the engine.
    let mut dirty = shared.dirty.sorted_ids().into_iter().peekable();
    for entry in shared.engine.scan(&[CONTACT], None) {
        let (key, value) = entry.map_err(|error| shared.fail(error.into()))?;
        let id = key.get(1..).unwrap_or_default();
        while let Some(id) = dirty.next_if(|dirty| **dirty < *id) {
            show_live(shared, &id, &mut each)?;
        }
        match dirty.next_if(|dirty| **dirty == *id) {
            Some(id) => show_live(shared, &id, &mut each)?,
            None => each(id, &value)?,
        }
    }
    dirty.try_for_each(|id| show_live(shared, &id, &mut each))
}

/// Shows the stored bytes of a contact as they are now, past the heap file, if there is one.
pub(super) fn show_live(
    shared: &Shared,
    id: &[u8],
    each: &mut impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    if let Some(value) = shared.dirty.get(id_hash(id), id) {
        return each(id, value.bytes());
    }
    let mut key = Vec::with_capacity(id.len() + 1);
    let value =
        shared.engine.get(contact_key(id, &mut key)).map_err(|error| shared.fail(error.into()))?;
    match value {
        Some(value) => each(id, &value),
        None => Ok(()),
    }
}

/// The engine's bytes as a contact.
pub(super) fn stored(
    shared: &Shared,
    id: &[u8],
    value: &[u8],
) -> Result<StoredContact, StoreError> {
    StoredContact::from_bytes(value.into()).ok_or_else(|| {
        let id = String::from_utf8_lossy(id);
        shared.fail(StoreError::damaged(
            format!("contact {id}"),
            "its stored value has no known format",
        ))
    })
}

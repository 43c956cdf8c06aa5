//! Every contact as it was at one position, sorted by id, while writes go on.
//!
//! The scan is live; a value newer than the cut is replaced by its image along the links. The
//! digest of what came out is held against the cut's, so an export is whole or an error.

use std::io::{self, Write};
use std::path::Path;

use crate::domain::contact::{ContactView, Status, write_json};
use crate::domain::position::Position;

use super::StoreError;
use super::digest::Digest;
use super::shared::Shared;

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
    shared: &Shared,
    include_deleted: bool,
    out: &mut dyn Write,
) -> Result<ExportReport, StoreError> {
    let cut = shared.commits.cut.lock().clone();
    let mut lines = Vec::with_capacity(WRITE_BYTES * 2);
    let mut contacts = 0;
    shared.contacts.as_of(&shared.journal, &cut, |id, value| {
        let view = shared.contacts.view(id, value)?;
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
        position: shared.commits.position_of(cut.next_offsets()),
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

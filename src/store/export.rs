//! Every contact as it was at one position, as JSON, for whoever has the directory.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;

use crate::domain::contact::{Status, write_json};
use crate::domain::position::Position;

use super::StoreError;
use super::digest::Digest;
use super::reader::Reader;

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

impl Reader {
    /// Writes every contact as of one position, one JSON object a line, sorted by id, while writes
    /// go on. The position is that of the call.
    pub fn export(
        &self,
        include_deleted: bool,
        out: &mut dyn Write,
    ) -> Result<ExportReport, StoreError> {
        let as_of = self.as_of_now();
        let mut lines = Vec::with_capacity(WRITE_BYTES * 2);
        let mut contacts = 0;
        let mut written = Ok(());
        let _ = as_of.each(&mut |id, view| {
            if view.status() == Status::Active || include_deleted {
                write_json(id, view, &mut lines);
                lines.push(b'\n');
                contacts += 1;
            }
            if lines.len() >= WRITE_BYTES {
                written = out.write_all(&lines);
                lines.clear();
            }
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let written = written.and_then(|()| out.write_all(&lines));
        written.and_then(|()| out.flush()).map_err(unwritten)?;
        Ok(ExportReport { contacts, position: as_of.position(), digest: as_of.cut.digest })
    }
}

fn unwritten(source: io::Error) -> StoreError {
    StoreError::io("writing", Path::new("the export"))(source)
}

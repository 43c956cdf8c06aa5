//! Contacts out: those that a selection names, as of one position, in a format, piece by piece.
//!
//! ```text
//! store::AsOf ─► Selection ─► Writer (CSV, NDJSON, vCard) ─► pieces ─► a file, or `stream` ─► a client
//! ```
//!
//! Where the columns of a table are not named, all contacts are looked at once before the first line, for
//! the names of attributes and sources that they have.

mod csv;
mod stream;
mod vcard;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::domain::Class;
use crate::domain::contact::{ContactView, Status, write_json};
use crate::domain::external_ids::erased_form;
use crate::domain::position::Position;
use crate::store::{AsOf, Filters, Reader, StoreError};

use super::columns::Column;
use csv::CsvWriter;

pub use csv::Formulas;
pub use stream::{ExportStream, Exports, ExportsTaken};

/// Output is handed on in pieces of about this many bytes.
const PIECE_BYTES: usize = 64 << 10;
/// Columns of a table at most, where they are not named.
const COLUMNS_MAX: usize = 1_000;

/// What a contact is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A table with a header.
    Csv,
    /// A contact's JSON a line, as the API has it.
    #[default]
    Ndjson,
    /// vCard 4.0 (RFC 6350).
    Vcard,
}

impl Format {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Csv, Self::Ndjson, Self::Vcard];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Vcard => "vcard",
        }
    }

    /// Its media type, without parameters.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv",
            Self::Ndjson => "application/x-ndjson",
            Self::Vcard => "text/vcard",
        }
    }

    /// What its files are called behind the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Vcard => "vcf",
        }
    }

    /// Of a file, by how its name ends.
    pub fn of_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "vcf" | "vcard" => Some(Self::Vcard),
            _ => None,
        }
    }
}

/// Which contacts.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Of this status; none: of both.
    status: Option<Status>,
    /// Those that pass.
    filters: Filters,
    /// Those that a source has an id for: the source, the id, and the id as erased contacts have it.
    external_id: Option<(String, [String; 2])>,
}

impl Selection {
    /// Those of a status, or of both, that pass.
    pub fn new(status: Option<Status>, filters: Filters) -> Self {
        Self { status, filters, external_id: None }
    }

    /// Only those that a source has this id for.
    #[must_use]
    pub fn tied_to(self, source: String, id: String) -> Self {
        let erased = erased_form(source.as_bytes(), id.as_bytes());
        Self { external_id: Some((source, [id, erased])), ..self }
    }

    fn has(&self, view: &ContactView<'_>) -> bool {
        self.status.is_none_or(|status| view.status() == status)
            && (self.filters.is_empty() || self.filters.pass(view))
            && self.external_id.as_ref().is_none_or(|(source, ids)| {
                let mut known = view.external_ids().filter(|(known, _)| known == source);
                known.any(|(_, id)| ids.iter().any(|meant| meant == id))
            })
    }
}

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct ExportRequest {
    /// Which contacts.
    pub selection: Selection,
    /// Written as what.
    pub format: Format,
    /// The columns of a table; none: the usual ones, and all attributes and external ids that there are.
    pub columns: Option<Vec<Column>>,
    /// What becomes of a table's cells that a spreadsheet would calculate.
    pub formulas: Formulas,
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The contacts have too many attributes of different names for a table.
    #[error(
        "these contacts have more than {max} attributes and sources of different names: name the columns \
         that you want"
    )]
    TooManyColumns {
        /// So many columns there may be.
        max: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ExportError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::TooManyColumns { .. } => Class::Poison,
            Self::Store(error) => error.class(),
        }
    }
}

/// An export that can be written: its position and columns are settled.
#[derive(Debug)]
pub struct Export {
    as_of: AsOf,
    selection: Selection,
    writer: Writer,
}

impl Export {
    /// As of the position of the call.
    ///
    /// # Errors
    /// [`ExportError::TooManyColumns`], or when the store fails.
    pub fn begin(reader: &Reader, request: ExportRequest) -> Result<Self, ExportError> {
        let ExportRequest { selection, format, columns, formulas } = request;
        let as_of = reader.as_of_now();
        let writer = match format {
            Format::Csv => {
                let columns = match columns {
                    Some(columns) => columns,
                    None => columns_of(&as_of, &selection)?,
                };
                Writer::Csv(CsvWriter::new(columns, formulas))
            }
            Format::Ndjson => Writer::Ndjson,
            Format::Vcard => Writer::Vcard,
        };
        Ok(Self { as_of, selection, writer })
    }

    /// As of where.
    pub fn position(&self) -> Position {
        self.as_of.position()
    }

    /// Writes all of it, in pieces, until `take` breaks off; `take` is told how many contacts a piece has
    /// as well. True: that was all.
    ///
    /// # Errors
    /// When the store fails: what was written then is not whole.
    pub fn write(
        &self,
        take: &mut dyn FnMut(Vec<u8>, u64) -> ControlFlow<()>,
    ) -> Result<bool, StoreError> {
        let mut piece = Vec::with_capacity(PIECE_BYTES * 5 / 4);
        let mut contacts = 0;
        self.writer.begin(&mut piece);
        let shown = self.as_of.each(&mut |id, view| {
            if !self.selection.has(view) {
                return ControlFlow::Continue(());
            }
            self.writer.contact(id, view, &mut piece);
            contacts += 1;
            if piece.len() < PIECE_BYTES {
                return ControlFlow::Continue(());
            }
            let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE_BYTES * 5 / 4));
            take(full, std::mem::take(&mut contacts))
        })?;
        Ok(shown.is_continue() && take(piece, contacts).is_continue())
    }
}

/// The usual columns, then what sources call the contacts, then their attributes.
fn columns_of(as_of: &AsOf, selection: &Selection) -> Result<Vec<Column>, ExportError> {
    let (mut sources, mut attributes) = (BTreeSet::new(), BTreeSet::new());
    let shown = as_of.each(&mut |_, view| {
        if selection.has(view) {
            note(&mut sources, view.external_ids());
            note(&mut attributes, view.attributes());
        }
        if sources.len() + attributes.len() > COLUMNS_MAX {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    if shown.is_break() {
        return Err(ExportError::TooManyColumns { max: COLUMNS_MAX });
    }
    let sources = sources.into_iter().map(Column::ExternalId);
    let attributes = attributes.into_iter().map(Column::Attribute);
    Ok(Column::usual().into_iter().chain(sources).chain(attributes).collect())
}

fn note<'a>(names: &mut BTreeSet<String>, found: impl Iterator<Item = (&'a str, &'a str)>) {
    for (name, _) in found {
        if !names.contains(name) {
            names.insert(name.to_owned());
        }
    }
}

#[derive(Debug)]
enum Writer {
    Csv(CsvWriter),
    Ndjson,
    Vcard,
}

impl Writer {
    fn begin(&self, out: &mut Vec<u8>) {
        match self {
            Self::Csv(csv) => csv.header(out),
            Self::Ndjson | Self::Vcard => {}
        }
    }

    fn contact(&self, id: &str, view: &ContactView<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Csv(csv) => csv.contact(id, view, out),
            Self::Ndjson => {
                write_json(id, view, out);
                out.push(b'\n');
            }
            Self::Vcard => vcard::contact(id, view, out),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;

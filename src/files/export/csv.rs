//! Contacts as CSV (RFC 4180): a line each under a header, UTF-8, lines that end in CR LF.

use crate::domain::contact::ContactView;
use crate::domain::digits::write_decimal;
use crate::domain::timestamp::write_rfc3339_us;
use crate::files::columns::{Column, attribute_cell};
use crate::files::formulas::needs_escape;

/// What becomes of cells that a spreadsheet would calculate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Formulas {
    /// An apostrophe before them.
    #[default]
    Escape,
    /// They stay as they are.
    Keep,
}

/// Writes lines of these columns.
#[derive(Debug)]
pub(super) struct CsvWriter {
    columns: Vec<Column>,
    formulas: Formulas,
}

impl CsvWriter {
    pub(super) fn new(columns: Vec<Column>, formulas: Formulas) -> Self {
        Self { columns, formulas }
    }

    pub(super) fn header(&self, out: &mut Vec<u8>) {
        for (place, column) in self.columns.iter().enumerate() {
            self.begin(place, out);
            self.text(&column.name(), out);
        }
        end(out);
    }

    pub(super) fn contact(&self, id: &str, view: &ContactView<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        // Sorted by name.
        let attributes: Vec<(&str, &str)> = view.attributes().collect();
        for (place, column) in self.columns.iter().enumerate() {
            self.begin(place, out);
            match column {
                Column::Id => self.text(id, out),
                Column::Field(place) => self.optional(view.field(*place), out),
                Column::Status => self.text(view.status().as_str(), out),
                Column::CreatedAt => time(view.created_at_us(), out),
                Column::UpdatedAt => time(view.updated_at_us(), out),
                Column::ChangedAt => {
                    time(view.changed_at_ms().map(|ms| ms.saturating_mul(1000)), out);
                }
                Column::Version => write_decimal(view.version(), out),
                Column::SourceVersion => {
                    view.source_version().into_iter().for_each(|at| write_decimal(at, out));
                }
                Column::Source => self.text(view.source(), out),
                Column::ExternalId(source) => {
                    let found = view.external_ids().find(|(known, _)| known == source);
                    self.optional(found.map(|(_, id)| id), out);
                }
                Column::Attribute(name) => {
                    let found =
                        attributes.binary_search_by(|(known, _)| (*known).cmp(name.as_str()));
                    let found = found.ok().and_then(|at| attributes.get(at));
                    let cell = found.map(|(_, json)| attribute_cell(json));
                    self.optional(cell.as_deref(), out);
                }
            }
        }
        if out.len() == start {
            // An empty line would be none to most readers.
            out.extend_from_slice(b"\"\"");
        }
        end(out);
    }

    fn begin(&self, place: usize, out: &mut Vec<u8>) {
        if place > 0 {
            out.push(b',');
        }
    }

    fn optional(&self, text: Option<&str>, out: &mut Vec<u8>) {
        if let Some(text) = text {
            self.text(text, out);
        }
    }

    fn text(&self, text: &str, out: &mut Vec<u8>) {
        let is_escaped = self.formulas == Formulas::Escape && needs_escape(text);
        // Other delimiters too, so that nobody takes one of them for this file's.
        let is_special =
            |byte: &u8| matches!(byte, b',' | b'"' | b'\r' | b'\n' | b';' | b'\t' | b'|');
        let edges = [text.as_bytes().first(), text.as_bytes().last()];
        let has_edge = edges.iter().flatten().any(|byte| matches!(byte, b' ' | b'\t'));
        if !has_edge && !text.as_bytes().iter().any(is_special) {
            if is_escaped {
                out.push(b'\'');
            }
            out.extend_from_slice(text.as_bytes());
            return;
        }
        out.push(b'"');
        if is_escaped {
            out.push(b'\'');
        }
        for (count, part) in text.split('"').enumerate() {
            if count > 0 {
                out.extend_from_slice(b"\"\"");
            }
            out.extend_from_slice(part.as_bytes());
        }
        out.push(b'"');
    }
}

fn time(us: Option<u64>, out: &mut Vec<u8>) {
    us.into_iter().for_each(|us| write_rfc3339_us(us, out));
}

fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

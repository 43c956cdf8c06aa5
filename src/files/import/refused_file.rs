//! Noted rows as they came, in their file's own format, each with its reason: ready to be mended and given again.

use std::fs::File;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::csv::{Dialect, cells_to_mend, write_row};
use super::error::ImportError;
use super::intake::open;
use super::live::Live;
use super::noted::{self, NotedRow, NotedVerdict};
use super::options::Format;
use super::rows::raw;
use crate::files::columns::REASON_COLUMN;

/// Rows that are read together.
const ROWS: usize = 500;

/// Reads such a file piece by piece.
pub struct RefusedFile {
    spool: File,
    noted: std::path::PathBuf,
    bytes: u64,
    verdict: NotedVerdict,
    format: Format,
    dialect: Dialect,
    /// Of a CSV, what its first line says; empty: that is written.
    header: Vec<String>,
    /// Cells of its rows.
    cells: usize,
    /// The column of an earlier reason.
    reason_at: Option<usize>,
    /// Where it goes on; none: that was all.
    next: Option<u64>,
}

impl RefusedFile {
    pub(super) fn open(
        live: &Live,
        bytes: u64,
        verdict: NotedVerdict,
    ) -> Result<Self, ImportError> {
        let path = live.spool.rows();
        let (layout, reader, _) = open(&path, &live.job().options)?;
        let mut header = reader.header;
        if !reader.mapping.has_header {
            header = (1..=header.len()).map(|number| number.to_string()).collect();
        }
        let reason_at = header.iter().position(|cell| cell == REASON_COLUMN);
        Ok(Self {
            cells: header.len(),
            reason_at,
            spool: File::open(&path)?,
            noted: live.spool.noted(),
            bytes,
            verdict,
            format: layout.format,
            dialect: layout.dialect,
            header,
            next: Some(0),
        })
    }

    /// How it is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The next piece; none: that was all. Waits for the disk.
    ///
    /// # Errors
    /// What the disk says.
    pub fn next_piece(&mut self) -> Result<Option<Vec<u8>>, ImportError> {
        let Some(from) = self.next else {
            return Ok(None);
        };
        let mut out = Vec::new();
        if !self.header.is_empty() && self.format == Format::Csv {
            let header = std::mem::take(&mut self.header);
            self.write_cells(&header, REASON_COLUMN, &mut out);
        }
        let (rows, next) = noted::read(&self.noted, self.bytes, self.verdict, from, ROWS)?;
        for row in rows {
            self.write(&row, &mut out)?;
        }
        self.next = next;
        Ok(Some(out))
    }

    fn write_cells(&self, cells: &[String], reason: &str, out: &mut Vec<u8>) {
        // In a row that is too short the reason stands in its column all the same.
        let missing = self.cells.saturating_sub(cells.len());
        let cells = cells.iter().map(String::as_str).chain(std::iter::repeat_n("", missing));
        let cells = cells.enumerate().filter(|(place, _)| Some(*place) != self.reason_at);
        let cells = cells.map(|(_, cell)| cell);
        write_row(cells.chain([reason]), self.dialect.delimiter, out);
    }

    fn write(&mut self, row: &NotedRow, out: &mut Vec<u8>) -> Result<(), ImportError> {
        let bytes = raw(&mut self.spool, row.at, row.bytes)?;
        let reason = row
            .reason
            .as_ref()
            .map_or_else(|| row.detail.clone(), |reason| format!("{reason}: {}", row.detail));
        match self.format {
            Format::Csv => {
                self.write_cells(&cells_to_mend(&bytes, self.dialect), &reason, out);
            }
            Format::Ndjson => {
                let object = serde_json::from_slice::<&RawValue>(&bytes).ok();
                let object = object.filter(|object| object.get().starts_with('{'));
                match object {
                    Some(object) => {
                        let reason = Value::from(reason);
                        let rest = object.get().get(1..).unwrap_or_default().trim_start();
                        let comma = if rest == "}" { "" } else { "," };
                        out.extend_from_slice(
                            format!("{{\"{REASON_COLUMN}\":{reason}{comma}{rest}\n").as_bytes(),
                        );
                    }
                    None => {
                        let line = String::from_utf8_lossy(&bytes);
                        let told: Map<String, Value> = Map::from_iter([
                            (REASON_COLUMN.to_owned(), json!(reason)),
                            ("contactd_line".to_owned(), json!(line.trim_end())),
                        ]);
                        out.extend_from_slice(format!("{}\n", Value::Object(told)).as_bytes());
                    }
                }
            }
            Format::Vcard => {
                let text = String::from_utf8_lossy(&bytes);
                let reason = reason.replace('\\', "\\\\").replace(['\n', '\r'], " ");
                let reason = format!("X-CONTACTD-REASON:{reason}\r\nEND:VCARD");
                let card = text.trim_end();
                match card.rfind("END:VCARD") {
                    Some(at) => {
                        out.extend_from_slice(card.get(..at).unwrap_or_default().as_bytes());
                    }
                    None => out.extend_from_slice(format!("{card}\r\n").as_bytes()),
                }
                out.extend_from_slice(format!("{reason}\r\n").as_bytes());
            }
        }
        Ok(())
    }
}

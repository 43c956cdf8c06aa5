//! The rows of a spool, whatever its format.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::content::{Place, SourceRow};
use super::csv::{CsvRows, Dialect};
use super::ndjson::Lines;
use super::options::Format;
use super::vcard::Cards;
use super::window::Window;

/// Bytes of a file's beginning that tell how it is written.
const HEAD_BYTES: usize = 64 << 10;
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// How a spool is to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) format: Format,
    pub(super) dialect: Dialect,
    /// Where the first row stands, in a CSV the header.
    pub(super) first: Place,
}

impl Layout {
    /// From its beginning, where the format is not told.
    pub(super) fn of(spool: &Path, format: Option<Format>) -> io::Result<Self> {
        let mut head = Vec::new();
        File::open(spool)?.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        let mark = if head.starts_with(MARK) { MARK.len() } else { 0 };
        let text = head.get(mark..).unwrap_or_default();
        let format = format.unwrap_or_else(|| Format::guess(text));
        let dialect = Dialect::of(text);
        let skipped = if format == Format::Csv { dialect.skipped } else { 0 };
        let line = 1 + u64::from(skipped > 0);
        let first = Place { number: 0, at: (mark + skipped) as u64, line };
        Ok(Self { format, dialect, first })
    }

    /// Rows from a place on.
    pub(super) fn rows(&self, spool: &Path, from: Place) -> io::Result<Rows> {
        let mut file = File::open(spool)?;
        file.seek(SeekFrom::Start(from.at))?;
        let window = Window::new(file, from);
        Ok(match self.format {
            Format::Csv => Rows::Csv(CsvRows::new(window, self.dialect)),
            Format::Ndjson => Rows::Ndjson(Lines::new(window)),
            Format::Vcard => Rows::Vcard(Cards::new(window)),
        })
    }
}

/// A reader of rows.
pub(super) enum Rows {
    Csv(CsvRows<File>),
    Ndjson(Lines<File>),
    Vcard(Cards<File>),
}

impl Rows {
    pub(super) fn next(&mut self) -> io::Result<Option<SourceRow>> {
        match self {
            Self::Csv(rows) => rows.next(),
            Self::Ndjson(rows) => rows.next(),
            Self::Vcard(rows) => rows.next(),
        }
    }

    /// Where the next one stands.
    pub(super) fn place(&self) -> Place {
        match self {
            Self::Csv(rows) => rows.place(),
            Self::Ndjson(rows) => rows.place(),
            Self::Vcard(rows) => rows.place(),
        }
    }
}

/// The bytes of one row.
pub(super) fn raw(spool: &mut File, at: u64, bytes: u64) -> io::Result<Vec<u8>> {
    spool.seek(SeekFrom::Start(at))?;
    let mut raw = Vec::new();
    spool.take(bytes.min(super::refusal::ROW_BYTES_MAX as u64)).read_to_end(&mut raw)?;
    Ok(raw)
}

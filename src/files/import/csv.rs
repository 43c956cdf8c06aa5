//! CSV, row by row: what is wrong with one row never takes the others with it.
//!
//! A quote that is not closed would swallow all that follows. So where a quoted cell is closed in the
//! middle (something else than a delimiter or a line's end follows), or never, the row is refused as
//! far as the line in which the quote was opened, and reading goes on with the next line.

use std::io::{self, Read};

use super::content::{Content, Place, SourceRow};
use super::refusal::{ROW_BYTES_MAX, Reason, Refusal, too_long};
use super::window::Window;

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Lines that are looked at to find out how a file is written.
const LINES_LOOKED_AT: usize = 20;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    /// Between two cells.
    pub(super) delimiter: u8,
    /// Around a cell.
    pub(super) quote: u8,
    /// Bytes before the first row: Excel's `sep=;`.
    pub(super) skipped: usize,
}

impl Dialect {
    /// From a file's beginning: the delimiter that most lines have equally often.
    pub(super) fn of(head: &[u8]) -> Self {
        let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if let [b's', b'e', b'p', b'=', delimiter, rest @ ..] = first
            && matches!(rest, [] | [b'\r'])
        {
            return Self { delimiter: *delimiter, quote: b'"', skipped: first.len() + 1 };
        }
        let quote = quote_of(first);
        let score = |delimiter: u8| {
            let counts = lines(head, quote).map(|line| count(line, delimiter, quote));
            let counts: Vec<usize> = counts.take(LINES_LOOKED_AT).collect();
            let in_first = counts.first().copied().unwrap_or(0);
            let alike = counts.iter().filter(|count| **count == in_first).count();
            if in_first == 0 { (0, 0) } else { (alike, in_first) }
        };
        let best = DELIMITERS.into_iter().rev().max_by_key(|delimiter| score(*delimiter));
        Self { delimiter: best.unwrap_or(b','), quote, skipped: 0 }
    }
}

/// Some write `'first','second'`.
fn quote_of(line: &[u8]) -> u8 {
    let line = line.trim_ascii();
    let is_single = line.len() > 1 && line.starts_with(b"'") && line.ends_with(b"'");
    if is_single { b'\'' } else { b'"' }
}

/// Lines whose breaks stand outside quotes.
fn lines(head: &[u8], quote: u8) -> impl Iterator<Item = &[u8]> {
    let mut is_quoted = false;
    let lines = head.split(move |byte| {
        is_quoted ^= *byte == quote;
        *byte == b'\n' && !is_quoted
    });
    lines.filter(|line| !line.trim_ascii().is_empty())
}

fn count(line: &[u8], delimiter: u8, quote: u8) -> usize {
    let mut is_quoted = false;
    let mut found = 0;
    for byte in line {
        is_quoted ^= *byte == quote;
        found += usize::from(*byte == delimiter && !is_quoted);
    }
    found
}

/// What stands at the beginning of some bytes.
enum Parsed {
    /// A row of so many bytes.
    Row(usize, Vec<Vec<u8>>),
    /// A quote at this line of the row and this column of the line, both from 0, is not closed as it
    /// should be; what follows the so many bytes may be right.
    Broken { bytes: usize, line: u64, column: usize },
    /// The row goes on.
    More,
}

/// Where a quoted cell was opened.
#[derive(Clone, Copy)]
struct Opened {
    line: u64,
    column: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// A cell's beginning.
    Start,
    Plain,
    Quoted,
    /// Behind a quote in a quoted cell: its end, or the first of two.
    Quote,
}

/// Reads one row. At the end of a file a row needs no line break.
fn parse(bytes: &[u8], is_end: bool, dialect: Dialect) -> Parsed {
    let (mut cells, mut cell) = (Vec::new(), Vec::new());
    let mut at = At::Start;
    let mut opened = Opened { line: 0, column: 0 };
    let (mut line, mut line_start) = (0, 0);
    for (place, byte) in bytes.iter().copied().enumerate() {
        let is_break = byte == b'\n' || (byte == b'\r' && bytes.get(place + 1) == Some(&b'\n'));
        match at {
            At::Quoted if byte == dialect.quote => at = At::Quote,
            At::Quoted => cell.push(byte),
            At::Quote if byte == dialect.quote => {
                cell.push(byte);
                at = At::Quoted;
            }
            At::Start if byte == dialect.quote => {
                opened = Opened { line, column: place - line_start };
                at = At::Quoted;
            }
            At::Start | At::Plain | At::Quote if byte == dialect.delimiter => {
                cells.push(std::mem::take(&mut cell));
                at = At::Start;
            }
            At::Start | At::Plain | At::Quote if is_break => {
                cells.push(cell);
                return Parsed::Row(place + if byte == b'\n' { 1 } else { 2 }, cells);
            }
            // Blanks behind a quote are no harm.
            At::Quote if byte == b' ' => {}
            // Whether that is half of a line's end is not known yet.
            At::Quote if byte == b'\r' && place + 1 == bytes.len() && !is_end => {
                return Parsed::More;
            }
            At::Quote => return broken(bytes, is_end, opened),
            At::Start | At::Plain => {
                cell.push(byte);
                at = At::Plain;
            }
        }
        if byte == b'\n' {
            (line, line_start) = (line + 1, place + 1);
        }
    }
    match at {
        At::Quoted if is_end || bytes.len() >= ROW_BYTES_MAX => broken(bytes, is_end, opened),
        At::Start | At::Plain | At::Quote if is_end => {
            cells.push(cell);
            Parsed::Row(bytes.len(), cells)
        }
        At::Start | At::Plain | At::Quote | At::Quoted => Parsed::More,
    }
}

/// As far as the end of the line in which the quote was opened.
fn broken(bytes: &[u8], is_end: bool, Opened { line, column }: Opened) -> Parsed {
    let mut ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let end = ends.nth(usize::try_from(line).unwrap_or(usize::MAX));
    match end {
        Some((place, _)) => Parsed::Broken { bytes: place + 1, line, column },
        // The line goes on, or is too long for a row.
        None if !is_end || bytes.len() >= ROW_BYTES_MAX => Parsed::More,
        None => Parsed::Broken { bytes: bytes.len(), line, column },
    }
}

/// Rows of a CSV.
pub(super) struct CsvRows<R> {
    window: Window<R>,
    dialect: Dialect,
}

impl<R: Read> CsvRows<R> {
    pub(super) fn new(window: Window<R>, dialect: Dialect) -> Self {
        Self { window, dialect }
    }

    /// The next row; blank lines are none.
    pub(super) fn next(&mut self) -> io::Result<Option<SourceRow>> {
        loop {
            let from = self.window.place;
            let line = from.line;
            let parsed = parse(self.window.bytes(), self.window.is_end, self.dialect);
            let content = match parsed {
                Parsed::Row(0, _) => return Ok(None),
                Parsed::Row(bytes, cells) => {
                    self.window.take(bytes);
                    if cells.iter().all(Vec::is_empty) && cells.len() == 1 {
                        continue;
                    }
                    texts(cells).map(Content::Cells)
                }
                Parsed::Broken { bytes, line: down, column } => {
                    self.window.take(bytes);
                    let (line, column) = (line + down, column + 1);
                    let detail = format!(
                        "the quote at line {line}, column {column} is not closed before a delimiter or \
                         the line's end; write a quote inside a cell twice"
                    );
                    Err(Refusal::new(Reason::BrokenQuote, detail))
                }
                Parsed::More if self.window.more()? => continue,
                Parsed::More => {
                    self.window.skip_line()?;
                    Err(too_long(line))
                }
            };
            return Ok(Some(self.window.row(from, content)));
        }
    }

    pub(super) fn place(&self) -> Place {
        self.window.place
    }
}

fn texts(cells: Vec<Vec<u8>>) -> Result<Vec<String>, Refusal> {
    let text = |(place, cell): (usize, Vec<u8>)| {
        String::from_utf8(cell).map_err(|_| {
            let detail = format!("cell {} holds bytes that are no UTF-8", place + 1);
            Refusal::new(Reason::NotText, detail)
        })
    };
    cells.into_iter().enumerate().map(text).collect()
}

/// A row as CSV: cells with quotes where they need some.
pub(super) fn write_row<'c>(
    cells: impl Iterator<Item = &'c str>,
    delimiter: u8,
    out: &mut Vec<u8>,
) {
    for (place, cell) in cells.enumerate() {
        if place > 0 {
            out.push(delimiter);
        }
        let needs = |byte: &u8| matches!(byte, b'"' | b'\'' | b'\n' | b'\r') || *byte == delimiter;
        if cell.as_bytes().iter().any(needs) {
            out.push(b'"');
            out.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        } else {
            out.extend_from_slice(cell.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The cells of a row as well as they can be told, for one that is to be mended: where its quotes are
/// broken they are left out.
pub(super) fn cells_to_mend(raw: &[u8], dialect: Dialect) -> Vec<String> {
    let text = |cell: &[u8]| String::from_utf8_lossy(cell).into_owned();
    match parse(raw, true, dialect) {
        Parsed::Row(bytes, cells) if bytes == raw.len() => {
            cells.iter().map(|cell| text(cell)).collect()
        }
        Parsed::Row(..) | Parsed::Broken { .. } | Parsed::More => {
            let raw = raw.trim_ascii_end();
            let cells = raw.split(|byte| *byte == dialect.delimiter).map(text);
            let quote = char::from(dialect.quote);
            cells.map(|cell| cell.trim_matches(quote).to_owned()).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(text: &[u8]) -> Vec<Result<Vec<String>, Refusal>> {
        let dialect = Dialect::of(text);
        let mut rows = CsvRows::new(Window::new(text, Place::BEGINNING), dialect);
        let mut found = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            found.push(row.content.map(|content| match content {
                Content::Cells(cells) => cells,
                Content::Members(_) => unreachable!("a CSV has cells"),
            }));
        }
        assert_eq!(rows.place().at, text.len() as u64);
        found
    }

    #[test]
    fn delimiter_and_quote_are_noticed() {
        for (text, delimiter, quote) in [
            ("a,b\n1,\"x;y;z\"\n", b',', b'"'),
            ("a;b;c\n1,5;2;3\n", b';', b'"'),
            ("a\tb\n1\t2\n", b'\t', b'"'),
            ("'a','b'\n'1','2'\n", b',', b'\''),
            ("email\nx@example.com\n", b',', b'"'),
        ] {
            let dialect = Dialect::of(text.as_bytes());
            assert_eq!((dialect.delimiter, dialect.quote), (delimiter, quote), "{text}");
        }
        let excel = Dialect::of(b"sep=;\r\na;b\r\n");
        assert_eq!((excel.delimiter, excel.skipped), (b';', 7));
    }

    #[test]
    fn a_broken_quote_takes_its_own_row_alone() {
        let text = b"id,name\n1,\"Ada\n2,Grace\n3,\"Jean \"the\" B\"\n4,\"Two\nlines\"\n5,Zo\xC3\xAB\n6,\"open";
        let rows = rows(text);
        let reasons = |row: &Result<Vec<String>, Refusal>| match row {
            Ok(cells) => cells.join("|"),
            Err(refusal) => refusal.detail.chars().take(34).collect(),
        };
        let told: Vec<String> = rows.iter().map(reasons).collect();
        let wanted = [
            "id|name",
            "the quote at line 2, column 3 is n",
            "2|Grace",
            "the quote at line 4, column 3 is n",
            "4|Two\nlines",
            "5|Zoë",
            "the quote at line 8, column 3 is n",
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn a_cell_of_10_mb_is_refused_and_the_rest_goes_on() {
        let long = "x".repeat(10 << 20);
        for text in [format!("a,b\n{long},1\n2,3\n"), format!("a,b\n\"{long}\",1\n2,3\n")] {
            let rows = rows(text.as_bytes());
            assert_eq!(rows.len(), 3);
            assert_eq!(rows[1].as_ref().unwrap_err().reason, Reason::TooLong);
            assert_eq!(rows[2].as_ref().unwrap(), &["2", "3"]);
        }
    }

    #[test]
    fn a_row_can_be_mended_from_what_is_told_of_it() {
        let dialect = Dialect { delimiter: b',', quote: b'"', skipped: 0 };
        assert_eq!(cells_to_mend(b"1,\"Ada\r\n", dialect), ["1", "Ada"]);
        assert_eq!(cells_to_mend(b"1,\"a \"\"b\"\", c\"\n", dialect), ["1", "a \"b\", c"]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(table in prop::collection::vec(
            prop::collection::vec("[a-z,;\"\\n\\r é]{0,8}", 3), 1..8,
        )) {
            let mut text = Vec::new();
            for row in &table {
                write_row(row.iter().map(String::as_str), b',', &mut text);
            }
            let mut rows = CsvRows::new(
                Window::new(&*text, Place::BEGINNING),
                Dialect { delimiter: b',', quote: b'"', skipped: 0 },
            );
            for row in &table {
                let Some(SourceRow { content: Ok(Content::Cells(cells)), .. }) = rows.next().unwrap()
                else {
                    return Err(TestCaseError::fail("a row is missing"));
                };
                prop_assert_eq!(&cells, row);
            }
        }

        #[test]
        fn any_bytes_are_read_to_their_end(text in prop::collection::vec(
            prop_oneof![Just(b'"'), Just(b','), Just(b'\n'), Just(b'\r'), any::<u8>()], 0..400,
        )) {
            rows(&text);
        }
    }
}

//! What a file's bytes are: noticed while they come in, and written anew as UTF-8 where they are
//! something else.

use std::io::{self, Read, Write};

/// How texts stand in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// UTF-8; rows whose bytes are not are refused one by one.
    Utf8,
    /// UTF-8 with a byte order mark.
    Utf8Mark,
    /// UTF-16, least byte first.
    Utf16Le,
    /// UTF-16, greatest byte first.
    Utf16Be,
    /// Windows-1252, which has Latin-1 in it.
    Windows1252,
}

impl Encoding {
    /// As people know it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 | Self::Utf8Mark => "UTF-8",
            Self::Utf16Le | Self::Utf16Be => "UTF-16",
            Self::Windows1252 => "Windows-1252",
        }
    }
}

/// Bytes at the beginning that are kept to look at.
const HEAD_BYTES: usize = 4096;

/// What a file begins with that is no text, and what to do about it.
const OTHERS: [(&[u8], &str); 6] = [
    (b"PK\x03\x04", "is a ZIP archive (an .xlsx or .ods workbook is one); save the sheet as CSV"),
    (b"\xD0\xCF\x11\xE0", "is an Excel or Outlook file of the old kind; save it as CSV"),
    (b"\x1F\x8B", "is packed by gzip; unpack it first"),
    (b"\x28\xB5\x2F\xFD", "is packed by zstd; unpack it first"),
    (b"%PDF", "is a PDF; export the contacts as CSV or vCard"),
    (b"!BDN", "is an Outlook archive (.pst); export the contacts as CSV"),
];

/// Looks at a file's bytes as they come.
#[derive(Debug, Default)]
pub(super) struct Sniffer {
    head: Vec<u8>,
    /// The beginning of a character whose end has not come yet.
    rest: Vec<u8>,
    bytes: u64,
    /// Characters of several bytes, and bytes that are part of none.
    wide: u64,
    broken: u64,
}

impl Sniffer {
    /// Looks at more of it.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let room = HEAD_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or_default());
        if self.rest.is_empty() && bytes.is_ascii() {
            return;
        }
        self.rest.extend_from_slice(bytes);
        let taken = std::mem::take(&mut self.rest);
        let mut chunks = taken.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            if !chunk.valid().is_ascii() {
                self.wide += chunk.valid().chars().filter(|c| !c.is_ascii()).count() as u64;
            }
            let invalid = chunk.invalid();
            let may_go_on = chunks.peek().is_none() && invalid.len() < 4;
            if may_go_on && begins_a_character(invalid) {
                self.rest = invalid.to_vec();
            } else {
                self.broken += u64::from(!invalid.is_empty());
            }
        }
    }

    /// What it is, once all of it has come.
    ///
    /// # Errors
    /// Why it is no text, in words that follow "the file".
    pub(super) fn end(&self) -> Result<Encoding, &'static str> {
        if self.bytes == 0 || self.head.iter().all(u8::is_ascii_whitespace) {
            return Err("is empty");
        }
        let known = OTHERS.iter().find(|(begins, _)| self.head.starts_with(begins));
        if let Some((_, problem)) = known {
            return Err(problem);
        }
        let marks: [(&[u8], Encoding); 3] = [
            (b"\xEF\xBB\xBF", Encoding::Utf8Mark),
            (b"\xFF\xFE", Encoding::Utf16Le),
            (b"\xFE\xFF", Encoding::Utf16Be),
        ];
        if let Some((_, encoding)) = marks.iter().find(|(mark, _)| self.head.starts_with(mark)) {
            return Ok(*encoding);
        }
        let zeros = |odd: usize| {
            let every = self.head.iter().skip(odd).step_by(2);
            every.filter(|byte| **byte == 0).count() * 2
        };
        // Of mostly Latin text every other byte is 0.
        let much = self.head.len() / 2;
        if zeros(1) > much && zeros(0) == 0 {
            return Ok(Encoding::Utf16Le);
        }
        if zeros(0) > much && zeros(1) == 0 {
            return Ok(Encoding::Utf16Be);
        }
        let broken = self.broken + u64::from(!self.rest.is_empty());
        Ok(if broken > self.wide { Encoding::Windows1252 } else { Encoding::Utf8 })
    }
}

fn begins_a_character(bytes: &[u8]) -> bool {
    let wanted = match bytes.first() {
        Some(0xC2..=0xDF) => 2,
        Some(0xE0..=0xEF) => 3,
        Some(0xF0..=0xF4) => 4,
        _ => 0,
    };
    bytes.len() < wanted
}

/// Writes a file anew as UTF-8, a piece at a time.
///
/// # Errors
/// What the disk says.
pub(super) fn to_utf8(
    encoding: Encoding,
    input: &mut impl Read,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let (mut text, mut units) = (String::new(), Units::default());
    loop {
        let read = input.read(&mut buffer)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        text.clear();
        match encoding {
            Encoding::Utf8 | Encoding::Utf8Mark => out.write_all(bytes)?,
            Encoding::Windows1252 => text.extend(bytes.iter().map(|byte| windows_1252(*byte))),
            Encoding::Utf16Le => units.decode(bytes, u16::from_le_bytes, read == 0, &mut text),
            Encoding::Utf16Be => units.decode(bytes, u16::from_be_bytes, read == 0, &mut text),
        }
        out.write_all(text.as_bytes())?;
        if read == 0 {
            return Ok(());
        }
    }
}

/// UTF-16 between two reads: half a unit, or half a pair.
#[derive(Debug, Default)]
struct Units {
    byte: Option<u8>,
    high: Option<u16>,
}

impl Units {
    fn decode(&mut self, bytes: &[u8], unit: fn([u8; 2]) -> u16, is_end: bool, out: &mut String) {
        let mut units: Vec<u16> = self.high.take().into_iter().collect();
        for byte in bytes {
            match self.byte.take() {
                None => self.byte = Some(*byte),
                Some(first) => units.push(unit([first, *byte])),
            }
        }
        if !is_end && units.last().is_some_and(|last| (0xD800..0xDC00).contains(last)) {
            self.high = units.pop();
        }
        let chars = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
        // A mark at the beginning says nothing more.
        out.extend(chars.filter(|c| *c != '\u{FEFF}'));
        if is_end && self.byte.take().is_some() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// As browsers have it (WHATWG): what Windows leaves open are control characters.
fn windows_1252(byte: u8) -> char {
    const HIGH: [u16; 32] = [
        0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
        0x2039, 0x0152, 0x8D, 0x017D, 0x8F, 0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013,
        0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D, 0x017E, 0x0178,
    ];
    let high = byte.checked_sub(0x80).and_then(|place| HIGH.get(usize::from(place)));
    high.and_then(|code| char::from_u32(u32::from(*code))).unwrap_or(char::from(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sniffed(bytes: &[u8], piece: usize) -> Result<Encoding, &'static str> {
        let mut sniffer = Sniffer::default();
        bytes.chunks(piece.max(1)).for_each(|bytes| sniffer.take(bytes));
        sniffer.end()
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    fn read(encoding: Encoding, bytes: &[u8]) -> String {
        let mut out = Vec::new();
        to_utf8(encoding, &mut &*bytes, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_file_is_written_in_is_noticed_however_it_comes() {
        let text = "email,company\nzoë@example.com,Müller & Söhne\n";
        for piece in [1, 2, 3, 7, 4096] {
            assert_eq!(sniffed(text.as_bytes(), piece), Ok(Encoding::Utf8));
            assert_eq!(sniffed(&utf16(text, u16::to_le_bytes), piece), Ok(Encoding::Utf16Le));
            assert_eq!(sniffed(&utf16(text, u16::to_be_bytes), piece), Ok(Encoding::Utf16Be));
            let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
            assert_eq!(sniffed(&latin, piece), Ok(Encoding::Windows1252));
            assert_eq!(read(Encoding::Windows1252, &latin), text);
        }
        assert_eq!(sniffed(b"\xEF\xBB\xBFid\n", 1), Ok(Encoding::Utf8Mark));
        // One broken byte in a file that is UTF-8 else.
        let broken = [text.as_bytes(), text.as_bytes(), b"\xFF\n"].concat();
        assert_eq!(sniffed(&broken, 5), Ok(Encoding::Utf8));
    }

    #[test]
    fn what_is_no_text_is_named() {
        assert!(sniffed(b"PK\x03\x04rest", 3).unwrap_err().contains("save the sheet as CSV"));
        assert_eq!(sniffed(b"", 1), Err("is empty"));
        assert_eq!(sniffed(b" \r\n", 1), Err("is empty"));
    }

    #[test]
    fn the_euro_is_where_windows_has_it() {
        assert_eq!(read(Encoding::Windows1252, b"\x80 5 \x96 \xFC"), "€ 5 – ü");
    }

    proptest! {
        #[test]
        fn utf_16_is_read_whole(text in "\\PC{0,60}") {
            let text = text.replace('\u{FEFF}', "");
            prop_assert_eq!(&read(Encoding::Utf16Le, &utf16(&text, u16::to_le_bytes)), &text);
            prop_assert_eq!(&read(Encoding::Utf16Be, &utf16(&text, u16::to_be_bytes)), &text);
        }

        #[test]
        fn any_bytes_end_well(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1..20_usize) {
            let _ = sniffed(&bytes, piece);
            for encoding in [Encoding::Utf16Le, Encoding::Utf16Be, Encoding::Windows1252] {
                read(encoding, &bytes);
            }
        }
    }
}

//! Contacts as vCard 4.0 (RFC 6350).
//!
//! `N` is always there, empty where there is no name, since `FN` must say something: it is the name, else
//! the e-mail address, the company or the id. What vCard has no word for stands in `X-CONTACTD-…`;
//! attributes and external ids as one JSON object each, and so do fields that its properties can't say
//! exactly: empty ones, and those with a line's end that is not a line feed alone.

use crate::domain::contact::ContactView;
use crate::domain::digits::write_decimal;
use crate::domain::event::FIELDS;
use crate::domain::json::write_string;
use crate::domain::timestamp::write_rfc3339_us;

/// Octets of a line, its end not counted (RFC 6350 section 3.2).
const LINE_BYTES_MAX: usize = 75;
// Places of the fields.
const FIRST_NAME: usize = 0;
const LAST_NAME: usize = 1;
const EMAIL: usize = 2;
const COMPANY: usize = 4;
/// Fields that a property of their own holds.
const PROPERTIES: [(usize, &str); 4] =
    [(EMAIL, "EMAIL:"), (3, "TEL:"), (COMPANY, "ORG:"), (5, "TITLE:")];

/// Appends one card.
pub(super) fn contact(id: &str, view: &ContactView<'_>, out: &mut Vec<u8>) {
    let mut card = Card { out, line: Vec::with_capacity(128) };
    card.plain("BEGIN:VCARD\r\nVERSION:4.0\r\n");
    card.text("UID;VALUE=text:", id);
    names(id, view, &mut card);
    for (place, property) in PROPERTIES {
        if let Some(text) = view.field(place) {
            card.text(property, text);
        }
    }
    if let Some(us) = view.updated_at_us() {
        card.line(|line| {
            line.extend_from_slice(b"REV:");
            revision(us, line);
        });
    }
    card.text("X-CONTACTD-STATUS:", view.status().as_str());
    card.line(|line| {
        line.extend_from_slice(b"X-CONTACTD-VERSION:");
        write_decimal(view.version(), line);
    });
    if !view.source().is_empty() {
        card.text("X-CONTACTD-SOURCE:", view.source());
    }
    let times = [
        ("X-CONTACTD-CREATED-AT:", view.created_at_us()),
        ("X-CONTACTD-UPDATED-AT:", view.updated_at_us()),
    ];
    for (property, us) in times {
        if let Some(us) = us {
            card.line(|line| {
                line.extend_from_slice(property.as_bytes());
                write_rfc3339_us(us, line);
            });
        }
    }
    let fields = FIELDS.iter().enumerate().filter_map(|(place, name)| {
        let text = view.field(place)?;
        (text.is_empty() || text.contains('\r')).then_some((*name, text))
    });
    card.object("X-CONTACTD-FIELDS:", fields, write_string);
    card.object("X-CONTACTD-EXTERNAL-IDS:", view.external_ids(), write_string);
    card.object("X-CONTACTD-ATTRIBUTES:", view.attributes(), |value, json| {
        json.extend_from_slice(value.as_bytes());
    });
    card.plain("END:VCARD\r\n");
}

fn names(id: &str, view: &ContactView<'_>, card: &mut Card<'_>) {
    let (first, last) = (view.field(FIRST_NAME), view.field(LAST_NAME));
    let formatted = match (first, last) {
        (Some(first), Some(last)) => format!("{first} {last}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => view.field(EMAIL).or(view.field(COMPANY)).unwrap_or(id).to_owned(),
    };
    card.text("FN:", &formatted);
    card.line(|line| {
        line.extend_from_slice(b"N:");
        escape(last.unwrap_or_default(), line);
        line.push(b';');
        escape(first.unwrap_or_default(), line);
        line.extend_from_slice(b";;;");
    });
}

/// Where a card is written, and the line in hand.
struct Card<'o> {
    out: &'o mut Vec<u8>,
    line: Vec<u8>,
}

impl Card<'_> {
    /// Short lines with their ends.
    fn plain(&mut self, lines: &str) {
        self.out.extend_from_slice(lines.as_bytes());
    }

    fn text(&mut self, property: &str, text: &str) {
        self.line(|line| {
            line.extend_from_slice(property.as_bytes());
            escape(text, line);
        });
    }

    /// Members as one JSON object; none: no property.
    fn object<'a>(
        &mut self,
        property: &str,
        members: impl Iterator<Item = (&'a str, &'a str)>,
        write_value: impl Fn(&str, &mut Vec<u8>),
    ) {
        let mut json = Vec::new();
        for (name, value) in members {
            json.push(if json.is_empty() { b'{' } else { b',' });
            write_string(name, &mut json);
            json.push(b':');
            write_value(value, &mut json);
        }
        if !json.is_empty() {
            json.push(b'}');
            self.text(property, &String::from_utf8_lossy(&json));
        }
    }

    /// A line that is folded where it is long, never within a character.
    fn line(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.line.clear();
        write(&mut self.line);
        let mut rest = self.line.as_slice();
        let mut room = LINE_BYTES_MAX;
        while rest.len() > room {
            let is_inside = |at: &usize| rest.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
            let end = (1..=room).rev().find(|at| !is_inside(at)).unwrap_or(room);
            let (piece, after) = rest.split_at(end);
            self.out.extend_from_slice(piece);
            self.out.extend_from_slice(b"\r\n ");
            // The space counts.
            (rest, room) = (after, LINE_BYTES_MAX - 1);
        }
        self.out.extend_from_slice(rest);
        self.out.extend_from_slice(b"\r\n");
    }
}

/// RFC 6350 section 3.4. A line may end in three ways, for which vCard has one.
fn escape(text: &str, out: &mut Vec<u8>) {
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' | b',' | b';' => out.extend_from_slice(&[b'\\', byte]),
            b'\r' => {
                bytes.next_if_eq(&b'\n');
                out.extend_from_slice(b"\\n");
            }
            b'\n' => out.extend_from_slice(b"\\n"),
            _ => out.push(byte),
        }
    }
}

/// `20261121T103644Z`: of RFC 3339 what ISO 8601's basic form keeps, to the second.
fn revision(us: u64, out: &mut Vec<u8>) {
    let mut time = Vec::with_capacity(27);
    write_rfc3339_us(us, &mut time);
    out.extend(time.iter().take("2026-11-21T10:36:44".len()).filter(|at| !b"-:".contains(at)));
    out.push(b'Z');
}

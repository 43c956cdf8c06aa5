//! vCards, one by one: versions 3 and 4, and 2.1 as phones write it.
//!
//! Lines may be folded; of version 2.1 values may be quoted-printable, in another charset. Pictures,
//! sounds and keys are left out while reading, so they cost no memory.

use std::io::{self, Read};

use super::card::{Property, members};
use super::content::{Place, SourceRow};
use super::refusal::{ROW_BYTES_MAX, Reason, Refusal, too_long};
use super::window::Window;

/// What no contact has here.
const LEFT_OUT: [&str; 4] = ["PHOTO", "LOGO", "SOUND", "KEY"];

/// Cards of a file.
pub(super) struct Cards<R> {
    window: Window<R>,
}

/// A card, or lines that are in none, as far as they have come.
struct Open {
    from: Place,
    is_card: bool,
    lines: Vec<Vec<u8>>,
    bytes: usize,
    /// The property in hand is left out.
    is_left_out: bool,
    problem: Option<Refusal>,
}

impl Open {
    fn new(from: Place, is_card: bool) -> Self {
        let (lines, bytes, is_left_out, problem) = (Vec::new(), 0, false, None);
        Self { from, is_card, lines, bytes, is_left_out, problem }
    }

    /// Takes a line of the file.
    fn take(&mut self, text: &[u8]) {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let is_folded = text.first().is_some_and(|byte| matches!(byte, b' ' | b'\t'));
        let last = self.lines.last_mut();
        match last {
            _ if is_folded && self.is_left_out => return,
            Some(last) if is_folded => last.extend_from_slice(text.get(1..).unwrap_or_default()),
            Some(last) if goes_on(last) && !self.is_left_out => {
                last.pop();
                last.extend_from_slice(text);
            }
            _ => {
                let name = Property::name_of(text);
                self.is_left_out = LEFT_OUT.iter().any(|out| name.eq_ignore_ascii_case(out));
                if !self.is_left_out {
                    self.lines.push(text.to_vec());
                }
            }
        }
        if !self.is_left_out {
            self.bytes += text.len();
        }
        if self.bytes > ROW_BYTES_MAX {
            self.lines.clear();
            self.problem.get_or_insert_with(|| too_long(self.from.line));
        }
    }
}

/// A quoted-printable value has more in the next line.
fn goes_on(line: &[u8]) -> bool {
    let head = line.split(|byte| *byte == b':').next().unwrap_or_default();
    line.ends_with(b"=")
        && head.to_ascii_uppercase().windows(16).any(|at| at == b"QUOTED-PRINTABLE")
}

impl<R: Read> Cards<R> {
    pub(super) fn new(window: Window<R>) -> Self {
        Self { window }
    }

    /// The next card; lines between cards are a row that is refused.
    pub(super) fn next(&mut self) -> io::Result<Option<SourceRow>> {
        let mut open: Option<Open> = None;
        loop {
            let from = self.window.place;
            let end = self.window.line_end()?;
            let Some(end) = end else {
                let open = open.get_or_insert_with(|| Open::new(from, false));
                let head = self.window.bytes().get(..256).unwrap_or_default();
                let is_left_out =
                    LEFT_OUT.iter().any(|out| Property::name_of(head).eq_ignore_ascii_case(out));
                if !is_left_out {
                    open.problem.get_or_insert_with(|| too_long(from.line));
                }
                open.is_left_out = is_left_out;
                self.window.skip_line()?;
                continue;
            };
            let text = self.window.bytes().get(..end).unwrap_or_default();
            // Within a card a blank before it folds the line.
            let is_in_card = open.as_ref().is_some_and(|open| open.is_card);
            let word = if is_in_card { text.trim_ascii_end() } else { text.trim_ascii() };
            let begins = word.eq_ignore_ascii_case(b"BEGIN:VCARD");
            match &mut open {
                None if end == 0 => return Ok(None),
                Some(_) if end == 0 || begins => return Ok(Some(self.row(open.take()))),
                None if word.is_empty() => {}
                None if begins => open = Some(Open::new(from, true)),
                None => open = Some(Open::new(from, false)),
                Some(card) if card.is_card && word.eq_ignore_ascii_case(b"END:VCARD") => {
                    self.window.take(end);
                    let mut ended = open.take();
                    if let Some(card) = &mut ended {
                        card.is_card = card.problem.is_none();
                        card.lines.push(b"END:VCARD".to_vec());
                    }
                    return Ok(Some(self.row(ended)));
                }
                Some(card) => card.take(text),
            }
            self.window.take(end);
        }
    }

    fn row(&mut self, open: Option<Open>) -> SourceRow {
        let open = open.unwrap_or_else(|| Open::new(self.window.place, false));
        let Open { from, lines, problem, .. } = open;
        let line = from.line;
        let content = match (problem, lines.split_last()) {
            (Some(problem), _) => Err(problem),
            (None, Some((last, lines))) if last == b"END:VCARD" => members(lines, line),
            (None, _) if open.is_card => {
                let detail = format!("the card at line {line} has no END:VCARD");
                Err(Refusal::new(Reason::InvalidCard, detail))
            }
            (None, _) => {
                let detail = format!("what stands from line {line} on is in no card");
                Err(Refusal::new(Reason::InvalidCard, detail))
            }
        };
        self.window.row(from, content)
    }

    pub(super) fn place(&self) -> Place {
        self.window.place
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::content::Content;
    use super::*;

    fn cards(text: &[u8]) -> Vec<Result<Vec<(String, String)>, Refusal>> {
        let mut cards = Cards::new(Window::new(text, Place::BEGINNING));
        let mut found = Vec::new();
        while let Some(row) = cards.next().unwrap() {
            found.push(row.content.map(|content| {
                match content {
                    Content::Members(members) => members
                        .into_iter()
                        .map(|(name, value)| (name, value.get().to_owned()))
                        .collect(),
                    Content::Cells(_) => unreachable!("cards have members"),
                }
            }));
        }
        assert_eq!(cards.place().at, text.len() as u64);
        found
    }

    fn member<'m>(members: &'m [(String, String)], name: &str) -> &'m str {
        members.iter().find(|(each, _)| each == name).map_or("", |(_, value)| value)
    }

    #[test]
    fn a_card_of_a_phone_is_read_quoted_printable_and_all() {
        let text = b"BEGIN:VCARD\r\nVERSION:2.1\r\n\
            N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;J=\r\n=C3=BCrgen;;;\r\n\
            FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:J=C3=BCrgen M=C3=BCller\r\n\
            TEL;CELL;PREF:+491701234567\r\nTEL;HOME:+49301234\r\n\
            PHOTO;ENCODING=BASE64;JPEG:/9j/4AAQSkZJRg\r\n ABAQAAAQABAAD\r\n\r\nEND:VCARD\r\n";
        let cards = cards(text);
        let card = cards[0].as_ref().unwrap();
        assert_eq!(member(card, "lastName"), "\"Müller\"");
        assert_eq!(member(card, "firstName"), "\"Jürgen\"");
        assert_eq!(member(card, "phone"), "\"+491701234567\"");
        assert_eq!(member(card, "phone2"), "\"+49301234\"");
    }

    #[test]
    fn folded_lines_groups_and_escapes_are_read() {
        let text = "BEGIN:VCARD\nVERSION:3.0\nN:Lovelace;Ada;;;\nFN:Ada Lovelace\n\
            item1.EMAIL;type=INTERNET;type=pref:ada@exam\n ple.com\nitem1.X-ABLabel:_$!<Work>!$_\n\
            ORG:Analytical\\, Ltd;Engines\nTITLE:Programmer\nNOTE:one\\ntwo\\; three\nEND:VCARD\n";
        let cards = cards(text.as_bytes());
        let card = cards[0].as_ref().unwrap();
        assert_eq!(member(card, "email"), "\"ada@example.com\"");
        assert_eq!(member(card, "company"), "\"Analytical, Ltd\"");
        assert_eq!(member(card, "department"), "\"Engines\"");
        assert_eq!(member(card, "note"), "\"one\\ntwo; three\"");
        assert_eq!(member(card, "title"), "\"Programmer\"");
    }

    #[test]
    fn a_card_that_never_ends_takes_no_other_with_it() {
        let text = "BEGIN:VCARD\nN:A;B\nBEGIN:VCARD\nN:C;D\nEND:VCARD\njunk\nmore\n";
        let told: Vec<bool> = cards(text.as_bytes()).iter().map(Result::is_ok).collect();
        assert_eq!(told, [false, true, false]);
    }

    #[test]
    fn a_picture_of_megabytes_costs_the_card_nothing() {
        let picture = "A".repeat(3 << 20);
        let folded = picture.as_bytes().chunks(74).map(|line| String::from_utf8_lossy(line));
        let folded: Vec<_> = folded.collect();
        for photo in [picture.clone(), folded.join("\n ")] {
            let text = format!("BEGIN:VCARD\nN:A;B\nPHOTO:{photo}\nEMAIL:a@b.example\nEND:VCARD\n");
            let cards = cards(text.as_bytes());
            assert_eq!(member(cards[0].as_ref().unwrap(), "email"), "\"a@b.example\"");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(lines in prop::collection::vec(prop_oneof![
            Just(b"BEGIN:VCARD".to_vec()), Just(b"END:VCARD".to_vec()), Just(b"N:A;B".to_vec()),
            Just(b"EMAIL;ENCODING=QUOTED-PRINTABLE:a=C3=".to_vec()),
            prop::collection::vec(any::<u8>(), 0..30),
        ], 0..30)) {
            cards(&lines.join(&b'\n'));
        }
    }
}

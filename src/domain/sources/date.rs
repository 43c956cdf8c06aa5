//! A date in a source's format, to ISO 8601 and back.

use std::fmt;

use crate::domain::timestamp::days_since_epoch;

/// The parts of a time, in ISO 8601's order, with their digits.
const PARTS: [(char, usize); 6] = [('Y', 4), ('m', 2), ('d', 2), ('H', 2), ('M', 2), ('S', 2)];
/// What ISO 8601 puts before each.
const BEFORE: [&str; 6] = ["", "-", "-", "T", ":", ":"];
/// Parts of a date.
const DATE_PARTS: usize = 3;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// A place in [`PARTS`].
    Part(usize),
    Text(char),
}

/// `%d.%m.%Y`, perhaps with a time of day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateForm {
    text: String,
    pieces: Vec<Piece>,
    has_time: bool,
}

impl DateForm {
    /// From its text; year, month and day must be there, hour and minute both or none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut counts = [0; PARTS.len()];
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                pieces.push(Piece::Text(letter));
                continue;
            }
            let part = letters.next()?;
            let place = PARTS.iter().position(|(name, _)| *name == part)?;
            *counts.get_mut(place)? += 1;
            pieces.push(Piece::Part(place));
        }
        let (has_time, is_right) = match counts {
            [1, 1, 1, 0, 0, 0] => (false, true),
            [1, 1, 1, 1, 1, 0 | 1] => (true, true),
            _ => (false, false),
        };
        is_right.then(|| Self { text: text.to_owned(), pieces, has_time })
    }

    /// Whether nothing of a time is lost by it.
    pub(super) fn has_all(&self) -> bool {
        !self.has_time || self.pieces.contains(&Piece::Part(PARTS.len() - 1))
    }

    /// ISO 8601 of a text in this format.
    pub(super) fn to_iso(&self, text: &str) -> Option<String> {
        let parts = read(&self.pieces, text)?;
        let count = if self.has_time { PARTS.len() } else { DATE_PARTS };
        Some(write(&iso(count), &parts))
    }

    /// A text in this format, of ISO 8601.
    pub(super) fn to_theirs(&self, text: &str) -> Option<String> {
        let count = if self.has_time { PARTS.len() } else { DATE_PARTS };
        Some(write(&self.pieces, &read(&iso(count), text)?))
    }
}

impl fmt::Display for DateForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn iso(count: usize) -> Vec<Piece> {
    let before = BEFORE.iter().enumerate().take(count);
    before
        .flat_map(|(place, text)| text.chars().map(Piece::Text).chain([Piece::Part(place)]))
        .collect()
}

/// The numbers that stand there; none: it is no date in that format.
fn read(pieces: &[Piece], text: &str) -> Option<[u32; PARTS.len()]> {
    let mut parts = [0_u32; PARTS.len()];
    let mut rest = text.trim();
    for piece in pieces {
        match piece {
            Piece::Text(letter) => rest = rest.strip_prefix(*letter)?,
            Piece::Part(place) => {
                let (_, len) = PARTS.get(*place)?;
                let (digits, more) = rest.split_at_checked(*len)?;
                if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return None;
                }
                *parts.get_mut(*place)? = digits.parse().ok()?;
                rest = more;
            }
        }
    }
    let [year, month, day, hour, minute, second] = parts;
    days_since_epoch(year.into(), month.into(), day.into())?;
    let is_right = hour < 24 && minute < 60 && second < 60;
    (is_right && rest.is_empty()).then_some(parts)
}

fn write(pieces: &[Piece], parts: &[u32; PARTS.len()]) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(letter) => text.push(*letter),
            Piece::Part(place) => {
                let len = PARTS.get(*place).map_or(0, |(_, len)| *len);
                let number = parts.get(*place).copied().unwrap_or_default();
                text.push_str(&format!("{number:0len$}"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_go_both_ways_and_what_is_none_is_not_made_one() {
        let form = |text: &str| DateForm::parse(text).unwrap();
        for (text, theirs, iso) in [
            ("%d.%m.%Y", "21.11.2026", "2026-11-21"),
            ("%m/%d/%Y", "02/29/2028", "2028-02-29"),
            ("%Y%m%d", "20261121", "2026-11-21"),
            ("%d.%m.%Y %H:%M:%S", "21.11.2026 09:05:00", "2026-11-21T09:05:00"),
        ] {
            assert_eq!(form(text).to_iso(theirs).as_deref(), Some(iso), "{text}");
            assert_eq!(form(text).to_theirs(iso).as_deref(), Some(theirs), "{text}");
        }
        for theirs in
            ["29.02.2026", "1.1.2026", "2026-11-21", "21.11.2026 ", "32.01.2026", "", "äö.01.2026"]
        {
            let made = form("%d.%m.%Y").to_iso(theirs);
            assert_eq!(made.is_some(), theirs == "21.11.2026 ", "{theirs}");
        }
        for wrong in ["%d.%m", "%Y-%m-%d %H", "%Y-%m-%d %Y", "%x", "%"] {
            assert_eq!(DateForm::parse(wrong), None, "{wrong}");
        }
        assert!(form("%Y-%m-%d").has_all() && !form("%Y-%m-%d %H:%M").has_all());
    }
}

//! One record's text: tokens to spans, what has to be made kept aside until the event stands.

use super::Reject;
use crate::domain::json::{JsonError, Scanner, Token, unescape, write_string};
use crate::domain::limits::DEPTH_MAX;
use crate::domain::span::Span;
use crate::domain::verdict::DeadLetterReason;

/// The arena up to the value's end, and what will be appended to it.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    /// The whole arena; tokens are places in it.
    arena: &'a [u8],
    /// The same up to the end of the value, for the scanner.
    text: &'a [u8],
    start: usize,
    appended: Vec<u8>,
}

/// A member of an object: its name as bytes, its value as a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) name: Span,
    pub(super) value: Token,
}

impl<'a> Reader<'a> {
    /// Over the bytes from `start` to `end`, which must be UTF-8.
    pub(super) fn new(arena: &'a [u8], start: usize, end: usize) -> Result<Self, Reject> {
        let text = arena.get(..end).unwrap_or_default();
        let value = text.get(start..).unwrap_or_default();
        if let Err(error) = std::str::from_utf8(value) {
            let detail = format!("not UTF-8 at byte {}", error.valid_up_to());
            return Err(Reject::new(DeadLetterReason::InvalidUtf8, detail));
        }
        Ok(Self { arena, text, start, appended: Vec::new() })
    }

    /// A scanner over the whole value.
    pub(super) fn scanner(&self) -> Scanner<'a> {
        Scanner::new(self.text, self.start)
    }

    /// A scanner over an object seen before.
    pub(super) fn scanner_at(&self, start: usize) -> Scanner<'a> {
        self.scanner().moved_to(start)
    }

    /// First byte of the value's JSON in the arena, and the one after its last.
    pub(super) fn range(&self) -> (usize, usize) {
        (self.start, self.text.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.text.len()
    }

    /// The bytes of a span, in the arena or still to be appended.
    pub(super) fn bytes(&self, span: Span) -> &[u8] {
        match (span.start as usize).checked_sub(self.arena.len()) {
            Some(start) => self.appended.get(start..start + span.len as usize).unwrap_or_default(),
            None => span.of(self.arena),
        }
    }

    /// The bytes of a value as written.
    pub(super) fn raw(&self, start: usize, end: usize) -> &'a [u8] {
        self.text.get(start..end).unwrap_or_default()
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.arena.len() + self.appended.len();
        self.appended.extend_from_slice(bytes);
        Span::new(start, bytes.len())
    }

    pub(super) fn into_appended(self) -> Vec<u8> {
        self.appended
    }

    /// The text of a string token, unescaped if need be.
    pub(super) fn string(&mut self, start: usize, end: usize, is_escaped: bool) -> Span {
        if !is_escaped {
            return Span::new(start, end - start);
        }
        let at = self.appended.len();
        unescape(self.raw(start, end), &mut self.appended);
        Span::new(self.arena.len() + at, self.appended.len() - at)
    }

    /// A string, or `None` for null.
    pub(super) fn text_of(&mut self, token: Token, what: &str) -> Result<Option<Span>, Reject> {
        match token {
            Token::Null => Ok(None),
            Token::String { start, end, is_escaped } => {
                Ok(Some(self.string(start, end, is_escaped)))
            }
            _ => Err(wrong_type(what, "a string", token)),
        }
    }

    /// A string or a whole number, as text.
    pub(super) fn id_of(&mut self, token: Token, what: &str) -> Result<Option<Span>, Reject> {
        match token {
            Token::Number { start, end } if self.raw(start, end).iter().all(u8::is_ascii_digit) => {
                Ok(Some(Span::new(start, end - start)))
            }
            _ => self.text_of(token, what),
        }
    }

    /// The members of the object at the scanner.
    pub(super) fn members(
        &mut self,
        scanner: &mut Scanner<'_>,
        mut take: impl FnMut(&mut Self, &mut Scanner<'_>, Span) -> Result<(), Reject>,
    ) -> Result<(), Reject> {
        let mut more = scanner.open(b'{', b'}').map_err(malformed)?;
        while more {
            let name = scanner.name().map_err(malformed)?;
            let Token::String { start, end, is_escaped } = name else {
                return Ok(());
            };
            let name = self.string(start, end, is_escaped);
            take(self, scanner, name)?;
            more = scanner.another(b'}').map_err(malformed)?;
        }
        Ok(())
    }

    /// Collects the members of the object at the scanner.
    pub(super) fn collect(&mut self, scanner: &mut Scanner<'_>) -> Result<Vec<Member>, Reject> {
        let mut members = Vec::with_capacity(8);
        self.members(scanner, |_, scanner, name| {
            let value = scanner.value().map_err(malformed)?;
            members.push(Member { name, value });
            Ok(())
        })?;
        Ok(members)
    }

    /// A value as compact JSON: no white space, strings escaped as little as possible, numbers and
    /// the order of members as written.
    pub(super) fn compact(&mut self, token: Token) -> Result<Span, Reject> {
        match token {
            Token::Null => Ok(self.append(b"null")),
            Token::Bool { start, end } | Token::Number { start, end } => {
                Ok(Span::new(start, end - start))
            }
            Token::String { start, end, is_escaped: false } => {
                Ok(Span::new(start - 1, end - start + 2))
            }
            Token::String { .. } | Token::Array { .. } | Token::Object { .. } => {
                let mut out = Vec::new();
                self.write_compact(token, &mut out)?;
                Ok(self.append(&out))
            }
        }
    }

    fn write_compact(&mut self, token: Token, out: &mut Vec<u8>) -> Result<(), Reject> {
        match token {
            Token::Null => out.extend_from_slice(b"null"),
            Token::Bool { start, end } | Token::Number { start, end } => {
                out.extend_from_slice(self.raw(start, end));
            }
            Token::String { start, end, is_escaped: false } => {
                out.extend_from_slice(self.raw(start - 1, end + 1));
            }
            Token::String { start, end, is_escaped: true } => {
                let mut text = Vec::new();
                unescape(self.raw(start, end), &mut text);
                write_string(&String::from_utf8_lossy(&text), out);
            }
            Token::Array { start, .. } => self.write_array(start, out)?,
            Token::Object { start, .. } => self.write_object(start, out)?,
        }
        Ok(())
    }

    fn write_array(&mut self, start: usize, out: &mut Vec<u8>) -> Result<(), Reject> {
        let mut scanner = self.scanner_at(start);
        let mut more = scanner.open(b'[', b']').map_err(malformed)?;
        out.push(b'[');
        while more {
            let element = scanner.value().map_err(malformed)?;
            self.write_compact(element, out)?;
            more = scanner.another(b']').map_err(malformed)?;
            if more {
                out.push(b',');
            }
        }
        out.push(b']');
        Ok(())
    }

    fn write_object(&mut self, start: usize, out: &mut Vec<u8>) -> Result<(), Reject> {
        let members = self.collect(&mut self.scanner_at(start))?;
        let mut names: Vec<&[u8]> = members.iter().map(|member| self.bytes(member.name)).collect();
        names.sort_unstable();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(duplicate("an attribute's object"));
        }
        out.push(b'{');
        for (count, member) in members.iter().enumerate() {
            if count > 0 {
                out.push(b',');
            }
            write_string(&String::from_utf8_lossy(self.bytes(member.name)), out);
            out.push(b':');
            self.write_compact(member.value, out)?;
        }
        out.push(b'}');
        Ok(())
    }
}

pub(super) fn malformed(error: JsonError) -> Reject {
    match error {
        JsonError::Syntax(expected, at) => {
            let detail = format!("malformed JSON at byte {at}: expected {expected}");
            Reject::new(DeadLetterReason::MalformedJson, detail)
        }
        JsonError::TooDeep => {
            let detail = format!("nested deeper than {DEPTH_MAX}");
            Reject::new(DeadLetterReason::NestingTooDeep, detail)
        }
    }
}

pub(super) fn wrong_type(what: &str, expected: &str, found: Token) -> Reject {
    let detail = format!("{what} is {}, not {expected}", found.type_name());
    Reject::new(DeadLetterReason::WrongType, detail)
}

pub(super) fn duplicate(what: &str) -> Reject {
    // A member's name can be as long as the record.
    let shown: String = what.chars().take(64).collect();
    Reject::new(DeadLetterReason::DuplicateKey, format!("{shown} stands there twice"))
}

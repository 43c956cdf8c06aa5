//! A JSON reader that gives places instead of values, and the writing of strings.
//!
//! Strict RFC 8259 over text already known as UTF-8; lone surrogates are refused, nesting is bounded.

pub(crate) mod merge_patch;
mod repeated;
mod strings;
#[cfg(test)]
mod tests;

use super::limits::DEPTH_MAX;
use strings::{plain_len, unicode_escape};

pub(crate) use repeated::repeated_name;
pub(crate) use strings::{unescape, write_string};

/// A JSON value by its place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Null,
    Bool {
        start: usize,
        end: usize,
    },
    Number {
        start: usize,
        end: usize,
    },
    /// Without the quotes.
    String {
        start: usize,
        end: usize,
        is_escaped: bool,
    },
    Array {
        start: usize,
        end: usize,
    },
    Object {
        start: usize,
        end: usize,
    },
}

impl Token {
    /// The name of its type.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool { .. } => "a boolean",
            Self::Number { .. } => "a number",
            Self::String { .. } => "a string",
            Self::Array { .. } => "an array",
            Self::Object { .. } => "an object",
        }
    }
}

/// Why a text is not the JSON that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JsonError {
    /// What was expected, and at which byte.
    Syntax(&'static str, usize),
    TooDeep,
}

type Scanned<T> = Result<T, JsonError>;

/// A place in a text, moving on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a [u8],
    /// Where the JSON starts; places in errors are counted from here.
    base: usize,
    at: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    /// Over the JSON that starts at byte `base` and ends with the text.
    pub(crate) fn new(text: &'a [u8], base: usize) -> Self {
        Self { text, base, at: base, depth: 0 }
    }

    /// The same, standing at a value that was seen before.
    pub(crate) fn moved_to(self, at: usize) -> Self {
        Self { at, depth: 0, ..self }
    }

    /// The byte that it stands at.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn fail<T>(&self, expected: &'static str) -> Scanned<T> {
        Err(JsonError::Syntax(expected, self.at - self.base))
    }

    /// Nothing but white space may follow.
    pub(crate) fn finish(&mut self) -> Scanned<()> {
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { self.fail("the end of the text") }
    }

    /// Enters an array or object; false if it is empty and left again.
    pub(crate) fn open(&mut self, open: u8, close: u8) -> Scanned<bool> {
        self.skip_space();
        if self.peek() != Some(open) {
            return self.fail("an object");
        }
        if self.depth >= DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        self.depth += 1;
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(close) {
            self.leave();
            return Ok(false);
        }
        Ok(true)
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    /// After an element: whether another follows; else the array or object is left.
    pub(crate) fn another(&mut self, close: u8) -> Scanned<bool> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.leave();
                Ok(false)
            }
            _ => self.fail("a comma or the end of an array or object"),
        }
    }

    /// A member's name and the colon after it.
    pub(crate) fn name(&mut self) -> Scanned<Token> {
        self.skip_space();
        if self.peek() != Some(b'"') {
            return self.fail("a member's name");
        }
        let name = self.string()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return self.fail("a colon");
        }
        self.at += 1;
        Ok(name)
    }

    /// The next value, checked to its end.
    pub(crate) fn value(&mut self) -> Scanned<Token> {
        self.skip_space();
        let start = self.at;
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => {
                let mut more = self.open(b'{', b'}')?;
                while more {
                    self.name()?;
                    self.value()?;
                    more = self.another(b'}')?;
                }
                Ok(Token::Object { start, end: self.at })
            }
            Some(b'[') => {
                let mut more = self.open(b'[', b']')?;
                while more {
                    self.value()?;
                    more = self.another(b']')?;
                }
                Ok(Token::Array { start, end: self.at })
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'n') => self.word(b"null").map(|()| Token::Null),
            Some(b't') => self.word(b"true").map(|()| Token::Bool { start, end: self.at }),
            Some(b'f') => self.word(b"false").map(|()| Token::Bool { start, end: self.at }),
            _ => self.fail("a value"),
        }
    }

    /// Whether an object comes next.
    pub(crate) fn at_object(&mut self) -> bool {
        self.skip_space();
        self.peek() == Some(b'{')
    }

    fn word(&mut self, word: &'static [u8]) -> Scanned<()> {
        if self.text.get(self.at..self.at + word.len()) != Some(word) {
            return self.fail("a value");
        }
        self.at += word.len();
        Ok(())
    }

    fn digits(&mut self) -> Scanned<()> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return self.fail("a digit");
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Scanned<Token> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Token::Number { start, end: self.at })
    }

    fn string(&mut self) -> Scanned<Token> {
        self.at += 1;
        let start = self.at;
        let mut is_escaped = false;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            self.at += plain_len(rest);
            match self.peek() {
                Some(b'"') => {
                    let end = self.at;
                    self.at += 1;
                    return Ok(Token::String { start, end, is_escaped });
                }
                Some(b'\\') => {
                    is_escaped = true;
                    self.escape()?;
                }
                Some(_) => return self.fail("no bare control character in a string"),
                None => return self.fail("the end of a string"),
            }
        }
    }

    fn escape(&mut self) -> Scanned<()> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let rest = self.text.get(self.at..).unwrap_or_default();
                let Some((_, len)) = unicode_escape(rest) else {
                    return self.fail("four hex digits, surrogates in pairs");
                };
                self.at += len;
                Ok(())
            }
            _ => self.fail("an escape"),
        }
    }
}

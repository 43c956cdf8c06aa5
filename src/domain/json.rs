//! A JSON reader that gives places instead of values, and the writing of strings.
//!
//! Strict RFC 8259 over text already known as UTF-8; lone surrogates are refused, nesting is bounded.

use super::limits::DEPTH_MAX;

/// A JSON value by its place in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Null,
    Bool { start: usize, end: usize },
    Number { start: usize, end: usize },
    /// Without the quotes.
    String { start: usize, end: usize, is_escaped: bool },
    Array { start: usize, end: usize },
    Object { start: usize, end: usize },
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

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);

/// Bytes before the first quote, backslash or control character: eight at a time.
fn plain_len(text: &[u8]) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    let mut len = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        // Marks the zero bytes (exact for the lowest one, which is the one that counts).
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let quote = zero(word ^ (ONES * u64::from(b'"')));
        let backslash = zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let marks = (quote | backslash | control) & HIGHS;
        if marks != 0 {
            return len + (marks.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..=0x1f);
    len + rest.iter().take_while(is_plain).count()
}

/// The character of a `\uXXXX` (or a pair of them) at the front, and its length in bytes.
fn unicode_escape(text: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| -> Option<u32> {
        let [b'\\', b'u', digits @ ..] = text.get(at..at + 6)? else { return None };
        digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
    };
    let first = unit(0)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, 6));
    }
    let second = unit(6).filter(|second| (0xdc00..0xe000).contains(second))?;
    let pair = first.checked_sub(0xd800).filter(|high| *high < 0x400)?;
    Some((char::from_u32(0x1_0000 + (pair << 10) + (second - 0xdc00))?, 12))
}

/// Appends what an already checked string says.
pub(crate) fn unescape(mut raw: &[u8], out: &mut Vec<u8>) {
    while let Some(place) = raw.iter().position(|byte| *byte == b'\\') {
        let (plain, escape) = raw.split_at(place);
        out.extend_from_slice(plain);
        let (byte, len) = match escape.get(1) {
            Some(b'u') => {
                let (character, len) = unicode_escape(escape).unwrap_or(('\u{fffd}', 6));
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                (None, len)
            }
            Some(b'b') => (Some(0x08), 2),
            Some(b'f') => (Some(0x0c), 2),
            Some(b'n') => (Some(b'\n'), 2),
            Some(b'r') => (Some(b'\r'), 2),
            Some(b't') => (Some(b'\t'), 2),
            Some(byte) => (Some(*byte), 2),
            None => (None, 1),
        };
        out.extend(byte);
        raw = escape.get(len..).unwrap_or_default();
    }
    out.extend_from_slice(raw);
}

/// Appends `text` as a JSON string, escaping no more than JSON asks for.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, special) = rest.split_at(plain_len(rest));
        out.extend_from_slice(plain);
        let Some((byte, after)) = special.split_first() else {
            break;
        };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[digit(control >> 4), digit(control & 15)]);
            }
        }
        rest = after;
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(text: &[u8]) -> Scanned<Token> {
        let mut scanner = Scanner::new(text, 0);
        let token = scanner.value()?;
        scanner.finish().map(|()| token)
    }

    fn check_against_serde(text: &str) {
        let theirs: Result<serde::de::IgnoredAny, _> = serde_json::from_str(text);
        // IgnoredAny leaves surrogates unchecked; a Value reads them, but refuses great numbers.
        let value: Result<serde_json::Value, _> = serde_json::from_str(text);
        let surrogate = value.as_ref().is_err_and(|error| error.to_string().contains("hex escape") || error.to_string().contains("surrogate"));
        assert_eq!(scan(text.as_bytes()).is_ok(), theirs.is_ok() && !surrogate, "{text:?}");
    }

    #[test]
    fn edges_of_the_grammar() {
        for text in [
            "", "{", "{}", "[]", "[1,]", "{\"a\":1,}", "{\"a\"}", "{a:1}", "01", "-", "-0", "1.", "1.5e", "1e+9", ".5",
            "\"\\ud800\"", "\"\\ud83d\\ude00\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\x\"", "\"\u{1}\"", "nul", "null ",
            "true false", "\"\\u00zz\"", "1e999", "\u{feff}1", "[[]", "NaN", "'a'", "\"\\u+123\"",
        ] {
            check_against_serde(text);
        }
    }

    #[test]
    fn sixty_four_deep_is_read_and_one_more_is_not() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(scan(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(scan(nested(DEPTH_MAX + 1).as_bytes()), Err(JsonError::TooDeep));
        assert_eq!(scan("[".repeat(10_000).as_bytes()), Err(JsonError::TooDeep));
    }

    proptest! {
        #[test]
        fn accepts_what_serde_json_accepts(text in "[\\[\\]{}:,\"\\\\u0-9a-eE+. tnrulsdD-]{0,24}") {
            check_against_serde(&text);
        }

        #[test]
        fn strings_go_both_ways_as_with_serde_json(text in any::<String>()) {
            let mut written = Vec::new();
            write_string(&text, &mut written);
            prop_assert_eq!(String::from_utf8_lossy(&written), serde_json::to_string(&text).unwrap());
            let ascii: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let quoted = written.len() - 1;
            for raw in [&written[1..quoted], ascii.as_bytes()] {
                let mut read = Vec::new();
                unescape(raw, &mut read);
                prop_assert_eq!(&read, text.as_bytes());
            }
        }
    }
}

//! Text that others wrote, on its way to a terminal: what would move the cursor, clear the screen or turn
//! a line around is shown as `\u{…}`.

use std::borrow::Cow;
use std::fmt::Write as _;

/// As one line.
pub(super) fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_unsafe, |c, out| {
        let _ = write!(out, "{}", c.escape_unicode());
    })
}

/// As lines, with its own breaks and tabs.
pub(super) fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, is_unsafe_in_lines, |c, out| {
        let _ = write!(out, "{}", c.escape_unicode());
    })
}

/// JSON that says the same.
pub(super) fn json(text: &str) -> Cow<'_, str> {
    // All of them have four digits.
    escaped(text, is_unsafe_in_lines, |c, out| {
        let _ = write!(out, "\\u{:04x}", u32::from(c));
    })
}

fn is_unsafe_in_lines(c: char) -> bool {
    !matches!(c, '\n' | '\t') && is_unsafe(c)
}

/// C0, DEL and C1, separators of lines, and marks of direction (UAX 9).
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(
    text: &str,
    is_unsafe: impl Fn(char) -> bool,
    escape: impl Fn(char, &mut String),
) -> Cow<'_, str> {
    if !text.chars().any(&is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) { escape(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[2J\r\u{9b}31m\u{7f}b\u{202e}c\u{2066}d\u{2028}e\n\tf";

    #[test]
    fn nothing_that_a_terminal_acts_on_comes_through() {
        assert_eq!(
            line(HOSTILE),
            r"a\u{1b}[2J\u{d}\u{9b}31m\u{7f}b\u{202e}c\u{2066}d\u{2028}e\u{a}\u{9}f"
        );
        assert_eq!(lines("one\n\ttwo\r"), "one\n\ttwo\\u{d}");
        assert!(matches!(line("Zoë, Łódź 日本 👩‍🚀"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_says_the_same() {
        let value = serde_json::json!({ "name": HOSTILE });
        let shown = json(&value.to_string()).into_owned();
        assert!(shown.chars().all(|c| !is_unsafe(c)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}

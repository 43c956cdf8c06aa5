//! Finds the first name that an object has twice, at any depth.

use std::collections::BTreeSet;

use super::{Scanned, Scanner, Token, unescape};

/// Of each name so many characters are shown.
const SHOWN_CHARS: usize = 64;

/// The path of the first name that stands twice in its object, as `attributes.address[2].city`; none:
/// there is no such, or the text is no JSON.
pub(crate) fn repeated_name(text: &str) -> Option<String> {
    let mut walk = Walk { scanner: Scanner::new(text.as_bytes(), 0), path: Vec::new() };
    let is_found = walk.value().ok()?;
    is_found.then(|| walk.path.concat().trim_start_matches('.').to_owned())
}

struct Walk<'a> {
    scanner: Scanner<'a>,
    path: Vec<String>,
}

impl Walk<'_> {
    /// Whether one was found, which the path then names.
    fn value(&mut self) -> Scanned<bool> {
        self.scanner.skip_space();
        match self.scanner.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(_) | None => self.scanner.value().map(|_| false),
        }
    }

    fn object(&mut self) -> Scanned<bool> {
        let mut names = BTreeSet::new();
        let mut more = self.scanner.open(b'{', b'}')?;
        while more {
            let name = self.name()?;
            let shown = String::from_utf8_lossy(&name);
            let shown = shown.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS);
            self.path.push(std::iter::once('.').chain(shown).collect());
            if !names.insert(name) || self.value()? {
                return Ok(true);
            }
            self.path.pop();
            more = self.scanner.another(b'}')?;
        }
        Ok(false)
    }

    fn array(&mut self) -> Scanned<bool> {
        let mut index = 0;
        let mut more = self.scanner.open(b'[', b']')?;
        while more {
            self.path.push(format!("[{index}]"));
            if self.value()? {
                return Ok(true);
            }
            self.path.pop();
            index += 1;
            more = self.scanner.another(b']')?;
        }
        Ok(false)
    }

    /// What it says, however it is written.
    fn name(&mut self) -> Scanned<Vec<u8>> {
        let mut name = Vec::new();
        if let Token::String { start, end, .. } = self.scanner.name()? {
            unescape(self.scanner.text.get(start..end).unwrap_or_default(), &mut name);
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_that_stands_twice_is_found_with_its_path() {
        for (text, found) in [
            (r#"{"a":1,"b":{"a":2}}"#, None),
            (r#"[{"a":1},{"a":1}]"#, None),
            (r#"{"a":1,"a":2}"#, Some("a")),
            (r#"{"a":1,"\u0061":2}"#, Some("a")),
            (r#"{"x":{"y":[0,{"k":1,"k":2}]}}"#, Some("x.y[1].k")),
            (r#"[0,{"a":{"b":1,"b":1}}]"#, Some("[1].a.b")),
            (r#"{"a":{"":1,"":2}}"#, Some("a.")),
            ("7", None),
            ("{", None),
        ] {
            assert_eq!(repeated_name(text).as_deref(), found, "{text}");
        }
    }
}

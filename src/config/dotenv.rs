//! `.env` files: `NAME=value` lines, with quotes, comments and `export` as the field writes them.

use super::FileText;
use super::error::{ConfigError, ConfigErrors};

/// A line that sets a variable.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) line: usize,
}

/// The variables of a `.env` file with their values, in its order.
///
/// # Errors
/// Every line that sets none.
pub fn dotenv_variables(file: &FileText) -> Result<Vec<(String, String)>, ConfigErrors> {
    let mut errors = Vec::new();
    let lines = parse(file, &mut errors).into_iter();
    let variables = lines.map(|line| (line.name, line.value)).collect();
    if errors.is_empty() { Ok(variables) } else { Err(ConfigErrors(errors)) }
}

/// The variables of a file in its order; what is no such line is an error.
pub(super) fn parse(file: &FileText, errors: &mut Vec<ConfigError>) -> Vec<Line> {
    let mut lines = Vec::new();
    // Editors put a byte order mark before the first line.
    let mut rest = file.text.strip_prefix('\u{feff}').unwrap_or(&file.text);
    let mut number = 1;
    while !rest.is_empty() {
        let line = rest.lines().next().unwrap_or_default().trim();
        let mut taken = 1;
        if !line.is_empty() && !line.starts_with('#') {
            match setting(rest) {
                Some(Setting { name, value, lines: of_it }) => {
                    taken = of_it;
                    lines.push(Line { name: name.to_owned(), value, line: number });
                }
                None => errors.push(ConfigError::Syntax {
                    place: format!("{}:{number}", file.name),
                    problem: "expected NAME=value".to_owned(),
                }),
            }
        }
        number += taken;
        rest = rest.splitn(taken + 1, '\n').nth(taken).unwrap_or_default();
    }
    lines
}

struct Setting<'t> {
    name: &'t str,
    value: String,
    /// Over so many it stands.
    lines: usize,
}

/// What the text begins with; a value in quotes may stand over several lines.
fn setting(text: &str) -> Option<Setting<'_>> {
    let (name, after) = text.split_once('=')?;
    let name = name.trim();
    let name = name.strip_prefix("export ").map_or(name, str::trim_start);
    if !is_name(name) {
        return None;
    }
    let after = after.trim_start_matches([' ', '\t']);
    let (value, behind) = if let Some(quoted) = after.strip_prefix('\'') {
        let (value, behind) = quoted.split_once('\'')?;
        (value.replace("\r\n", "\n"), behind)
    } else if let Some(quoted) = after.strip_prefix('"') {
        double_quoted(quoted)?
    } else {
        let line = after.lines().next().unwrap_or_default();
        (unquoted(line), after.get(line.len()..).unwrap_or_default())
    };
    let last = behind.lines().next().unwrap_or_default();
    let read = text.get(..text.len() - behind.len()).unwrap_or_default();
    is_blank(last).then(|| Setting { name, value, lines: read.matches('\n').count() + 1 })
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn unquoted(line: &str) -> String {
    let end = line.find(" #").or_else(|| line.starts_with('#').then_some(0));
    end.and_then(|end| line.get(..end)).unwrap_or(line).trim_end().to_owned()
}

/// The value, and what stands behind its quote; none: that is not closed.
fn double_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Some((value, characters.as_str())),
            // Of the end of a line; one that is escaped counts.
            '\r' if characters.as_str().starts_with('\n') => {}
            '\\' => value.push(match characters.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                '\r' if characters.as_str().starts_with('\n') => characters.next()?,
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

fn is_blank(text: &str) -> bool {
    let text = text.trim_start();
    text.is_empty() || text.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<(String, String)>, usize) {
        let mut errors = Vec::new();
        let file = FileText { name: ".env".to_owned(), text: text.to_owned() };
        let lines = parse(&file, &mut errors);
        (lines.into_iter().map(|line| (line.name, line.value)).collect(), errors.len())
    }

    #[test]
    fn values_lose_quotes_and_comments() {
        let text = "# all of it\nA=1\nexport B = two words # why\nC='a # b'\nD=\"x\\n\\\"y\\\"\" # c\nE=\nF=a#b\nG=#x\n";
        let (values, errors) = read(text);
        let values: Vec<(&str, &str)> =
            values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "a # b"),
            ("D", "x\n\"y\""),
            ("E", ""),
            ("F", "a#b"),
            ("G", ""),
        ];
        assert_eq!(values, expected);
        assert_eq!(errors, 0);
    }

    #[test]
    fn a_byte_order_mark_and_values_over_lines_are_read_as_others_read_them() {
        let text = "\u{feff}A=1\r\nB=\"-----BEGIN\r\nmiddle # no comment\r\n-----END\" # why\r\nC='x\n\n# y'\nexport D=\"a\\\nb\"\nE=\nF=2";
        let (values, errors) = read(text);
        let values: Vec<(&str, &str)> =
            values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [
            ("A", "1"),
            ("B", "-----BEGIN\nmiddle # no comment\n-----END"),
            ("C", "x\n\n# y"),
            ("D", "a\nb"),
            ("E", ""),
            ("F", "2"),
        ];
        assert_eq!(values, expected);
        assert_eq!(errors, 0);
    }

    #[test]
    fn an_escaped_end_of_line_is_kept_as_it_is_written() {
        let (values, errors) = read("A=\"x\\r\\ny\\r\"\r\nB=\"x\\\r\ny\r\n\"\n");
        let values: Vec<&str> = values.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!((values, errors), (vec!["x\r\ny\r", "x\ny\n"], 0));
    }

    #[test]
    fn lines_are_counted_over_values_of_several() {
        let mut errors = Vec::new();
        let text = "A='x\ny'\nwhat\nB=1\n".to_owned();
        let lines = parse(&FileText { name: ".env".to_owned(), text }, &mut errors);
        assert_eq!(lines.iter().map(|line| line.line).collect::<Vec<_>>(), [1, 4]);
        assert!(errors[0].to_string().contains(".env:3"), "{}", errors[0]);
    }

    #[test]
    fn a_line_that_sets_nothing_is_an_error() {
        assert_eq!(
            read("what\n1A=2\nA='open\nB=\"x\" y\nC=fine\n"),
            (vec![("C".to_owned(), "fine".to_owned())], 4)
        );
    }
}

//! `.env` files: `NAME=value` lines, with quotes, comments and `export` as the field writes them.

use super::FileText;
use super::error::ConfigError;

/// A line that sets a variable.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) line: usize,
}

/// The variables of a file in its order; what is no such line is an error.
pub(super) fn parse(file: &FileText, errors: &mut Vec<ConfigError>) -> Vec<Line> {
    let mut lines = Vec::new();
    for (index, text) in file.text.lines().enumerate() {
        let text = text.trim();
        let text = text.strip_prefix("export ").map_or(text, str::trim_start);
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let parsed = text
            .split_once('=')
            .map(|(name, value)| (name.trim(), value.trim()))
            .filter(|(name, _)| is_name(name))
            .and_then(|(name, value)| Some((name, value_of(value)?)));
        match parsed {
            Some((name, value)) => {
                lines.push(Line { name: name.to_owned(), value, line: index + 1 });
            }
            None => errors.push(ConfigError::Syntax {
                place: format!("{}:{}", file.name, index + 1),
                problem: "expected NAME=value".to_owned(),
            }),
        }
    }
    lines
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The value without quotes or comment; none where a quote is not closed.
fn value_of(text: &str) -> Option<String> {
    if let Some(rest) = text.strip_prefix('\'') {
        let (value, after) = rest.split_once('\'')?;
        return is_blank(after).then(|| value.to_owned());
    }
    if let Some(rest) = text.strip_prefix('"') {
        return double_quoted(rest);
    }
    let end = text.find(" #").or_else(|| text.starts_with('#').then_some(0));
    Some(end.and_then(|end| text.get(..end)).unwrap_or(text).trim_end().to_owned())
}

fn double_quoted(text: &str) -> Option<String> {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return is_blank(characters.as_str()).then_some(value),
            '\\' => value.push(match characters.next()? {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
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
    fn a_line_that_sets_nothing_is_an_error() {
        assert_eq!(
            read("what\n1A=2\nA='open\nB=\"x\" y\nC=fine\n"),
            (vec![("C".to_owned(), "fine".to_owned())], 4)
        );
    }
}

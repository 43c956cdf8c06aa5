//! NDJSON: one JSON object a line.

use std::collections::BTreeMap;
use std::io::{self, Read};

use serde_json::value::RawValue;

use super::content::{Content, Place, SourceRow};
use super::refusal::{Reason, Refusal, too_long};
use super::window::Window;

/// Rows of NDJSON.
pub(super) struct Lines<R> {
    window: Window<R>,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(window: Window<R>) -> Self {
        Self { window }
    }

    /// The next one; blank lines are none.
    pub(super) fn next(&mut self) -> io::Result<Option<SourceRow>> {
        loop {
            let from = self.window.place;
            let line = from.line;
            let content = match self.window.line_end()? {
                Some(0) => return Ok(None),
                Some(end) => {
                    let text = self.window.bytes().get(..end).unwrap_or_default();
                    let parsed = (!text.trim_ascii().is_empty()).then(|| members(text, line));
                    self.window.take(end);
                    let Some(parsed) = parsed else {
                        continue;
                    };
                    parsed
                }
                None => {
                    self.window.skip_line()?;
                    Err(too_long(line))
                }
            };
            return Ok(Some(self.window.row(from, content)));
        }
    }

    pub(super) fn place(&self) -> Place {
        self.window.place
    }
}

fn members(text: &[u8], line: u64) -> Result<Content, Refusal> {
    match serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(text) {
        Ok(object) => Ok(Content::Members(object.into_iter().collect())),
        Err(error) => {
            let detail = format!("line {line} is no JSON object: column {}", error.column());
            Err(Refusal::new(Reason::InvalidJson, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_object_is_refused_alone() {
        let text =
            "{\"email\":\"a@example.com\"}\n\n[1]\n{\"email\":\n{\"email\":\"b@example.com\"}";
        let mut lines = Lines::new(Window::new(text.as_bytes(), Place::BEGINNING));
        let mut told = Vec::new();
        while let Some(row) = lines.next().unwrap() {
            told.push((row.number, row.line, row.content.is_ok()));
        }
        assert_eq!(told, [(1, 1, true), (2, 3, false), (3, 4, false), (4, 5, true)]);
    }
}

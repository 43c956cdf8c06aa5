//! What a record or a request must be taken apart into before it is appended: a batch's events, and an
//! event of several contacts.

use super::Decoder;
use super::Reject;
use super::fields::descend;
use super::framing;
use super::reader::{Reader, malformed};
use super::wrapped;
use crate::domain::json::Token;
use crate::domain::record::Headers;
use crate::domain::verdict::DeadLetterReason;

impl Decoder {
    /// The part of a text in which a source has its events: the text of an array, of one event, or all
    /// of it where the source says nothing else.
    ///
    /// # Errors
    /// What is no JSON, or has nothing there.
    pub fn batch<'t>(&self, source: &[u8], text: &'t [u8]) -> Result<&'t [u8], Reject> {
        let each = self.sources.of(source).and_then(|source| source.each());
        let Some(each) = each.filter(|each| !each.segments().is_empty()) else {
            return Ok(text);
        };
        let mut reader = Reader::new(text, 0, text.len())?;
        let mut scanner = reader.scanner();
        let root = scanner.value().map_err(malformed)?;
        scanner.finish().map_err(malformed)?;
        match descend(&mut reader, root, each.segments())? {
            Some(Token::Array { start, end } | Token::Object { start, end }) => {
                Ok(text.get(start..end).unwrap_or_default())
            }
            Some(_) | None => {
                let detail = format!("there are no events at {}", each.text());
                Err(Reject::new(DeadLetterReason::NothingKnown, detail))
            }
        }
    }

    /// The object in which a source has its events' members, without what is wrapped around it.
    ///
    /// # Errors
    /// What is no JSON, or no object.
    pub fn inside<'t>(&self, source: &[u8], value: &'t [u8]) -> Result<&'t [u8], Reject> {
        let skipped = framing::json_start(value, Headers::new(&[]))?;
        let mut reader = Reader::new(value, skipped, value.len())?;
        let paths = self.sources.of(source).and_then(|source| source.record());
        let inside = paths.map(|paths| paths.inside.as_slice()).unwrap_or_default();
        let (start, end) = wrapped::event_range(&mut reader, inside)?;
        Ok(value.get(start..end).unwrap_or_default())
    }

    /// The ids of the contacts that an event of the source is about, where they are several: each needs
    /// a record of its own, with its id as the key.
    pub fn contacts(&self, source: &[u8], value: &[u8]) -> Vec<Vec<u8>> {
        let paths = self.sources.of(source).and_then(|source| source.record());
        let Some(paths) = paths.filter(|paths| !paths.contact.is_empty()) else {
            return Vec::new();
        };
        let several = || {
            let skipped = framing::json_start(value, Headers::new(&[]))?;
            let mut reader = Reader::new(value, skipped, value.len())?;
            wrapped::contacts(&mut reader, paths)
        };
        // What can't be read is told where it is decoded.
        several().unwrap_or_default()
    }
}

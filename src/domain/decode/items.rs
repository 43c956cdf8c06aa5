//! What a record or a request must be taken apart into before it is appended: a batch's events, and an
//! event of several contacts.
//!
//! Each of them becomes a record with a text of its own, so a short list of ids beside a long text is
//! much: how many there are, and their bytes, are counted before anything is copied or decoded.

use serde_json::value::RawValue;

use super::Decoder;
use super::Reject;
use super::fields::descend;
use super::framing;
use super::reader::{Reader, malformed};
use super::wrapped;
use crate::domain::json::Token;
use crate::domain::record::Headers;
use crate::domain::sources::RecordPaths;
use crate::domain::verdict::DeadLetterReason;

/// Items that a record of a topic may become.
pub const ITEMS_MAX: usize = 1000;
/// Bytes of their texts, where no setting says how many.
pub const ITEMS_BYTES_MAX: usize = 16 << 20;

/// One event of one contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item<'t> {
    /// The event as it stands there.
    pub text: &'t [u8],
    /// The event's place among all.
    pub place: usize,
    /// Which of several contacts that the event is about.
    pub contact: Option<Vec<u8>>,
}

/// How much may be made of what came at once.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// So many items.
    pub items: usize,
    /// So many bytes of texts; as many as came may always be.
    pub bytes: usize,
}

/// More than may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it would become {items} events with {bytes} bytes of text, which are too many at once")]
pub struct TooMany {
    /// The items, as far as they were counted.
    pub items: usize,
    /// The bytes of their texts, likewise.
    pub bytes: usize,
}

impl From<TooMany> for Reject {
    fn from(too_many: TooMany) -> Self {
        Self::new(DeadLetterReason::RecordTooLarge, too_many.to_string())
    }
}

impl Decoder {
    /// The part of a text in which a source has its events: the text of an array, of one event, or all
    /// of it where the source says nothing else.
    ///
    /// # Errors
    /// What is no JSON, or has nothing there.
    fn batch<'t>(&self, source: &[u8], text: &'t [u8]) -> Result<&'t [u8], Reject> {
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

    /// The events of a text, each as it stands there, and whether they were an array.
    ///
    /// # Errors
    /// What is no JSON, or has none there.
    pub fn events<'t>(
        &self,
        source: &[u8],
        text: &'t [u8],
    ) -> Result<(Vec<&'t [u8]>, bool), Reject> {
        let batch = self.batch(source, text)?;
        if batch.trim_ascii_start().first() != Some(&b'[') {
            return Ok((vec![batch], false));
        }
        let events: Vec<&RawValue> = serde_json::from_slice(batch).map_err(|error| {
            let detail = format!("the array can't be read: {error}");
            Reject::new(DeadLetterReason::MalformedJson, detail)
        })?;
        if events.is_empty() {
            return Err(Reject::new(DeadLetterReason::NothingKnown, "the array holds no event"));
        }
        Ok((events.into_iter().map(|event| event.get().as_bytes()).collect(), true))
    }

    /// The events once more, each as often as it needs a record of its own: once, or for every contact
    /// that it is about, where they are several.
    ///
    /// # Errors
    /// They are more than may be.
    pub fn items<'t>(
        &self,
        source: &[u8],
        events: &[&'t [u8]],
        most: Most,
    ) -> Result<Vec<Item<'t>>, TooMany> {
        // One of each is no more than what came in.
        let came: usize = events.iter().map(|text| text.len()).sum();
        let bytes_max = most.bytes.max(came);
        let mut bytes = came;
        // Every event is at least one.
        let mut count = events.len();
        let mut items = Vec::new();
        for (place, text) in events.iter().copied().enumerate() {
            let left = most.items.saturating_sub(count).saturating_add(1);
            let contacts = match self.contacts(source, text, left) {
                Ok(contacts) => contacts,
                Err(found) => {
                    return Err(TooMany { items: count.saturating_add(found - 1), bytes });
                }
            };
            let more = contacts.len().saturating_sub(1);
            count += more;
            bytes = bytes.saturating_add(more.saturating_mul(text.len()));
            if count > most.items || bytes > bytes_max {
                return Err(TooMany { items: count, bytes });
            }
            let item = |contact| Item { text, place, contact };
            match contacts.len() {
                0 | 1 => items.push(item(None)),
                _ => items.extend(contacts.into_iter().map(|id| item(Some(id)))),
            }
        }
        Ok(items)
    }

    /// The contact's members in a record that is nothing else, without what is wrapped around them.
    ///
    /// # Errors
    /// What is no JSON, or no object.
    pub fn row<'t>(&self, source: &[u8], value: &'t [u8]) -> Result<&'t [u8], Reject> {
        let skipped = framing::json_start(value, Headers::new(&[]))?;
        let mut reader = Reader::new(value, skipped, value.len())?;
        let nowhere = RecordPaths::default();
        let paths = self.sources.record_of(source);
        let (start, end) = wrapped::row_range(&mut reader, paths.unwrap_or(&nowhere))?;
        Ok(value.get(start..end).unwrap_or_default())
    }

    /// The ids of the contacts that an event of the source is about, where they are several: each needs
    /// a record of its own, with its id as the key. Or how many there are, where they are more than `most`.
    fn contacts(&self, source: &[u8], value: &[u8], most: usize) -> Result<Vec<Vec<u8>>, usize> {
        let paths = self.sources.record_of(source);
        let Some(paths) = paths.filter(|paths| !paths.contact.is_empty()) else {
            return Ok(Vec::new());
        };
        let several = || {
            let skipped = framing::json_start(value, Headers::new(&[]))?;
            let mut reader = Reader::new(value, skipped, value.len())?;
            wrapped::contacts(&mut reader, paths, most)
        };
        // What can't be read is told where it is decoded.
        several().unwrap_or(Ok(Vec::new()))
    }
}

//! A dead letter as the archive holds it: `u8 format | bincode`, one frame each.

use bincode::{Decode, Encode};

use crate::domain::headers::{EXTERNAL_ID, NAMED_ID, ORIGIN_KEY, redrive_hops};
use crate::domain::position::{CONTROL_LANE, Lane, Offset};
use crate::domain::record::{Headers, push_header};
use crate::domain::verdict::DeadLetterReason;

use super::super::StoreError;
use super::super::checkpoint::decoded;
use super::super::journal::{Entry, Letter, Outcome};

const FORMAT: u8 = 1;
/// More than a record can have.
const BYTES_MAX: usize = 256 << 20;

/// A record that can't be applied, as it came.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeptLetter {
    /// [`crate::domain::position::LogIdentity::fingerprint`] of the log that it is from.
    pub log: u64,
    /// Its number among all that this journal has set aside, from 0.
    pub number: u64,
    /// Its lane.
    pub lane: Lane,
    /// Its place there.
    pub offset: Offset,
    /// The record's own time, in ms; −1: it has none.
    pub record_time_ms: i64,
    /// When it was archived here, in ms since 1970.
    pub kept_at_ms: u64,
    reason: u8,
    /// Why, in words.
    pub detail: String,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value, or its head where it was longer than is kept.
    pub value: Option<Vec<u8>>,
    /// The value's length as it came, in bytes.
    pub value_len: u64,
    /// xxh3_64 of the value as it came.
    pub value_hash: u64,
    headers: Vec<u8>,
}

impl KeptLetter {
    pub(super) fn of(
        entry: &Entry<'_>,
        letter: &Letter<'_>,
        log: u64,
        number: u64,
        kept_at_ms: u64,
    ) -> Self {
        Self {
            log,
            number,
            lane: entry.lane,
            offset: entry.offset,
            record_time_ms: entry.record_time_ms,
            kept_at_ms,
            reason: letter.reason.code(),
            detail: letter.detail.to_owned(),
            key: letter.key.map(<[u8]>::to_vec),
            value: letter.value.map(<[u8]>::to_vec),
            value_len: letter.value_len,
            value_hash: letter.value_hash,
            headers: letter.headers.to_vec(),
        }
    }

    /// The one that an entry of the journal is, before it is archived; none: its record was not set aside.
    pub fn of_entry(entry: &Entry<'_>) -> Option<Self> {
        match &entry.outcome {
            Outcome::DeadLettered(letter) => Some(Self::of(entry, letter, 0, 0, 0)),
            _ => None,
        }
    }

    /// Bytes of memory that it takes, about.
    pub fn bytes(&self) -> usize {
        let key = self.key.as_ref().map_or(0, Vec::len);
        let value = self.value.as_ref().map_or(0, Vec::len);
        size_of::<Self>() + self.detail.len() + key + value + self.headers.len()
    }

    /// Why it can't be applied.
    pub fn reason(&self) -> DeadLetterReason {
        // What is decoded was checked.
        DeadLetterReason::from_u8(self.reason).unwrap_or(DeadLetterReason::MalformedJson)
    }

    /// The record's headers, in order.
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(&self.headers)
    }

    /// Without what it says of a person: value, what was wrong with it, ids of others; without its key, if
    /// that is such an id.
    #[must_use]
    pub fn without_values(mut self, is_key_theirs: bool) -> Self {
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, value) in self.headers() {
            if ![EXTERNAL_ID, NAMED_ID, ORIGIN_KEY].contains(&name) {
                push_header(&mut headers, name, value);
            }
        }
        self.headers = headers;
        self.key = self.key.filter(|_| !is_key_theirs);
        (self.value, self.value_hash) = (None, 0);
        self.detail.clear();
        self
    }

    /// Whether only the head of its value is kept.
    pub fn is_truncated(&self) -> bool {
        self.value.as_ref().is_some_and(|value| (value.len() as u64) < self.value_len)
    }

    /// Whether it is a control record, which nobody sends again.
    pub fn is_control(&self) -> bool {
        self.lane == CONTROL_LANE
    }

    /// How often it was redriven before it came here.
    pub fn hops(&self) -> u8 {
        redrive_hops(self.headers())
    }

    /// Its bytes in the archive.
    ///
    /// # Errors
    /// When it can't be written, which no letter that was read is.
    pub fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let mut bytes = vec![FORMAT];
        let content = bincode::encode_to_vec(self, bincode::config::standard());
        let content =
            content.map_err(|error| StoreError::damaged("a dead letter", error.to_string()))?;
        bytes.extend_from_slice(&content);
        Ok(bytes)
    }

    /// From its bytes in the archive.
    ///
    /// # Errors
    /// Bytes that are no letter.
    pub fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let (content, format) = match bytes.split_first() {
            Some((&FORMAT, content)) => (content, FORMAT),
            found => {
                return Err(StoreError::UnknownFormat {
                    what: "a dead letter".to_owned(),
                    found: found.map_or(0, |(format, _)| u32::from(*format)),
                    known: FORMAT.into(),
                });
            }
        };
        let damaged = |detail: String| {
            StoreError::damaged(format!("a dead letter of format {format}"), detail)
        };
        let letter =
            decoded::<Self, BYTES_MAX>(content).map_err(|error| damaged(error.to_string()))?;
        match DeadLetterReason::from_u8(letter.reason) {
            Some(_) => Ok(letter),
            None => Err(damaged(format!("reason {} is not known", letter.reason))),
        }
    }
}

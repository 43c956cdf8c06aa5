//! Control records: what all instances must know besides contacts, as sessions, cursors and jobs.
//!
//! ```text
//! record ─► ControlRecord ─► ControlState::decide (compare and set) ─► Decision ─► ControlState::take
//! ```
//!
//! A replicated map from keys to JSON values, each with a revision that counts its changes up and,
//! where wanted, a time at which it is gone by the control lane's own record times. Decided by apply
//! like a command, so that of two writers who expect the same revision one wins, on every instance
//! the same one. Pure: the same records in the same order give the same map, byte for byte.
//!
//! - `duplicate`: the id is among the entry's last ones, with the same content. Another content under
//!   the same id is `conflict`.
//! - `conflict`: `expectedRevision` is not the entry's (0: there must be none).
//! - `unchanged`: value and expiry are what they were; or nothing was there to be removed.
//! - A restatement (`restated`) is `applied` where it says something new, `unchanged` where it is known,
//!   `stale` where it came too late.
//! - A removed entry is kept for [`REMOVED_KEPT_MS`] without its value: its revision goes on counting
//!   and a late repeat of an earlier record does not bring it back. Then it is dropped.
//! - Where reading began in the middle of the lane ([`ControlState::unsettled`]), records are decided as
//!   well as can be, and restatements overrule that, until [`RESTATED_KEY`] says that all were made.

mod entry;
mod restated;
mod state;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::Xxh3;

use super::decode::Reject;
use super::verdict::DeadLetterReason;

pub use entry::ControlEntry;
pub use restated::{
    ADOPTED_KEY, RESTATED_KEY, RecordAt, Restated, VIEW_AGE_MAX_MS, View, restated_from,
};
pub use state::{ControlLimits, ControlState, Decision, UNSETTLED_KEY};

/// Bytes of a key at most.
pub const KEY_BYTES_MAX: usize = 512;
/// Bytes of a value at most.
pub const VALUE_BYTES_MAX: usize = 64 << 10;
/// Bytes of id, principal and request id at most.
pub const ID_BYTES_MAX: usize = 256;
/// How long a removed entry still tells its revision, in milliseconds of record time; longer than a
/// restatement may be late.
pub const REMOVED_KEPT_MS: u64 = 2 * VIEW_AGE_MAX_MS;
/// Bytes of a record beside its value and ids.
const RECORD_OVERHEAD_BYTES: usize = 1 << 10;

/// What a control record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlRecord {
    /// Names this writing: a repeat with the same id is no second one.
    pub id: String,
    /// What it is about, as `family/ada/7f3a`.
    pub key: String,
    /// The revision that the entry must have; 0: there must be none. None: any.
    pub expected_revision: Option<u64>,
    /// When it is gone, in milliseconds since 1970; none: never.
    pub expires_at_ms: Option<u64>,
    /// How long it lives from its record's time on, in milliseconds, instead of `expires_at_ms`.
    pub lives_ms: Option<u64>,
    /// Whether it revokes something, so that it is never refused for want of room.
    pub revokes: bool,
    /// It changes nothing, but says what an entry is.
    pub restated: Option<Restated>,
    /// The value, JSON; none: the entry is removed.
    pub value: Option<Vec<u8>>,
    /// Who wrote it.
    pub principal: Option<String>,
    /// The request that it came with.
    pub request_id: Option<String>,
}

/// A control record that can't be written as one.
#[derive(Debug, thiserror::Error)]
pub enum InvalidControl {
    /// Its value is not JSON.
    #[error("a control record's value is not JSON: {0}")]
    Value(#[from] serde_json::Error),
    /// Something is too long, empty, or holds control characters.
    #[error("a control record's {0}")]
    Content(&'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<T> {
    id: String,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected_revision: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lives_for: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    revokes: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restated: Option<Restated>,
    #[serde(default = "none")]
    value: Option<T>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

fn none<T>() -> Option<T> {
    None
}

impl ControlRecord {
    /// The record's value on the log.
    ///
    /// # Errors
    /// Where it would be set aside as unreadable.
    pub fn encode(&self) -> Result<Vec<u8>, InvalidControl> {
        self.check(None).map_err(InvalidControl::Content)?;
        let value: Option<&RawValue> = match &self.value {
            Some(value) => Some(serde_json::from_slice(value)?),
            None => None,
        };
        let wire = Wire {
            id: self.id.clone(),
            key: self.key.clone(),
            expected_revision: self.expected_revision,
            expires_at: self.expires_at_ms,
            lives_for: self.lives_ms,
            revokes: self.revokes,
            restated: self.restated.clone(),
            value,
            principal: self.principal.clone(),
            request_id: self.request_id.clone(),
        };
        Ok(serde_json::to_vec(&wire)?)
    }

    /// Understands a record's key and value.
    ///
    /// # Errors
    /// Why it says nothing, as with contacts' records.
    pub fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Self, Reject> {
        let Some(value) = value else {
            return Err(Reject::new(DeadLetterReason::NullValue, "the record has no value"));
        };
        if value.len() > VALUE_BYTES_MAX + 4 * ID_BYTES_MAX + KEY_BYTES_MAX + RECORD_OVERHEAD_BYTES
        {
            let detail = format!("a control record of {} bytes", value.len());
            return Err(Reject::new(DeadLetterReason::RecordTooLarge, detail));
        }
        let wire: Wire<Box<RawValue>> = serde_json::from_slice(value).map_err(|error| {
            let reason = match error.classify() {
                serde_json::error::Category::Data => DeadLetterReason::InvalidControl,
                _ => DeadLetterReason::MalformedJson,
            };
            // The place alone: serde's words may hold the record's values.
            Reject::new(reason, format!("no control record, at column {}", error.column()))
        })?;
        let record = Self {
            id: wire.id,
            key: wire.key,
            expected_revision: wire.expected_revision,
            expires_at_ms: wire.expires_at,
            lives_ms: wire.lives_for,
            revokes: wire.revokes,
            restated: wire.restated,
            value: wire.value.map(|value| value.get().as_bytes().to_vec()),
            principal: wire.principal,
            request_id: wire.request_id,
        };
        record.check(key).map_err(|why| Reject::new(DeadLetterReason::InvalidControl, why))?;
        Ok(record)
    }

    fn check(&self, record_key: Option<&[u8]>) -> Result<(), &'static str> {
        let is_text = |text: &str, bytes_max| {
            !text.is_empty() && text.len() <= bytes_max && !text.chars().any(char::is_control)
        };
        if !is_text(&self.key, KEY_BYTES_MAX) {
            return Err("key is empty, too long or holds control characters");
        }
        if record_key.is_some_and(|key| key != self.key.as_bytes()) {
            return Err("key is not the record's key");
        }
        let ids = [Some(&self.id), self.principal.as_ref(), self.request_id.as_ref()];
        if !ids.into_iter().flatten().all(|id| is_text(id, ID_BYTES_MAX)) {
            return Err("an id is empty, too long or holds control characters");
        }
        if self.value.as_ref().is_some_and(|value| value.len() > VALUE_BYTES_MAX) {
            return Err("value is too long");
        }
        if self.expires_at_ms.is_some() && self.lives_ms.is_some() {
            return Err("end is said twice");
        }
        self.restated.as_ref().map_or(Ok(()), |restated| restated.check(self))
    }

    /// When it is gone, if it stands there.
    fn ends_ms(&self, at: RecordAt) -> Option<u64> {
        self.lives_ms.map(|lives| at.time_ms.saturating_add(lives)).or(self.expires_at_ms)
    }

    /// Hash of all that it says besides its id: what tells a repeat from another record.
    fn content_hash(&self) -> u64 {
        let mut hash = Xxh3::new();
        for number in [self.expected_revision, self.expires_at_ms, self.lives_ms] {
            hash.update(&[u8::from(number.is_some())]);
            hash.update(&number.unwrap_or(0).to_le_bytes());
        }
        hash.update(&[u8::from(self.value.is_some())]);
        hash.update(self.value.as_deref().unwrap_or_default());
        hash.digest()
    }
}

//! Bounds on what is read and kept; part of the fingerprint.

use std::ops::RangeInclusive;

/// Bytes of a contact id, event id or source at most.
pub const ID_BYTES_MAX: usize = 256;
/// Bytes of the id of anything that is stored as a contact is: a contact's, or that and a payment's.
pub const ROW_ID_BYTES_MAX: usize = ID_BYTES_MAX + 1 + super::payment::PAYMENT_ID_BYTES_MAX;
/// Nesting of JSON at most, the event itself counted.
pub const DEPTH_MAX: usize = 64;
/// Bytes of an attribute's key at most.
pub const ATTRIBUTE_KEY_BYTES_MAX: usize = 256;

/// What [`Limits::contact_bytes_max`] may be: more than that the store's engine does not hold.
pub const CONTACT_BYTES: RangeInclusive<usize> = 1 << 10..=64 << 10;
/// What [`Limits::record_bytes_max`] may be.
pub const RECORD_BYTES: RangeInclusive<usize> = 1 << 10..=1 << 20;
/// How far ahead of its record's timestamp an event may lie at most, in seconds: a year.
pub const FUTURE_TOLERANCE_SECONDS_MAX: u64 = 365 * 86_400;

/// Bounds that the configuration may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a contact's values at most, as stored; clocks and what else it carries do not count.
    pub contact_bytes_max: usize,
    /// Bytes of a record's value at most.
    pub record_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { contact_bytes_max: 64 << 10, record_bytes_max: 1 << 20 }
    }
}

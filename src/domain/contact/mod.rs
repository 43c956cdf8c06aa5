//! A contact as it is stored and as it is shown.
//!
//! Its stored body (the id is the key and not in it) is flat, little endian:
//! version u64 ‖ changed at u64 (ms + 1, 0: unknown) ‖ length of canonical u32 ‖ canonical ([`state`]) ‖
//! rings ([`rings`]).
//! Canonical is a function of the set of timed events between the same commands alone; the rest depends
//! on arrival.

mod json;
pub(crate) mod rings;
pub(crate) mod state;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

use super::Class;
use super::clock::Clock;
use super::digits::{write_decimal, write_hex};
use super::event::FIELDS;
use rings::{Rings, notice_hash};
use state::{Register, State};
use wire::Wire;
use xxhash_rust::xxh3::xxh3_64;

pub use json::{Contact, write_json};

/// Whether a contact is there.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// It is.
    Active,
    /// It was deleted; its fields are kept unless it was erased.
    Deleted,
}

impl Status {
    /// The text shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Deleted => "DELETED",
        }
    }
}

/// A stored body that can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged contact body of {bytes} bytes: bad {part}")]
pub struct CorruptContact {
    /// Length of the whole body.
    pub bytes: usize,
    /// The part that didn't fit.
    pub part: &'static str,
}

impl CorruptContact {
    /// What to do about it.
    pub fn class(&self) -> Class {
        Class::Fatal
    }
}

/// Bytes before the canonical part.
pub(crate) const HEAD_BYTES: usize = 20;

/// What stands before the canonical part.
pub(crate) fn head_of(
    version: u64,
    changed_at_ms: Option<u64>,
    canonical: usize,
) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let changed_at = changed_at_ms.map_or(0, |ms| ms.saturating_add(1));
    let numbers = version.to_le_bytes().into_iter().chain(changed_at.to_le_bytes());
    let bytes = numbers.chain((canonical as u32).to_le_bytes());
    head.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    head
}

/// What names one state of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct StateTag {
    /// Counts its changes.
    pub version: u64,
    /// Of its values: status, fields and attributes. The same version has others where the log was
    /// another.
    pub hash: u64,
}

impl StateTag {
    /// From `version-hash`, the hash as 16 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (version, hash) = text.split_once('-')?;
        let is_hex = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let hash = is_hex.then(|| u64::from_str_radix(hash, 16).ok())??;
        let is_decimal = version.bytes().all(|byte| byte.is_ascii_digit());
        let version = is_decimal.then(|| version.parse().ok())??;
        Some(Self { version, hash })
    }

    /// Appends `version-hash`.
    pub fn write(self, out: &mut Vec<u8>) {
        write_decimal(self.version, out);
        out.push(b'-');
        write_hex(self.hash, 16, out);
    }
}

impl From<StateTag> for String {
    fn from(tag: StateTag) -> Self {
        let mut text = Vec::new();
        tag.write(&mut text);
        Self::from_utf8(text).unwrap_or_default()
    }
}

impl TryFrom<String> for StateTag {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a version and a hash")
    }
}

/// A body, read in place.
#[derive(Clone, Debug)]
pub struct ContactView<'a> {
    version: u64,
    changed_at_ms: Option<u64>,
    canonical: &'a [u8],
    values: &'a [u8],
    state: State<'a>,
    rings: Rings<'a>,
}

impl<'a> ContactView<'a> {
    /// Reads a body and checks all of it.
    pub fn parse(body: &'a [u8]) -> Result<Self, CorruptContact> {
        let (view, rest) =
            Self::read(body).map_err(|part| CorruptContact { bytes: body.len(), part })?;
        let texts = view.state.texts().all(|text| std::str::from_utf8(text).is_ok());
        match (texts, rest.is_empty()) {
            (false, _) => Err(CorruptContact { bytes: body.len(), part: "text" }),
            (_, false) => Err(CorruptContact { bytes: body.len(), part: "end" }),
            (true, true) => Ok(view),
        }
    }

    /// The status, for the store's own bodies: reads no more than it must.
    pub(crate) fn status_of(body: &'a [u8]) -> Result<Status, CorruptContact> {
        let read = || {
            let mut wire = Wire::new(body);
            wire.u64()?;
            wire.u64()?;
            State::read_status(wire.bytes_u32()?)
        };
        read().ok_or(CorruptContact { bytes: body.len(), part: "status" })
    }

    /// Whether a source has an id for it, for the store's own bodies: reads no more than it must.
    pub(crate) fn has_external_ids(body: &'a [u8]) -> bool {
        let read = || {
            let mut wire = Wire::new(body);
            wire.u64()?;
            wire.u64()?;
            State::has_external_ids(wire.bytes_u32()?)
        };
        read().unwrap_or(false)
    }

    /// The version, for the store's own bodies: reads no more than it must.
    pub(crate) fn version_of(body: &'a [u8]) -> Option<u64> {
        Wire::new(body).u64()
    }

    /// Reads the structure only: texts may be anything.
    pub(crate) fn parse_trusted(body: &'a [u8]) -> Result<Self, CorruptContact> {
        let read = Self::read(body).map_err(|part| CorruptContact { bytes: body.len(), part })?;
        Ok(read.0)
    }

    fn read(body: &'a [u8]) -> Result<(Self, &'a [u8]), &'static str> {
        let mut wire = Wire::new(body);
        let version = wire.u64().ok_or("version")?;
        let changed_at_ms = wire.u64().ok_or("changed at")?.checked_sub(1);
        let canonical = wire.bytes_u32().ok_or("canonical length")?;
        let (state, values) = State::read(canonical)?;
        let rings = Rings::read(&mut wire).ok_or("rings")?;
        Ok((Self { version, changed_at_ms, canonical, values, state, rings }, wire.rest()))
    }

    /// Counts the changes applied; 1 is the first.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What names this state.
    pub fn tag(&self) -> StateTag {
        StateTag { version: self.version, hash: xxh3_64(self.values) }
    }

    /// The bytes that do not depend on the order of events: all but version, its time, and rings.
    pub fn canonical(&self) -> &'a [u8] {
        self.canonical
    }

    /// What it says: status, fields and attributes, as stored.
    pub(crate) fn values(&self) -> &'a [u8] {
        self.values
    }

    /// The time of the record that made the present version, in ms since 1970; `None` where that had
    /// none.
    pub fn changed_at_ms(&self) -> Option<u64> {
        self.changed_at_ms
    }

    /// The time that an event without one of its own took when it was first seen, in µs since 1970,
    /// if that is remembered.
    pub fn first_seen_us(&self, id_hash: u64, body_hash: u64) -> Option<u64> {
        self.rings.first_seen(id_hash, body_hash).map(|first| first.time_us)
    }

    /// Whether a change of ours was noted of which the source has not told yet.
    pub(crate) fn awaits(&self, source: &str) -> bool {
        self.rings.notices(source.as_bytes()).any(|notice| notice.is_awaited())
    }

    /// Whether the source's version of then is of our own making, or may be.
    pub(crate) fn is_ours_at(&self, source: &str, version: u64, time_us: u64) -> bool {
        let hash = notice_hash(source.as_bytes(), version);
        let mut notices = self.rings.notices(source.as_bytes());
        notices.any(|it| it.id_hash == hash && (it.is_awaited() || it.time_us == time_us))
    }

    /// When the last change of ours that the source has told of was noted, in ms since 1970.
    pub(crate) fn last_told_ms(&self, source: &str) -> Option<i64> {
        let notices = self.rings.notices(source.as_bytes());
        notices.filter(|it| !it.is_awaited()).map(|it| it.record_time_ms).max()
    }

    /// Active or deleted.
    pub fn status(&self) -> Status {
        self.state.status()
    }

    /// The contact that this one is being merged into.
    pub fn merging_into(&self) -> Option<&'a str> {
        std::str::from_utf8(self.state.merging_into?).ok()
    }

    /// Whether it is only there because it was merged into another one: nothing has brought it back since.
    pub fn is_merged(&self) -> bool {
        self.state.merging_into.is_none() && self.state.merged_into().is_some()
    }

    /// The value of the field at `place` of [`super::event::FIELDS`].
    pub fn field(&self, place: usize) -> Option<&'a str> {
        let register = self.state.fields.get(place)?.as_ref()?;
        std::str::from_utf8(register.value?).ok()
    }

    /// Attributes that have a value, by ascending key: (key, compact JSON).
    pub fn attributes(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        texts(&self.state.attributes)
    }

    /// The ids that sources have for it, by ascending source: (source, id).
    pub fn external_ids(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        texts(&self.state.external_ids)
    }

    /// The greatest version that a source gave, stale events included.
    pub fn source_version(&self) -> Option<u64> {
        self.state.source_version
    }

    /// The source of the newest event; empty when it named none.
    pub fn source(&self) -> &'a str {
        std::str::from_utf8(self.state.source).unwrap_or_default()
    }

    /// When it came to be, in µs since 1970; `None` when only untimed events made it.
    pub fn created_at_us(&self) -> Option<u64> {
        self.state.created_at_us()
    }

    /// The greatest event time, in µs since 1970; `None` when only untimed events made it.
    pub fn updated_at_us(&self) -> Option<u64> {
        self.state.timed.map(|(_, last)| last)
    }

    /// The greatest clock of any event of it; a new command must be stamped later.
    pub fn head(&self) -> Clock {
        self.state.head
    }

    /// The clock below which everything is hidden.
    pub fn floor(&self) -> Option<Clock> {
        self.state.floor()
    }

    /// The greatest clock of what deleted it, if that is remembered: a newer `created` undoes it.
    pub(crate) fn died(&self) -> Option<Clock> {
        self.state.died()
    }

    /// Whether it was ever erased, for the store's own bodies: reads no more than it must.
    pub(crate) fn was_erased(body: &'a [u8]) -> bool {
        let read = || {
            let mut wire = Wire::new(body);
            wire.u64()?;
            wire.u64()?;
            State::was_erased(wire.bytes_u32()?)
        };
        read().unwrap_or(false)
    }

    /// When it was last restored.
    pub(crate) fn restored(&self) -> Option<Clock> {
        self.state.restored
    }

    /// It was erased, and nothing newer has brought it back.
    pub fn is_erased(&self) -> bool {
        self.state.is_erased()
    }

    /// When it was last erased.
    pub(crate) fn erased(&self) -> Option<Clock> {
        self.state.erased
    }

    /// The body without what it says: no field, no attribute, no external id.
    pub(crate) fn without_values(body: &'a [u8]) -> Result<Vec<u8>, CorruptContact> {
        let view = Self::parse_trusted(body)?;
        let (version, changed_at_ms) = (view.version, view.changed_at_ms);
        let (state, rings) = view.into_parts();
        let state = State {
            fields: [None; FIELDS.len()],
            attributes: Vec::new(),
            external_ids: Vec::new(),
            ..state
        };
        let mut out = vec![0; HEAD_BYTES];
        state.write(&mut out);
        let canonical = out.len() - HEAD_BYTES;
        if let Some(head) = out.first_chunk_mut::<HEAD_BYTES>() {
            *head = head_of(version, changed_at_ms, canonical);
        }
        rings.write_with(None, &mut out);
        Ok(out)
    }

    /// The clock of what stands under a name of [`super::event::FIELDS`], or of an attribute.
    pub(crate) fn clock_of(&self, name: &str) -> Option<Clock> {
        let field = FIELDS.iter().position(|field| *field == name);
        let register = match field {
            Some(place) => self.state.fields.get(place).copied().flatten(),
            None => {
                let attributes = &self.state.attributes;
                let at =
                    attributes.binary_search_by(|(key, _)| (*key).cmp(name.as_bytes())).ok()?;
                attributes.get(at).map(|(_, register)| *register)
            }
        };
        register.map(|register| register.clock)
    }

    pub(crate) fn into_parts(self) -> (State<'a>, Rings<'a>) {
        (self.state, self.rings)
    }
}

/// Keys and values of those that have one.
fn texts<'a>(registers: &[(&'a [u8], Register<'a>)]) -> impl Iterator<Item = (&'a str, &'a str)> {
    registers.iter().filter_map(|(key, register)| {
        Some((std::str::from_utf8(key).ok()?, std::str::from_utf8(register.value?).ok()?))
    })
}

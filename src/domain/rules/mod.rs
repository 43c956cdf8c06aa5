//! The rules that records are judged by besides their own bytes: as text on the log, and ready for use.
//!
//! ```text
//! configuration ─► RuleText ─► RuleSet (decoder, bounds) ─► Marker ─► a lane of the log ─► LaneRules
//! ```
//!
//! They stand whole on the contact log, in markers, and hold in a lane from its marker on. So replicas
//! that start at any time, with whatever files, judge a record alike.
//!
//! ```text
//! packed   u32 length of the text, little endian | LZ4 block of the text
//! text     canonical JSON: members in the order of RuleText, names sorted, no blanks
//! ```

mod lanes;
mod marker;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use lz4_flex::block::{compress_prepend_size, decompress, uncompressed_size};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::decode::Decoder;
use super::fingerprint::{APPLY_VERSION, APPLY_VERSIONS, Fingerprint};
use super::limits::{self, Limits};
use super::schemas::{SchemaError, Schemas, SourceSchemas};
use super::sources::{self, SourceError, SourceTexts, Sources};

pub use lanes::{InForce, LaneRules, Ruling};
pub use marker::{Marker, MarkerText};

/// Bytes of packed rules at most, so that a marker fits into a record of a megabyte.
pub const PACKED_BYTES_MAX: usize = 900 << 10;
/// The greatest number that a marker may have, or a founding.
pub const NUMBER_MAX: u64 = u32::MAX as u64;
/// Bytes of their text at most.
pub const TEXT_BYTES_MAX: usize = 8 << 20;

/// The one after it, while there is one.
pub fn next_number(number: u64) -> Option<u64> {
    number.checked_add(1).filter(|next| *next <= NUMBER_MAX)
}

/// Texts by name by name: of sources' schemas.
pub type ByName = BTreeMap<String, BTreeMap<String, String>>;

/// The rules in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleText {
    /// What decode, merge and decisions do.
    pub apply_version: u64,
    /// Bytes of a contact's stored body at most.
    pub contact_bytes_max: usize,
    /// Bytes of a record's value at most.
    pub record_bytes_max: usize,
    /// How far ahead of its record's timestamp an event may lie, in milliseconds.
    pub future_tolerance_ms: u64,
    /// Whether payments are events; left out where they are not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub payments: bool,
    /// Source → where its records have what, and what they call it.
    pub sources: SourceTexts,
    /// Source → name of a schema → JSON Schema.
    pub schemas: ByName,
}

/// Why there are no rules in what was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRules {
    /// The bytes hold no text.
    #[error("the rules can't be unpacked: {0}")]
    Packed(&'static str),
    /// The text is not that of rules.
    #[error("the rules can't be read, at column {column}")]
    Text {
        /// Where.
        column: usize,
    },
    /// A source that can't be right.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// A schema that is none.
    #[error("source {origin:?}: {source}")]
    Schema {
        /// Whose.
        origin: String,
        /// What is wrong.
        #[source]
        source: SchemaError,
    },
    /// A value that no configuration may have.
    #[error("{name} is {value}, and must be {least} to {most}")]
    OutOfBounds {
        /// What it is of.
        name: &'static str,
        /// What it is.
        value: u64,
        /// What it must be at least.
        least: u64,
        /// What it must be at most.
        most: u64,
    },
    /// More than a marker takes.
    #[error(
        "the rules have {bytes} bytes compressed, at most {PACKED_BYTES_MAX} fit into a record"
    )]
    TooLarge {
        /// How many they have.
        bytes: usize,
    },
    /// Made by another program than this one.
    #[error(
        "the rules are of APPLY_VERSION {0}, which this program does not know: start a newer contactd"
    )]
    UnknownVersion(u64),
}

impl RuleText {
    /// What holds without configuration.
    pub fn built_in() -> Self {
        Self::new(sources::built_in(), &Limits::default(), 300_000)
    }

    /// Without schemas, of the present version.
    pub fn new(sources: SourceTexts, limits: &Limits, future_tolerance_ms: u64) -> Self {
        Self {
            apply_version: APPLY_VERSION,
            contact_bytes_max: limits.contact_bytes_max,
            record_bytes_max: limits.record_bytes_max,
            future_tolerance_ms,
            payments: false,
            sources,
            schemas: ByName::new(),
        }
    }

    /// From its JSON. A version that is not known here is told as such, whatever else stands there.
    ///
    /// # Errors
    /// What keeps it from being understood.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidRules> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            apply_version: u64,
        }
        let wrong = |error: serde_json::Error| InvalidRules::Text { column: error.column() };
        let Version { apply_version } = serde_json::from_slice(json).map_err(wrong)?;
        if !APPLY_VERSIONS.contains(&apply_version) {
            return Err(InvalidRules::UnknownVersion(apply_version));
        }
        serde_json::from_slice(json).map_err(wrong)
    }

    /// The bounds that a configuration has too: markers may come from anybody who writes the topic.
    fn check_bounds(&self) -> Result<(), InvalidRules> {
        let (contact, record) = (&limits::CONTACT_BYTES, &limits::RECORD_BYTES);
        let tolerance_ms_max = limits::FUTURE_TOLERANCE_SECONDS_MAX * 1_000;
        let of_bytes = |bytes: &RangeInclusive<usize>| (*bytes.start() as u64, *bytes.end() as u64);
        for (name, value, (least, most)) in [
            ("contactBytesMax", self.contact_bytes_max as u64, of_bytes(contact)),
            ("recordBytesMax", self.record_bytes_max as u64, of_bytes(record)),
            ("futureToleranceMs", self.future_tolerance_ms, (0, tolerance_ms_max)),
        ] {
            if !(least..=most).contains(&value) {
                return Err(InvalidRules::OutOfBounds { name, value, least, most });
            }
        }
        Ok(())
    }

    /// The one spelling that hashes go by.
    fn canonical(&self) -> Vec<u8> {
        // Texts and numbers under texts: nothing in it can't be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// In words, what is different in `other`.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let numbers = [
            ("APPLY_VERSION", self.apply_version, other.apply_version),
            (
                "apply.contact_bytes_max",
                self.contact_bytes_max as u64,
                other.contact_bytes_max as u64,
            ),
            ("the bytes of a record", self.record_bytes_max as u64, other.record_bytes_max as u64),
            ("apply.future_tolerance in ms", self.future_tolerance_ms, other.future_tolerance_ms),
        ];
        for (name, mine, theirs) in numbers {
            if mine != theirs {
                found.push(format!("{name}: {mine}, not {theirs}"));
            }
        }
        if self.payments != other.payments {
            found.push(format!("payments.enabled: {}, not {}", self.payments, other.payments));
        }
        found.extend(differing("source", &self.sources, &other.sources));
        found.extend(differing("schemas", &self.schemas, &other.schemas));
        found
    }
}

fn differing<T: PartialEq>(
    what: &str,
    mine: &BTreeMap<String, T>,
    theirs: &BTreeMap<String, T>,
) -> Vec<String> {
    let names: BTreeSet<_> = mine.keys().chain(theirs.keys()).collect();
    let differing = names.into_iter().filter(|name| mine.get(*name) != theirs.get(*name));
    differing.map(|name| format!("{what}.{name}")).collect()
}

/// The rules, ready for use. Cheap to share; two are equal when their texts are.
#[derive(Clone, Debug)]
pub struct RuleSet {
    text: RuleText,
    fingerprint: Fingerprint,
    packed: Arc<[u8]>,
    decoder: Arc<Decoder>,
}

impl PartialEq for RuleSet {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint && self.text == other.text
    }
}

impl Eq for RuleSet {}

impl RuleSet {
    /// From their text.
    ///
    /// # Errors
    /// The first thing in it that can't be, or that a marker would not take.
    pub fn compile(text: RuleText) -> Result<Self, InvalidRules> {
        if !APPLY_VERSIONS.contains(&text.apply_version) {
            return Err(InvalidRules::UnknownVersion(text.apply_version));
        }
        text.check_bounds()?;
        let sources = Sources::compile(&text.sources).map_err(|wrong| {
            wrong.into_iter().next().map_or(InvalidRules::Packed("a source"), Into::into)
        })?;
        let limits = Limits {
            contact_bytes_max: text.contact_bytes_max,
            record_bytes_max: text.record_bytes_max,
        };
        let schemas = text.schemas.iter().map(|(source, texts)| {
            let texts = texts.iter().map(|(name, text)| (name.as_str(), text.as_str()));
            let schemas = Schemas::compile(texts);
            let wrong = |error| InvalidRules::Schema { origin: source.clone(), source: error };
            Ok((source.clone(), schemas.map_err(wrong)?))
        });
        let schemas = schemas.collect::<Result<SourceSchemas, InvalidRules>>()?;
        let canonical = text.canonical();
        if canonical.len() > TEXT_BYTES_MAX {
            return Err(InvalidRules::TooLarge { bytes: canonical.len() });
        }
        let packed = compress_prepend_size(&canonical);
        if packed.len() > PACKED_BYTES_MAX {
            return Err(InvalidRules::TooLarge { bytes: packed.len() });
        }
        Ok(Self {
            fingerprint: Fingerprint(xxh3_64(&canonical)),
            packed: packed.into(),
            decoder: Arc::new(
                Decoder::new(sources, limits).with_schemas(schemas).with_payments(text.payments),
            ),
            text,
        })
    }

    /// What holds without configuration.
    ///
    /// # Errors
    /// None, as long as the built-in source is right.
    pub fn built_in() -> Result<Self, InvalidRules> {
        Self::compile(RuleText::built_in())
    }

    /// From packed bytes.
    ///
    /// # Errors
    /// As [`Self::compile`], and bytes that hold no rules.
    pub fn unpack(packed: &[u8]) -> Result<Self, InvalidRules> {
        Self::compile(RuleText::parse(&text_of(packed)?)?)
    }

    /// The rules in words.
    pub fn text(&self) -> &RuleText {
        &self.text
    }

    /// Hash of the text.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// As a marker, a journal and a checkpoint hold them.
    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// Understands records by them.
    pub fn decoder(&self) -> &Arc<Decoder> {
        &self.decoder
    }

    /// Bounds on events and contacts.
    pub fn limits(&self) -> &Limits {
        self.decoder.limits()
    }

    /// How far ahead of its record's timestamp an event may lie, in milliseconds.
    pub fn future_tolerance_ms(&self) -> u64 {
        self.text.future_tolerance_ms
    }
}

/// What packed bytes hold, whatever its version.
fn text_of(packed: &[u8]) -> Result<Vec<u8>, InvalidRules> {
    if packed.len() > PACKED_BYTES_MAX {
        return Err(InvalidRules::TooLarge { bytes: packed.len() });
    }
    let cut_short = |_| InvalidRules::Packed("they are cut short");
    let (len, block) = uncompressed_size(packed).map_err(cut_short)?;
    if len > TEXT_BYTES_MAX {
        return Err(InvalidRules::Packed("their text is too long"));
    }
    let text = decompress(block, len);
    text.map_err(|_| InvalidRules::Packed("they are no LZ4 block of the length that they name"))
}

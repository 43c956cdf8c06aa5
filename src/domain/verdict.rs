//! What became of a record: the nine verdicts, and why a record was kept aside.

use serde::{Deserialize, Serialize};

/// What became of a record; received is the sum of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Verdict {
    /// Stored bytes changed; the contact's version rose by one.
    Applied = 0,
    /// Nothing was different.
    Unchanged,
    /// Everything in it was older than what the contact holds.
    Stale,
    /// The same event was seen before.
    Duplicate,
    /// The command expected another version of the contact, or its id was used for another body.
    Conflict,
    /// An unconditional command that lost to newer events.
    Superseded,
    /// A command to a contact that does not exist.
    NotFound,
    /// Not in its contact's home lane: it is appended there once more, and decided there.
    Rehomed,
    /// Kept aside with its reason.
    DeadLettered,
}

impl Verdict {
    /// Every verdict, in code order.
    pub const ALL: [Self; 9] = [
        Self::Applied,
        Self::Unchanged,
        Self::Stale,
        Self::Duplicate,
        Self::Conflict,
        Self::Superseded,
        Self::NotFound,
        Self::Rehomed,
        Self::DeadLettered,
    ];
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Stable snake_case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Stale => "stale",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::Superseded => "superseded",
            Self::NotFound => "not_found",
            Self::Rehomed => "rehomed",
            Self::DeadLettered => "dead_lettered",
        }
    }

    /// From its stored code.
    pub fn from_u8(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Its place in [`Self::ALL`], which is its stored code.
    pub fn index(self) -> usize {
        self as usize
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $text:literal;)+) => {
        /// Why a record was kept aside. Codes and names are stored: never renumber or rename.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum DeadLetterReason {
            $($(#[doc = $doc])+ $name = $code,)+
        }

        impl DeadLetterReason {
            /// Every reason, in code order.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Stable snake_case name.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// What it means, in a sentence.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+),)+
                }
            }
        }
    };
}

reasons! {
    /// Not JSON, or not the JSON that is understood (lone surrogates, trailing bytes).
    MalformedJson = 0, "malformed_json";
    /// The bytes are not UTF-8.
    InvalidUtf8 = 1, "invalid_utf8";
    /// Nested deeper than the limit.
    NestingTooDeep = 2, "nesting_too_deep";
    /// A member has the wrong JSON type.
    WrongType = 3, "wrong_type";
    /// An object names the same member twice, so its meaning depends on the reader.
    DuplicateKey = 4, "duplicate_key";
    /// No contact id anywhere in the event.
    MissingContactId = 5, "missing_contact_id";
    /// An id or source that is empty, too long or holds control characters.
    InvalidId = 6, "invalid_id";
    /// A field holds control characters.
    ControlCharacter = 7, "control_character";
    /// No event type, or none that is known here.
    UnknownEventType = 8, "unknown_event_type";
    /// The record has no value.
    NullValue = 9, "null_value";
    /// The record has no key, and was appended once more before.
    KeyMissing = 10, "key_missing";
    /// The record is not in its contact's home lane, and was appended once more before.
    MisroutedKey = 11, "misrouted_key";
    /// The value is Avro, and no schema registry says what is in it.
    AvroFraming = 12, "avro_framing";
    /// The value is Protobuf.
    ProtobufFraming = 13, "protobuf_framing";
    /// A CloudEvent that breaks CloudEvents 1.0.
    InvalidCloudevent = 14, "invalid_cloudevent";
    /// Dated further ahead of its record than is tolerated.
    TimestampInFuture = 15, "timestamp_in_future";
    /// A timestamp that can't be read.
    InvalidTimestamp = 16, "invalid_timestamp";
    /// The contact would outgrow its limit.
    TooLarge = 17, "too_large";
    /// The record's value outgrows its limit.
    RecordTooLarge = 18, "record_too_large";
    /// The event breaks its schema.
    Schema = 19, "schema";
    /// A command's headers can't be read.
    InvalidCommand = 20, "invalid_command";
    /// A control record that can't be read.
    InvalidControl = 21, "invalid_control";
    /// There are as many control entries as may be kept.
    ControlFull = 22, "control_full";
    /// A marker of the log's rules that can't be read.
    InvalidMarker = 23, "invalid_marker";
    /// Nothing in the record is a field here, so that it would empty a contact, or say nothing.
    NothingKnown = 24, "nothing_known";
    /// A step of the source's table that can't be taken with the value that stands there.
    TransformFailed = 25, "transform_failed";
    /// A member that nothing stands for, of a source that says `unknown = "refuse"`.
    UnknownField = 26, "unknown_field";
    /// The schema registry knows no schema of the record's id.
    SchemaUnknown = 27, "schema_unknown";
    /// The schema registry's schema can't be read, or is of a type that is not known.
    UnusableSchema = 28, "unusable_schema";
    /// Avro that is not what its schema says (cut short, bytes left over).
    MalformedAvro = 29, "malformed_avro";
    /// A payment without an id, a time or an amount, or with an amount or currency that can't be.
    InvalidPayment = 30, "invalid_payment";
}

impl DeadLetterReason {
    /// From its stored code.
    pub fn from_u8(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Its stored code.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl std::fmt::Display for DeadLetterReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_both_ways_and_names_match_serde() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::from_u8(verdict as u8), Some(verdict));
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.as_str());
        }
        for reason in DeadLetterReason::ALL {
            assert_eq!(DeadLetterReason::from_u8(reason.code()), Some(*reason));
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
        assert_eq!(Verdict::from_u8(9), None);
        assert_eq!(DeadLetterReason::from_u8(31), None);
    }
}

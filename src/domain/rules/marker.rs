//! A marker: the record of the contact log that holds the rules from its place in its lane on.
//!
//! It has no key that means anything. The header [`MARKER`] stands first in it and holds the number in
//! decimal, [`FOUNDING`] the founding's number, [`HOMES`] what contacts' homes follow from,
//! [`PRINCIPAL`] who adopted the rules; the value is the packed rules.

use crate::domain::decode::Reject;
use crate::domain::founding::Founding;
use crate::domain::headers::{FOUNDING, HOMES, MARKER, PRINCIPAL};
use crate::domain::record::{Headers, NamedValues, Record, RecordBatch};
use crate::domain::verdict::DeadLetterReason;

use super::{Fingerprint, InvalidRules, NUMBER_MAX, RuleSet, RuleText};

/// A marker as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Counts the rules up that a log has had.
    pub number: u64,
    /// The founding's number: 1, and one more each time that the log was founded anew.
    pub founding: u64,
    /// What contacts' homes follow from, as it says.
    pub homes: Founding,
    /// The rules.
    pub text: MarkerText,
    /// Who adopted them.
    pub principal: Option<String>,
}

/// What a marker holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarkerText {
    /// Rules of a version that is known here.
    Known {
        /// In words.
        text: Box<RuleText>,
        /// Hash of them.
        fingerprint: Fingerprint,
    },
    /// Rules of another version.
    UnknownVersion(u64),
}

impl Marker {
    /// Whether a record says that it is a marker. Costs a record without headers nothing, and one with
    /// headers a look at the first one's name.
    pub fn is_one(batch: &RecordBatch, record: &Record) -> bool {
        let headers = record.headers.of(&batch.arena);
        headers.get(2..2 + MARKER.len()) == Some(MARKER.as_bytes())
            && headers.first_chunk() == Some(&(MARKER.len() as u16).to_le_bytes())
    }

    /// Reads one.
    ///
    /// # Errors
    /// Why it says nothing.
    pub fn read(batch: &RecordBatch, record: &Record) -> Result<Self, Reject> {
        let invalid = |detail: String| Reject::new(DeadLetterReason::InvalidMarker, detail);
        let headers = Headers::new(record.headers.of(&batch.arena));
        let value = |name: &str| {
            let found = headers.clone().find(|(each, _)| *each == name);
            found.and_then(|(_, value)| std::str::from_utf8(value?).ok())
        };
        let number = |name: &str| {
            let digits = value(name).filter(|at| at.bytes().all(|byte| byte.is_ascii_digit()));
            let read = digits.and_then(|digits| digits.parse::<u64>().ok());
            read.filter(|number| *number <= NUMBER_MAX)
                .ok_or_else(|| invalid(format!("the header {name} holds no number")))
        };
        let (number, founding) = (number(MARKER)?, number(FOUNDING)?);
        let no_homes = || invalid(format!("the header {HOMES} names no partitioner and lanes"));
        let homes = value(HOMES).and_then(Founding::from_header).ok_or_else(no_homes)?;
        let Some(packed) = batch.value(record) else {
            return Err(invalid("a marker without a value".to_owned()));
        };
        let text = match super::text_of(packed).and_then(|text| RuleText::parse(&text)) {
            Ok(text) => MarkerText::Known {
                fingerprint: Fingerprint(super::xxh3_64(&text.canonical())),
                text: Box::new(text),
            },
            Err(InvalidRules::UnknownVersion(version)) => MarkerText::UnknownVersion(version),
            Err(error) => return Err(invalid(error.to_string())),
        };
        let principal = value(PRINCIPAL).map(str::to_owned);
        Ok(Self { number, founding, homes, text, principal })
    }

    /// Headers and value of the record that says that these rules hold.
    pub fn record(
        number: u64,
        founding: u64,
        homes: Founding,
        rules: &RuleSet,
        principal: Option<&str>,
    ) -> (NamedValues, Vec<u8>) {
        let header = |name: &str, value: String| (name.to_owned(), Some(value.into_bytes()));
        let mut headers = vec![
            header(MARKER, number.to_string()),
            header(FOUNDING, founding.to_string()),
            header(HOMES, homes.to_header()),
        ];
        headers.extend(principal.map(|who| header(PRINCIPAL, who.to_owned())));
        (headers, rules.packed().to_vec())
    }
}

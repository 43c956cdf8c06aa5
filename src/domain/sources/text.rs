//! A source in words, as it stands in the rules: presets are resolved in it, so that another program's
//! presets judge nothing differently.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What becomes of members that nothing stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// They are kept as attributes.
    #[default]
    Keep,
    /// They are left out.
    Drop,
    /// The event is a dead letter.
    Refuse,
}

/// What the id is that a source's events name their contact by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ids {
    /// The contact's.
    #[default]
    Ours,
    /// The source's own, which is looked up.
    Own,
}

impl Ids {
    fn are_ours(&self) -> bool {
        *self == Self::Ours
    }
}

/// Whose word counts for a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// The newest.
    #[default]
    Newest,
    /// Ours: the source's is not taken.
    Us,
    /// The source's: ours is not sent there.
    Source,
}

impl Owner {
    pub(super) fn read(source: &str, text: &str) -> Result<Self, String> {
        match text {
            "" | "newest" => Ok(Self::Newest),
            "us" => Ok(Self::Us),
            text if text == source => Ok(Self::Source),
            text => Err(format!("has the owner \"{text}\", which must be newest, us or {source}")),
        }
    }
}

/// A source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SourceText {
    /// Where things stand in its records, as paths; empty: where ours have them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub record: BTreeMap<String, Vec<String>>,
    /// Its name for a type of event → ours.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, String>,
    /// Our name for a field → where it stands.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldText>,
    /// What becomes of the rest.
    pub unknown: Unknown,
    /// What its ids are.
    #[serde(skip_serializing_if = "Ids::are_ours")]
    pub ids: Ids,
}

/// Where a field stands, and what is made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FieldText {
    /// Paths, the first that is there counts; the empty one alone: the field is not taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// Steps, in order.
    #[serde(rename = "do", skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// Their value → ours, for the step `values`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
    /// Whose word counts.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub owner: String,
}

impl FieldText {
    /// A field that stands at a path as it is.
    pub fn at(path: &str) -> Self {
        Self { from: vec![path.to_owned()], ..Self::default() }
    }

    /// One that is not taken from the source.
    pub fn left_out() -> Self {
        Self::at("")
    }

    pub(super) fn is_left_out(&self) -> bool {
        *self == Self::left_out()
    }
}

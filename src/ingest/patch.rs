//! What a command says about a contact's content: as a merge patch does.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::RawValue;

use crate::domain::contact::ContactView;
use crate::domain::event::FIELDS;
use crate::domain::external_ids::EXTERNAL_IDS;
use crate::domain::merge_notes::MERGED_INTO;

/// None: as it is; `Some(None)`: no value any more; `Some(Some(_))`: this value.
pub type Said<T> = Option<Option<T>>;

/// What is said about fields and attributes; what is not named stays.
#[derive(Clone, Debug, Default)]
pub struct ContactPatch {
    /// By place in [`FIELDS`].
    pub fields: [Said<String>; FIELDS.len()],
    /// By name; no value: it is taken away.
    pub attributes: BTreeMap<String, Option<Box<RawValue>>>,
    /// By source likewise.
    pub external_ids: BTreeMap<String, Option<String>>,
    /// Every attribute that is not named is taken away.
    pub clears_attributes: bool,
    /// An object is merged into the attribute that stands there (RFC 7396), not put in its place.
    pub merges_attributes: bool,
}

impl ContactPatch {
    /// What `other` has and `contact` lacks.
    pub fn missing(contact: &ContactView<'_>, other: &ContactView<'_>) -> Self {
        let mut patch = Self::default();
        for (place, said) in patch.fields.iter_mut().enumerate() {
            if contact.field(place).is_none() {
                *said = other.field(place).map(|value| Some(value.to_owned()));
            }
        }
        let has: Vec<&str> = contact.attributes().map(|(name, _)| name).collect();
        for (name, value) in other.attributes().filter(|(name, _)| !has.contains(name)) {
            patch.set_attribute(name, value.to_owned());
        }
        let has: Vec<&str> = contact.external_ids().map(|(source, _)| source).collect();
        let others = other.external_ids().filter(|(source, _)| !has.contains(source));
        let others = others.map(|(source, id)| (source.to_owned(), Some(id.to_owned())));
        patch.external_ids = others.collect();
        patch
    }

    /// All that a contact says, in place of whatever stands there; external ids stay.
    pub fn whole(contact: &ContactView<'_>) -> Self {
        let mut patch = Self { clears_attributes: true, ..Self::default() };
        for (place, said) in patch.fields.iter_mut().enumerate() {
            *said = Some(contact.field(place).map(str::to_owned));
        }
        // That it was merged into another is no longer so where it is there again.
        for (name, value) in contact.attributes().filter(|(name, _)| *name != MERGED_INTO) {
            patch.set_attribute(name, value.to_owned());
        }
        patch
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.fields.iter().all(Option::is_none)
            && self.attributes.is_empty()
            && self.external_ids.is_empty()
    }

    /// Sets an attribute to a JSON text; what is none is left out.
    pub fn set_attribute(&mut self, name: &str, json: String) {
        if let Ok(value) = RawValue::from_string(json) {
            self.attributes.insert(name.to_owned(), Some(value));
        }
    }
}

/// The data of a record: the contact's id with what is said.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// The contact.
    pub id: &'a str,
    /// What is said of it.
    pub patch: &'a ContactPatch,
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", self.id)?;
        for (name, said) in FIELDS.iter().zip(&self.patch.fields) {
            if let Some(value) = said {
                map.serialize_entry(name, value)?;
            }
        }
        if !self.patch.attributes.is_empty() {
            map.serialize_entry("attributes", &self.patch.attributes)?;
        }
        if !self.patch.external_ids.is_empty() {
            map.serialize_entry(EXTERNAL_IDS, &self.patch.external_ids)?;
        }
        map.end()
    }
}

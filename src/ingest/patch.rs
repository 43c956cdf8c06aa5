//! What a command says about a contact's content: as a merge patch does.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::RawValue;

use crate::domain::contact::ContactView;
use crate::domain::event::FIELDS;

/// None: as it is; `Some(None)`: no value any more; `Some(Some(_))`: this value.
pub type Said<T> = Option<Option<T>>;

/// What is said about fields and attributes; what is not named stays.
#[derive(Clone, Debug, Default)]
pub struct ContactPatch {
    /// By place in [`FIELDS`].
    pub fields: [Said<String>; FIELDS.len()],
    /// By name; no value: it is taken away.
    pub attributes: BTreeMap<String, Option<Box<RawValue>>>,
    /// Every attribute that is not named is taken away.
    pub clears_attributes: bool,
    /// An object is merged into the attribute that stands there (RFC 7396), not put in its place.
    pub merges_attributes: bool,
}

impl ContactPatch {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        let says_nothing = self.fields.iter().all(Option::is_none) && self.attributes.is_empty();
        says_nothing && !self.clears_attributes
    }

    /// Whether what it comes to depends on the contact as it is.
    pub fn needs_contact(&self) -> bool {
        let is_object = |value: &RawValue| value.get().starts_with('{');
        let mut values = self.attributes.values().flatten();
        self.clears_attributes || (self.merges_attributes && values.any(|value| is_object(value)))
    }

    /// The same without what depends on the contact.
    #[must_use]
    pub fn onto(&self, contact: &ContactView<'_>) -> Self {
        let mut patch = Self { clears_attributes: false, ..self.clone() };
        for (name, value) in contact.attributes() {
            match patch.attributes.get_mut(name) {
                Some(Some(said)) if self.merges_attributes => merge_json(said, Some(value)),
                Some(_) => {}
                None if self.clears_attributes => {
                    patch.attributes.insert(name.to_owned(), None);
                }
                None => {}
            }
        }
        if self.merges_attributes {
            let has = |name: &str| contact.attributes().any(|(known, _)| known == name);
            for (_, said) in patch.attributes.iter_mut().filter(|(name, _)| !has(name)) {
                said.iter_mut().for_each(|said| merge_json(said, None));
            }
        }
        patch
    }

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
        patch
    }

    /// Sets an attribute to a JSON text; what is none is left out.
    pub fn set_attribute(&mut self, name: &str, json: String) {
        if let Ok(value) = RawValue::from_string(json) {
            self.attributes.insert(name.to_owned(), Some(value));
        }
    }
}

/// Merges a patch into what stands there (RFC 7396): members of objects one by one, all else as it
/// is. Texts of numbers stay as they were written.
fn merge_json(patch: &mut Box<RawValue>, target: Option<&str>) {
    if !patch.get().starts_with('{') {
        return;
    }
    type Object<'a> = BTreeMap<String, &'a RawValue>;
    let Ok(said) = serde_json::from_str::<Object<'_>>(patch.get()) else {
        return;
    };
    let target: Object<'_> =
        target.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let mut merged: BTreeMap<&str, Box<RawValue>> =
        target.iter().map(|(name, value)| (name.as_str(), (*value).to_owned())).collect();
    for (name, value) in &said {
        if value.get() == "null" {
            merged.remove(name.as_str());
            continue;
        }
        let mut value = (*value).to_owned();
        merge_json(&mut value, target.get(name).map(|value| value.get()));
        merged.insert(name, value);
    }
    if let Ok(merged) = serde_json::value::to_raw_value(&merged) {
        *patch = merged;
    }
}

/// The data of a record: the contact's id with what is said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data<'a> {
    pub(super) id: &'a str,
    pub(super) patch: &'a ContactPatch,
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
        map.end()
    }
}

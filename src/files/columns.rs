//! The columns of a table of contacts: their names, and what a cell of an attribute says.
//!
//! | column | what it is |
//! |---|---|
//! | `id`, `firstName` … `changedAt` | the contact's own, as in its JSON |
//! | `externalId:hubspot` | what that source calls it |
//! | any other name | an attribute |
//! | `attributes.name` | an attribute, whatever its name |
//!
//! A cell of an attribute is its text where it is a text, else its JSON. A text that is JSON itself, such
//! as `12` or `true`, and an empty one stand as JSON too, in quotes, so that every cell says one value.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use crate::domain::event::FIELDS;
use crate::domain::json::{unescape, write_string};

/// Before what a source calls it.
const EXTERNAL_ID: &str = "externalId:";
/// Before an attribute whose name is another column's.
const ATTRIBUTE: &str = "attributes.";
/// What stands before a reason in a file of refused rows.
pub const REASON_COLUMN: &str = "contactd_reason";

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// The contact's id.
    Id,
    /// By place in [`FIELDS`].
    Field(usize),
    /// ACTIVE or DELETED.
    Status,
    /// When it came to be.
    CreatedAt,
    /// The time of its newest event.
    UpdatedAt,
    /// When its present version came.
    ChangedAt,
    /// Counts its changes.
    Version,
    /// The greatest version that a source gave.
    SourceVersion,
    /// The source of its newest event.
    Source,
    /// What this source calls it.
    ExternalId(String),
    /// The attribute of this name.
    Attribute(String),
}

/// Those that are no field, external id or attribute.
const OWN: [Column; 8] = [
    Column::Id,
    Column::Status,
    Column::CreatedAt,
    Column::UpdatedAt,
    Column::ChangedAt,
    Column::Version,
    Column::SourceVersion,
    Column::Source,
];

/// A name that is no column's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// It is empty.
    #[error("a column has no name")]
    Empty,
    /// It differs from one in case only.
    #[error(
        "{given} is no column; {meant} is, and attributes.{given} is an attribute of that name"
    )]
    Misspelt {
        /// As it was given.
        given: String,
        /// What it is likely to mean.
        meant: String,
    },
}

impl Column {
    /// The columns of every contact, in their order.
    pub fn usual() -> Vec<Self> {
        let fields = (0..FIELDS.len()).map(Self::Field);
        let after = [Self::Status, Self::CreatedAt, Self::UpdatedAt, Self::Version];
        std::iter::once(Self::Id).chain(fields).chain(after).collect()
    }

    /// From its name.
    ///
    /// # Errors
    /// Where there is no name, or one that is likely to mean another.
    pub fn parse(name: &str) -> Result<Self, ColumnError> {
        if let Some(known) = own(|known| known == name) {
            return Ok(known);
        }
        for (prefix, column) in
            [(EXTERNAL_ID, Self::ExternalId as fn(String) -> Self), (ATTRIBUTE, Self::Attribute)]
        {
            match name.strip_prefix(prefix) {
                Some("") if prefix == EXTERNAL_ID => return Err(ColumnError::Empty),
                Some(rest) => return Ok(column(rest.to_owned())),
                None => {}
            }
        }
        if name.is_empty() {
            return Err(ColumnError::Empty);
        }
        match own(|known| known.eq_ignore_ascii_case(name)) {
            Some(meant) => Err(ColumnError::Misspelt {
                given: name.to_owned(),
                meant: meant.name().into_owned(),
            }),
            None => Ok(Self::Attribute(name.to_owned())),
        }
    }

    /// Its name.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Id => "id".into(),
            Self::Field(place) => FIELDS.get(*place).copied().unwrap_or_default().into(),
            Self::Status => "status".into(),
            Self::CreatedAt => "createdAt".into(),
            Self::UpdatedAt => "updatedAt".into(),
            Self::ChangedAt => "changedAt".into(),
            Self::Version => "version".into(),
            Self::SourceVersion => "sourceVersion".into(),
            Self::Source => "source".into(),
            Self::ExternalId(source) => format!("{EXTERNAL_ID}{source}").into(),
            Self::Attribute(name)
                if name != REASON_COLUMN && Self::parse(name).as_ref() == Ok(self) =>
            {
                name.into()
            }
            Self::Attribute(name) => format!("{ATTRIBUTE}{name}").into(),
        }
    }
}

fn own(is_meant: impl Fn(&str) -> bool) -> Option<Column> {
    let fields = (0..FIELDS.len()).map(Column::Field);
    fields.chain(OWN).find(|column| is_meant(&column.name()))
}

/// The cell of an attribute, given its JSON.
pub fn attribute_cell(json: &str) -> Cow<'_, str> {
    let Some(quoted) = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return json.into();
    };
    let text: Cow<'_, str> = if quoted.contains('\\') {
        let mut text = Vec::with_capacity(quoted.len());
        unescape(quoted.as_bytes(), &mut text);
        String::from_utf8_lossy(&text).into_owned().into()
    } else {
        quoted.into()
    };
    if text.is_empty() || is_json(&text) { json.into() } else { text }
}

/// The JSON of an attribute, given its cell, which is not empty.
pub fn attribute_json(cell: &str) -> String {
    if is_json(cell) {
        return cell.to_owned();
    }
    let mut json = Vec::with_capacity(cell.len() + 2);
    write_string(cell, &mut json);
    String::from_utf8_lossy(&json).into_owned()
}

fn is_json(text: &str) -> bool {
    // Most texts are seen to be none by how they begin.
    let begins = text.trim_start_matches([' ', '\t', '\r', '\n']);
    begins.starts_with(|c: char| matches!(c, '{' | '[' | '"' | '-' | 't' | 'f' | 'n' | '0'..='9'))
        && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_column_has_a_name_that_leads_back_to_it() {
        let names = [
            "id",
            "email",
            "EMAIL",
            "",
            "hubspot:1",
            "externalId:",
            "externalId:x",
            "attributes.a",
        ];
        let attributes = names.iter().map(|name| Column::Attribute((*name).to_owned()));
        let all = Column::usual().into_iter().chain(OWN).chain(attributes);
        for column in all.chain([Column::ExternalId("hubspot".to_owned())]) {
            assert_eq!(Column::parse(&column.name()), Ok(column));
        }
        assert_eq!(Column::Attribute("segment".to_owned()).name(), "segment");
    }

    #[test]
    fn a_name_in_another_case_is_asked_about() {
        let error = Column::parse("firstname").unwrap_err().to_string();
        assert!(
            error.contains("firstName is") && error.contains("attributes.firstname"),
            "{error}"
        );
        assert_eq!(Column::parse("externalId:"), Err(ColumnError::Empty));
        assert_eq!(Column::parse(""), Err(ColumnError::Empty));
    }

    proptest! {
        #[test]
        fn a_cell_says_one_value(text in "\\PC{0,12}|[0-9.eE+-]{1,6}|true|null|[\"\\[\\]{}, ]{0,6}") {
            let json = serde_json::to_string(&text).unwrap();
            let cell = attribute_cell(&json);
            prop_assert!(!cell.is_empty());
            let back: String = serde_json::from_str(&attribute_json(&cell)).unwrap();
            prop_assert_eq!(back, text);
        }
    }

    #[test]
    fn what_is_no_text_stands_as_json() {
        for json in ["12", "true", "null", "{\"a\":[1]}", "[]", "-0.5e3", "\"12\"", "\"\""] {
            assert_eq!(attribute_cell(json), json);
            assert_eq!(attribute_json(json), json);
        }
        assert_eq!(attribute_cell("\"a\\nb\""), "a\nb");
    }
}

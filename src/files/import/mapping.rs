//! What the columns of a file are: by their headings, or as whoever gives the file says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::headings::{Known, exactly, known};
use crate::config::nearest;
use crate::domain::event::FIELDS;
use crate::domain::limits::ATTRIBUTE_KEY_BYTES_MAX;
use crate::files::columns::{Column, ColumnError, REASON_COLUMN};
use crate::files::formulas::unescape_formula;

/// Names that a file without a header may have.
const NAMES_MAX: usize = 1000;

/// What becomes of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// It is taken; of several for one field the least rank counts first.
    Take(Column, u8),
    /// Why it is not taken.
    Leave(String),
}

impl Target {
    /// Of several columns of one field the least counts first.
    pub(super) fn turn(&self) -> u8 {
        match self {
            Self::Take(_, turn) => *turn,
            Self::Leave(_) => 0,
        }
    }
}

/// One column, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ColumnPreview {
    /// Its heading.
    pub column: String,
    /// What it is here; none: it is not taken.
    pub field: Option<String>,
    /// What is to be said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Why a file's columns can't be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// The first row is no header.
    #[error(
        "the file has no header: its first row looks like a contact; say what the columns are by their \
         numbers, such as columns=1=email,2=firstName"
    )]
    NoHeader,
    /// A column that was named is not there.
    #[error("columns names \"{name}\", and the file has {there}")]
    UnknownColumn {
        /// As it was named.
        name: String,
        /// The columns that there are.
        there: String,
    },
    /// What a column is said to be is nothing that a contact has.
    #[error("columns says that \"{name}\" is \"{field}\", {problem}")]
    UnknownField {
        /// The column.
        name: String,
        /// What it is said to be.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// No column is known.
    #[error(
        "none of the columns is known ({there}); say what they are, such as columns=\"{first}=email\""
    )]
    NothingKnown {
        /// The columns that there are.
        there: String,
        /// The first of them.
        first: String,
    },
}

/// What all columns of a file are.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapping {
    /// In the file's order; of a file without columns as they came.
    names: Vec<String>,
    targets: Vec<Target>,
    places: BTreeMap<String, usize>,
    said: BTreeMap<String, Column>,
    left: Vec<String>,
    /// Of a CSV, its columns by their turns: those that count first come first.
    order: Vec<usize>,
    /// Whether the first row is the header.
    pub(super) has_header: bool,
    /// Written by export, so that headings and values stand exactly as they are.
    pub(super) is_ours: bool,
}

impl Mapping {
    /// Of a file whose rows name what they say.
    pub(super) fn of_names(said: &[(String, String)]) -> Result<Self, MappingError> {
        let mut mapping = Self::default();
        mapping.say(said)?;
        Ok(mapping)
    }

    /// Of a CSV with that first row.
    pub(super) fn of_header(
        cells: &[String],
        said: &[(String, String)],
    ) -> Result<Self, MappingError> {
        let mut mapping = Self::of_names(said)?;
        let numbers = || said.iter().all(|(name, _)| name.parse::<usize>().is_ok());
        let looks_like_data = looks_like_data(cells);
        mapping.has_header = !(looks_like_data && !said.is_empty() && numbers());
        if looks_like_data && mapping.has_header {
            return Err(MappingError::NoHeader);
        }
        let is_there = |name: &&str| cells.iter().any(|cell| cell == name);
        mapping.is_ours = ["id", "version", "updatedAt"].iter().all(is_there);
        for (place, cell) in cells.iter().enumerate() {
            let number = (place + 1).to_string();
            let is_numbered = !mapping.has_header || mapping.is_said(&number);
            let heading = unescape_formula(cell);
            let heading = if mapping.is_ours { heading } else { heading.trim() };
            mapping.add(if is_numbered { &number } else { heading });
        }
        if !mapping.is_ours {
            mapping.settle_titles();
        }
        mapping.order = (0..mapping.targets.len()).collect();
        mapping.order.sort_by_key(|place| mapping.targets.get(*place).map_or(0, Target::turn));
        let there = || mapping.names.join(", ");
        if let Some((name, _)) = said.iter().find(|(name, _)| mapping.place(name).is_none()) {
            return Err(MappingError::UnknownColumn { name: name.clone(), there: there() });
        }
        let is_known = |target: &Target| match target {
            Target::Take(Column::Attribute(_), _) | Target::Leave(_) => false,
            Target::Take(..) => true,
        };
        if !mapping.targets.iter().any(is_known) {
            let first = mapping.names.first().cloned().unwrap_or_default();
            return Err(MappingError::NothingKnown { there: there(), first });
        }
        Ok(mapping)
    }

    fn say(&mut self, said: &[(String, String)]) -> Result<(), MappingError> {
        for (name, field) in said {
            if field.is_empty() {
                self.left.push(name.clone());
                continue;
            }
            let wrong = |problem: String| MappingError::UnknownField {
                name: name.clone(),
                field: field.clone(),
                problem,
            };
            let column = match Column::parse(field) {
                Ok(column) => column,
                Err(ColumnError::Misspelt { meant, .. }) => {
                    return Err(wrong(format!("and means {meant}, perhaps")));
                }
                Err(ColumnError::Empty) => return Err(wrong("which names nothing".to_owned())),
            };
            if matches!(&column, Column::Attribute(_)) && !field.starts_with("attributes.") {
                let known = FIELDS.iter().copied().chain(["id", "status", "externalId"]);
                if let Some(meant) = nearest(field, known) {
                    return Err(wrong(format!(
                        "and means {meant}, perhaps; an attribute of that name is attributes.{field}"
                    )));
                }
            }
            self.said.insert(name.clone(), column);
        }
        Ok(())
    }

    fn is_said(&self, name: &str) -> bool {
        self.said.contains_key(name) || self.left.iter().any(|left| left == name)
    }

    fn add(&mut self, name: &str) -> usize {
        let target = self.target_of(name);
        self.names.push(name.to_owned());
        self.targets.push(target);
        let place = self.names.len() - 1;
        self.places.entry(name.to_owned()).or_insert(place);
        place
    }

    fn target_of(&self, name: &str) -> Target {
        if let Some(column) = self.said.get(name) {
            return Target::Take(column.clone(), 0);
        }
        if self.left.iter().any(|left| left == name) {
            return Target::Leave("as columns says".to_owned());
        }
        if name.is_empty() {
            return Target::Leave("it has no heading".to_owned());
        }
        if name == REASON_COLUMN {
            return Target::Leave("why a row was refused before".to_owned());
        }
        match if self.is_ours { exactly(name) } else { known(name) } {
            Known::Column(column, rank) => Target::Take(column, rank),
            Known::Ours => Target::Leave("contactd keeps this itself".to_owned()),
            Known::Nothing => attribute(name),
        }
    }

    /// Outlook's `Title` is how somebody is addressed where there is a `Job Title` as well.
    fn settle_titles(&mut self) {
        let is_title = |target: &Target, wanted: u8| {
            matches!(target, Target::Take(Column::Field(place), rank)
                if FIELDS.get(*place) == Some(&"title") && *rank == wanted)
        };
        if !self.targets.iter().any(|target| is_title(target, 1)) {
            return;
        }
        for (name, target) in self.names.iter().zip(&mut self.targets) {
            if is_title(target, 0) && !self.said.contains_key(name) {
                *target = attribute("honorific");
            }
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// How many columns a row has.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The places of the columns, in their turns.
    pub(super) fn places(&self) -> &[usize] {
        &self.order
    }

    pub(super) fn column(&self, place: usize) -> Option<(&str, &Target)> {
        Some((self.names.get(place)?, self.targets.get(place)?))
    }

    /// What a name stands for in a file that has no columns.
    pub(super) fn named(&mut self, name: &str) -> Target {
        let place = match self.place(name) {
            Some(place) => place,
            None if self.names.len() < NAMES_MAX => self.add(name),
            None => return self.target_of(name),
        };
        self.targets.get(place).cloned().unwrap_or_else(|| self.target_of(name))
    }

    /// For people.
    pub(super) fn preview(&self) -> Vec<ColumnPreview> {
        let columns = self.names.iter().zip(&self.targets);
        let shown = columns.map(|(name, target)| {
            let (field, note) = match target {
                Target::Take(column, rank) => {
                    let note =
                        (*rank > 0).then(|| "where the columns before have nothing".to_owned());
                    (Some(column.name().into_owned()), note.or_else(|| advice(name, column)))
                }
                Target::Leave(why) => (None, Some(why.clone())),
            };
            ColumnPreview {
                column: name.clone(),
                field,
                note: note.filter(|_| !self.said.contains_key(name)),
            }
        });
        shown.collect()
    }
}

/// What may be meant by a name that is near to a known one.
fn advice(name: &str, column: &Column) -> Option<String> {
    if !matches!(column, Column::Attribute(_)) || name.starts_with("attributes.") {
        return None;
    }
    let meant = nearest(name, FIELDS.into_iter()).filter(|meant| !meant.eq_ignore_ascii_case(name));
    meant.map(|meant| format!("kept as an attribute; did you mean {meant}?"))
}

fn attribute(name: &str) -> Target {
    if name.len() > ATTRIBUTE_KEY_BYTES_MAX {
        return Target::Leave(format!("a name has {ATTRIBUTE_KEY_BYTES_MAX} bytes at most"));
    }
    if name.chars().any(char::is_control) {
        return Target::Leave("its heading holds control characters".to_owned());
    }
    Target::Take(Column::Attribute(name.to_owned()), 0)
}

/// Headings have no addresses and are no numbers.
fn looks_like_data(cells: &[String]) -> bool {
    let is_known = |cell: &String| matches!(known(cell.trim()), Known::Column(..) | Known::Ours);
    let is_value = |cell: &String| {
        let cell = cell.trim();
        let is_number =
            cell.len() > 4 && cell.chars().all(|c| c.is_ascii_digit() || "+-() /.".contains(c));
        cell.contains('@') || is_number
    };
    !cells.iter().any(is_known) && cells.iter().any(is_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    fn said(text: &str) -> Vec<(String, String)> {
        super::super::options::columns_of(text).unwrap()
    }

    fn told(mapping: &Mapping) -> Vec<(String, Option<String>)> {
        mapping.preview().into_iter().map(|at| (at.column, at.field)).collect()
    }

    #[test]
    fn columns_are_known_by_their_headings_or_as_is_said() {
        let cells = header("E-mail,Given name,Customer no,Colour,version,");
        let mapping = Mapping::of_header(&cells, &said("Customer no=externalId:erp")).unwrap();
        let fields: Vec<_> = told(&mapping).into_iter().map(|(_, field)| field).collect();
        let wanted =
            [Some("email"), Some("firstName"), Some("externalId:erp"), Some("Colour"), None, None];
        assert_eq!(fields, wanted.map(|field| field.map(str::to_owned)));
        assert!(mapping.has_header);
    }

    #[test]
    fn a_misspelt_heading_is_asked_about() {
        let mapping = Mapping::of_header(&header("id,emial"), &[]).unwrap();
        let note = mapping.preview()[1].note.clone().unwrap();
        assert!(note.contains("did you mean email?"), "{note}");
        let error = Mapping::of_header(&header("id,x"), &said("x=emial")).unwrap_err().to_string();
        assert!(error.contains("means email, perhaps"), "{error}");
        let error = Mapping::of_header(&header("id,x"), &said("y=email")).unwrap_err().to_string();
        assert!(error.contains("names \"y\", and the file has id, x"), "{error}");
    }

    #[test]
    fn a_file_without_a_header_says_so_and_is_read_by_number() {
        let cells = header("Ada,ada@example.com");
        assert_eq!(Mapping::of_header(&cells, &[]).unwrap_err(), MappingError::NoHeader);
        let mapping = Mapping::of_header(&cells, &said("2=email,1=firstName")).unwrap();
        assert!(!mapping.has_header);
        let error = Mapping::of_header(&header("a,b"), &[]).unwrap_err().to_string();
        assert!(error.contains("none of the columns is known (a, b)"), "{error}");
    }

    #[test]
    fn outlooks_title_is_no_job() {
        let mapping = Mapping::of_header(&header("Title,First Name,Job Title"), &[]).unwrap();
        let fields: Vec<_> = told(&mapping).into_iter().filter_map(|(_, field)| field).collect();
        assert_eq!(fields, ["honorific", "firstName", "title"]);
    }
}

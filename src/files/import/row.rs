//! From what a row says to what is said of a contact.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::content::Content;
use super::headings::holds_members;
use super::mapping::{Mapping, Target};
use super::options::EmptyCells;
use super::refusal::{Reason, Refusal};
use crate::domain::contact::Status;
use crate::domain::decode::{contact_id_problem, id_problem};
use crate::domain::event::EMAIL;
use crate::files::columns::{Column, attribute_json};
use crate::files::formulas::unescape_formula;
use crate::ingest::ContactPatch;

/// What a row says.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) id: Option<String>,
    /// Fields and attributes.
    pub(super) patch: ContactPatch,
    /// By source.
    pub(super) external_ids: BTreeMap<String, String>,
}

/// Reads rows of one file.
#[derive(Clone, Debug)]
pub(super) struct RowReader {
    pub(super) mapping: Mapping,
    pub(super) empty: EmptyCells,
    /// In a CSV.
    pub(super) header: Vec<String>,
}

impl RowReader {
    pub(super) fn read(&mut self, content: Content) -> Result<Row, Refusal> {
        let mut row = Row::default();
        match content {
            Content::Cells(cells) => self.read_cells(&cells, &mut row)?,
            Content::Members(members) => {
                let mut flat = Vec::with_capacity(members.len());
                for (name, value) in members {
                    self.flatten(name, value, &mut flat)?;
                }
                flat.sort_by_key(|(_, _, target)| target.turn());
                for (name, value, target) in flat {
                    read_member(&name, &value, &target, &mut row)?;
                }
            }
        }
        if row.patch.is_empty() && row.external_ids.is_empty() {
            return Err(Refusal::new(Reason::Empty, "no column that is taken has a value"));
        }
        Ok(row)
    }

    fn read_cells(&self, cells: &[String], row: &mut Row) -> Result<(), Refusal> {
        let wanted = self.mapping.len();
        if cells.len() < wanted {
            let detail = format!("the row has {} cells, the header {wanted}", cells.len());
            return Err(Refusal::new(Reason::TooFewCells, detail));
        }
        if cells.iter().skip(wanted).any(|cell| !cell.trim().is_empty()) {
            let detail = format!(
                "the row has {} cells, the header {wanted}: a cell with a delimiter in it needs quotes",
                cells.len()
            );
            return Err(Refusal::new(Reason::TooManyCells, detail));
        }
        if self.mapping.has_header && cells == self.header {
            return Err(Refusal::new(Reason::HeaderAgain, "the row is the header once more"));
        }
        let is_ours = self.mapping.is_ours;
        for place in self.mapping.places() {
            let (Some(cell), Some((name, Target::Take(column, rank)))) =
                (cells.get(*place), self.mapping.column(*place))
            else {
                continue;
            };
            let cell = unescape_formula(cell);
            let cell = if is_ours { cell } else { cell.trim() };
            match (cell, self.empty) {
                ("", EmptyCells::Keep) => {}
                ("", EmptyCells::Clear) => row.clear(column, *rank),
                (text, _) => row.set(column, name, Said::Cell(text))?,
            }
        }
        Ok(())
    }

    /// A contact's own JSON has attributes and external ids one level down.
    fn flatten(
        &mut self,
        name: String,
        value: Box<RawValue>,
        flat: &mut Flat,
    ) -> Result<(), Refusal> {
        let Some(before) = holds_members(&name) else {
            let target = self.mapping.named(&name);
            flat.push((name, value, target));
            return Ok(());
        };
        let members: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(value.get()).map_err(|_| wrong(&name, "must be an object"))?;
        for (inner, value) in members {
            let name = format!("{before}{inner}");
            let target = self.mapping.named(&name);
            flat.push((name, value, target));
        }
        Ok(())
    }
}

/// Members with what they stand for.
type Flat = Vec<(String, Box<RawValue>, Target)>;

fn read_member(
    name: &str,
    value: &RawValue,
    target: &Target,
    row: &mut Row,
) -> Result<(), Refusal> {
    let Target::Take(column, rank) = target else {
        return Ok(());
    };
    if value.get() == "null" {
        row.clear(column, *rank);
        return Ok(());
    }
    row.set(column, name, Said::Json(value.get()))
}

/// A value as a file has it.
#[derive(Clone, Copy)]
enum Said<'t> {
    Cell(&'t str),
    Json(&'t str),
}

impl Said<'_> {
    /// As a field has it: a text, or a number's digits.
    fn text(self, name: &str) -> Result<String, Refusal> {
        match self {
            Self::Cell(text) => Ok(text.to_owned()),
            Self::Json(json) if json.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
                Ok(json.to_owned())
            }
            Self::Json(json) => {
                serde_json::from_str(json).map_err(|_| wrong(name, "must be a text or a number"))
            }
        }
    }

    /// As an attribute has it.
    fn json(self) -> String {
        match self {
            Self::Cell(text) => attribute_json(text),
            Self::Json(json) => json.to_owned(),
        }
    }
}

fn wrong(name: &str, problem: &str) -> Refusal {
    Refusal::new(Reason::InvalidValue, format!("{name} {problem}"))
}

impl Row {
    fn set(&mut self, column: &Column, name: &str, said: Said<'_>) -> Result<(), Refusal> {
        match column {
            Column::Id => {
                let id = said.text(name)?;
                if let Some(problem) = contact_id_problem(id.as_bytes()) {
                    return Err(wrong(name, problem));
                }
                self.id = Some(id);
            }
            Column::Field(place) => self.set_field(*place, name, said.text(name)?),
            Column::ExternalId(source) => {
                let id = said.text(name)?;
                let problem = id_problem(id.as_bytes()).or_else(|| id_problem(source.as_bytes()));
                if let Some(problem) = problem {
                    return Err(wrong(name, problem));
                }
                self.external_ids.insert(source.clone(), id);
            }
            Column::Attribute(attribute) => self.patch.set_attribute(attribute, said.json()),
            Column::Status => {
                let status = said.text(name)?;
                if status.eq_ignore_ascii_case(Status::Deleted.as_str()) {
                    let detail = "the row is of a deleted contact, and an import deletes none";
                    return Err(Refusal::new(Reason::Deleted, detail));
                }
                if !status.eq_ignore_ascii_case(Status::Active.as_str()) {
                    return Err(wrong(name, "must be ACTIVE"));
                }
            }
            Column::CreatedAt
            | Column::UpdatedAt
            | Column::ChangedAt
            | Column::Version
            | Column::SourceVersion
            | Column::Source => {}
        }
        Ok(())
    }

    /// The first in turn counts; the others are attributes, so that nothing is lost.
    fn set_field(&mut self, place: usize, name: &str, text: String) {
        match self.patch.fields.get_mut(place) {
            Some(Some(Some(known))) if *known == text => {}
            Some(Some(Some(_))) => self.patch.set_attribute(name, attribute_json(&text)),
            Some(field) => *field = Some(Some(text)),
            None => {}
        }
    }

    fn clear(&mut self, column: &Column, rank: u8) {
        match column {
            Column::Field(place) => {
                if let Some(field @ None) = self.patch.fields.get_mut(*place).filter(|_| rank == 0)
                {
                    *field = Some(None);
                }
            }
            Column::Attribute(name) => {
                self.patch.attributes.insert(name.clone(), None);
            }
            Column::Id
            | Column::ExternalId(_)
            | Column::Status
            | Column::CreatedAt
            | Column::UpdatedAt
            | Column::ChangedAt
            | Column::Version
            | Column::SourceVersion
            | Column::Source => {}
        }
    }

    pub(super) fn email(&self) -> Option<&str> {
        self.patch.fields.get(EMAIL)?.as_ref()?.as_deref()
    }
}

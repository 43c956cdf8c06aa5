//! Our fields in a source's words: what would be sent there, and what can't be.

use crate::domain::event::FIELDS;

use super::text::Owner;
use super::{FieldRule, Path, Source, Target};

/// Why a field is not sent to a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptBack {
    /// It has no name there.
    NoName,
    /// It belongs to the source.
    Theirs,
    /// It can't be turned round.
    OneWay(&'static str),
    /// The source has no value for it.
    NoValue,
}

/// Our fields as a source has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outward {
    /// Path in the source's data, and the value; none: it is cleared there.
    pub sent: Vec<(String, Option<String>)>,
    /// Our name, and why it stays here.
    pub kept_back: Vec<(&'static str, KeptBack)>,
}

impl Source {
    /// What is sent of these fields, by their places in [`FIELDS`].
    pub fn outward(&self, values: &[Option<&str>; FIELDS.len()]) -> Outward {
        let mut outward = Outward::default();
        for (place, (ours, value)) in FIELDS.iter().zip(values).enumerate() {
            match self.field_outward(place, ours, *value) {
                Ok(sent) => outward.sent.push(sent),
                Err(why) => outward.kept_back.push((*ours, why)),
            }
        }
        outward
    }

    /// The members of the source's data that a field is made from.
    pub fn members_of(&self, place: usize) -> Vec<&str> {
        let target = Target::Field(place);
        let named = self.names.iter().filter(|(_, named)| *named == target);
        let paths = self.rules.iter().filter(|rule| rule.target == target);
        let of_paths = paths.flat_map(|rule| &rule.from).filter_map(Path::first_name);
        named.map(|(theirs, _)| theirs.as_str()).chain(of_paths).collect()
    }

    /// The fields that are taken from the source, and can't be sent there.
    pub fn one_way(&self) -> Vec<(String, &'static str)> {
        let whys = self.rules.iter().filter_map(|rule| {
            let mut whys = rule.steps.iter().filter_map(|step| step.one_way());
            Some((rule.target.to_string(), whys.next()?))
        });
        whys.collect()
    }

    fn field_outward(
        &self,
        place: usize,
        ours: &str,
        value: Option<&str>,
    ) -> Result<(String, Option<String>), KeptBack> {
        if self.leaves_out(place) {
            return Err(KeptBack::NoName);
        }
        let target = Target::Field(place);
        if let Some((theirs, _)) = self.names.iter().find(|(_, named)| *named == target) {
            return Ok((theirs.clone(), value.map(str::to_owned)));
        }
        let rule = self.rules.iter().find(|rule| rule.target == target);
        match rule {
            Some(rule) => rule.outward(value),
            // It speaks our own names.
            None if self.names.is_empty() && self.rules.is_empty() => {
                Ok((ours.to_owned(), value.map(str::to_owned)))
            }
            None => Err(KeptBack::NoName),
        }
    }
}

impl FieldRule {
    fn outward(&self, value: Option<&str>) -> Result<(String, Option<String>), KeptBack> {
        if self.owner == Owner::Source {
            return Err(KeptBack::Theirs);
        }
        if let Some(why) = self.steps.iter().find_map(|step| step.one_way()) {
            return Err(KeptBack::OneWay(why));
        }
        let Some(path) = self.from.first() else {
            return Err(KeptBack::NoName);
        };
        let theirs = match value {
            None => None,
            Some(value) => {
                let mut steps = self.steps.iter().rev();
                let theirs = steps.try_fold(value.to_owned(), |text, step| step.outward(text));
                Some(theirs.ok_or(KeptBack::NoValue)?)
            }
        };
        Ok((path.text().to_owned(), theirs))
    }
}

//! The sources' names for our fields, both ways; configuration, applied on decode.

use std::collections::BTreeMap;

use super::event::FIELDS;

/// The source whose mapping is built in.
pub const ACME: &str = "acme";
const ACME_NAMES: [&str; 6] =
    ["acme_first_name", "acme_last_name", "acme_email", "acme_phone", "acme_company", "acme_title"];
/// Our name for the contact's id, which may be mapped too.
const ID: &str = "id";

/// What a source's name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The contact's id.
    Id,
    /// A place in [`FIELDS`].
    Field(usize),
}

/// Every source's names for our fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    sources: Vec<SourceMapping>,
    /// All sources' names together, for events that name no source.
    any: SourceMapping,
}

/// One source's names, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceMapping {
    source: String,
    names: Vec<(String, Target)>,
}

/// A mapping that can't be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mapping of source {origin:?}: {theirs:?} is mapped to {ours:?}, which is none of id, {}", FIELDS.join(", "))]
pub struct UnknownField {
    /// The source.
    pub origin: String,
    /// Its name for the field.
    pub theirs: String,
    /// What stands in place of one of our names.
    pub ours: String,
}

impl Mapping {
    /// What holds without configuration: Acme's names.
    pub fn built_in() -> Self {
        let names = ACME_NAMES.iter().enumerate();
        let names = names.map(|(place, name)| ((*name).to_owned(), Target::Field(place))).collect();
        Self::of(vec![SourceMapping::new(ACME.to_owned(), names)])
    }

    /// From configuration: source → their name → ours. A source that stands there replaces its
    /// built-in mapping. Every wrong entry is reported.
    pub fn from_config(
        config: &BTreeMap<String, BTreeMap<String, String>>,
    ) -> Result<Self, Vec<UnknownField>> {
        let mut wrong = Vec::new();
        let mut sources = Vec::new();
        for (source, entries) in config {
            let mut names = Vec::new();
            for (theirs, ours) in entries {
                match target(ours) {
                    Some(target) => names.push((theirs.clone(), target)),
                    None => wrong.push(UnknownField {
                        origin: source.clone(),
                        theirs: theirs.clone(),
                        ours: ours.clone(),
                    }),
                }
            }
            sources.push(SourceMapping::new(source.clone(), names));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        if !config.contains_key(ACME) {
            sources.append(&mut Self::built_in().sources);
        }
        Ok(Self::of(sources))
    }

    fn of(mut sources: Vec<SourceMapping>) -> Self {
        sources.sort_by(|a, b| a.source.cmp(&b.source));
        let mut names: Vec<_> =
            sources.iter().flat_map(|each| each.names.iter().cloned()).collect();
        // Stable: of two sources that use one name differently the first one counts.
        names.sort_by(|a, b| a.0.cmp(&b.0));
        names.dedup_by(|later, first| later.0 == first.0);
        Self { sources, any: SourceMapping { source: String::new(), names } }
    }

    /// The names of a source; those of all when the event names none.
    pub fn of_source(&self, source: &[u8]) -> Option<&SourceMapping> {
        if source.is_empty() {
            return Some(&self.any);
        }
        self.sources.iter().find(|each| each.source.as_bytes() == source)
    }

    /// A source's name for the field at `place` of [`FIELDS`]; the first by name if it has several.
    pub fn theirs(&self, source: &str, place: usize) -> Option<&str> {
        let names = &self.of_source(source.as_bytes())?.names;
        let found = names.iter().find(|(_, target)| *target == Target::Field(place))?;
        Some(&found.0)
    }

    /// Source → their name → ours: what [`Self::from_config`] reads.
    pub fn by_name(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let of_source = |each: &SourceMapping| {
            let names = each.names.iter();
            let names = names.map(|(theirs, target)| (theirs.clone(), target.ours().to_owned()));
            (each.source.clone(), names.collect())
        };
        self.sources.iter().map(of_source).collect()
    }
}

impl SourceMapping {
    fn new(source: String, mut names: Vec<(String, Target)>) -> Self {
        names.sort_by(|a, b| a.0.cmp(&b.0));
        Self { source, names }
    }

    /// What the source's `name` stands for.
    pub fn target(&self, name: &[u8]) -> Option<Target> {
        // Few names, mostly of different lengths: comparing all beats a binary search.
        let found = self.names.iter().find(|(theirs, _)| theirs.as_bytes() == name)?;
        Some(found.1)
    }
}

impl Target {
    fn ours(self) -> &'static str {
        match self {
            Self::Id => ID,
            Self::Field(place) => FIELDS.get(place).copied().unwrap_or_default(),
        }
    }
}

/// The place of one of our own field names.
pub fn field_of(name: &[u8]) -> Option<usize> {
    FIELDS.iter().position(|field| field.as_bytes() == name)
}

fn target(ours: &str) -> Option<Target> {
    if ours == ID {
        return Some(Target::Id);
    }
    field_of(ours.as_bytes()).map(Target::Field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(entries: &[(&str, &str, &str)]) -> BTreeMap<String, BTreeMap<String, String>> {
        let mut config: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (source, theirs, ours) in entries {
            let names = config.entry((*source).to_owned()).or_default();
            names.insert((*theirs).to_owned(), (*ours).to_owned());
        }
        config
    }

    #[test]
    fn acme_is_built_in_and_goes_both_ways() {
        let mapping = Mapping::from_config(&BTreeMap::new()).unwrap();
        assert_eq!(mapping, Mapping::built_in());
        let acme = mapping.of_source(b"acme").unwrap();
        for (place, name) in ACME_NAMES.iter().enumerate() {
            assert_eq!(acme.target(name.as_bytes()), Some(Target::Field(place)));
            assert_eq!(mapping.theirs(ACME, place), Some(*name));
        }
        assert_eq!(acme.target(b"firstName"), None);
        assert!(mapping.of_source(b"hubspot").is_none());
    }

    #[test]
    fn a_configured_source_replaces_its_built_in_names() {
        let mapping =
            Mapping::from_config(&config(&[("acme", "mail", "email"), ("crm", "key", "id")]));
        let mapping = mapping.unwrap();
        assert_eq!(mapping.of_source(b"acme").unwrap().target(b"acme_email"), None);
        assert_eq!(mapping.of_source(b"crm").unwrap().target(b"key"), Some(Target::Id));
        assert_eq!(mapping.of_source(b"").unwrap().target(b"mail"), Some(Target::Field(2)));
    }

    #[test]
    fn all_wrong_targets_are_named() {
        let wrong = Mapping::from_config(&config(&[("a", "x", "eMail"), ("b", "y", "status")]));
        let wrong = wrong.unwrap_err();
        assert_eq!(wrong.len(), 2);
        assert!(wrong[0].to_string().contains("\"eMail\""), "{}", wrong[0]);
    }
}

//! What the sources call things, both ways: configuration, applied on decode, part of the rules.
//!
//! ```text
//! SourceText (a preset under a table of the configuration, resolved) ─► Source (compiled) ─► decode
//!                                                                               └─► outward (ours to theirs)
//! ```
//!
//! A source whose fields have names of their own and nothing more is read as our own events are; what
//! needs paths or steps costs a walk of its own. An event without a source goes by our own names alone.

mod country;
mod date;
mod outward;
mod path;
mod presets;
mod steps;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use super::event::{EventKind, FIELDS};
use super::limits::ATTRIBUTE_KEY_BYTES_MAX;

pub use outward::{KeptBack, Outward};
pub use path::{Path, Segment};
pub use presets::{PRESETS, Preset};
pub use steps::{Step, part};
pub use text::{FieldText, Ids, Owner, SourceText, Unknown};

/// The source that is built in.
pub const ACME: &str = "acme";
/// Our name for the contact's id, which may have a name of the source's too.
pub const ID: &str = "id";
/// Begins our name for an attribute.
const ATTRIBUTE: &str = "attributes.";
/// What a record says of itself: where each of it stands, as paths.
pub const RECORD_KEYS: [&str; 11] = [
    "inside", "each", "type", "id", "time", "version", "contact", "data", "name", "value", "nulls",
];
/// Paths that one field may be looked for at, and steps that it may go through.
const PARTS_MAX: usize = 16;

/// What a source's name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The contact's id.
    Id,
    /// A place in [`FIELDS`].
    Field(usize),
    /// An attribute of this name.
    Attribute(String),
}

/// One field of ours: where it stands in the source's data, and what is made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRule {
    /// What it becomes here.
    pub target: Target,
    /// Where it is looked for; the first that is there counts, unless they are joined.
    pub from: Vec<Path>,
    /// What is made of the text, in order.
    pub steps: Vec<Step>,
    /// Whose word counts.
    pub owner: Owner,
}

/// Where things stand in a source's records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordPaths {
    /// The event is in there, if it is there.
    pub inside: Vec<Path>,
    /// The event's type; what is there of several is put together with colons.
    pub kind: Vec<Path>,
    /// The event's id, put together likewise.
    pub id: Vec<Path>,
    /// When it happened.
    pub time: Vec<Path>,
    /// The source's version.
    pub version: Vec<Path>,
    /// The contact's id; a list of several is an event of each.
    pub contact: Vec<Path>,
    /// The contact's members; none: the event's own.
    pub data: Vec<Path>,
    /// The one member that changed, and its value.
    pub member: Option<(Path, Path)>,
    /// The list of members that are null on purpose; where it is there, other nulls say nothing.
    pub nulls: Option<Path>,
}

/// One source, ready for use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    name: String,
    /// None: its events have our own envelope.
    record: Option<RecordPaths>,
    /// Where a batch has its events.
    each: Option<Path>,
    types: Vec<(String, EventKind)>,
    /// Names that stand for a field as it is.
    names: Vec<(String, Target)>,
    /// What needs a walk of its own.
    rules: Vec<FieldRule>,
    /// Places in [`FIELDS`] that are not taken, under our own name neither.
    left_out: Vec<usize>,
    unknown: Unknown,
    ids: Ids,
}

/// Every source that is configured, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources(Vec<Source>);

/// A table that can't be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("source.{origin}.{key} {problem}")]
pub struct SourceError {
    /// The source.
    pub origin: String,
    /// The key in its table.
    pub key: String,
    /// What is wrong, as the rest of a sentence.
    pub problem: String,
}

/// By source, what is said of it.
pub type SourceTexts = BTreeMap<String, SourceText>;

/// What holds without configuration: Acme's names.
pub fn built_in() -> SourceTexts {
    let acme = Preset::of(ACME).map(Preset::text).unwrap_or_default();
    SourceTexts::from([(ACME.to_owned(), acme)])
}

impl Sources {
    /// What holds without configuration.
    pub fn built_in() -> Self {
        // A test sees to it that it is right.
        Self::compile(&built_in()).unwrap_or_default()
    }

    /// From their texts.
    ///
    /// # Errors
    /// Everything in them that can't be right.
    pub fn compile(texts: &SourceTexts) -> Result<Self, Vec<SourceError>> {
        let mut wrong = Vec::new();
        let mut sources = Vec::new();
        for (name, text) in texts {
            match Source::compile(name, text) {
                Ok(source) => sources.push(source),
                Err(mut errors) => wrong.append(&mut errors),
            }
        }
        if wrong.is_empty() { Ok(Self(sources)) } else { Err(wrong) }
    }

    /// The source of this name; none: only our own names count.
    pub fn of(&self, name: &[u8]) -> Option<&Source> {
        self.0.iter().find(|source| source.name.as_bytes() == name)
    }

    /// Whether a source names contacts by ids of its own.
    pub fn has_own_ids(&self, name: &[u8]) -> bool {
        self.of(name).is_some_and(|source| source.ids == Ids::Own)
    }

    /// Where a source's records have what is around the data; none: where ours have it.
    pub fn record_of(&self, name: &[u8]) -> Option<&RecordPaths> {
        self.of(name)?.record()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }

    /// The sources that have one of these names for something, but for our own.
    pub fn who_knows<'n>(&self, names: impl Iterator<Item = &'n str> + Clone) -> Vec<&str> {
        let knows = |source: &&Source| names.clone().any(|name| source.covers(name.as_bytes()));
        self.0.iter().filter(knows).map(|source| source.name.as_str()).collect()
    }
}

impl Source {
    /// From its text.
    ///
    /// # Errors
    /// Everything in it that can't be right.
    pub fn compile(name: &str, text: &SourceText) -> Result<Self, Vec<SourceError>> {
        let mut wrong = Vec::new();
        let SourceText { unknown, ids, .. } = *text;
        let mut source = Self { name: name.to_owned(), unknown, ids, ..Self::default() };
        let mut note = |key: String, problem: String| {
            wrong.push(SourceError { origin: name.to_owned(), key, problem });
        };
        match read_record(&text.record) {
            Ok((record, each)) => (source.record, source.each) = (record, each),
            Err((key, problem)) => note(format!("record.{key}"), problem),
        }
        for (theirs, ours) in &text.types {
            match EventKind::from_type(ours.as_bytes()).filter(|kind| !kind.is_command_only()) {
                Some(kind) => source.types.push((theirs.clone(), kind)),
                None => {
                    let problem = "must be contact.created, contact.updated, contact.deleted or a payment's type";
                    note(format!("types.{theirs}"), format!("is \"{ours}\", and {problem}"));
                }
            }
        }
        let mut taken: BTreeMap<String, &str> = BTreeMap::new();
        for (ours, field) in &text.fields {
            let key = format!("fields.{ours}");
            if field.is_left_out()
                && let Some(place) = field_of(ours.as_bytes())
            {
                source.left_out.push(place);
                continue;
            }
            let rule = match FieldRule::read(name, ours, field) {
                Ok(rule) => rule,
                Err(problem) => {
                    note(key, problem);
                    continue;
                }
            };
            match rule.plain_name() {
                None => source.rules.push(rule),
                Some(theirs) => {
                    if let Some(other) = taken.insert(theirs.to_owned(), ours) {
                        note(key, format!("takes \"{theirs}\", which {other} takes already"));
                    }
                    source.names.push((theirs.to_owned(), rule.target.clone()));
                }
            }
        }
        if wrong.is_empty() { Ok(source) } else { Err(wrong) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its records have what is around the data; none: where ours have it.
    pub fn record(&self) -> Option<&RecordPaths> {
        self.record.as_ref()
    }

    /// Where a batch has its events; none: a batch is an array of them.
    pub fn each(&self) -> Option<&Path> {
        self.each.as_ref()
    }

    /// What becomes of members that nothing stands for.
    pub fn unknown(&self) -> Unknown {
        self.unknown
    }

    /// What its ids of contacts are.
    pub fn ids(&self) -> Ids {
        self.ids
    }

    /// What needs a walk of its own.
    pub fn rules(&self) -> &[FieldRule] {
        &self.rules
    }

    /// What the source's `name` stands for, as it is.
    pub fn target(&self, name: &[u8]) -> Option<&Target> {
        // Few names, mostly of different lengths: comparing all beats a binary search.
        let found = self.names.iter().find(|(theirs, _)| theirs.as_bytes() == name)?;
        Some(&found.1)
    }

    /// What a member stands for whose name is one of ours, and no name of the source's.
    pub fn field_of(&self, name: &[u8]) -> Option<usize> {
        field_of(name).filter(|place| !self.leaves_out(*place))
    }

    /// Whether a field, by its place in [`FIELDS`], is not taken.
    pub fn leaves_out(&self, place: usize) -> bool {
        self.left_out.contains(&place)
    }

    /// Whether a member of this name has something for a field.
    pub fn covers(&self, name: &[u8]) -> bool {
        self.target(name).is_some() || self.begins_a_path(name)
    }

    /// Whether a rule walks through a member of this name.
    pub fn begins_a_path(&self, name: &[u8]) -> bool {
        let mut paths = self.rules.iter().flat_map(|rule| &rule.from);
        paths.any(|path| path.first_name().is_some_and(|first| first.as_bytes() == name))
    }

    /// What an event of this type does; our own types are known of every source.
    pub fn kind(&self, text: &[u8]) -> Option<EventKind> {
        let named = self.types.iter().find(|(theirs, _)| fits(theirs.as_bytes(), text));
        named.map(|(_, kind)| *kind)
    }

    /// Its names and rules, field by field, for people.
    pub fn described(&self) -> Vec<(String, String)> {
        let plain = self.names.iter().map(|(theirs, target)| (target.to_string(), theirs.clone()));
        let rules = self.rules.iter().map(|rule| (rule.target.to_string(), rule.to_string()));
        let mut all: Vec<_> = plain.chain(rules).collect();
        all.sort();
        all
    }
}

impl FieldRule {
    fn read(source: &str, ours: &str, text: &FieldText) -> Result<Self, String> {
        let target = Target::read(ours)?;
        let from = text.from.iter().map(|path| {
            let path = Path::parse(path)?;
            if path.first_name().is_none() {
                return Err("has an empty path, and must name a member".to_owned());
            }
            Ok(path)
        });
        let from = from.collect::<Result<Vec<_>, String>>()?;
        let steps = steps::read_all(&text.steps, &text.values)?;
        if from.is_empty() && !steps.iter().any(|step| matches!(step, Step::Constant(_))) {
            return Err("says nowhere what it is made from".to_owned());
        }
        if from.len() > PARTS_MAX || steps.len() > PARTS_MAX {
            return Err(format!("has more than {PARTS_MAX} paths or steps"));
        }
        let owner = Owner::read(source, &text.owner)?;
        Ok(Self { target, from, steps, owner })
    }

    /// The name, where it stands for the field as it is.
    fn plain_name(&self) -> Option<&str> {
        match (self.from.as_slice(), &self.target, self.owner) {
            ([path], Target::Id | Target::Field(_), Owner::Newest) if self.steps.is_empty() => {
                path.only_name()
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for FieldRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let from: Vec<&str> = self.from.iter().map(Path::text).collect();
        write!(f, "{}", from.join(" or "))?;
        for step in &self.steps {
            write!(f, " | {step}")?;
        }
        match self.owner {
            Owner::Us => write!(f, " (ours: not taken)"),
            Owner::Newest | Owner::Source => Ok(()),
        }
    }
}

impl Target {
    fn read(ours: &str) -> Result<Self, String> {
        if ours == ID {
            return Ok(Self::Id);
        }
        if let Some(name) = ours.strip_prefix(ATTRIBUTE) {
            let has_length = (1..=ATTRIBUTE_KEY_BYTES_MAX).contains(&name.len());
            if !has_length || name.contains(char::is_control) {
                let most = ATTRIBUTE_KEY_BYTES_MAX;
                return Err(format!(
                    "names an attribute of no bytes, of over {most}, or with control characters"
                ));
            }
            return Ok(Self::Attribute(name.to_owned()));
        }
        field_of(ours.as_bytes())
            .map(Self::Field)
            .ok_or_else(|| format!("is none of id, {}, or attributes.NAME", FIELDS.join(", ")))
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id => f.write_str(ID),
            Self::Field(place) => f.write_str(FIELDS.get(*place).copied().unwrap_or_default()),
            Self::Attribute(name) => write!(f, "{ATTRIBUTE}{name}"),
        }
    }
}

/// The place of one of our own field names.
pub fn field_of(name: &[u8]) -> Option<usize> {
    FIELDS.iter().position(|field| field.as_bytes() == name)
}

/// A record's paths by their keys; a key without a path is as if it were not there.
type ReadRecord = (Option<RecordPaths>, Option<Path>);

fn read_record(text: &BTreeMap<String, Vec<String>>) -> Result<ReadRecord, (String, String)> {
    let mut parsed: BTreeMap<&str, Vec<Path>> = BTreeMap::new();
    for (key, paths) in text {
        let known = RECORD_KEYS.into_iter().find(|known| known == key);
        let Some(known) = known else {
            return Err((key.clone(), format!("is none of {}", RECORD_KEYS.join(", "))));
        };
        if paths.len() > PARTS_MAX {
            return Err((key.clone(), format!("has more than {PARTS_MAX} paths")));
        }
        let paths = paths.iter().map(|path| Path::parse(path)).collect::<Result<Vec<_>, _>>();
        parsed.insert(known, paths.map_err(|problem| (key.clone(), problem))?);
    }
    let each = parsed.remove("each").and_then(|paths| paths.into_iter().next());
    if parsed.values().all(Vec::is_empty) {
        return Ok((None, each));
    }
    let mut take = |key: &str| parsed.remove(key).unwrap_or_default();
    let (name, value) = (take("name").into_iter().next(), take("value").into_iter().next());
    let member = match (name, value) {
        (Some(name), Some(value)) => Some((name, value)),
        (None, None) => None,
        (Some(_), None) => return Err(("value".to_owned(), "is missing beside name".to_owned())),
        (None, Some(_)) => return Err(("name".to_owned(), "is missing beside value".to_owned())),
    };
    let record = RecordPaths {
        inside: take("inside"),
        kind: take("type"),
        id: take("id"),
        time: take("time"),
        version: take("version"),
        contact: take("contact"),
        data: take("data"),
        member,
        nulls: take("nulls").into_iter().next(),
    };
    Ok((Some(record), each))
}

impl RecordPaths {
    /// Whether a member of this name, beside the data, is the envelope's.
    pub fn uses(&self, name: &[u8]) -> bool {
        let lists = [&self.kind, &self.id, &self.time, &self.version, &self.contact, &self.data];
        let paths = lists.into_iter().flatten().chain(&self.nulls);
        let mut names = paths.filter_map(Path::first_name);
        names.any(|first| first.as_bytes() == name)
    }
}

/// Whether a text is of a form with `*` in it, which stands for anything.
fn fits(form: &[u8], text: &[u8]) -> bool {
    let mut parts = form.split(|byte| *byte == b'*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let found = rest.windows(part.len().max(1)).position(|window| window == part);
        let Some(at) = found.or_else(|| part.is_empty().then_some(0)) else {
            return false;
        };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    true
}

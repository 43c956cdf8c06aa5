//! What somebody wants of a subscription, and whether it can be had.

use crate::domain::contact::Status;
use crate::domain::event::FIELDS;
use crate::effects::feed::event_types;

use super::subscription::{Content, DISABLED, Subscription, is_of};

/// Characters of an address and of a description.
const TEXT_CHARS_MAX: usize = 2_048;
/// Things that one part of a filter may name.
const LIST_MAX: usize = 50;
/// Deliveries a second that may be asked for.
const RATE_MAX: u32 = 10_000;
/// Fields besides those of events.
const STATUS: &str = "status";
/// What has names of its own below it.
const MAPS: [&str; 2] = ["attributes", "externalIds"];

/// What is wanted; what is none stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Where it is told.
    pub url: Option<String>,
    /// What people call it.
    pub description: Option<String>,
    /// Types of events.
    pub events: Option<Vec<String>>,
    /// Only what these sources said.
    pub sources: Option<Vec<String>>,
    /// Nothing that these sources said.
    pub not_sources: Option<Vec<String>>,
    /// Only of contacts that are so, by their names.
    pub statuses: Option<Vec<String>>,
    /// Only where one of these changed.
    pub fields: Option<Vec<String>>,
    /// What is sent, by its name.
    pub send: Option<String>,
    /// Deliveries a second at most; 0: as fast as it answers.
    pub rate: Option<u64>,
    /// Whether the changes of one contact come one after the other.
    pub ordered: Option<bool>,
}

type Problems = Vec<(&'static str, String)>;

impl Wish {
    /// Makes a subscription what is wanted.
    ///
    /// # Errors
    /// Everything that can't be had, by field.
    pub(super) fn grant(self, subscription: &mut Subscription) -> Result<(), Problems> {
        let mut problems = Vec::new();
        let long = |text: &str| text.chars().count() > TEXT_CHARS_MAX;
        for (name, text) in [("url", &self.url), ("description", &self.description)] {
            if text.as_deref().is_some_and(long) {
                problems.push((name, format!("has more than {TEXT_CHARS_MAX} characters")));
            }
        }
        let filter = &mut subscription.filter;
        granted(&mut filter.events, self.events, "events", &mut problems, event);
        granted(&mut filter.sources, self.sources, "sources", &mut problems, source);
        granted(&mut filter.not_sources, self.not_sources, "notSources", &mut problems, source);
        granted(&mut filter.fields, self.fields, "fields", &mut problems, field);
        granted(&mut filter.statuses, self.statuses, "statuses", &mut problems, status);
        if filter.events.is_empty() {
            filter.events = vec!["*".to_owned()];
        }
        if let Some(send) = self.send {
            match Content::ALL.into_iter().find(|content| content.as_str() == send) {
                Some(content) => subscription.send = content,
                None => problems.push(("send", "must be change, contact or ids".to_owned())),
            }
        }
        if let Some(rate) = self.rate {
            match u32::try_from(rate) {
                Ok(rate) if rate <= RATE_MAX => {
                    subscription.rate = Some(rate).filter(|rate| *rate > 0);
                }
                Ok(_) | Err(_) => problems.push(("rate", format!("must be from 0 to {RATE_MAX}"))),
            }
        }
        subscription.ordered = self.ordered.unwrap_or(subscription.ordered);
        if let Some(description) = self.description {
            subscription.description = description;
        }
        if let Some(url) = self.url {
            subscription.url = url;
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

/// One part of a filter, if it is wanted to be another.
fn granted<T>(
    part: &mut Vec<T>,
    wanted: Option<Vec<String>>,
    name: &'static str,
    problems: &mut Problems,
    read: fn(&str) -> Result<T, String>,
) {
    let Some(wanted) = wanted else {
        return;
    };
    if wanted.len() > LIST_MAX {
        problems.push((name, format!("names more than {LIST_MAX}")));
        return;
    }
    let read: Vec<Result<T, String>> = wanted.iter().map(|text| read(text)).collect();
    part.clear();
    for each in read {
        match each {
            Ok(each) => part.push(each),
            Err(problem) => problems.push((name, problem)),
        }
    }
}

fn event(pattern: &str) -> Result<String, String> {
    let mut types = event_types().chain([DISABLED]);
    if pattern == "*" || types.any(|kind| is_of(pattern, kind)) {
        return Ok(pattern.to_owned());
    }
    let types: Vec<&str> = event_types().chain([DISABLED]).collect();
    let shown = shown(pattern);
    Err(format!(
        "has \"{shown}\", which is no type of event; there are {}, and *",
        types.join(", ")
    ))
}

fn source(name: &str) -> Result<String, String> {
    let is_name = !name.is_empty() && name.len() <= 256;
    is_name.then(|| name.to_owned()).ok_or_else(|| "has an empty or too long name".to_owned())
}

fn status(name: &str) -> Result<Status, String> {
    let found = [Status::Active, Status::Deleted].into_iter().find(|it| it.as_str() == name);
    found.ok_or_else(|| format!("has \"{}\", and must be ACTIVE or DELETED", shown(name)))
}

fn field(name: &str) -> Result<String, String> {
    let is_below =
        |map: &&str| name.strip_prefix(*map).is_some_and(|it| it.len() > 1 && it.starts_with('.'));
    let is_field = FIELDS.contains(&name)
        || name == STATUS
        || MAPS.contains(&name)
        || name.len() <= 300 && MAPS.iter().any(is_below);
    let (fields, shown) = (FIELDS.join(", "), shown(name));
    is_field.then(|| name.to_owned()).ok_or_else(|| {
        format!(
            "has \"{shown}\", which is no field; there are {fields}, status, attributes, attributes.NAME, \
             externalIds and externalIds.SOURCE"
        )
    })
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

//! A subscription as its control entry has it: what is wanted, and what was ordered.

use serde::{Deserialize, Serialize};

use crate::domain::contact::Status;
use crate::domain::control::ControlEntry;
use crate::domain::position::{Lane, Offset, Position};

/// Begins the keys of their control entries.
pub(super) const PREFIX: &str = "subscription/";
/// Messages that may be ordered once more and are not yet taken up.
pub(super) const RESENDS_MAX: usize = 32;
/// Begins the types of events that are about subscriptions.
const OWN_TYPES: &str = "subscription.";
/// A subscription was given up.
pub(super) const DISABLED: &str = "subscription.disabled";

/// What is sent of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// What happened and which fields have which values since.
    Change,
    /// What happened, and the whole contact.
    #[default]
    Contact,
    /// Which contact, and that something happened.
    Ids,
}

impl Content {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Change, Self::Contact, Self::Ids];

    /// Stable lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Contact => "contact",
            Self::Ids => "ids",
        }
    }
}

/// Which changes are wanted; what is empty lets everything through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filter {
    /// Types of events: `contact.updated`, `contact.*`, `*`.
    pub events: Vec<String>,
    /// Only what these sources said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Nothing that these sources said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_sources: Vec<String>,
    /// Only of contacts that are so after it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<Status>,
    /// Only where one of these fields has another value since.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

/// What filters look at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'f> {
    pub(super) kind: &'f str,
    pub(super) source: &'f str,
    /// None: it is about no contact.
    pub(super) status: Option<Status>,
}

impl Filter {
    /// Whether a change passes, whatever fields it changed.
    pub(super) fn passes(&self, facts: &Facts<'_>) -> bool {
        let is_one = |texts: &[String]| texts.iter().any(|text| text == facts.source);
        let has_status = |status| self.statuses.is_empty() || self.statuses.contains(&status);
        self.events.iter().any(|pattern| is_of(pattern, facts.kind))
            && (self.sources.is_empty() || is_one(&self.sources))
            && !is_one(&self.not_sources)
            && facts.status.is_none_or(has_status)
    }

    /// Whether one of the changed fields is wanted.
    pub(super) fn wants_fields<'c>(&self, mut changed: impl Iterator<Item = &'c str>) -> bool {
        self.fields.is_empty() || changed.any(|name| self.fields.iter().any(|it| names(it, name)))
    }
}

/// `attributes` stands for all of them.
fn names(wanted: &str, name: &str) -> bool {
    name == wanted || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
}

/// Whether a type is one that a pattern means.
pub(super) fn is_of(pattern: &str, kind: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => !kind.starts_with(OWN_TYPES),
        Some(before) => before.ends_with('.') && kind.starts_with(before),
        None => pattern == kind,
    }
}

/// Whether it is sent anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is.
    #[default]
    Active,
    /// Somebody paused it: what comes meanwhile is sent when it is resumed.
    Paused,
    /// It failed for too long, or its address said that it is gone.
    Disabled,
}

impl State {
    /// Stable lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }
}

/// Since when it is in its state, and by whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Since {
    pub(super) at_ms: u64,
    pub(super) by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
}

/// What a secret is made from, with one that stands on no log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecretSeed {
    pub(super) seed: String,
    /// Tells whether the secret that is made is the one that was given out.
    pub(super) check: String,
    /// Until when it signs besides the newest, in ms since 1970; none: it is the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) until_ms: Option<u64>,
}

/// What was ordered, to be taken up by the instance that sends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Orders {
    /// Counts them up.
    pub(super) number: u64,
    /// All since a position once more, and the order's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recover: Option<(u64, String)>,
    /// One message once more each: the order's number, and where its change stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) resend: Vec<(u64, Lane, Offset)>,
}

/// Somebody wants to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// Names it.
    #[serde(skip)]
    pub id: String,
    /// Where it is told.
    pub url: String,
    /// What people call it.
    #[serde(default)]
    pub description: String,
    /// What of.
    #[serde(flatten)]
    pub filter: Filter,
    /// What is sent.
    pub send: Content,
    /// Deliveries a second at most; none: as fast as it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Whether the changes of one contact come one after the other.
    #[serde(default)]
    pub ordered: bool,
    /// Whether it is sent anything.
    pub state: State,
    pub(super) since: Since,
    /// Newest first.
    pub(super) secrets: Vec<SecretSeed>,
    /// It is told of what came after it.
    pub(super) from: String,
    /// When it was made, in ms since 1970.
    pub created_at_ms: u64,
    /// Who made it.
    pub created_by: String,
    #[serde(default)]
    pub(super) orders: Orders,
}

impl Subscription {
    /// As an entry has it.
    pub(super) fn of(key: &str, entry: &ControlEntry) -> Option<Self> {
        let id = key.strip_prefix(PREFIX)?;
        match serde_json::from_slice::<Self>(&entry.value) {
            Ok(subscription) => Some(Self { id: id.to_owned(), ..subscription }),
            Err(error) => {
                tracing::error!(subscription = id, %error, "a subscription can't be read");
                None
            }
        }
    }

    /// It is told of what came after it.
    pub(super) fn begins(&self) -> Position {
        Position::decode(&self.from).unwrap_or_default()
    }
}

pub(super) fn key(id: &str) -> String {
    format!("{PREFIX}{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_means_everything_but_what_is_about_subscriptions() {
        assert!(is_of("*", "contact.created") && is_of("*", "payment.failed"));
        assert!(!is_of("*", DISABLED) && is_of("subscription.*", DISABLED));
        assert!(is_of("contact.*", "contact.erased") && !is_of("contact.*", "contacts.erased"));
        assert!(
            is_of("contact.updated", "contact.updated") && !is_of("contact", "contact.updated")
        );
        assert!(!is_of("con*", "contact.updated"), "a star stands for a whole word");
    }

    #[test]
    fn a_filter_lets_through_what_fits_all_that_it_says() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let filter = Filter {
            events: texts(&["contact.updated"]),
            not_sources: texts(&["crm"]),
            statuses: vec![Status::Active],
            fields: texts(&["email", "attributes"]),
            ..Filter::default()
        };
        let facts = |kind, source, status| Facts { kind, source, status: Some(status) };
        assert!(filter.passes(&facts("contact.updated", "api", Status::Active)));
        assert!(!filter.passes(&facts("contact.updated", "crm", Status::Active)));
        assert!(!filter.passes(&facts("contact.updated", "api", Status::Deleted)));
        assert!(!filter.passes(&facts("contact.created", "api", Status::Active)));
        assert!(filter.wants_fields(["phone", "attributes.plan"].into_iter()));
        assert!(!filter.wants_fields(["phone", "emails"].into_iter()));
    }
}

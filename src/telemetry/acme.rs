//! Figures of the sync with the Acme CRM.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec};
use serde::{Deserialize, Serialize};

use super::registry::{Families, MetricsError};

/// A kind of request to Acme; each has a limit of its own there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AcmeCall {
    /// For a token.
    Login,
    /// A page of contacts.
    List,
    /// One contact.
    Get,
    /// A new contact.
    Create,
    /// Fields of a contact.
    Update,
    /// A contact goes.
    Delete,
}

impl AcmeCall {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Login, Self::List, Self::Get, Self::Create, Self::Update, Self::Delete];

    /// Label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::List => "list",
            Self::Get => "get",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// How a request to Acme ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcmeResult {
    /// Acme did it, or says that there is no such contact.
    Done,
    /// Acme refused it: 4xx, but for 429.
    Refused,
    /// Too many requests: 429.
    Limited,
    /// An error of Acme's: 5xx.
    Failed,
    /// No answer, or none in time.
    NoAnswer,
    /// An answer that is not one of Acme's API.
    Unreadable,
}

impl AcmeResult {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::Done, Self::Refused, Self::Limited, Self::Failed, Self::NoAnswer, Self::Unreadable];

    /// Label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Limited => "limited",
            Self::Failed => "failed",
            Self::NoAnswer => "no_answer",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A kind of difference between the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcmeDrift {
    /// Acme lacks the contact.
    MissingThere,
    /// We lack it.
    MissingHere,
    /// Both have it, and fields differ.
    Differs,
    /// It is deleted here, and Acme has it.
    DeletedHere,
}

impl AcmeDrift {
    /// Every one.
    pub const ALL: [Self; 4] =
        [Self::MissingThere, Self::MissingHere, Self::Differs, Self::DeletedHere];

    /// Label value, and its name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingThere => "missing_there",
            Self::MissingHere => "missing_here",
            Self::Differs => "differs",
            Self::DeletedHere => "deleted_here",
        }
    }
}

/// Figures of the sync with Acme; cheap to clone.
#[derive(Clone, Debug)]
pub struct AcmeMetrics {
    requests: Vec<IntCounter>,
    drift: IntGaugeVec,
}

impl AcmeMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let requests: IntCounterVec = families.counters(
            "contactd_acme_requests_total",
            "Requests to the Acme CRM by kind and by how they ended.",
            &["kind", "result"],
        )?;
        let drift = families.gauges(
            "contactd_acme_drift_contacts",
            "Contacts in which the last whole comparison with Acme found a difference that stayed, by its kind; there from the first comparison of this instance on.",
            &["kind"],
        )?;
        let of = |call: AcmeCall| {
            let results = AcmeResult::ALL.map(AcmeResult::as_str);
            results.map(|result| requests.with_label_values(&[call.as_str(), result]))
        };
        Ok(Self { requests: AcmeCall::ALL.into_iter().flat_map(of).collect(), drift })
    }

    /// A request ended.
    pub fn request(&self, call: AcmeCall, result: AcmeResult) {
        let at = call as usize * AcmeResult::ALL.len() + result as usize;
        if let Some(counter) = self.requests.get(at) {
            counter.inc();
        }
    }

    /// What a whole comparison left, by [`AcmeDrift::ALL`].
    pub fn set_drift(&self, contacts: [u64; AcmeDrift::ALL.len()]) {
        for (kind, contacts) in AcmeDrift::ALL.iter().zip(contacts) {
            let gauge = self.drift.with_label_values(&[kind.as_str()]);
            gauge.set(i64::try_from(contacts).unwrap_or(i64::MAX));
        }
    }
}

//! What a simulation did, and whether the target took it as it should.

use std::collections::BTreeMap;

use serde::Serialize;

/// Everything there is to say of one run.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Where it was sent.
    pub target: String,
    /// What it all came of.
    pub seed: u64,
    /// Different events.
    pub events: u64,
    /// SHA-256 of every body in the order of sending, with what was done to each. Signatures and
    /// their times are not in it: they must be of now.
    pub hash: String,
    /// Requests by manner.
    pub sent: BTreeMap<&'static str, u64>,
    /// Requests by what became of them.
    pub requests: RequestCounts,
    /// Contacts by whether the target holds what it should.
    pub contacts: ContactCounts,
    /// The first requests that were not answered as they should have been.
    pub wrong_answers: Vec<String>,
    /// The first contacts that are not what they should be.
    pub differences: Vec<Difference>,
    /// From the first request to the last answer.
    pub seconds: f64,
}

/// Requests by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestCounts {
    /// All, repeated tries not counted.
    pub sent: u64,
    /// Taken, and rightly.
    pub accepted: u64,
    /// Refused, and rightly.
    pub refused_as_expected: u64,
    /// Taken although forged or cut.
    pub accepted_unexpectedly: u64,
    /// Refused although whole and rightly signed.
    pub refused_unexpectedly: u64,
    /// Neither taken nor refused, however often they were sent.
    pub unanswered: u64,
    /// Tries after 429, 5xx or no answer.
    pub retries: u64,
}

/// Contacts by whether the target holds what it should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactCounts {
    /// What the events make of them.
    pub equal: u64,
    /// Something else.
    pub different: u64,
    /// Not there.
    pub missing: u64,
}

/// One contact that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The contact.
    pub contact_id: String,
    /// What differs, as `field: held, expected …`; empty: it is not there.
    pub fields: Vec<String>,
}

impl Report {
    /// Whether everything was as it should be.
    pub fn is_right(&self) -> bool {
        let RequestCounts { accepted_unexpectedly, refused_unexpectedly, unanswered, .. } =
            self.requests;
        let wrong = accepted_unexpectedly + refused_unexpectedly + unanswered;
        wrong + self.contacts.different + self.contacts.missing == 0
    }
}

//! When the configuration's own sources, schemas and limits are to hold.

use super::fields::Fields;

/// When this instance's own rules are put onto the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdoptChoice {
    /// Asked for on the embedded log at every start, on Kafka never.
    ByLog,
    /// At every start.
    Auto,
    /// By `contactd config adopt`.
    Manual,
}

/// What becomes of rules that differ from the log's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulesConfig {
    /// When they are adopted.
    pub adopt: AdoptChoice,
}

pub(super) fn rules(fields: &mut Fields<'_>) -> RulesConfig {
    let words = [
        ("default", AdoptChoice::ByLog),
        ("auto", AdoptChoice::Auto),
        ("manual", AdoptChoice::Manual),
    ];
    RulesConfig { adopt: fields.choice("rules.adopt", AdoptChoice::ByLog, &words) }
}

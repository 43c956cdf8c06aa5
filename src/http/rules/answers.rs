//! The rules as they are sent and as they are described, and what is asked and answered to adopt them.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::fingerprint::Fingerprint;
use crate::domain::rules;
use crate::domain::sources::SourceTexts;
use crate::http::exchange::error::ApiError;
use crate::http::exchange::json_body::Fields;
use crate::ingest::RulesStanding;

/// The rules of the log, and how this instance's own files stand to them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rules {
    /// Counts the rules up that the log has had.
    number: u64,
    /// Of the rules that hold.
    #[schema(pattern = "^[0-9a-f]{16}$")]
    fingerprint: String,
    /// Who adopted them; null for those that the log began with.
    #[schema(required = true)]
    adopted_by: Option<String>,
    /// Partitions that have not come to them yet.
    lacking: Vec<u16>,
    rules: RuleText,
    own: OwnRules,
}

impl Rules {
    pub(super) fn of(standing: RulesStanding) -> Self {
        let RulesStanding { newest, lacking, own, differences } = standing;
        Self {
            number: newest.number,
            fingerprint: newest.rules.fingerprint().to_string(),
            adopted_by: newest.principal,
            lacking: lacking.iter().map(|lane| lane.0).collect(),
            rules: RuleText::of(newest.rules.text()),
            own: OwnRules { fingerprint: own.to_string(), differences },
        }
    }
}

/// The rules that hold, whole.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RuleText {
    apply_version: u64,
    contact_bytes_max: u64,
    record_bytes_max: u64,
    future_tolerance_ms: u64,
    /// By source: where its records have what (`record`), its types (`types`), where it has our fields
    /// (`fields`), and what becomes of the rest (`unknown`).
    #[schema(value_type = BTreeMap<String, BTreeMap<String, Value>>)]
    sources: SourceTexts,
    /// By source: the name of a schema, and its text.
    schemas: BTreeMap<String, BTreeMap<String, String>>,
}

impl RuleText {
    fn of(text: &rules::RuleText) -> Self {
        Self {
            apply_version: text.apply_version,
            contact_bytes_max: text.contact_bytes_max as u64,
            record_bytes_max: text.record_bytes_max as u64,
            future_tolerance_ms: text.future_tolerance_ms,
            sources: text.sources.clone(),
            schemas: text.schemas.clone(),
        }
    }
}

/// What this instance was started with.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OwnRules {
    #[schema(pattern = "^[0-9a-f]{16}$")]
    fingerprint: String,
    /// What is different in it; empty where it is the same.
    differences: Vec<String>,
}

/// Whose rules are to hold.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AdoptOrder {
    /// What the instance's own rules are taken for; others are refused. Any where it is not there.
    #[schema(pattern = "^[0-9a-f]{1,16}$", nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

impl AdoptOrder {
    /// The fingerprint that it names.
    pub(super) fn read(mut fields: Fields) -> Result<Option<Fingerprint>, ApiError> {
        let fingerprint = fields.text("fingerprint");
        let fingerprint = fingerprint.map(|text| u64::from_str_radix(&text, 16)).transpose();
        if fingerprint.is_err() {
            fields.refuse("fingerprint", "must be 16 hex digits");
        }
        fields.end()?;
        Ok(fingerprint.ok().flatten().map(Fingerprint))
    }
}

/// What became of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Adopted {
    pub(super) number: u64,
    /// False: they held already.
    pub(super) adopted: bool,
}

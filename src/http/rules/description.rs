//! The rules by which records are judged.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::http::description::operation::{Answer, Operation, Tag};
use crate::http::exchange::error::Code;

/// The rules of the log, and how this instance's own files stand to them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rules {
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

/// The rules that hold, whole.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RuleText {
    apply_version: u64,
    contact_bytes_max: u64,
    record_bytes_max: u64,
    future_tolerance_ms: u64,
    /// By source: its name for a field, and ours.
    mapping: BTreeMap<String, BTreeMap<String, String>>,
    /// By source: the name of a schema, and its text.
    schemas: BTreeMap<String, BTreeMap<String, String>>,
}

/// What this instance was started with.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OwnRules {
    #[schema(pattern = "^[0-9a-f]{16}$")]
    fingerprint: String,
    /// What is different in it; empty where it is the same.
    differences: Vec<String>,
}

/// Whose rules are to hold.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AdoptOrder {
    /// What the instance's own rules are taken for; others are refused. Any where it is not there.
    #[schema(pattern = "^[0-9a-f]{1,16}$", nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

/// What became of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Adopted {
    number: u64,
    /// False: they held already.
    adopted: bool,
}

pub(super) fn show() -> Operation {
    let rules = json!({
        "applyVersion": 1, "contactBytesMax": 65_536, "recordBytesMax": 1_048_576,
        "futureToleranceMs": 300_000, "mapping": { "acme": { "acme_email": "email" } }, "schemas": {},
    });
    let example = json!({
        "number": 0, "fingerprint": "b2230ca675e74cef", "adoptedBy": null, "lacking": [],
        "rules": rules, "own": { "fingerprint": "b2230ca675e74cef", "differences": [] },
    });
    Operation::new("getRules", "By which rules records are judged")
        .of(Tag::Operation)
        .about(
            "Mapping, schemas, limits and tolerances stand on the log: every instance goes by them, \
             whatever its own files say.",
        )
        .answers(Answer::json::<Rules>(200, "The rules that hold.", example))
}

pub(super) fn adopt() -> Operation {
    let example = json!({ "number": 1, "adopted": true });
    Operation::new("adoptRules", "Let this instance's rules hold")
        .of(Tag::Operation)
        .about(
            "Appends them to every partition of the log. From there on every instance judges by them, \
             and what came before stays as it was judged.",
        )
        .body::<AdoptOrder>(json!({}))
        .answers(Answer::json::<Adopted>(200, "They hold in every partition.", example))
        .fails(&[
            Code::UnsupportedMediaType,
            Code::ValidationFailed,
            Code::RulesDiffer,
            Code::WriteUnavailable,
        ])
}

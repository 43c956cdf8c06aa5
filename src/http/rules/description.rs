//! The rules by which records are judged.

use serde_json::json;

use super::answers::{AdoptOrder, Adopted, Rules};
use crate::http::description::operation::{Answer, Operation, Tag};
use crate::http::exchange::error::Code;

pub(super) fn show() -> Operation {
    let rules = json!({
        "applyVersion": 1, "contactBytesMax": 65_536, "recordBytesMax": 1_048_576,
        "futureToleranceMs": 300_000, "schemas": {},
        "sources": { "acme": { "fields": { "email": { "from": ["acme_email"] } }, "unknown": "keep" } },
    });
    let example = json!({
        "number": 0, "fingerprint": "b2230ca675e74cef", "adoptedBy": null, "lacking": [],
        "rules": rules, "own": { "fingerprint": "b2230ca675e74cef", "differences": [] },
    });
    Operation::new("getRules", "Get the rules by which events are judged")
        .of(Tag::Operation)
        .about(
            "Sources, schemas, limits and tolerances stand on the log: every instance goes by them, \
             whatever its own files say.",
        )
        .answers(Answer::json::<Rules>(200, "The rules that hold.", example))
}

pub(super) fn adopt() -> Operation {
    let example = json!({ "number": 1, "adopted": true });
    Operation::new("adoptRules", "Adopt this instance's rules")
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

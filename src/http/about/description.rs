//! Probes, metrics and figures.

use serde_json::json;

use super::answers::{Health, Index, Liveness, Readiness, Stats};
use super::spread::By;
use crate::http::description::operation::{
    Answer, Header, Operation, Param, Tag, choice, several, whole_number,
};
use crate::query::GROUPS_MAX;

fn verbose() -> Param {
    Param::query(
        "verbose",
        choice(&["", "true", "false"]),
        "true",
        "Every part, not only those that are not ready.",
    )
}

pub(super) fn stats() -> Operation {
    let verdicts = json!({
        "applied": 62, "conflict": 0, "dead_lettered": 0, "duplicate": 1, "not_found": 0,
        "rehomed": 0, "stale": 0, "superseded": 0, "unchanged": 0,
    });
    let example = json!({
        "contacts": { "total": 30, "active": 30, "deleted": 0 },
        "events": { "received": 63, "verdicts": verdicts, "bySource": {
            "named": [
                { "name": "acme", "received": 60, "verdicts": { "applied": 59, "duplicate": 1 } },
                { "name": "api", "received": 3, "verdicts": { "applied": 3 } },
            ],
            "other": { "received": 0, "verdicts": {} },
            "none": { "received": 0, "verdicts": {} },
        } },
        "digest": "2b973a921c12c3e15985eabdea97b39f",
        "controlDigest": "51e1a1cf3a5ad6a7d3d3e8c0b1ba7a10", "fingerprint": "b2230ca675e74cef",
        "position": "{{position}}", "nextOffsets": { "0": 8, "1": 17 },
        "checkpoint": { "number": 4, "ageMs": 4015, "tookMs": 12 }, "snapshot": { "ageMs": 3600000 },
        "storage": { "journalBytes": 12949, "journalFrames": 13, "engineBytes": 8192 },
        "cache": { "hits": 0, "misses": 0, "entries": 0, "bytes": 0 },
    });
    Operation::new("getStats", "Get statistics: contacts, events, storage")
        .of(Tag::Operation)
        .about(
            "With `by` also how contacts are spread: over sources and companies, by those with the most \
             active contacts; and over hours and days (UTC), by the time of their first and of their newest \
             event. All of it is counted from the contacts as they are, so that events that came late and \
             erased contacts are in it.",
        )
        .param(
            Param::query(
                "by",
                several(choice(&By::ALL.map(|(name, _)| name)), By::ALL.len()),
                json!(["source", "company", "hour", "day"]),
                "What contacts are counted by; with commas between them too.",
            ),
        )
        .param(Param::query(
            "top",
            whole_number(1, GROUPS_MAX as u64).default(Some(10.into())),
            10,
            "Sources and companies that are named.",
        ))
        .reads()
        .answers(Answer::json::<Stats>(200, "The figures.", example).with(&[Header::Position]))
}

pub(super) fn livez() -> Operation {
    Operation::new("isLive", "Check liveness")
        .of(Tag::Operation)
        .about("200 whatever it waits for: restart it only where this is not answered.")
        .param(verbose())
        .answers(Answer::json::<Liveness>(200, "It does.", json!({ "status": "live" })))
}

pub(super) fn readyz() -> Operation {
    let ready = json!({ "status": "ready", "parts": {} });
    let waiting = json!({
        "status": "not_ready",
        "parts": { "store": { "ready": false, "reason": "opening the store: 34 %" } },
    });
    Operation::new("isReady", "Check readiness")
        .of(Tag::Operation)
        .param(verbose())
        .answers(Answer::json::<Readiness>(200, "Every part is ready.", ready))
        .answers(
            Answer::json::<Readiness>(503, "Some part is not ready.", waiting)
                .with(&[Header::RetryAfter]),
        )
}

pub(super) fn healthz() -> Operation {
    let log = json!({
        "kind": "embedded", "cluster": "b260cdf002a655721c40b587d4037b0e", "topic": "contacts",
    });
    let example = json!({
        "status": "ready", "version": "0.1.0", "commit": "49b6e9d78f4c",
        "fingerprint": "b2230ca675e74cef", "log": log,
    });
    Operation::new("getHealth", "Get the version and what is followed (health)")
        .of(Tag::Operation)
        .answers(Answer::json::<Health>(200, "Build, log and rules.", example))
}

pub(super) fn metrics() -> Operation {
    let example = "contactd_consumer_lag_records{partition=\"0\",topic=\"contacts\"} 0\n";
    Operation::new("getMetrics", "Get metrics for Prometheus")
        .of(Tag::Operation)
        .answers(Answer::text(200, "All of them.", "text/plain; version=0.0.4", Some(example)))
}

pub(super) fn index() -> Operation {
    let example = json!({
        "name": "contactd", "version": "0.1.0", "routes": ["/api/contacts", "/docs", "/readyz"],
    });
    Operation::new("getIndex", "List all paths, or show the page")
        .of(Tag::Operation)
        .about("Who prefers `text/html` gets the page for people, unless `page.enabled` is false.")
        .answers(
            Answer::json::<Index>(200, "Name, version and paths.", example)
                .or_text("text/html", None),
        )
}

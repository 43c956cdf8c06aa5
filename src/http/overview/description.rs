//! How it goes, as it is described.

use serde_json::json;

use super::answers::Overview;
use super::routes::WINDOWS;
use crate::http::description::operation::{Answer, Operation, Param, Tag, choice};

pub(super) fn overview() -> Operation {
    let words = WINDOWS.map(|(word, _)| word);
    let example = json!({
        "at": "2026-11-21T10:36:44.451Z", "startedAt": "2026-11-21T09:00:00.000Z",
        "health": { "state": "keeping_up", "since": "2026-11-21T09:00:02.000Z" },
        "notReady": {}, "dependencies": { "kafka": true },
        "lanes": [{ "partition": "0", "lagRecords": 0, "lagSeconds": 0.0 }],
        "letters": {
            "kept": 1, "bytes": 421, "oldestAgeSeconds": 61.5,
            "reasons": [{ "reason": "wrong_type", "kept": 1, "hours": [0, 1] }],
        },
        "outbox": { "records": 0, "bytes": 0, "oldestAgeSeconds": 0.0 },
        "bridge": null, "feedClients": 2, "memoryBytes": 64_000_000, "diskFreeBytes": 9_000_000_000_u64,
        "stepSeconds": 10,
        "samples": [{
            "at": "2026-11-21T10:36:40.000Z", "events": 12.5, "webhooks": 0.0, "webhooksRefused": 0.0,
            "lagRecords": 0, "lagSeconds": 0.0, "readableP50Ms": 2.5, "readableP99Ms": 4.9,
            "letters": 1, "verdicts": { "applied": 125 },
        }],
    });
    Operation::new("getOverview", "See how it goes (figures of now and of the last day)")
        .of(Tag::Operation)
        .about(
            "Samples are this instance's, in memory: a quarter of an hour by ten seconds, a day by five \
             minutes. They begin with its start.",
        )
        .param(Param::query("window", choice(&words), "15m", "Of which time samples are wanted."))
        .answers(Answer::json::<Overview>(200, "How it goes.", example))
}

//! Dead letters, and sending them through again.

use serde_json::{Value, json};
use utoipa::openapi::schema::{KnownFormat, SchemaFormat};

use super::answers::{DeadLetter, DeadLetterPage, LetterPreview, Redrive, Redrives};
use super::requests::{DiscardOrder, RedriveOrder};
use crate::domain::verdict::DeadLetterReason;
use crate::http::description::operation::{
    Answer, Header, Kept, Operation, Param, Tag, choice, page_params, text,
};
use crate::http::exchange::error::Code;

/// What all of them have.
fn described(operation: Operation) -> Operation {
    operation.of(Tag::DeadLetters).fails(&[Code::NotAcceptable, Code::NotReady])
}

fn letter_id() -> Param {
    Param::path("id", "{{deadLetterId}}", "`topic:partition:offset`, or `partition:offset`.")
}

fn redrive_id() -> Param {
    Param::path("id", "{{redriveId}}", "As `POST /api/dead-letters/redrive` gave it.")
}

fn filters() -> Vec<Param> {
    let reasons: Vec<&'static str> =
        DeadLetterReason::ALL.iter().map(|reason| reason.as_str()).collect();
    let date = || text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    vec![
        Param::query("reason", choice(&reasons), "malformed_json", "Set aside for this reason."),
        Param::query("topic", text(), "contacts", "From this topic."),
        Param::query("since", date(), "2026-11-21T10:00:00Z", "Records of then or later."),
        Param::query("until", date(), "2026-11-22T10:00:00Z", "Records from before then."),
        Param::query(
            "status",
            choice(&["kept", "redriven", "discarded"]),
            "kept",
            "What became of it; without it all but discarded ones.",
        ),
    ]
}

fn listed() -> Value {
    json!({
        "id": "{{deadLetterId}}", "topic": "contacts", "partition": 1, "offset": 16,
        "reason": "malformed_json", "detail": "expected value at column 1", "key": "ada",
        "valueLength": 9, "recordedAt": "2026-11-21T10:36:44.460Z",
        "keptAt": "2026-11-21T10:36:44.561Z", "hops": 0, "redrivable": true, "status": "kept",
        "redriven": 0, "lastRedrive": null, "discarded": null,
    })
}

pub(super) fn list() -> Operation {
    let example = json!({ "data": [listed()], "meta": { "limit": 50, "nextCursor": null } });
    let page = Answer::json::<DeadLetterPage>(200, "A page, the newest first.", example);
    described(Operation::new("listDeadLetters", "List dead letters (records that could not be applied)")
        .about(
            "Each with the reason and what became of it. They hold personal data, and are kept for \
             `dead_letters.retention_age`. A page may be short, or empty, and still have a next one.",
        )
        .params(filters())
.params(page_params())
        .answers(page.with(&[Header::Link]))
        .fails(&[Code::InvalidCursor])
        .keeps("deadLetterId", Kept::Body("data.0.id")))
}

pub(super) fn show() -> Operation {
    let mut example = listed();
    let bytes = |text: &str, base64: &str| json!({ "text": text, "base64": base64 });
    if let Value::Object(members) = &mut example {
        members.insert("key".to_owned(), bytes("ada", "YWRh"));
        members.insert("value".to_owned(), bytes("{\"id\": \"a", "eyJpZCI6ICJh"));
        members.insert("valueTruncated".to_owned(), false.into());
        members.insert("valueXxh3".to_owned(), "9f86d081884c7d65".into());
        members.insert("headers".to_owned(), json!([]));
    }
    described(
        Operation::new("getDeadLetter", "Get a dead letter with its bytes")
            .about(
                "Bytes are base64, and text with control characters escaped where they are UTF-8.",
            )
            .param(letter_id())
            .answers(Answer::json::<DeadLetter>(200, "The record as it came.", example))
            .fails(&[Code::DeadLetterNotFound]),
    )
}

fn counts(done: u64) -> Value {
    json!({
        "selected": done, "done": done,
        "leftOut": {
            "control": 0, "hops": 0, "discarded": 0, "alreadyRedriven": 0, "incomplete": 0,
            "refused": 0,
        },
    })
}

fn job() -> Value {
    json!({
        "id": "{{redriveId}}", "kind": "redrive", "state": "done", "why": null,
        "selection": {
            "id": "{{deadLetterId}}", "reason": null, "topic": null, "since": null, "until": null,
        },
        "again": true, "rate": 1000, "limit": null, "by": "user:admin",
        "at": "2026-11-21T10:40:00.000Z", "updatedAt": "2026-11-21T10:40:00.012Z",
        "counts": counts(1), "failed": [],
    })
}

fn preview() -> Answer {
    let example = json!({ "dryRun": true, "counts": counts(1), "first": ["{{deadLetterId}}"] });
    Answer::json::<LetterPreview>(200, "What would be done; nothing was.", example)
}

fn made() -> Answer {
    Answer::json::<Redrive>(201, "It is under way, or done.", job()).with(&[Header::Location])
}

const ORDER_FAILS: [Code; 4] = [
    Code::UnsupportedMediaType,
    Code::ValidationFailed,
    Code::TooManyRedrives,
    Code::WriteUnavailable,
];

pub(super) fn redrive() -> Operation {
    described(Operation::new("redriveDeadLetters", "Redrive (retry) dead letters")
        .about(
            "Appends them to the contact log as they came, in the background, after the cause was \
             mended. An event has one effect however often it is redriven. Those that were redriven \
             or discarded are left out, and those that were redriven `dead_letters.redrive_hops_max` \
             times. `GET /api/dead-letters/redrives/{id}` says how far it is; after a restart it goes \
             on.",
        )
        .body::<RedriveOrder>(json!({ "reason": "malformed_json", "dryRun": true, "rate": 100 }))
        .answers(preview())
        .answers(made())
        .fails(&ORDER_FAILS))
}

pub(super) fn discard() -> Operation {
    described(
        Operation::new("discardDeadLetters", "Discard dead letters")
            .about("They are no longer listed or redriven, and go with the retention.")
            .body::<DiscardOrder>(json!({ "until": "2026-11-01T00:00:00Z", "dryRun": true }))
            .answers(preview())
            .answers(made())
            .fails(&ORDER_FAILS),
    )
}

pub(super) fn redrive_one() -> Operation {
    described(
        Operation::new("redriveDeadLetter", "Redrive (retry) one dead letter")
            .about("Also one that was redriven before.")
            .param(letter_id())
            .answers(made())
            .fails(&[
                Code::DeadLetterNotFound,
                Code::NotRedrivable,
                Code::TooManyRedrives,
                Code::WriteUnavailable,
            ])
            .keeps("redriveId", Kept::Body("id")),
    )
}

pub(super) fn redrives() -> Operation {
    let example = json!({ "data": [job()], "meta": { "limit": 50, "nextCursor": null } });
    let page = Answer::json::<Redrives>(200, "A page, the newest first.", example);
    described(
        Operation::new("listRedrives", "List redrives of dead letters")
            .about("By whom, when and how many, the newest first.")
            .params(page_params())
            .answers(page.with(&[Header::Link]))
            .fails(&[Code::InvalidCursor]),
    )
}

pub(super) fn one_redrive() -> Operation {
    described(
        Operation::new("getRedrive", "Get the state of a redrive")
            .param(redrive_id())
            .answers(Answer::json::<Redrive>(200, "How it stands.", job()))
            .fails(&[Code::RedriveNotFound]),
    )
}

pub(super) fn stop_redrive() -> Operation {
    described(
        Operation::new("stopRedrive", "Stop a redrive")
            .about("What it has sent is sent. One that has ended stays as it is.")
            .param(redrive_id())
            .answers(Answer::empty(204, "It is stopped."))
            .fails(&[Code::RedriveNotFound, Code::Contended, Code::WriteUnavailable]),
    )
}

pub(super) fn discard_one() -> Operation {
    described(
        Operation::new("discardDeadLetter", "Discard one dead letter")
            .about("It is no longer listed or redriven, and goes with the retention.")
            .param(letter_id())
            .answers(Answer::empty(204, "It is discarded."))
            .fails(&[Code::DeadLetterNotFound, Code::WriteUnavailable]),
    )
}

//! What became of an event.

use serde_json::json;

use super::operation::{Answer, Header, Operation, Param, Tag};
use super::shapes::EventReport;
use crate::http::error::Code;

pub(super) fn operations() -> Vec<Operation> {
    let occurrence = json!({
        "partition": 0, "offset": 17, "recordedAt": "2026-11-21T10:36:44.460Z",
        "verdict": "applied", "contactId": "{{contactId}}", "eventId": "evt_01J", "reason": null,
        "detail": null,
    });
    let example = json!({
        "id": "0:0", "status": "done", "occurrences": [occurrence], "isComplete": true,
    });
    vec![
        Operation::get("/api/events/{id}", "getEvent", "What became of an event")
            .of(Tag::Contacts)
            .about(
                "By its id, or by its place as `partition:offset`. One that came several times has \
                 several entries, newest first. `pending`: this instance answered 202 for it, and it \
                 is not applied yet. The journal reaches back as far as its retention.",
            )
            .param(Param::path("id", "0:0", "The event's id, or its place on the log."))
            .reads()
            .answers(
                Answer::json::<EventReport>(200, "What became of it.", example)
                    .with(&[Header::Position]),
            )
            .fails(&[Code::EventNotFound, Code::InvalidPath]),
    ]
}

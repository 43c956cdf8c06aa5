//! What became of events.

use serde_json::json;

use super::operation::{Answer, Header, Operation, Param, Tag};
use super::shapes::EventReport;
use crate::http::error::Code;

pub(super) fn operations() -> Vec<Operation> {
    vec![event()]
}

fn event() -> Operation {
    let record = json!({
        "verdict": "applied", "eventId": "evt_f07acb6428d68f8a", "contactId": "{{contactId}}",
        "version": 3, "topic": "contacts", "partition": 1, "offset": 16,
        "recordedAt": "2026-11-21T10:36:44.460Z", "position": "{{position}}",
    });
    let example = json!({
        "id": "evt_f07acb6428d68f8a", "status": "applied", "records": [record], "complete": true,
    });
    Operation::get("/api/events/{id}", "getEvent", "What became of an event")
        .of(Tag::Contacts)
        .about(
            "Of every record that an event came in, newest first: the verdict, why it was set aside, \
             the contact and its version after it. `pending`: taken or on the log, and not applied \
             yet; ask again. `refused`: the log did not take it, so nothing was done. What changed nothing is known by its id's hash alone, without the \
             contact. How far back it goes is the journal's retention: of an event decided before that \
             nothing is known, though it may have come again.",
        )
        .param(Param::path(
            "id",
            "{{eventId}}",
            "The event's id, or its place: `3:1042` or `contacts:3:1042`.",
        ))
        .reads()
        .answers(
            Answer::json::<EventReport>(200, "What is known of it.", example)
                .with(&[Header::Position]),
        )
        .fails(&[Code::EventNotFound])
}

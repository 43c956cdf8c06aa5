//! Followers.

use serde_json::{Value, json};

use super::answers::{Follower, FollowerPage, ParkedPage, Replay};
use super::requests::{ReplayOrder, SkipOrder};
use crate::http::description::operation::{
    Answer, Header, Kept, Operation, Param, Tag, page_params,
};
use crate::http::exchange::error::Code;

/// What all of them have.
fn described(operation: Operation) -> Operation {
    operation.of(Tag::Followers).fails(&[Code::NotAcceptable, Code::NotReady])
}

/// What those have that are about one.
fn of_one(operation: Operation) -> Operation {
    let name = Param::path("name", "{{followerName}}", "As `GET /api/followers` lists it.");
    described(operation).param(name).fails(&[Code::FollowerNotFound])
}

/// What those have that order something.
fn order(operation: Operation) -> Operation {
    of_one(operation).fails(&[Code::FollowerConflict, Code::Contended, Code::WriteUnavailable])
}

fn change(operation: Operation) -> Operation {
    let id = Param::path("id", "{{parkedId}}", "As the list of parked changes has it.");
    order(operation).param(id).fails(&[Code::ParkedChangeNotFound]).not_sent()
}

fn follower() -> Value {
    json!({
        "name": "{{followerName}}",
        "about": "Brings records to the lanes that their contacts are at home in.",
        "state": "running", "here": true, "position": "{{position}}", "lagRecords": 0,
        "lagSeconds": 0.0, "waiting": 0, "parked": 0, "delivered": 12, "failures": 0,
        "overruns": 0, "overrunAt": null, "scanning": false, "paused": null, "trouble": null,
        "note": null,
    })
}

fn as_it_stands() -> Answer {
    Answer::json::<Follower>(200, "The follower as it stands.", follower())
}

pub(super) fn list() -> Operation {
    let example = json!({ "data": [follower()], "meta": { "limit": 50, "nextCursor": null } });
    let page = Answer::json::<FollowerPage>(200, "A page, by name.", example);
    described(
        Operation::new("listFollowers", "List followers and how far each is")
            .about(
                "A follower delivers what follows from applied changes: dead letters to their topic, \
                 webhooks after writes. One instance at a time runs it.",
            )
            .params(page_params())
            .answers(page.with(&[Header::Link]))
            .fails(&[Code::InvalidCursor])
            .keeps("followerName", Kept::Body("data.0.name")),
    )
}

pub(super) fn show() -> Operation {
    of_one(Operation::new("getFollower", "Show one follower").answers(as_it_stands()))
}

pub(super) fn pause() -> Operation {
    order(
        Operation::new("pauseFollower", "Pause a follower")
            .about("It delivers nothing until it is resumed. The journal is kept for it meanwhile.")
            .answers(as_it_stands()),
    )
}

pub(super) fn resume() -> Operation {
    order(
        Operation::new("resumeFollower", "Resume a follower")
            .about("It goes on where it was paused.")
            .answers(as_it_stands()),
    )
}

pub(super) fn skip() -> Operation {
    order(
        Operation::new("skipFollower", "Skip what a follower owes")
            .about("Everything until now, or what is owed of one contact. It is never delivered.")
            .body::<SkipOrder>(json!({}))
            .answers(as_it_stands())
            .fails(&[Code::UnsupportedMediaType, Code::ValidationFailed]),
    )
}

pub(super) fn replay() -> Operation {
    let example = json!({ "position": "{{position}}" });
    order(
        Operation::new("replayFollower", "Replay changes to a follower")
            .about(
                "Everything since a Position or a time is delivered once more, with the same delivery \
                 ids. Where the journal does not reach back so far it is 410, and `details.earliest` \
                 names the earliest Position and time.",
            )
            .body::<ReplayOrder>(json!({ "time": "2100-01-01T00:00:00Z" }))
            .answers(Answer::json::<Replay>(200, "It goes on from there.", example))
            .fails(&[Code::UnsupportedMediaType, Code::ValidationFailed, Code::PositionGone]),
    )
}

pub(super) fn parked() -> Operation {
    let change = json!({
        "id": "{{parkedId}}", "contact": "{{contactId}}", "version": 3, "attempts": 8,
        "why": "the target answered 422 Unprocessable Entity", "at": "2026-11-21T10:36:44.561Z",
    });
    let example = json!({ "data": [change], "meta": { "limit": 50, "nextCursor": null } });
    let page = Answer::json::<ParkedPage>(200, "A page, by id.", example);
    of_one(
        Operation::new("listParkedChanges", "List changes that a target refused too often")
            .params(page_params())
            .answers(page.with(&[Header::Link]))
            .fails(&[Code::InvalidCursor]),
    )
}

pub(super) fn redrive() -> Operation {
    change(
        Operation::new("redriveParkedChange", "Deliver a parked change once more")
            .about("And what came after it of the same contact, so that the newest comes last.")
            .answers(Answer::empty(204, "It is delivered in a moment.")),
    )
}

pub(super) fn drop_parked() -> Operation {
    change(
        Operation::new("dropParkedChange", "Drop a parked change")
            .about("It is never delivered.")
            .answers(Answer::empty(204, "It is gone.")),
    )
}

//! Acme.

use serde_json::{Value, json};

use super::answers::{Pulled, Reconciled, SyncedContact};
use super::requests::{PullOrder, ReconcileOrder, SyncOrder};
use crate::http::description::operation::{Answer, Header, Operation, Param, Tag};
use crate::http::exchange::error::Code;

/// What all of them have. The collection sends none: it has no Acme.
fn described(operation: Operation) -> Operation {
    operation.not_sent().fails(&[
        Code::NotAcceptable,
        Code::ValidationFailed,
        Code::EventRejected,
        Code::NotReady,
        Code::Contended,
        Code::IntakeUnavailable,
        Code::AcmeFailed,
        Code::AcmeTimeout,
    ])
}

pub(super) fn sync() -> Operation {
    let example = json!({
        "direction": "push", "there": "updated", "sent": ["phone", "title"], "taken": [],
        "kept": [{ "field": "company", "why": "it belongs to Acme" }], "pending": false,
    });
    let done = Answer::json::<SyncedContact>(200, "What was sent and taken.", example);
    described(
        Operation::new("syncContact", "Bring a contact into agreement with Acme now")
            .of(Tag::Contacts)
            .about(
                "`push` makes Acme's contact what ours is, but for what belongs to Acme; `pull` takes \
                 what is newer at Acme. Only differences are sent. What Acme answers instead is named: \
                 `details.acmeStatus`, `details.acmeCode`.",
            )
            .param(Param::path("id", "{{contactId}}", "The contact."))
            .body::<SyncOrder>(json!({ "direction": "push" }))
            .answers(done.with(&[Header::Position]))
            .fails(&[Code::ContactNotFound, Code::ContactDeleted]),
    )
}

pub(super) fn pull() -> Operation {
    let example = json!({
        "seen": 200, "created": 12, "updated": 3, "unchanged": 184, "deletedHere": 0,
        "refused": [refused()], "nextCursor": "eyJhY21lIjoiYyIsImFmdGVyIjpudWxsfQ",
    });
    described(
        Operation::new("pullFromAcme", "Take a page of Acme's contacts")
            .of(Tag::Operation)
            .about("What is newer at Acme is taken. The same page again changes nothing.")
            .body::<PullOrder>(json!({}))
            .answers(Answer::json::<Pulled>(200, "What became of the page.", example))
            .fails(&[Code::InvalidCursor]),
    )
}

fn refused() -> Value {
    json!({ "id": "57e1faba-6510-4204-9f5c-d89530def433", "why": "a control character in a name" })
}

pub(super) fn reconcile() -> Operation {
    let drift = json!({
        "id": "57e1faba-6510-4204-9f5c-d89530def433", "kind": "differs", "fields": ["phone"],
        "mended": true, "why": null,
    });
    let example = json!({ "compared": 200, "drift": [drift], "nextCursor": null });
    described(
        Operation::new("reconcileWithAcme", "Compare a page of Acme's contacts with ours")
            .of(Tag::Operation)
            .about(
                "With `apply` what differs is mended, by the rules of the sync: the newest counts, \
                 field by field; what is deleted here is deleted there. A change that is on its way is \
                 a difference too.",
            )
            .body::<ReconcileOrder>(json!({ "apply": true }))
            .answers(Answer::json::<Reconciled>(200, "Where the two differ.", example))
            .fails(&[Code::InvalidCursor]),
    )
}

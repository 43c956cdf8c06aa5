//! Writes of contacts: one by one, joined, and many in one request.

use serde_json::{Value, json};

use super::answers::{Accepted, AcceptedMerge, BatchAnswer, Contact, ContactMerge};
use super::description::{contact_id, example};
use super::requests::{
    BatchOperations, ContactLink, ContactPatch, ContactToMerge, ContactToWrite, ContactVersion,
};
use crate::http::description::operation::{Answer, Header, Kept, Operation, Param, Tag, flag};
use crate::http::exchange::error::Code;

const HOW: &str = "The answer waits until the write is applied. With `Prefer: respond-async`, or \
where that takes longer than some seconds, it is 202: the write is kept, and `Location` tells what \
became of it.";

/// What all writes have: a key, a preference, and how they fail.
fn writes(operation: Operation) -> Operation {
    keyed(operation).answers(accepted())
}

fn keyed(operation: Operation) -> Operation {
    operation
        .of(Tag::Contacts)
        .param(
            Param::header(
                "Idempotency-Key",
                "5f0f7a9e-order-1729",
                "The same request under the same key is done once, and answered as the first time; \
             remembered by the contact for its last 16 writes.",
            )
            .matching("^[\\x21-\\x7e]{1,255}$"),
        )
        .param(Param::header("Prefer", "respond-async", "Not to wait until it is applied: 202."))
        .reads()
        .fails(&[
            Code::ValidationFailed,
            Code::IdempotencyKeyReused,
            Code::RequestInFlight,
            Code::WriteUnavailable,
        ])
}

fn accepted() -> Answer {
    let example = json!({
        "status": "ACCEPTED", "eventId": "cmd_01971e5c7a557c3e9d516a1d3a0b4f10",
        "contactId": "{{contactId}}",
    });
    Answer::json::<Accepted>(202, "Kept, and not applied yet.", example).with(&[Header::Location])
}

fn if_match() -> Param {
    Param::header(
        "If-Match",
        "{{etag}}",
        "The ETag of the contact as you have seen it: else 412. Required where the server is \
         configured so: else 428.",
    )
}

fn conditional(operation: Operation) -> Operation {
    operation.param(if_match()).fails(&[
        Code::ContactNotFound,
        Code::PreconditionFailed,
        Code::PreconditionRequired,
        Code::Superseded,
    ])
}

fn if_none_match() -> Param {
    let about = "The contact must be in none of these states; `*`: in none at all.";
    Param::header("If-None-Match", "\"9-0000000000000001\"", about)
}

fn written(status: u16, about: &'static str) -> Answer {
    Answer::json::<Contact>(status, about, example()).with(&[Header::ETag, Header::Position])
}

fn fields() -> Value {
    json!({
        "firstName": "Ada", "lastName": "Lovelace", "email": "ada@example.com",
        "company": "Analytical Engines", "attributes": { "newsletter": true },
    })
}

pub(super) fn create() -> Operation {
    let operation = Operation::new("createContact", "Create a contact")
        .about(HOW)
        .body::<ContactToWrite>(fields())
        .answers(written(201, "The contact.").with(&[Header::Location]))
        .fails(&[Code::UnsupportedMediaType, Code::ContactExists, Code::ContactTooLarge])
        .keeps("contactId", Kept::Body("id"))
        .keeps("etag", Kept::Header("ETag"));
    writes(operation)
}

pub(super) fn put() -> Operation {
    let operation = Operation::new("replaceContact", "Replace a contact")
        .about(
            "The contact becomes what the body says: what is left out is cleared. A contact \
                 that there is not is 404, unless `If-None-Match: *` asks for a new one: then one \
                 that there is, is 412.",
        )
        .param(contact_id())
        .param(Param::header("If-None-Match", "*", "The contact must be new."))
        .body::<ContactToWrite>(fields())
        .answers(written(200, "The contact."))
        .answers(written(201, "The new contact.").with(&[Header::Location]))
        .fails(&[Code::UnsupportedMediaType, Code::ContactTooLarge])
        .keeps("etag", Kept::Header("ETag"));
    writes(conditional(operation))
}

pub(super) fn patch() -> Operation {
    let patch = json!({ "title": "Countess", "phone": null });
    let operation = Operation::new("patchContact", "Update or upsert a contact")
        .about(
            "A merge patch (RFC 7396): what is left out stays, null clears, attributes are \
                 merged one by one. `application/json` is taken as the same.\n\n\
             With `upsert=true` a contact that there is not is made of it: 201. Then `If-None-Match: *` \
             only makes one, If-Match only changes one (else 412), and a deleted contact stays deleted: \
             409 `CONTACT_DELETED`, which names the survivor where it was merged into another.",
        )
        .param(contact_id())
        .param(Param::query("upsert", flag(), true, "Make the contact where there is none."))
        .param(if_none_match())
        .body_as::<ContactPatch>("application/merge-patch+json", patch)
        .answers(written(200, "The contact."))
        .answers(written(201, "The new contact.").with(&[Header::Location]))
        .fails(&[Code::UnsupportedMediaType, Code::ContactTooLarge, Code::ContactDeleted])
        .keeps("etag", Kept::Header("ETag"));
    writes(conditional(operation))
}

pub(super) fn delete() -> Operation {
    let operation =
        Operation::new("deleteContact", "Delete or erase a contact")
            .about(
                "It is DELETED and found with `includeDeleted=true` only; restore takes it back. \
                 `erase=true` (role admin) forgets its fields too; not while it is being merged into \
                 another: 409, which names that one.",
            )
            .param(contact_id())
            .param(Param::query("erase", flag(), true, "Forget its fields."))
            .param(if_none_match())
            .answers(Answer::empty(204, "It is deleted.").with(&[Header::Position]))
            .fails(&[Code::ContactMerging]);
    writes(conditional(operation))
}

pub(super) fn restore() -> Operation {
    let operation = Operation::new("restoreContact", "Restore a deleted contact")
        .param(contact_id())
        .answers(written(200, "The contact, ACTIVE."));
    writes(conditional(operation))
}

pub(super) fn revert() -> Operation {
    let operation = Operation::new("revertContact", "Set a contact back to an earlier version")
        .about(
            "A new version, with the fields and attributes of an earlier one, as PUT with them would make \
             it. What sources call the contact stays. As far as the journal reaches; 410 says how far that \
             is. A deleted contact is to be restored first.",
        )
        .param(contact_id())
        .body::<ContactVersion>(json!({ "version": 1 }))
        .answers(written(200, "The contact."))
        .fails(&[Code::UnsupportedMediaType, Code::VersionNotFound, Code::HistoryGone]);
    writes(conditional(operation))
}

pub(super) fn link() -> Operation {
    let operation = Operation::new("linkContact", "Tie a source's id to a contact")
        .about(
            "From then on the events of that source under that id are this contact's, if the source has \
             ids of its own. An id that another contact has is 409, which names that one. The contact has \
             one id of each source, and of 16 at most: the last one counts.",
        )
        .param(contact_id())
        .body::<ContactLink>(json!({ "source": "acme", "id": "123" }))
        .answers(written(200, "The contact."))
        .fails(&[Code::UnsupportedMediaType, Code::ContactTooLarge, Code::ExternalIdTaken]);
    writes(conditional(operation))
}

pub(super) fn unlink() -> Operation {
    let about = "One of a contact that came to be by this very id is back with its next event.";
    let operation = Operation::new("unlinkContact", "Take a source's id from a contact")
        .about(about)
        .param(contact_id())
        .param(Param::path("source", "acme", "The source."))
        .answers(written(200, "The contact."));
    writes(conditional(operation))
}

pub(super) fn merge() -> Operation {
    let operation = Operation::new("mergeContacts",
        "Merge two contacts",
    )
    .about(
        "The contact takes the fields and attributes that it lacks from the other, which is then \
         deleted; `mergedFrom` and `mergedInto` among their attributes say so. 200: both is done. 202: \
         it is under way, `Location` tells how it ends, and it goes on whatever happens to the \
         instance. Until then the other can't be erased or merged elsewhere (409), nor can the \
         survivor be one that is being merged itself.",
    )
    .param(contact_id())
    .body::<ContactToMerge>(json!({ "from": "{{otherId}}" }))
    .answers(written(200, "The survivor.").with(&[Header::MergeId]))
    .answers(accepted_merge())
    .fails(&[
        Code::UnsupportedMediaType,
        Code::ContactTooLarge,
        Code::ContactMerging,
        Code::Contended,
        Code::Overloaded,
    ])
    .keeps("etag", Kept::Header("ETag"))
    .keeps("mergeId", Kept::Header("Merge-Id"));
    keyed(conditional(operation))
}

fn accepted_merge() -> Answer {
    let example = json!({
        "status": "ACCEPTED", "mergeId": "{{mergeId}}",
        "contactId": "{{contactId}}",
    });
    Answer::json::<AcceptedMerge>(202, "It is under way.", example).with(&[Header::Location])
}

pub(super) fn one_merge() -> Operation {
    let example = json!({
        "id": "{{mergeId}}", "contactId": "{{contactId}}",
        "from": "{{otherId}}", "status": "done", "error": null, "position": "{{position}}",
        "by": "user:ada", "requestedAt": "2026-11-21T10:36:44.460Z",
    });
    let id = Param::path("id", "{{mergeId}}", "As the 202 said.");
    Operation::new("getMerge", "Get the state of a merge")
        .of(Tag::Contacts)
        .about(
            "`running`, `done` or `failed`. With `done` a read at `position` sees both halves; with \
             `failed` the other is there as before, and `error` says why. Known for a day after its \
             end, of the last 1,024.",
        )
        .param(id)
        .reads()
        .answers(Answer::json::<ContactMerge>(200, "How it stands.", example))
        .fails(&[Code::MergeNotFound])
}

pub(super) fn batch() -> Operation {
    let operations = json!([
        { "op": "create", "contact": { "firstName": "Grace", "email": "grace@example.com" } },
        { "op": "update", "id": "{{contactId}}", "contact": { "title": "Countess" } },
    ]);
    let created = json!({
        "index": 0, "status": 201, "id": "{{contactId}}", "etag": "{{etag}}", "contact": example(),
    });
    let error = json!({
        "code": "CONTACT_NOT_FOUND", "message": "there is no contact with this id", "details": null,
    });
    let failed = json!({ "index": 1, "status": 404, "id": "c-17", "error": error });
    let answer = json!({ "data": [created, failed], "meta": { "succeeded": 1, "failed": 1 } });
    let operation = Operation::new(
        "writeContacts",
        "Create, update, upsert and delete contacts in a batch",
    )
    .about(
        "1 to 200 operations: create, replace, update, upsert, delete, restore. Each stands for \
                 itself; those of one contact are done in their order. The answers stand in the \
                 order of the operations, each with the status that it would have had alone.",
    )
    .body::<BatchOperations>(operations)
    .answers(
        Answer::json::<BatchAnswer>(200, "What became of each.", answer).with(&[Header::Position]),
    )
    .fails(&[Code::UnsupportedMediaType, Code::PreconditionRequired])
    .keeps("otherId", Kept::Body("data.0.id"));
    writes(operation)
}

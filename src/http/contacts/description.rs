//! Contacts: one, a page, and what happened to one.

use serde_json::{Value, json};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat};

use super::answers::{Contact, ContactPage, EventPage, EventReport, Everything, History};
use crate::domain::verdict::Verdict;
use crate::http::description::operation::{
    Answer, Header, Kept, Operation, Param, Tag, choice, flag, page_params, text, whole_number,
};
use crate::http::exchange::error::Code;

/// The id that all paths of one contact have.
pub(super) fn contact_id() -> Param {
    Param::path(
        "id",
        "{{contactId}}",
        "The contact's id; never `batch`, which is a path of its own.",
    )
}

/// A contact as examples show it.
pub(super) fn example() -> Value {
    json!({
        "id": "{{contactId}}", "firstName": "Ada", "lastName": "Lovelace",
        "email": "ada@example.com", "phone": "+44 20 7946 0000", "company": "Analytical Engines",
        "title": "Analyst", "attributes": { "acme_segment": "mid-market" }, "status": "ACTIVE",
        "version": 3, "sourceVersion": 3, "source": "acme",
        "createdAt": "2026-11-21T10:00:00.000Z", "updatedAt": "2026-11-21T10:36:44.451Z",
        "changedAt": "2026-11-21T10:36:44.512Z",
    })
}

/// Some text that is more than space.
fn given() -> ObjectBuilder {
    text().pattern(Some("\\S"))
}

/// Which contacts a list holds.
fn filters() -> Vec<Param> {
    let mut filters = selection();
    filters.push(Param::query(
        "duplicates",
        flag(),
        true,
        "Only contacts that share their e-mail address, by that address. Goes with `limit`, \
             `cursor`, `status`, `includeDeleted` and `count` only.",
    ));
    filters
}

/// Which contacts, of a list or an export.
pub(super) fn selection() -> Vec<Param> {
    vec![
        Param::query("email", given(), "ada@example.com", "The address, in any case."),
        Param::query("company", given(), "Tyrell Robotics", "The company, in any case."),
        Param::query(
            "source",
            given(),
            "acme",
            "The source of its newest event, letter by letter: `Acme` is another one than `acme`.",
        ),
        Param::query(
            "q",
            given(),
            "ada l",
            "What the name (either name first), the e-mail address or the company begins with, in \
             any case.",
        ),
        Param::query(
            "externalId",
            text().pattern(Some("^[^:]+:.+$")),
            "acme:123",
            "The contact that a source has this id for: source, colon, id. Goes with `limit`, `status`, \
             `includeDeleted` and `count` only.",
        ),
        Param::query(
            "updatedSince",
            text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))),
            "2026-11-21T10:00:00Z",
            "Its newest event is of then or later (RFC 3339). An event that comes late does not move \
             that: to poll for changes, use changedSince.",
        ),
        Param::query(
            "changedSince",
            text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))),
            "2026-11-21T10:00:00Z",
            "Its present version came then or later (RFC 3339).",
        ),
        Param::query(
            "status",
            choice(&["ACTIVE", "DELETED"]),
            "ACTIVE",
            "Only these; without it active ones.",
        ),
        Param::query("includeDeleted", flag(), true, "Deleted ones too."),
    ]
}

/// How a list is ordered, and where a page of it lies.
fn order_and_page() -> Vec<Param> {
    let mut params = page_params();
    params.extend([
        Param::query(
            "offset",
            // No default: generated clients would send it beside a cursor.
            whole_number(0, 10_000),
            100,
            "Contacts to leave out, instead of a cursor. Further on only cursors lead.",
        ),
        Param::query("count", flag(), true, "Count up to 10,000 where no index knows the total."),
        Param::query(
            "sort",
            choice(&[
                "updatedAt",
                "createdAt",
                "changedAt",
                "name",
                "company",
                "id",
                "-updatedAt",
                "-createdAt",
                "-changedAt",
                "-name",
                "-company",
                "-id",
            ]),
            "name",
            "What they are sorted by (with `-`: descending); the id decides between equals. \
                 Without it: by what matched where `q` is given, by id where `email`, `company` or \
                 `source` is, else newest change first.",
        )
        .sent(),
        Param::query(
            "order",
            choice(&["asc", "desc"]),
            "asc",
            "Without it times descend, all else ascends.",
        ),
    ]);
    params
}

pub(super) fn list() -> Operation {
    let meta = json!({
        "limit": 50, "nextCursor": "AQAv_OQQOKibugAIAAABof49HdRHwM1WCRmr4Q", "prevCursor": null,
        "offset": 0, "total": 1234, "totalIsExact": true,
    });
    let example = json!({ "data": [example()], "meta": meta });
    Operation::new("listContacts", "List and search contacts")
        .of(Tag::Contacts)
        .about(
            "Follow `meta.nextCursor` (or `Link`) for the rest; a page may be short and yet have one, \
             where enough contacts were looked at. Paging by cursor stays right while contacts \
             change: one that stayed put is neither skipped nor shown twice.",
        )
        .params(filters())
        .params(order_and_page())
        .reads()
        .answers(
            Answer::json::<ContactPage>(200, "The page.", example)
                .with(&[Header::Link, Header::Position]),
        )
        .fails(&[Code::InvalidCursor])
        .keeps("position", Kept::Header("Position"))
}

pub(super) fn get() -> Operation {
    Operation::new("getContact", "Get a contact")
        .of(Tag::Contacts)
        .param(contact_id())
        .param(Param::query("includeDeleted", flag(), true, "Although it is deleted."))
        .param(Param::query(
            "asOf",
            text().pattern(Some("^(version:[0-9]+|[0-9]{4}-.*)$")),
            "version:1",
            "As it was here at that time (RFC 3339), by when its changes came onto the log, or with that \
             version: `version:3`. As far as the journal reaches; 410 says how far that is. What an \
             erased contact said before has no values.",
        ))
        .param(Param::header(
            "If-None-Match",
            "{{etag}}",
            "ETags; 304 where the contact still is in one of these states.",
        ))
        .reads()
        .answers(
            Answer::json::<Contact>(200, "The contact.", example())
                .with(&[Header::ETag, Header::Position]),
        )
        .answers(
            Answer::empty(304, "It is in the state that If-None-Match names.")
                .with(&[Header::ETag, Header::Position]),
        )
        .fails(&[Code::ContactNotFound, Code::VersionNotFound, Code::HistoryGone])
        .keeps("etag", Kept::Header("ETag"))
}

/// A change as examples show it.
fn change() -> Value {
    json!({
        "version": 3, "eventType": "contact.updated", "eventId": "evt_f07acb6428d68f8a",
        "source": "acme", "timestamp": "2026-11-21T10:36:44.451Z",
        "recordedAt": "2026-11-21T10:36:44.460Z", "partition": 1, "offset": 16,
        "contact": example(),
    })
}

pub(super) fn history() -> Operation {
    let example = json!({ "data": [change()], "meta": { "limit": 50, "nextCursor": null } });
    Operation::new("getContactHistory", "List the history of a contact")
        .of(Tag::Contacts)
        .about("Every change that is still in the journal, newest first, deleted contacts' too.")
        .param(contact_id())
        .params(page_params())
        .reads()
        .answers(
            Answer::json::<History>(200, "The changes.", example)
                .with(&[Header::Link, Header::Position]),
        )
        .fails(&[Code::ContactNotFound, Code::InvalidCursor])
        .keeps("eventId", Kept::Body("data.0.eventId"))
}

pub(super) fn everything() -> Operation {
    let example = json!({
        "contact": example(), "history": [change()], "historyIsWhole": true, "payments": [],
        "paymentsAreWhole": true,
    });
    Operation::new("getEverything", "Get everything that is kept of a contact")
        .of(Tag::Contacts)
        .about(
            "For whoever asks what is known of them: the contact, deleted or not, and up to 1,000 of its \
             changes and payments. Contacts that were merged into it (`attributes.mergedFrom`) have a history of their own.",
        )
        .param(contact_id())
        .reads()
        .answers(
            Answer::json::<Everything>(200, "What is kept.", example).with(&[Header::Position]),
        )
        .fails(&[Code::ContactNotFound])
}

pub(super) fn events() -> Operation {
    let record = json!({
        "verdict": "dead_lettered", "eventId": null, "contactId": null, "version": null,
        "source": "acme", "reason": "malformed_json", "detail": "the value is no JSON", "topic": "contacts",
        "partition": 1, "offset": 17, "recordedAt": "2026-11-21T10:36:44.460Z",
        "position": "{{position}}",
    });
    let example = json!({ "data": [record], "meta": { "limit": 50, "nextCursor": null } });
    let verdicts = Verdict::ALL.map(Verdict::as_str);
    Operation::new("listEvents", "List what came in and what became of it")
        .of(Tag::Contacts)
        .about(
            "Every record of the contact log that this instance has applied, newest first, as far back as \
             the journal goes. Of what changed nothing its id, contact and source are not kept: `source` \
             finds what was applied and what was set aside. A page may have fewer entries than `limit` \
             though more follow: `nextCursor` says so.",
        )
        .param(Param::query("source", text(), "acme", "Of this source alone."))
        .param(Param::query(
            "verdict",
            choice(&verdicts),
            "dead_lettered",
            "With this verdict alone.",
        ))
        .param(Param::query(
            "since",
            text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))),
            "2026-11-21T00:00:00Z",
            "Whose records are of this time or later.",
        ))
        .params(page_params())
        .reads()
        .answers(
            Answer::json::<EventPage>(200, "A page, newest first.", example)
                .with(&[Header::Position, Header::Link]),
        )
        .fails(&[Code::InvalidCursor])
}

pub(super) fn event() -> Operation {
    let record = json!({
        "verdict": "applied", "eventId": "evt_f07acb6428d68f8a", "contactId": "{{contactId}}",
        "version": 3, "source": "acme", "topic": "contacts", "partition": 1, "offset": 16,
        "recordedAt": "2026-11-21T10:36:44.460Z", "position": "{{position}}",
    });
    let example = json!({
        "id": "evt_f07acb6428d68f8a", "status": "applied", "records": [record], "complete": true,
    });
    Operation::new("getEvent", "Get what became of an event or write")
        .of(Tag::Contacts)
        .about(
            "Of every record that an event came in, newest first: the verdict, why it was set aside, \
             the contact and its version after it. `pending`: taken or on the log, and not applied \
             yet; ask again. `refused`: the log did not take it, so nothing was done. What changed \
             nothing is known by its id's hash alone, without the \
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

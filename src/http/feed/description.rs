//! The feed.

use serde_json::json;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::domain::event::EventKind;
use crate::http::description::operation::{
    Answer, Operation, Param, Tag, choice, flag, several, text,
};
use crate::http::exchange::error::Code;

/// As it is sent, but for the contact, of which a part is shown.
const EXAMPLE: &str = "retry: 2000\nid: p1-22d1ef5228eb9c01-0.8-1.11\n\n\
    event: contact.updated\n\
    data: {\"contact\":{\"id\":\"c8b5f7d9\",\"firstName\":\"Ada\",\"status\":\"ACTIVE\",\"version\":3},\
    \"change\":{\"eventType\":\"contact.updated\",\"eventId\":\"evt_f07acb6428d68f8a\",\
    \"source\":\"acme\",\"timestamp\":\"2026-11-21T10:36:44.451Z\",\
    \"recordedAt\":\"2026-11-21T10:36:44.460Z\",\"partition\":1,\"offset\":17}}\n\
    id: p1-22d1ef5228eb9c01-0.8-1.12\n\n: heartbeat\nid: p1-22d1ef5228eb9c01-0.8-1.12\n\n";

pub(super) fn feed() -> Operation {
    let groups = ["contact.*", "payment.*"].into_iter();
    let types: Vec<_> = EventKind::ALL.map(EventKind::as_str).into_iter().chain(groups).collect();
    Operation::new("followChanges", "Stream changes as they are applied (feed, SSE)")
        .of(Tag::Contacts)
        .about(
            "Server-sent events without an end. `contact.created`, `contact.updated`, \
             `contact.deleted`, `contact.restored` and `contact.erased` carry the contact after the \
             change (a deleted one's last state) and what changed it; their `id` is a position, with \
             which the stream goes on on any instance. With `snapshot=true` `snapshot` (forget what \
             you hold), a `state` for each contact and `ready` come first. `reset` (with `resume`: \
             whether the last id still leads on) and `unauthorized` are the last of a stream that \
             the server ends. A comment comes at least every 15 seconds.",
        )
        .param(Param::header(
            "Last-Event-ID",
            "{{position}}",
            "The last `id` that was seen, which a standard client sends when it comes back: what \
             came after it follows.",
        ))
        .param(Param::query(
            "after",
            text().pattern(Some("^p1-[0-9a-f]{16}(-[0-9a-f]+\\.[0-9a-f]+)*$")),
            "{{position}}",
            "The same for the first time; also a `Position` of another answer.",
        ))
        .param(Param::query(
            "snapshot",
            flag(),
            true,
            "Every contact first; with a position only where that leads on no more.",
        ))
        .param(Param::query("includeDeleted", flag(), true, "Deleted ones among them too."))
        .param(Param::query(
            "type",
            several(choice(&types), types.len()),
            json!(["contact.created", "contact.deleted"]),
            "Only changes of these types; `contact.*` and `payment.*` stand for all of theirs. With commas between \
             them too.",
        ))
        .param(Param::query(
            "contact",
            several(text().min_length(Some(1)), 100),
            json!(["{{contactId}}"]),
            "Only these contacts; with commas between them too, a comma of an id then being `%2C`.",
        ))
        .param(
            Param::query(
                "follow",
                ObjectBuilder::new().schema_type(Type::Boolean).default(Some(true.into())),
                false,
                "`false`: it ends when all that was applied when it was asked has been told.",
            )
            .sent(),
        )
        .reads()
        .answers(Answer::text(200, "The stream.", "text/event-stream", Some(EXAMPLE)))
        .fails(&[Code::Overloaded])
}

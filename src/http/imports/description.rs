//! Imports.

use serde_json::{Value, json};
use utoipa::openapi::schema::{KnownFormat, SchemaFormat};

use super::answers::{Import, ImportRows, Imports};
use crate::files::import::{EmptyCells, Format, Match, Mode};
use crate::http::description::operation::{
    Answer, Header, Kept, Operation, Param, Tag, choice, flag, page_params, text,
};
use crate::http::exchange::error::Code;

const FILE: &str = "Customer no,E-mail,Given name\n1148,ada@example.com,Ada\n";

fn words<T>(words: &[(&'static str, T)]) -> Vec<&'static str> {
    words.iter().map(|(word, _)| *word).collect()
}

pub(super) fn order() -> Operation {
    let columns = "Customer no=externalId:erp,E-mail=email";
    Operation::new("importFile", "Import a file of contacts (CSV, NDJSON, vCard)")
        .of(Tag::Files)
        .about(
            "The body is the file as it is, up to `imports.file_bytes_max`, of any media type. Its columns are \
             known by their headings or said by `columns`. The same file with the same options is the same \
             import, which goes on where it was stopped and does nothing twice. Each row becomes an event with \
             the time at which the import was first begun, so what is edited meanwhile stands.",
        )
        .body_stream("text/csv", FILE)
        .param(Param::query("format", choice(&words(Format::WORDS)), "csv", "How it is written; told from the file where nothing is said."))
        .param(Param::query("columns", text(), columns, "What columns are, by heading or number: a contact's field, `externalId:source`, `attributes.name`; nothing behind the `=` leaves one out.").sent())
        .param(Param::query("mode", choice(&words(Mode::WORDS)), "upsert", "Which contacts rows may be of: new ones, those that are there, or both."))
        .param(Param::query("match", choice(&words(Match::WORDS)), "externalId", "By what a row's contact is found; where nothing is said by what the row has, the id first."))
        .param(Param::query("source", text().min_length(Some(1)).max_length(Some(256)), "import", "Whose events the rows become."))
        .param(Param::query("empty", choice(&words(EmptyCells::WORDS)), "keep", "What an empty cell says: nothing, or that there is no value any more."))
        .param(Param::query("asOf", text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))), "2026-11-21T10:00:00Z", "When what the file says was so: what was said by events of later stands. Where nothing is said, when the import is first begun."))
        .param(Param::query("dryRun", flag(), true, "Nothing is written; it is counted what would be.").sent())
        .param(Param::query("start", flag().default(Some(true.into())), true, "`false`: it waits for `start`, so that its columns can be looked at."))
        .param(Param::query("again", flag(), false, "A new import where the same one is done, which overrules what was edited since."))
        .param(Param::query("name", text().max_length(Some(200)), "contacts.csv", "The file's name, for people."))
        .answers(Answer::json::<Import>(202, "The import.", import()).with(&[Header::Location]))
        .fails(&[
            Code::UnsupportedMediaType,
            Code::NotAcceptable,
            Code::InvalidBody,
            Code::BodyTooLarge,
            Code::RequestTimeout,
            Code::ImportUnreadable,
            Code::ImportConflict,
            Code::Overloaded,
            Code::WriteUnavailable,
            Code::NotReady,
        ])
        .keeps("importId", Kept::Body("id"))
}

pub(super) fn list() -> Operation {
    let example = json!({ "data": [import()], "meta": { "limit": 50, "nextCursor": null } });
    Operation::new("listImports", "List imports")
        .of(Tag::Files)
        .about("Of all instances, by id, for `imports.keep` after their last change.")
        .params(page_params())
        .answers(Answer::json::<Imports>(200, "By id.", example).with(&[Header::Link]))
        .fails(&[Code::InvalidCursor, Code::NotAcceptable, Code::WriteUnavailable, Code::NotReady])
}

pub(super) fn show() -> Operation {
    Operation::new("getImport", "Get an import")
        .of(Tag::Files)
        .about(
            "With `Accept: text/event-stream` each time that something of it changes, as events `import`, until \
             it has ended; on the instance that works on it.",
        )
        .param(id())
        .answers(
            Answer::json::<Import>(200, "As it stands.", import())
                .or_text("text/event-stream", Some("event: import\ndata: {\"state\":\"running\"}\n\n")),
        )
        .fails(&[
            Code::ImportNotFound,
            Code::ImportGone,
            Code::NotAcceptable,
            Code::Overloaded,
            Code::WriteUnavailable,
            Code::NotReady,
        ])
}

pub(super) fn rows() -> Operation {
    let row = json!({
        "row": 17, "line": 18, "reason": "broken_quote",
        "detail": "the quote at line 18, column 6 is not closed before a delimiter or the line's end; write a quote inside a cell twice",
    });
    let example = json!({ "data": [row], "meta": { "limit": 50, "nextCursor": null } });
    let verdicts = ["refused", "duplicate", "stale"];
    Operation::new("listImportRows", "List rows of an import that were not applied")
        .of(Tag::Files)
        .about(
            "With `Accept` naming the file's own media type (`text/csv`, `application/x-ndjson`, `text/vcard`) all \
             of them as they came, each with its reason: ready to be mended and imported.",
        )
        .param(id())
        .param(Param::query("verdict", choice(&verdicts), "refused", "Which ones.").sent())
        .params(page_params())
        .answers(
            Answer::json::<ImportRows>(200, "In the file's order.", example)
                .or_text("text/csv", Some("id,email,contactd_reason\r\n1,ada,no_match: the row has no id to go by\r\n"))
                .or_text("application/x-ndjson", None)
                .or_text("text/vcard", None)
                .with(&[Header::Link]),
        )
        .fails(&[
            Code::ImportNotFound,
            Code::ImportGone,
            Code::InvalidCursor,
            Code::NotAcceptable,
            Code::WriteUnavailable,
            Code::NotReady,
        ])
}

pub(super) fn start() -> Operation {
    steering("startImport", "Start an import, or let it go on")
        .about("One that is `ready`, `cancelled` or `failed`.")
}

pub(super) fn cancel() -> Operation {
    steering("cancelImport", "Cancel an import")
        .about("Rows that are applied stay so; `start` lets it go on, `undo` takes them back.")
}

pub(super) fn undo() -> Operation {
    steering("undoImport", "Undo an import")
        .about(
            "What it changed and nobody has changed since goes back; contacts that it made are deleted. Needs its \
             file, which is kept for `imports.keep`, and the journal, which has the former values.",
        )
}

fn steering(id_of_operation: &'static str, summary: &'static str) -> Operation {
    Operation::new(id_of_operation, summary)
        .of(Tag::Files)
        .param(id())
        .answers(Answer::json::<Import>(202, "As it stands.", import()))
        .fails(&[
            Code::ImportNotFound,
            Code::ImportGone,
            Code::ImportConflict,
            Code::NotAcceptable,
            Code::WriteUnavailable,
            Code::NotReady,
        ])
        .not_sent()
}

fn id() -> Param {
    Param::path("id", "{{importId}}", "As the answer to the file names it.")
}

fn import() -> Value {
    json!({
        "id": "{{importId}}", "state": "done", "why": null, "file": "contacts.csv", "bytes": 61,
        "format": "csv", "encoding": "UTF-8", "mode": "upsert", "match": null, "source": "import",
        "dryRun": false, "by": "user:ada", "createdAt": "2026-11-21T10:36:44.449Z",
        "startedAt": "2026-11-21T10:36:44.451102Z", "endedAt": "2026-11-21T10:36:44.480Z",
        "columns": [
            { "column": "Customer no", "field": "externalId:erp", "note": null },
            { "column": "E-mail", "field": "email", "note": null },
        ],
        "samples": [{ "externalId:erp": "1148", "email": "ada@example.com", "firstName": "Ada" }],
        "counts": {
            "rows": 1, "created": 1, "changed": 0, "unchanged": 0, "stale": 0, "duplicate": 0,
            "refused": 0, "refusedBy": {},
        },
        "changes": [], "undo": null,
    })
}

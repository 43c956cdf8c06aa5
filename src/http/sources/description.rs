//! Sources.

use serde_json::{Value, json};

use super::answers::{Source, SourcePage};
use crate::http::description::operation::{Answer, Header, Operation, Param, Tag, page_params};
use crate::http::exchange::error::Code;

fn described(operation: Operation) -> Operation {
    operation.of(Tag::Webhooks).fails(&[Code::NotAcceptable, Code::NotReady])
}

fn source() -> Value {
    json!({
        "name": "acme", "webhooks": { "signature": "acme", "secrets": 1, "default": true },
        "inRules": true, "schemas": [], "oneWay": {},
        "table": { "fields": { "email": { "from": ["acme_email"] } }, "unknown": "keep" },
    })
}

pub(super) fn list() -> Operation {
    let example = json!({ "data": [source()], "meta": { "limit": 50, "nextCursor": null } });
    let page = Answer::json::<SourcePage>(200, "A page, by name.", example);
    described(
        Operation::new("listSources", "List sources, and how their records are understood")
            .about("Those of the log's rules, and those whose webhooks are taken at this instance.")
            .params(page_params())
            .answers(page.with(&[Header::Link]))
            .fails(&[Code::InvalidCursor]),
    )
}

pub(super) fn show() -> Operation {
    described(
        Operation::new("getSource", "Get a source")
            .param(Param::path("name", "acme", "As `GET /api/sources` lists it."))
            .answers(Answer::json::<Source>(200, "The source.", source()))
            .fails(&[Code::UnknownSource]),
    )
}

//! The description itself, for programs and for people.

use serde_json::json;

use super::operation::{Answer, Header, Operation, Param, Tag};
use super::shapes::OpenApiDocument;
use crate::http::error::Code;

pub(super) fn operations() -> Vec<Operation> {
    vec![document(), page(), file()]
}

fn document() -> Operation {
    let example = json!({
        "openapi": "3.1.0", "info": { "title": "contactd", "version": "0.1.0" }, "paths": {},
    });
    Operation::get("/openapi.json", "getOpenApi", "This description")
        .of(Tag::Documents)
        .about("OpenAPI 3.1; `contactd openapi` prints the same.")
        .param(Param::header(
            "If-None-Match",
            "\"6a1d3a0b4f101971\"",
            "ETags; 304 where the description still is one of these.",
        ))
        .answers(
            Answer::json::<OpenApiDocument>(200, "The description.", example).with(&[Header::ETag]),
        )
        .answers(
            Answer::empty(304, "It is the one that If-None-Match names.").with(&[Header::ETag]),
        )
}

fn page() -> Operation {
    Operation::get("/docs", "getDocs", "This description for people")
        .of(Tag::Documents)
        .about("A page to read and try every operation; all of it comes from this server.")
        .answers(Answer::text(200, "The page.", "text/html; charset=utf-8", None))
}

fn file() -> Operation {
    Operation::get("/docs/{file}", "getDocsFile", "What the page for people needs")
        .of(Tag::Documents)
        .param(Param::path("file", "swagger-initializer.js", "The file's name."))
        .answers(
            Answer::text(200, "The file.", "text/javascript", None)
                .or_text("text/css", None)
                .or_text("image/png", None)
                .or_text("text/html", None)
                .with(&[Header::ETag]),
        )
        .answers(
            Answer::empty(304, "It is the one that If-None-Match names.").with(&[Header::ETag]),
        )
        .fails(&[Code::RouteNotFound])
}

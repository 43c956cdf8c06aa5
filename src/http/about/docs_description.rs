//! The description itself, for programs and for people, and the schemas of events.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::http::description::operation::{Answer, Header, Operation, Param, Tag};
use crate::http::exchange::error::Code;

/// An OpenAPI 3.1 document.
#[derive(Serialize, ToSchema)]
struct OpenApiDocument {
    openapi: String,
    info: BTreeMap<String, Value>,
    paths: BTreeMap<String, Value>,
}

/// A JSON Schema (2020-12).
#[derive(Serialize, ToSchema)]
struct JsonSchemaDocument {
    #[serde(rename = "$schema")]
    schema: String,
    #[serde(rename = "$id")]
    id: String,
    title: String,
}

pub(super) fn document() -> Operation {
    let example = json!({
        "openapi": "3.1.0", "info": { "title": "contactd", "version": "0.1.0" }, "paths": {},
    });
    Operation::new("getOpenApi", "Get this description (OpenAPI)")
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

pub(super) fn schema() -> Operation {
    let example = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:contactd:schema:contact-event", "title": "An event about a contact",
    });
    Operation::new("getSchema", "Get a JSON Schema of events")
        .of(Tag::Documents)
        .about(
            "JSON Schema 2020-12: `contact-event` and `contact` for what producers write to the topic, \
             `acme.<event type>` for what Acme's webhooks are held against. `contactd schemas` prints \
             the same, `contactd asyncapi` says where each is used.",
        )
        .param(Param::path("name", "contact-event", "The schema's name."))
        .param(Param::header(
            "If-None-Match",
            "\"6a1d3a0b4f101971\"",
            "ETags; 304 where the schema still is one of these.",
        ))
        .answers(
            Answer::json::<JsonSchemaDocument>(200, "The schema.", example)
                .in_media("application/schema+json")
                .with(&[Header::ETag]),
        )
        .answers(
            Answer::empty(304, "It is the one that If-None-Match names.").with(&[Header::ETag]),
        )
        .fails(&[Code::RouteNotFound])
}

pub(super) fn page() -> Operation {
    Operation::new("getDocs", "Read this description as a page")
        .of(Tag::Documents)
        .about("A page to read and try every operation; all of it comes from this server.")
        .answers(Answer::text(200, "The page.", "text/html; charset=utf-8", None))
}

pub(super) fn file() -> Operation {
    Operation::new("getDocsFile", "Get a file of that page")
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

//! How errors are described: the catalogue, the two forms, and each operation's own codes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{Object, Schema};
use utoipa::openapi::{Content, ContentBuilder, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::operation::{Header, Operation, Schemas, choice};
use crate::http::edge::allow::groups;
use crate::http::exchange::endpoint::{Access, Endpoint};
use crate::http::exchange::error::{Code, Envelope, Problem};
use crate::http::router::endpoints;
use crate::http::services::Optional;

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        let codes: Vec<&'static str> = Self::ALL.iter().map(|code| code.as_str()).collect();
        let about = format!("What went wrong; a code is never renamed or reused.\n\n{}", table());
        let schema: Object = choice(&codes).description(Some(about)).build();
        RefOr::T(schema.into())
    }
}

impl ToSchema for Code {
    fn name() -> Cow<'static, str> {
        "ErrorCode".into()
    }
}

pub(crate) fn schemas() -> Schemas {
    let mut schemas = Schemas::new();
    for (name, schema) in [
        (Envelope::name(), Envelope::schema()),
        (Problem::name(), Problem::schema()),
        (Code::name(), Code::schema()),
    ] {
        schemas.push((name.into_owned(), schema));
    }
    Envelope::schemas(&mut schemas);
    Problem::schemas(&mut schemas);
    schemas
}

/// The catalogue as a table of Markdown.
pub(crate) fn table() -> String {
    let mut table = String::from("| code | status | |\n|---|---|---|\n");
    for code in Code::ALL {
        // Writing to a String can't fail.
        let _ = writeln!(
            table,
            "| `{}` | {} | {} |",
            code.as_str(),
            code.status().as_u16(),
            code.title()
        );
    }
    table
}

/// All that an operation can fail with: its own, and what its kind brings with it.
pub(crate) fn codes(endpoint: &Endpoint, operation: &Operation) -> Vec<Code> {
    let takes_time = endpoint.path.starts_with("/api/");
    let is_implied = |code: Code| match code {
        Code::UnknownParameter
        | Code::UriTooLong
        | Code::HeadersTooLarge
        | Code::BodyTooLarge
        | Code::InvalidBody
        | Code::RequestTimeout
        | Code::TookTooLong
        | Code::Internal => true,
        Code::InvalidParameter => !operation.params.is_empty(),
        Code::InvalidPath => endpoint.path.contains('{'),
        // No id is `batch`, say: that is a path of its own.
        Code::MethodNotAllowed => is_shadowed(endpoint),
        Code::UnsupportedMediaType => operation.body.is_some(),
        Code::Overloaded => takes_time,
        Code::LoopDetected => !endpoint.method.is_safe(),
        // Of the webhooks, and of signing in, alone.
        Code::InvalidSignature
        | Code::TimestampOutOfWindow
        | Code::InvalidCredentials
        | Code::InvalidRefreshToken => false,
        _ => is_implied_by_access(code, endpoint),
    };
    let mut codes: Vec<Code> = Code::ALL.iter().copied().filter(|code| is_implied(*code)).collect();
    codes.extend(operation.codes.iter().copied().filter(|code| !is_implied(*code)));
    codes
}

/// Whether some word in place of a parameter makes the path another one, which has no such method.
fn is_shadowed(endpoint: &Endpoint) -> bool {
    let fits = |path: &str| {
        let mut pairs = endpoint.path.split('/').zip(path.split('/'));
        endpoint.path.split('/').count() == path.split('/').count()
            && pairs.all(|(segment, word)| segment == word || segment.starts_with('{'))
    };
    let has_method = |path| {
        let mut there = endpoints(Optional::ALL).filter(|other| other.path == path);
        there.any(|other| other.method == endpoint.method)
    };
    endpoints(Optional::ALL)
        .any(|other| !other.path.contains('{') && fits(other.path) && !has_method(other.path))
}

/// Those that follow from who may ask, and how often.
fn is_implied_by_access(code: Code, endpoint: &Endpoint) -> bool {
    if code == Code::AddressNotAllowed {
        return groups(endpoint).next().is_some();
    }
    match code.status().as_u16() {
        401 | 403 => endpoint.access != Access::Public,
        429 => endpoint.limit.is_some(),
        _ => false,
    }
}

/// The codes by their status, which is what answers are described by.
pub(crate) fn by_status(codes: &[Code]) -> BTreeMap<u16, Vec<Code>> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        by_status.entry(code.status().as_u16()).or_default().push(*code);
    }
    by_status
}

/// The name by which operations share the description of the same codes.
pub(crate) fn component(codes: &[Code]) -> String {
    codes.iter().map(|code| format!("{code:?}")).collect::<Vec<_>>().join("Or")
}

/// One answer for codes of one status.
pub(crate) fn response(codes: &[Code]) -> Response {
    let about: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.title())).collect();
    let mut response = ResponseBuilder::new()
        .description(about.join("\n"))
        .content("application/json", content("ApiError", codes, envelope))
        .content("application/problem+json", content("Problem", codes, problem));
    let again = codes.iter().any(|code| code.retry_after_seconds().is_some());
    let challenge = codes.iter().any(|code| code.status().as_u16() == 401);
    for (header, is_there) in [
        (Header::RequestId, true),
        (Header::RateLimit, true),
        (Header::RateLimitPolicy, true),
        (Header::RetryAfter, again),
        (Header::WwwAuthenticate, challenge),
    ] {
        if is_there {
            response = response.header_ref(header.name(), header_ref(header));
        }
    }
    response.build()
}

/// What every answer of an endpoint has.
pub(crate) fn common_headers(endpoint: &Endpoint) -> &'static [Header] {
    match endpoint.limit {
        None => &[Header::RequestId],
        Some(_) => &[Header::RequestId, Header::RateLimit, Header::RateLimitPolicy],
    }
}

pub(crate) fn header_ref(header: Header) -> Ref {
    Ref::new(format!("#/components/headers/{}", header.component()))
}

fn content(schema: &str, codes: &[Code], body: fn(Code) -> Value) -> Content {
    let examples = codes
        .iter()
        .map(|code| (code.as_str(), ExampleBuilder::new().value(Some(body(*code))).build()));
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(schema)))
        .examples_from_iter(examples)
        .build()
}

fn envelope(code: Code) -> Value {
    json!({ "error": body(code) })
}

fn problem(code: Code) -> Value {
    json!({
        "type": "about:blank", "title": code.title(), "status": code.status().as_u16(),
        "detail": code.title(), "code": code.as_str(), "requestId": REQUEST_ID,
        "error": body(code),
    })
}

const REQUEST_ID: &str = "01971e5c-7a55-7c3e-9d51-6a1d3a0b4f10";

fn body(code: Code) -> Value {
    json!({
        "message": code.title(), "type": code.kind(), "status": code.status().as_u16(),
        "timestamp": "2026-11-21T10:36:44.451Z", "code": code.as_str(), "details": null,
        "requestId": REQUEST_ID,
    })
}

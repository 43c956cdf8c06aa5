//! From endpoints and operations to OpenAPI 3.1.

use std::collections::BTreeMap;

use axum::http::Method;
use serde_json::{Value, json};
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, Paths,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, ContentBuilder, Info, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr,
    Required, Server,
};

use super::operation::{Answer, Content, Header, Operation, Param, Place, Tag};
use super::samples::{is_known, shown};
use super::{Row, errors};
use crate::http::exchange::endpoint::{Access, Endpoint};
use crate::http::exchange::error::Code;
use crate::shared_state::LimitClass;

const ABOUT: &str = "\
Keeps a company's contacts current from a log of events, and answers queries about them.

Every answer has `X-Request-Id`. Reads have `Position`: sent with a later read, to any instance, that \
read sees at least as much.

### Errors

`{\"error\": {message, type, status, timestamp, code, details, requestId}}`, or RFC 9457 for those who \
accept `application/problem+json`. Programs go by `code`. On 429 and 503 `Retry-After` says when to try \
again. A path that there is not is 404 `ROUTE_NOT_FOUND`; a method that a path has not is 405 \
`METHOD_NOT_ALLOWED`, with `Allow`. Each operation lists its own codes; the schema `ErrorCode`, behind \
the operations, lists all.
";

/// The whole description.
pub(crate) fn document(operations: &[Row]) -> OpenApi {
    let mut paths = Paths::new();
    let mut components = components();
    for (endpoint, operation) in operations {
        for (name, schema) in operation.schemas() {
            components.schemas.insert(name.clone(), schema.clone());
        }
        let Some(method) = method(&endpoint.method) else {
            continue;
        };
        let mut shared = BTreeMap::new();
        let item = PathItem::new(method, described(endpoint, operation, &mut shared));
        components.responses.extend(shared);
        paths.paths.entry(endpoint.path.to_owned()).or_default().merge_operations(item);
    }
    let mut info = Info::new("contactd", env!("CARGO_PKG_VERSION"));
    info.description = Some(ABOUT.to_owned());
    let license = "Apache-2.0 OR MIT";
    info.license = Some(LicenseBuilder::new().name(license).identifier(Some(license)).build());
    let tags = Tag::ALL
        .map(|tag| TagBuilder::new().name(tag.name()).description(Some(tag.about())).build());
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .tags(Some(tags))
        .paths(paths)
        .components(Some(components))
        .build()
}

fn components() -> Components {
    let mut components = Components::new();
    components.schemas.extend(errors::schemas());
    for header in Header::ALL {
        components.headers.insert(header.component(), RefOr::T(header.described()));
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("The access token that `POST /api/auth/login` gives."))
        .build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let about = "A key as `contactd key create` prints it.";
    let key = ApiKey::Header(ApiKeyValue::with_description("X-API-Key", about));
    components.add_security_scheme("apiKey", SecurityScheme::ApiKey(key));
    components
}

fn method(method: &Method) -> Option<HttpMethod> {
    match method.as_str() {
        "GET" => Some(HttpMethod::Get),
        "POST" => Some(HttpMethod::Post),
        "PUT" => Some(HttpMethod::Put),
        "PATCH" => Some(HttpMethod::Patch),
        "DELETE" => Some(HttpMethod::Delete),
        _ => None,
    }
}

fn described(
    endpoint: &Endpoint,
    operation: &Operation,
    shared: &mut BTreeMap<String, RefOr<Response>>,
) -> OperationBuilder {
    let codes = errors::codes(endpoint, operation);
    let roles = match endpoint.access {
        Access::Public => Value::Null,
        Access::Roles(roles) => roles.iter().map(|role| Value::from(role.as_str())).collect(),
    };
    let limit = limit_word(endpoint.limit);
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    // One extension: utoipa has them in a map without an order.
    let extension = json!({ "roles": roles, "rateLimit": limit, "errors": names });
    let securities = match endpoint.access {
        Access::Public => Vec::new(),
        Access::Roles(_) => ["bearer", "apiKey"]
            .map(|scheme| SecurityRequirement::new(scheme, Vec::<String>::new()))
            .to_vec(),
    };
    let mut described = OperationBuilder::new()
        .tag(operation.tag.name())
        .operation_id(Some(operation.id))
        .summary(Some(operation.summary))
        .description(Some(about(endpoint, operation)))
        .request_body(operation.body.as_ref().map(request_body))
        .securities(Some(securities))
        .extensions(Some(ExtensionsBuilder::new().add("x-contactd", extension).build()));
    for param in &operation.params {
        described = described.parameter(parameter(param));
    }
    for (status, response) in responses(endpoint, operation, &codes, shared) {
        described = described.response(status.to_string(), response);
    }
    described
}

/// The area's words, then who may ask and what the limit counts it as.
fn about(endpoint: &Endpoint, operation: &Operation) -> String {
    let mut about = operation.about.to_owned();
    if !about.is_empty() {
        about.push_str("\n\n");
    }
    match endpoint.access {
        Access::Public => about.push_str("Needs no token."),
        Access::Roles(roles) => {
            let words: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
            about.push_str(&format!("Roles: {}.", words.join(", ")));
        }
    }
    if let Some(word) = limit_word(endpoint.limit) {
        about.push_str(&format!(" Rate limit: {word}."));
    }
    about
}

fn limit_word(limit: Option<LimitClass>) -> Option<&'static str> {
    match limit? {
        LimitClass::Read => Some("reads"),
        LimitClass::Write => Some("writes"),
        LimitClass::Webhook => Some("webhooks"),
        LimitClass::Auth | LimitClass::Account | LimitClass::SignIn => Some("auth"),
    }
}

fn parameter(param: &Param) -> ParameterBuilder {
    let place = match param.place {
        Place::Path => ParameterIn::Path,
        Place::Query => ParameterIn::Query,
        Place::Header => ParameterIn::Header,
    };
    // What has an `example` is filled in by the page for people, and sent.
    let (mut schema, example) = (param.schema.clone(), shown(&param.example));
    let prefilled = (param.is_sent && is_known(&param.example)).then(|| example.clone());
    if prefilled.is_none() {
        match &mut schema {
            Schema::Object(object) => object.examples.push(example),
            Schema::Array(array) => array.examples.push(example),
            _ => {}
        }
    }
    ParameterBuilder::new()
        .name(param.name)
        .parameter_in(place)
        .required(if param.is_required { Required::True } else { Required::False })
        .description(Some(param.about))
        .schema(Some(schema))
        .example(prefilled)
}

fn request_body(content: &Content) -> RequestBody {
    RequestBodyBuilder::new()
        .required(Some(Required::True))
        .content(content.media, media_type(content))
        .build()
}

fn media_type(content: &Content) -> utoipa::openapi::Content {
    ContentBuilder::new()
        .schema(content.schema.clone())
        .example(content.example.as_ref().map(shown))
        .build()
}

/// By status; errors are shared by all that have the same.
fn responses(
    endpoint: &Endpoint,
    operation: &Operation,
    codes: &[Code],
    shared: &mut BTreeMap<String, RefOr<Response>>,
) -> BTreeMap<u16, RefOr<Response>> {
    let mut errors = errors::by_status(codes);
    let mut responses = BTreeMap::new();
    for answer in &operation.answers {
        let error = errors.remove(&answer.status).map(|codes| errors::response(&codes));
        responses.insert(answer.status, RefOr::T(response(endpoint, answer, error)));
    }
    for (status, codes) in errors {
        let name = errors::component(&codes);
        responses.insert(status, RefOr::Ref(Ref::from_response_name(&name)));
        shared.entry(name).or_insert_with(|| RefOr::T(errors::response(&codes)));
    }
    responses
}

/// A status that is also an error's can have either body.
fn response(endpoint: &Endpoint, answer: &Answer, error: Option<Response>) -> Response {
    let about = match &error {
        None => answer.about.to_owned(),
        Some(error) => format!("{} Or an error: {}", answer.about, error.description),
    };
    let mut response = ResponseBuilder::new().description(about);
    for header in errors::common_headers(endpoint).iter().chain(&answer.headers) {
        response = response.header_ref(header.name(), errors::header_ref(*header));
    }
    for content in &answer.content {
        response = response.content(content.media, media_type(content));
    }
    let mut response = response.build();
    for (media, content) in error.into_iter().flat_map(|error| error.content) {
        match response.content.get_mut(&media) {
            None => {
                response.content.insert(media, content);
            }
            Some(RefOr::T(own)) => own.schema = either(own.schema.take(), &content),
            Some(RefOr::Ref(_)) => {}
        }
    }
    response
}

fn either(
    own: Option<RefOr<utoipa::openapi::Schema>>,
    other: &RefOr<utoipa::openapi::Content>,
) -> Option<RefOr<utoipa::openapi::Schema>> {
    let RefOr::T(other) = other else {
        return own;
    };
    let one_of = own
        .into_iter()
        .chain(other.schema.clone())
        .fold(utoipa::openapi::OneOfBuilder::new(), |one_of, schema| one_of.item(schema));
    Some(RefOr::T(one_of.build().into()))
}

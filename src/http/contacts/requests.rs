//! The bodies of writes as they are described; `body.rs`, `batch.rs` and `merges.rs` read them.

use serde::Serialize;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::body::FIELD_CHARS_MAX;
use crate::domain::event::{EMAIL, FIELDS};
use crate::domain::limits::ID_BYTES_MAX;
use crate::http::description::operation::text;

const PLAIN: &str = r"^[^\x00-\x1f\x7f-\x9f]+$";
const MAILBOX: &str =
    r"^[^@\s\x00-\x1f\x7f-\x9f]{1,64}@[^@.\s\x00-\x1f\x7f-\x9f]+(\.[^@.\s\x00-\x1f\x7f-\x9f]+)*$";

/// A contact's content, for POST and PUT.
#[derive(Serialize)]
pub(super) struct ContactToWrite;

impl PartialSchema for ContactToWrite {
    fn schema() -> RefOr<Schema> {
        content(
            "A contact's content. What is left out or null has no value.",
            "Given by the client, or made. Where the path has one it is the same.",
            "What is your own: up to 256 members of any JSON, 32 KiB together, 32 deep.",
        )
    }
}

impl ToSchema for ContactToWrite {}

/// The same as a merge patch.
#[derive(Serialize)]
pub(super) struct ContactPatch;

impl PartialSchema for ContactPatch {
    fn schema() -> RefOr<Schema> {
        content(
            "A merge patch (RFC 7396): what is left out stays, null clears.",
            "The same as in the path, if it is there.",
            "Merged one by one; null takes one away, null for all takes all.",
        )
    }
}

impl ToSchema for ContactPatch {}

fn content(about: &str, id: &str, attributes: &str) -> RefOr<Schema> {
    let or_null = |one| SchemaType::from_iter([one, Type::Null]);
    let id = text().description(Some(id)).max_length(Some(ID_BYTES_MAX));
    let id = id.min_length(Some(1)).pattern(Some(PLAIN));
    let mut object = ObjectBuilder::new().description(Some(about)).property("id", id);
    for (place, (name, chars_max)) in FIELDS.iter().zip(FIELD_CHARS_MAX).enumerate() {
        let field = text().schema_type(or_null(Type::String)).max_length(Some(chars_max));
        let field = match place {
            EMAIL => field.pattern(Some(MAILBOX)),
            _ => field.min_length(Some(1)).pattern(Some(PLAIN)),
        };
        let about = (*name == "title").then_some("Job title.");
        object = object.property(*name, field.description(about));
    }
    let attributes = ObjectBuilder::new()
        .schema_type(or_null(Type::Object))
        .description(Some(attributes))
        .additional_properties(Some(RefOr::T(
            ObjectBuilder::new().schema_type(SchemaType::AnyValue).into(),
        )))
        .property_names(Some(text()));
    let object = object.property("attributes", attributes);
    RefOr::T(object.additional_properties(Some(AdditionalProperties::FreeForm(false))).into())
}

/// The contact that is taken in.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ContactToMerge {
    /// Its id.
    #[schema(min_length = 1)]
    from: String,
}

/// An earlier state of the contact.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ContactVersion {
    /// Its number, as the history has it.
    #[schema(minimum = 1)]
    version: u64,
}

/// A source's id of the contact.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ContactLink {
    /// One of the configured sources.
    #[schema(min_length = 1, max_length = 256)]
    source: String,
    /// What it calls the contact.
    #[schema(min_length = 1, max_length = 256)]
    id: String,
}

/// Operations, each standing for itself.
#[derive(Serialize)]
pub(super) struct BatchOperations(Vec<BatchOperation>);

impl PartialSchema for BatchOperations {
    fn schema() -> RefOr<Schema> {
        let items = Ref::from_schema_name(BatchOperation::name());
        let operations = ArrayBuilder::new().items(items).min_items(Some(1)).max_items(Some(200));
        RefOr::T(operations.build().into())
    }
}

impl ToSchema for BatchOperations {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((BatchOperation::name().into_owned(), BatchOperation::schema()));
        BatchOperation::schemas(schemas);
    }
}

/// One write of a batch.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BatchOperation {
    op: BatchOp,
    /// Whose; `create` makes one where there is none.
    #[schema(nullable = false)]
    id: Option<String>,
    /// As the header If-Match.
    #[schema(nullable = false)]
    if_match: Option<String>,
    /// For create, replace, update and upsert.
    #[schema(nullable = false, value_type = Option<ContactToWrite>)]
    contact: Option<ContactToWrite>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "`batch.rs` reads it by its names")]
pub(super) enum BatchOp {
    Create,
    Replace,
    Update,
    Upsert,
    Delete,
    Restore,
}

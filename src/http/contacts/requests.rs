//! The bodies of writes as they are described; `body.rs`, `batch.rs` and `merges.rs` read them.

#![expect(dead_code, reason = "only their schemas are used")]

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::schema::{ArrayBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// A contact's content. What is left out or null has no value.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ContactToWrite {
    /// Given by the client, or made. Where the path has one it is the same.
    #[schema(min_length = 1, max_length = 256, nullable = false)]
    #[schema(pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    id: Option<String>,
    #[schema(min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    first_name: Option<String>,
    #[schema(min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    last_name: Option<String>,
    #[schema(max_length = 254)]
    #[schema(
        pattern = r"^[^@\s\x00-\x1f\x7f-\x9f]{1,64}@[^@.\s\x00-\x1f\x7f-\x9f]+(\.[^@.\s\x00-\x1f\x7f-\x9f]+)*$"
    )]
    email: Option<String>,
    #[schema(min_length = 1, max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    phone: Option<String>,
    #[schema(min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    company: Option<String>,
    /// Job title.
    #[schema(min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    title: Option<String>,
    /// What is your own: up to 256 members of any JSON, 32 KiB together, 32 deep.
    attributes: Option<BTreeMap<String, Value>>,
}

/// A merge patch (RFC 7396): what is left out stays, null clears.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ContactPatch {
    /// The same as in the path, if it is there.
    #[schema(min_length = 1, max_length = 256, nullable = false)]
    #[schema(pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    id: Option<String>,
    #[schema(min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    first_name: Option<String>,
    #[schema(min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    last_name: Option<String>,
    #[schema(max_length = 254)]
    #[schema(
        pattern = r"^[^@\s\x00-\x1f\x7f-\x9f]{1,64}@[^@.\s\x00-\x1f\x7f-\x9f]+(\.[^@.\s\x00-\x1f\x7f-\x9f]+)*$"
    )]
    email: Option<String>,
    #[schema(min_length = 1, max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    phone: Option<String>,
    #[schema(min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    company: Option<String>,
    /// Job title.
    #[schema(min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]+$")]
    title: Option<String>,
    /// Merged one by one; null takes one away, null for all takes all.
    attributes: Option<BTreeMap<String, Value>>,
}

/// The contact that is taken in.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ContactToMerge {
    /// Its id.
    #[schema(min_length = 1)]
    from: String,
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
    /// For create, replace and update.
    #[schema(nullable = false, value_type = Option<ContactToWrite>)]
    contact: Option<ContactToWrite>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum BatchOp {
    Create,
    Replace,
    Update,
    Delete,
    Restore,
}

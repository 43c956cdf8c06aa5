//! The bodies of redrives and discardings as they are described; `routes.rs` reads them.

use serde::Serialize;
use utoipa::ToSchema;

/// Which dead letters are meant: a filter, or `all`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DiscardOrder {
    #[schema(nullable = false)]
    reason: Option<String>,
    #[schema(nullable = false)]
    topic: Option<String>,
    /// Records of then or later.
    #[schema(nullable = false, format = DateTime)]
    since: Option<String>,
    /// Records from before then.
    #[schema(nullable = false, format = DateTime)]
    until: Option<String>,
    /// True where there is no filter.
    #[schema(nullable = false)]
    all: Option<bool>,
    /// Only say what would be done.
    #[schema(nullable = false)]
    dry_run: Option<bool>,
    /// Letters at most, the oldest first.
    #[schema(nullable = false, minimum = 1)]
    limit: Option<u64>,
}

/// Which dead letters are meant, and how fast they go.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RedriveOrder {
    #[schema(nullable = false)]
    reason: Option<String>,
    #[schema(nullable = false)]
    topic: Option<String>,
    /// Records of then or later.
    #[schema(nullable = false, format = DateTime)]
    since: Option<String>,
    /// Records from before then.
    #[schema(nullable = false, format = DateTime)]
    until: Option<String>,
    /// True where there is no filter.
    #[schema(nullable = false)]
    all: Option<bool>,
    /// Only say what would be done.
    #[schema(nullable = false)]
    dry_run: Option<bool>,
    /// Letters at most, the oldest first.
    #[schema(nullable = false, minimum = 1)]
    limit: Option<u64>,
    /// Letters a second at most; 1000 where nothing is said.
    #[schema(nullable = false, minimum = 1, maximum = 100000)]
    rate: Option<u64>,
    /// Those that were redriven before too.
    #[schema(nullable = false)]
    again: Option<bool>,
}

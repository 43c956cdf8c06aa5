//! Dead letters and redrives as the description shows them.

#![expect(dead_code, reason = "only their schemas are used")]

use serde::Serialize;
use utoipa::ToSchema;

/// What became of a dead letter.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum LetterStatus {
    Kept,
    Redriven,
    Discarded,
}

/// Who did something to a dead letter.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LetterDeed {
    /// `user:ada`, `key:ci`.
    by: String,
    #[schema(format = DateTime)]
    at: String,
    /// As in `/api/dead-letters/redrives/{id}`.
    job: String,
}

/// Dead letters, the newest first.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeadLetterPage {
    data: Vec<ListedLetter>,
    meta: DeadLetterPageMeta,
}

/// Where a page stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DeadLetterPageMeta {
    #[schema(minimum = 1, maximum = 200)]
    limit: u64,
    /// For the parameter `cursor`; null on the last page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// A record that could not be applied, without its bytes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListedLetter {
    /// `topic:partition:offset`.
    id: String,
    topic: String,
    partition: u16,
    offset: u64,
    /// Why, for programs.
    reason: String,
    /// Why, in words.
    detail: String,
    /// The record's key, its head at most; null where it has none.
    #[schema(required = true)]
    key: Option<String>,
    /// In bytes; null where it has no value.
    #[schema(required = true)]
    value_length: Option<u64>,
    /// The record's own time.
    #[schema(required = true, format = DateTime)]
    recorded_at: Option<String>,
    /// When this instance archived it.
    #[schema(format = DateTime)]
    kept_at: String,
    /// How often it was redriven before it came here.
    hops: u8,
    /// False for control records.
    redrivable: bool,
    status: LetterStatus,
    /// How often it was redriven from here.
    redriven: u32,
    #[schema(required = true)]
    last_redrive: Option<LetterDeed>,
    #[schema(required = true)]
    discarded: Option<LetterDeed>,
}

/// Bytes of any kind.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LetterBytes {
    /// Where they are UTF-8: control and invisible characters as `\u{1b}`. For people.
    #[schema(required = true)]
    text: Option<String>,
    /// As they are. For programs.
    base64: String,
}

/// A record's header.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LetterHeader {
    name: String,
    #[schema(required = true)]
    value: Option<LetterBytes>,
}

/// A record that could not be applied.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DeadLetter {
    /// `topic:partition:offset`.
    id: String,
    topic: String,
    partition: u16,
    offset: u64,
    /// Why, for programs.
    reason: String,
    /// Why, in words.
    detail: String,
    #[schema(required = true)]
    key: Option<LetterBytes>,
    /// In bytes; null where it has no value.
    #[schema(required = true)]
    value_length: Option<u64>,
    #[schema(required = true)]
    value: Option<LetterBytes>,
    /// Whether `value` is only its head: above 64 KiB.
    value_truncated: bool,
    /// xxh3_64 of the whole value.
    value_xxh3: String,
    headers: Vec<LetterHeader>,
    /// The record's own time.
    #[schema(required = true, format = DateTime)]
    recorded_at: Option<String>,
    /// When this instance archived it.
    #[schema(format = DateTime)]
    kept_at: String,
    /// How often it was redriven before it came here.
    hops: u8,
    /// False for control records.
    redrivable: bool,
    status: LetterStatus,
    /// How often it was redriven from here.
    redriven: u32,
    #[schema(required = true)]
    last_redrive: Option<LetterDeed>,
    #[schema(required = true)]
    discarded: Option<LetterDeed>,
}

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

/// What would be done.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LetterPreview {
    dry_run: bool,
    counts: LetterCounts,
    /// Ids of the first of them, 20 at most.
    first: Vec<String>,
}

/// How many letters went which way.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LetterCounts {
    selected: u64,
    /// Redriven, or discarded.
    done: u64,
    left_out: LettersLeftOut,
}

/// Why letters were left out.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LettersLeftOut {
    /// Control records are not redriven.
    control: u64,
    /// Redriven as often as is allowed.
    hops: u64,
    discarded: u64,
    already_redriven: u64,
    /// Too long to be kept whole, and not on the log any more.
    incomplete: u64,
    /// The log does not take them.
    refused: u64,
}

/// How a redrive stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RedriveState {
    Running,
    /// The instance that worked on it is gone; another goes on with it.
    Interrupted,
    Done,
    Stopped,
    Failed,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RedriveKind {
    Redrive,
    Discard,
}

/// Which letters a redrive is about.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LetterSelection {
    #[schema(required = true)]
    id: Option<String>,
    #[schema(required = true)]
    reason: Option<String>,
    #[schema(required = true)]
    topic: Option<String>,
    #[schema(required = true, format = DateTime)]
    since: Option<String>,
    #[schema(required = true, format = DateTime)]
    until: Option<String>,
}

/// A redrive or a discarding.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Redrive {
    id: String,
    kind: RedriveKind,
    state: RedriveState,
    /// Why it was stopped or failed.
    #[schema(required = true)]
    why: Option<String>,
    selection: LetterSelection,
    again: bool,
    #[schema(required = true)]
    rate: Option<u32>,
    #[schema(required = true)]
    limit: Option<u64>,
    /// Who ordered it.
    by: String,
    #[schema(format = DateTime)]
    at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    counts: LetterCounts,
    /// Ids of letters that could not be sent.
    failed: Vec<String>,
}

/// Redrives and discardings, the newest first.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Redrives {
    data: Vec<Redrive>,
    meta: RedrivesMeta,
}

/// What a list of redrives was asked for.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RedrivesMeta {
    limit: u64,
}

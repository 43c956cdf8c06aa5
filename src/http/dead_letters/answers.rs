//! Dead letters and what is done to them, as they are sent and as they are described. Bytes are shown so
//! that nothing in them can harm who looks: as text with control characters escaped where they are
//! UTF-8, and always as base64.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::timestamp::format_rfc3339;
use crate::effects::dead_letters::{
    Counts, Deed, Fate, Job, JobKind, JobState, LetterShown, Preview, Selection, Topics,
};
use crate::http::exchange::page::PageMeta;

/// Bytes of a key that are shown in a list.
const KEY_SHOWN_MAX: usize = 128;

/// What became of a dead letter.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum LetterStatus {
    Kept,
    Redriven,
    Discarded,
}

impl LetterStatus {
    fn of(fate: &Fate) -> Self {
        match fate {
            Fate { discarded: Some(_), .. } => Self::Discarded,
            Fate { redriven: 0, .. } => Self::Kept,
            Fate { .. } => Self::Redriven,
        }
    }
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

impl LetterDeed {
    fn of(deed: &Deed) -> Self {
        Self { by: deed.by.clone(), at: format_rfc3339(deed.at_ms), job: deed.job.clone() }
    }
}

/// Dead letters, the newest first.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeadLetterPage {
    pub(super) data: Vec<ListedLetter>,
    pub(super) meta: PageMeta,
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
    reason: &'static str,
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

impl ListedLetter {
    pub(super) fn of(shown: &LetterShown, topics: &Topics) -> Self {
        let LetterShown { row, fate, letter } = shown;
        let (topic, partition) = topics.of(row.lane);
        let key = letter.key.as_deref().map(|key| {
            let head = key.get(..KEY_SHOWN_MAX).unwrap_or(key);
            escaped(&String::from_utf8_lossy(head))
        });
        Self {
            id: topics.id(row.lane, row.offset),
            topic: topic.to_owned(),
            partition,
            offset: row.offset.0,
            reason: row.reason.as_str(),
            detail: escaped(&letter.detail),
            key,
            value_length: letter.value.as_ref().map(|_| letter.value_len),
            recorded_at: time(row.record_time_ms),
            kept_at: format_rfc3339(letter.kept_at_ms),
            hops: row.hops,
            redrivable: !row.is_control(),
            status: LetterStatus::of(fate),
            redriven: fate.redriven,
            last_redrive: fate.last.as_ref().map(LetterDeed::of),
            discarded: fate.discarded.as_ref().map(LetterDeed::of),
        }
    }
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

impl LetterBytes {
    fn of(bytes: &[u8]) -> Self {
        Self { text: std::str::from_utf8(bytes).ok().map(escaped), base64: STANDARD.encode(bytes) }
    }
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
    reason: &'static str,
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

impl DeadLetter {
    pub(super) fn of(shown: &LetterShown, topics: &Topics) -> Self {
        let listed = ListedLetter::of(shown, topics);
        let letter = &shown.letter;
        let headers = letter.headers().map(|(name, value)| LetterHeader {
            name: escaped(name),
            value: value.map(LetterBytes::of),
        });
        Self {
            id: listed.id,
            topic: listed.topic,
            partition: listed.partition,
            offset: listed.offset,
            reason: listed.reason,
            detail: listed.detail,
            key: letter.key.as_deref().map(LetterBytes::of),
            value_length: listed.value_length,
            value: letter.value.as_deref().map(LetterBytes::of),
            value_truncated: letter.is_truncated(),
            value_xxh3: format!("{:016x}", letter.value_hash),
            headers: headers.collect(),
            recorded_at: listed.recorded_at,
            kept_at: listed.kept_at,
            hops: listed.hops,
            redrivable: listed.redrivable,
            status: listed.status,
            redriven: listed.redriven,
            last_redrive: listed.last_redrive,
            discarded: listed.discarded,
        }
    }
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

impl LetterPreview {
    pub(super) fn of(preview: &Preview, topics: &Topics) -> Self {
        let first = preview.first.iter().map(|row| topics.id(row.lane, row.offset));
        Self { dry_run: true, counts: LetterCounts::of(&preview.counts), first: first.collect() }
    }
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

impl LetterCounts {
    fn of(counts: &Counts) -> Self {
        Self {
            selected: counts.selected(),
            done: counts.done,
            left_out: LettersLeftOut {
                control: counts.control,
                hops: counts.hops,
                discarded: counts.discarded,
                already_redriven: counts.already_redriven,
                incomplete: counts.incomplete,
                refused: counts.refused,
            },
        }
    }
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
    reason: Option<&'static str>,
    #[schema(required = true)]
    topic: Option<String>,
    #[schema(required = true, format = DateTime)]
    since: Option<String>,
    #[schema(required = true, format = DateTime)]
    until: Option<String>,
}

impl LetterSelection {
    fn of(selection: &Selection, topics: &Topics) -> Self {
        let topic = selection.is_control.map(|is_control| {
            if is_control { topics.control.clone() } else { topics.contacts.clone() }
        });
        Self {
            id: selection.one.map(|(lane, offset)| topics.id(lane, offset)),
            reason: selection.reason.map(|reason| reason.as_str()),
            topic,
            since: selection.since_ms.and_then(time),
            until: selection.until_ms.and_then(time),
        }
    }
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

impl Redrive {
    pub(super) fn of(id: &str, job: &Job, is_interrupted: bool, topics: &Topics) -> Self {
        let state = match job.state {
            JobState::Running if is_interrupted => RedriveState::Interrupted,
            JobState::Running => RedriveState::Running,
            JobState::Done => RedriveState::Done,
            JobState::Stopped => RedriveState::Stopped,
            JobState::Failed => RedriveState::Failed,
        };
        let (kind, rate) = match job.kind {
            JobKind::Redrive => (RedriveKind::Redrive, Some(job.rate)),
            JobKind::Discard => (RedriveKind::Discard, None),
        };
        let failed = job.failed.iter().map(|(lane, offset)| topics.id(*lane, *offset));
        Self {
            id: id.to_owned(),
            kind,
            state,
            why: job.why.clone(),
            selection: LetterSelection::of(&job.selection, topics),
            again: job.again,
            rate,
            limit: job.limit,
            by: job.by.clone(),
            at: format_rfc3339(job.at_ms),
            updated_at: format_rfc3339(job.updated_ms),
            counts: LetterCounts::of(&job.counts),
            failed: failed.collect(),
        }
    }
}

/// Redrives and discardings, the newest first.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Redrives {
    pub(super) data: Vec<Redrive>,
    pub(super) meta: PageMeta,
}

/// A text without characters that act on a terminal or hide what it says.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let is_plain = !c.is_control() && !is_hidden(c);
        if is_plain || c == '\n' || c == '\t' {
            out.push(c);
        } else {
            // A write to a String does not fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
    out
}

/// What turns the direction of text, or takes no room.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn time(ms: i64) -> Option<String> {
    u64::try_from(ms).ok().map(format_rfc3339)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_or_hides_is_escaped() {
        assert_eq!(escaped("a\u{1b}[31mb\u{7f}\u{9b}"), "a\\u{1b}[31mb\\u{7f}\\u{9b}");
        assert_eq!(escaped("in\u{202e}txt\u{200b}.\u{feff}"), "in\\u{202e}txt\\u{200b}.\\u{feff}");
        assert_eq!(escaped("Zoë 🎉\n\t{\"a\": 1}"), "Zoë 🎉\n\t{\"a\": 1}");
    }

    #[test]
    fn bytes_that_are_no_text_are_base64_alone() {
        let bytes = serde_json::to_value(LetterBytes::of(b"\xff\0")).unwrap();
        assert_eq!(bytes, serde_json::json!({ "text": null, "base64": "/wA=" }));
    }
}

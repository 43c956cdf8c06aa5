//! Dead letters and what is done to them, as JSON. Bytes are shown so that nothing in them can harm who
//! looks: as text with control characters escaped where they are UTF-8, and always as base64.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::domain::timestamp::format_rfc3339;
use crate::effects::dead_letters::{
    Counts, Deed, Job, JobKind, JobState, LetterShown, Preview, Selection, Topics,
};

/// Bytes of a key that are shown in a list.
const KEY_SHOWN_MAX: usize = 128;

/// As in a list: without value and headers.
pub(super) fn letter_json(shown: &LetterShown, topics: &Topics) -> Value {
    let LetterShown { row, fate, letter } = shown;
    let (topic, partition) = topics.of(row.lane);
    let key = letter.key.as_deref().map(|key| {
        let head = key.get(..KEY_SHOWN_MAX).unwrap_or(key);
        escaped(&String::from_utf8_lossy(head))
    });
    json!({
        "id": topics.id(row.lane, row.offset),
        "topic": topic,
        "partition": partition,
        "offset": row.offset.0,
        "reason": row.reason.as_str(),
        "detail": escaped(&letter.detail),
        "key": key,
        "valueLength": letter.value.as_ref().map(|_| letter.value_len),
        "recordedAt": time(row.record_time_ms),
        "keptAt": format_rfc3339(letter.kept_at_ms),
        "hops": row.hops,
        "redrivable": !row.is_control(),
        "status": fate.as_str(),
        "redriven": fate.redriven,
        "lastRedrive": fate.last.as_ref().map(deed_json),
        "discarded": fate.discarded.as_ref().map(deed_json),
    })
}

fn deed_json(deed: &Deed) -> Value {
    json!({ "by": deed.by, "at": format_rfc3339(deed.at_ms), "job": deed.job })
}

/// With its bytes.
pub(super) fn whole_letter_json(shown: &LetterShown, topics: &Topics) -> Value {
    let mut whole = letter_json(shown, topics);
    let letter = &shown.letter;
    let headers: Vec<Value> = letter
        .headers()
        .map(|(name, value)| json!({ "name": escaped(name), "value": value.map(bytes_json) }))
        .collect();
    if let Value::Object(members) = &mut whole {
        let value = letter.value.as_deref().map(bytes_json);
        members.insert("key".to_owned(), letter.key.as_deref().map(bytes_json).into());
        members.insert("value".to_owned(), value.into());
        members.insert("valueTruncated".to_owned(), letter.is_truncated().into());
        members.insert("valueXxh3".to_owned(), format!("{:016x}", letter.value_hash).into());
        members.insert("headers".to_owned(), headers.into());
    }
    whole
}

fn bytes_json(bytes: &[u8]) -> Value {
    json!({
        "text": std::str::from_utf8(bytes).ok().map(escaped),
        "base64": STANDARD.encode(bytes),
    })
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

fn time(ms: i64) -> Value {
    u64::try_from(ms).map_or(Value::Null, |ms| format_rfc3339(ms).into())
}

pub(super) fn job_json(id: &str, job: &Job, is_interrupted: bool, topics: &Topics) -> Value {
    let state = match job.state {
        JobState::Running if is_interrupted => "interrupted",
        JobState::Running => "running",
        JobState::Done => "done",
        JobState::Stopped => "stopped",
        JobState::Failed => "failed",
    };
    let failed = job.failed.iter().map(|(lane, offset)| topics.id(*lane, *offset));
    let is_redrive = job.kind == JobKind::Redrive;
    json!({
        "id": id,
        "kind": job.kind.as_str(),
        "state": state,
        "why": job.why,
        "selection": selection_json(&job.selection, topics),
        "again": job.again,
        "rate": is_redrive.then_some(job.rate),
        "limit": job.limit,
        "by": job.by,
        "at": format_rfc3339(job.at_ms),
        "updatedAt": format_rfc3339(job.updated_ms),
        "counts": counts_json(&job.counts),
        "failed": failed.collect::<Vec<_>>(),
    })
}

fn selection_json(selection: &Selection, topics: &Topics) -> Value {
    let topic = selection.is_control.map(|is_control| {
        if is_control { topics.control.as_str() } else { topics.contacts.as_str() }
    });
    json!({
        "id": selection.one.map(|(lane, offset)| topics.id(lane, offset)),
        "reason": selection.reason.map(|reason| reason.as_str()),
        "topic": topic,
        "since": selection.since_ms.map_or(Value::Null, time),
        "until": selection.until_ms.map_or(Value::Null, time),
    })
}

fn counts_json(counts: &Counts) -> Value {
    json!({
        "selected": counts.selected(),
        "done": counts.done,
        "leftOut": {
            "control": counts.control,
            "hops": counts.hops,
            "discarded": counts.discarded,
            "alreadyRedriven": counts.already_redriven,
            "incomplete": counts.incomplete,
            "refused": counts.refused,
        },
    })
}

pub(super) fn preview_json(preview: &Preview, topics: &Topics) -> Value {
    let first: Vec<String> =
        preview.first.iter().map(|row| topics.id(row.lane, row.offset)).collect();
    json!({ "dryRun": true, "counts": counts_json(&preview.counts), "first": first })
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
        assert_eq!(bytes_json(b"\xff\0"), json!({ "text": null, "base64": "/wA=" }));
    }
}

//! Dead letters for people. What others wrote stands on lines of its own, whatever breaks are in it.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::foreign::line;

use super::text;

pub(super) fn letters(letters: &Value) -> String {
    let mut out = String::new();
    for letter in letters.as_array().into_iter().flatten() {
        let (time, id, reason) =
            (text(letter, "recordedAt"), text(letter, "id"), text(letter, "reason"));
        let (status, key) = (text(letter, "status"), line(text(letter, "key")));
        let detail = line(text(letter, "detail"));
        // Writing to a String can't fail.
        let _ = writeln!(out, "{time:24}  {id}  {status:9}  {reason}  key={key}  {detail}");
    }
    if out.is_empty() { "no dead letters\n".to_owned() } else { out }
}

pub(super) fn letter(letter: &Value) -> String {
    let mut out = String::new();
    for name in ["id", "status", "reason", "detail", "recordedAt", "keptAt"] {
        let _ = writeln!(out, "{name:12} {}", line(text(letter, name)));
    }
    for name in ["hops", "redriven", "valueLength"] {
        let _ = writeln!(out, "{name:12} {}", letter.get(name).unwrap_or(&Value::Null));
    }
    for (name, deed) in [("redriven by", "lastRedrive"), ("discarded by", "discarded")] {
        if let Some(deed) = letter.get(deed).filter(|deed| deed.is_object()) {
            let _ = writeln!(out, "{name:12} {} at {}", line(text(deed, "by")), text(deed, "at"));
        }
    }
    let bytes = |bytes: Option<&Value>| match bytes.filter(|bytes| bytes.is_object()) {
        None => "none".to_owned(),
        Some(bytes) => match bytes.get("text").and_then(Value::as_str) {
            Some(text) => line(text).into_owned(),
            None => format!("base64 {}", text(bytes, "base64")),
        },
    };
    let _ = writeln!(out, "{:12} {}", "key", bytes(letter.get("key")));
    for header in letter.get("headers").and_then(Value::as_array).into_iter().flatten() {
        let value = bytes(header.get("value"));
        let _ = writeln!(out, "{:12} {}: {value}", "header", line(text(header, "name")));
    }
    let cut =
        if letter.get("valueTruncated") == Some(&Value::Bool(true)) { " (its head)" } else { "" };
    let value = match letter.pointer("/value/text").and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => bytes(letter.get("value")),
    };
    let _ = writeln!(out, "value{cut}\n{value}");
    out
}

pub(super) fn jobs(jobs: &Value) -> String {
    let mut out = String::new();
    for job in jobs.as_array().into_iter().flatten() {
        let (at, id, kind) = (text(job, "at"), text(job, "id"), text(job, "kind"));
        let (state, by) = (text(job, "state"), line(text(job, "by")));
        let counts = job.get("counts").map(counts).unwrap_or_default();
        let _ = writeln!(out, "{at}  {id}  {kind} {state}, by {by}: {counts}");
    }
    if out.is_empty() { "no redrives\n".to_owned() } else { out }
}

pub(super) fn preview(preview: &Value) -> String {
    let mut out = format!("would be: {}\n", preview.get("counts").map(counts).unwrap_or_default());
    for id in preview.get("first").and_then(Value::as_array).into_iter().flatten() {
        let _ = writeln!(out, "  {}", id.as_str().unwrap_or_default());
    }
    out
}

fn counts(counts: &Value) -> String {
    let number = |json: &Value, name: &str| json.get(name).and_then(Value::as_u64).unwrap_or(0);
    let mut out = format!("{} done of {}", number(counts, "done"), number(counts, "selected"));
    for (name, count) in counts.get("leftOut").and_then(Value::as_object).into_iter().flatten() {
        if let Some(count) = count.as_u64().filter(|count| *count > 0) {
            let _ = write!(out, ", {count} left out ({name})");
        }
    }
    out
}

pub(super) fn from_topic(report: &Value) -> String {
    let number = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or(0);
    let mut out = format!("{}: {} records\n", text(report, "topic"), number("records"));
    for (what, counts) in [("refused again", "refused"), ("left out", "leftOut")] {
        for (why, count) in report.get(counts).and_then(Value::as_object).into_iter().flatten() {
            let _ = writeln!(out, "  {count} {what}: {why}");
        }
    }
    let _ = match report.get("applied") {
        Some(Value::Bool(true)) => {
            writeln!(out, "  {} appended to {}", number("appended"), text(report, "to"))
        }
        _ => writeln!(
            out,
            "  {} would be appended to {}; --apply does it",
            number("appended"),
            text(report, "to")
        ),
    };
    out
}

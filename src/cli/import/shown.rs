//! An import for people.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cli::api::text;

/// A number of the answer; 0 where there is none.
pub(super) fn number(job: &Value, path: &str) -> u64 {
    job.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// The columns as they were understood, and the first rows.
pub(super) fn columns(job: &Value) -> String {
    let mut out = String::new();
    let list = |name: &str| job.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let columns = list("columns");
    let width = columns.iter().map(|at| text(at, "column").chars().count()).max().unwrap_or(0);
    let (format, encoding) = (text(job, "format"), text(job, "encoding"));
    // Writing to a String can't fail.
    let _ = writeln!(out, "{} as {format}, {encoding}:", text(job, "file"));
    for column in &columns {
        let name = text(column, "column");
        let field = match column.get("field").and_then(Value::as_str) {
            Some(field) => field.to_owned(),
            None => "not taken".to_owned(),
        };
        let note = text(column, "note");
        let note = if note.is_empty() { String::new() } else { format!("  ({note})") };
        let _ = writeln!(out, "  {name:width$} -> {field}{note}");
    }
    for (place, sample) in list("samples").iter().enumerate() {
        let members = sample.as_object().into_iter().flatten();
        let said = members.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or("")));
        let said: Vec<String> = said.collect();
        let _ = writeln!(out, "  row {}: {}", place + 1, said.join(", "));
    }
    out
}

/// The table at the end.
pub(super) fn counts(job: &Value) -> String {
    let applied = number(job, "/counts/created") + number(job, "/counts/changed");
    let mut rows = vec![
        ("rows".to_owned(), number(job, "/counts/rows")),
        ("applied".to_owned(), applied),
        ("  new contacts".to_owned(), number(job, "/counts/created")),
        ("  changed".to_owned(), number(job, "/counts/changed")),
        ("unchanged".to_owned(), number(job, "/counts/unchanged")),
        ("newer values stand".to_owned(), number(job, "/counts/stale")),
        ("duplicates in the file".to_owned(), number(job, "/counts/duplicate")),
        ("refused".to_owned(), number(job, "/counts/refused")),
    ];
    rows.extend(reasons(job));
    format!("import {}\n{}", text(job, "id"), table(&rows))
}

fn reasons(job: &Value) -> Vec<(String, u64)> {
    let by = job.pointer("/counts/refusedBy").and_then(Value::as_object);
    let by = by.into_iter().flatten();
    by.map(|(reason, count)| (format!("  {reason}"), count.as_u64().unwrap_or(0))).collect()
}

/// What would be.
pub(super) fn dry_run(job: &Value) -> String {
    let mut rows = vec![
        ("rows".to_owned(), number(job, "/counts/rows")),
        ("would be new".to_owned(), number(job, "/counts/created")),
        ("would change".to_owned(), number(job, "/counts/changed")),
        ("unchanged".to_owned(), number(job, "/counts/unchanged")),
        ("duplicates in the file".to_owned(), number(job, "/counts/duplicate")),
        ("would be refused".to_owned(), number(job, "/counts/refused")),
    ];
    rows.extend(reasons(job));
    let mut out = format!("dry run: nothing is written\n{}", table(&rows));
    let changes = job.get("changes").and_then(Value::as_array).cloned().unwrap_or_default();
    for change in &changes {
        let value = |name: &str| {
            change
                .get(name)
                .and_then(Value::as_str)
                .map_or_else(|| "nothing".to_owned(), |value| format!("\"{value}\""))
        };
        let _ = writeln!(
            out,
            "  row {} {} {}: {} -> {}",
            number(change, "/row"),
            text(change, "contactId"),
            text(change, "field"),
            value("before"),
            value("after"),
        );
    }
    out
}

/// What was taken back.
pub(super) fn undo(job: &Value) -> String {
    let rows = [
        ("have their former values".to_owned(), number(job, "/undo/reverted")),
        ("deleted, as the import made them".to_owned(), number(job, "/undo/deleted")),
        ("changed since, and left".to_owned(), number(job, "/undo/kept")),
        ("former values not known any more".to_owned(), number(job, "/undo/unknown")),
    ];
    format!("undone: import {}\n{}", text(job, "id"), table(&rows))
}

fn table(rows: &[(String, u64)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = rows.iter().map(|(name, count)| format!("  {name:width$}  {count:>10}\n"));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_every_reason() {
        let counts = json!({ "rows": 3, "created": 1, "changed": 1, "refused": 1, "refusedBy": { "empty": 1 } });
        let told = super::counts(&json!({ "id": "ab", "counts": counts }));
        assert!(told.contains("applied") && told.contains("  empty"), "{told}");
        let change =
            json!({ "row": 2, "contactId": "c1", "field": "email", "before": null, "after": "a" });
        let told = dry_run(&json!({ "counts": counts, "changes": [change] }));
        assert!(told.contains("row 2 c1 email: nothing -> \"a\""), "{told}");
    }
}

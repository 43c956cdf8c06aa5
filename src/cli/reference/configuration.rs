//! The built-in configuration as a page: a heading for each table, its lines as they stand.

use std::fmt::Write as _;

use crate::config::BUILT_IN;

pub(super) fn page() -> String {
    let mut parts = BUILT_IN.split("\n\n");
    let about = parts.next().unwrap_or_default();
    let mut tables: Vec<(String, String)> = Vec::new();
    for part in parts {
        match (table_name(part), tables.last_mut()) {
            (Some(name), _) => tables.push((name, part.to_owned())),
            // An example that belongs to the table before it.
            (None, Some((_, text))) => *text = format!("{text}\n\n{part}"),
            (None, None) => {}
        }
    }
    let mut text = format!(
        "Every key, with its default and what it means, as `contactd config print --default` prints them.\n\n\
         ```toml\n{about}\n```\n\n"
    );
    for (name, _) in &tables {
        // Writing to a String can't fail.
        let _ = writeln!(text, "- [{name}](#{})", anchor(name));
    }
    for (name, lines) in &tables {
        let _ = write!(text, "\n## {name}\n\n```toml\n{}\n```\n", lines.trim_end());
    }
    text
}

/// What stands in the brackets of its head line, which may be an example.
fn table_name(part: &str) -> Option<String> {
    part.lines().find_map(|line| {
        let line = line.strip_prefix("# ").unwrap_or(line);
        Some(line.strip_prefix('[')?.strip_suffix(']')?.replace('"', ""))
    })
}

/// As Markdown's readers make it of a heading.
fn anchor(name: &str) -> String {
    let kept = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    name.to_ascii_lowercase().chars().filter(kept).collect()
}

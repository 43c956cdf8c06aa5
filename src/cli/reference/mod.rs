//! `docs DIR`: the reference pages, from the tables that the program itself goes by.
//!
//! ```text
//! the built-in configuration ─► configuration.md        http::Code, DeadLetterReason ─► errors.md
//! the registry of metrics ────► metrics.md              clap's help ────────────────► cli.md
//! ```

mod commands;
mod configuration;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::domain::verdict::DeadLetterReason;
use crate::http::Code;
use crate::telemetry::Metrics;

/// Whoever finds a mistake there looks for where to mend it.
const MADE: &str =
    "<!-- Written by `contactd docs docs/reference`; change what it is made from. -->\n";

pub(super) fn run(directory: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("can't make {}", directory.display()))?;
    for (name, title, text) in [
        ("configuration.md", "Configuration", configuration::page()),
        ("metrics.md", "Metrics", metrics()?),
        ("errors.md", "Error codes", errors()),
        ("cli.md", "Commands", commands::page()),
    ] {
        let path = directory.join(name);
        std::fs::write(&path, format!("{MADE}# {title}\n\n{text}"))
            .with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(())
}

fn metrics() -> anyhow::Result<String> {
    let metrics = Metrics::new()?;
    let mut families: Vec<_> = metrics.families().iter().collect();
    families.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = String::from(
        "`/metrics` shows these, with `process_*` beside them. Labels are bounded: never an id, an address \
         or free text. Which of them are worth an alert is under [operating](../operating.md#alerts).\n\n\
         | name | kind | labels | meaning |\n|---|---|---|---|\n",
    );
    for family in families {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind) = (&family.name, family.kind);
        // Writing to a String can't fail.
        let _ = writeln!(text, "| `{name}` | {kind} | {} | {} |", labels.join(", "), family.help);
    }
    Ok(text)
}

fn errors() -> String {
    let mut text = String::from(
        "- [Answers of the API](#answers-of-the-api)\n- [Dead letters](#dead-letters)\n\n\
         ## Answers of the API\n\n\
         Programs go by `code`, which is never renamed or reused. `type` names the class of codes with one \
         status. On 429 and 503 `Retry-After` says when to try again. How an error looks is under \
         [the HTTP API](../api.md#descriptions-and-errors).\n\n\
         | `code` | status | `type` | meaning |\n|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let (name, status, kind) = (code.as_str(), code.status().as_u16(), code.kind());
        let _ = writeln!(text, "| `{name}` | {status} | `{kind}` |{} |", code.about());
    }
    text.push_str(
        "\n## Dead letters\n\nWhy a record could not be applied: the `reason` of \
         [dead letters](../dead-letters.md), of refused webhooks and of `contactd check-event`.\n\n\
         | `reason` | meaning |\n|---|---|\n",
    );
    for reason in DeadLetterReason::ALL {
        let _ = writeln!(text, "| `{}` |{} |", reason.as_str(), reason.about());
    }
    text
}

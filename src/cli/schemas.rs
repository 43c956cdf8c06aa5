//! `schemas`: the JSON Schemas that senders go by, printed or written.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Map, Value};

use crate::domain::schemas::{ACME, EVENT_TYPES, published};

use super::exit::Failure;
use super::output;

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Without arguments all of them, as one JSON object by name. A running instance has \
    each at /schemas/NAME.\n\nExamples:\n  contactd schemas | jq keys\n  contactd schemas schemas/    \
    # schemas/acme is fit for source.acme.schemas\n  contactd schemas --event contact.updated"
)]
pub(super) struct SchemasArgs {
    /// Write a file each into this directory
    #[arg(value_name = "DIR", conflicts_with = "event")]
    directory: Option<PathBuf>,
    /// Print the one that Acme's events of this type are held against
    #[arg(long, value_name = "TYPE")]
    event: Option<String>,
}

pub(super) fn run(args: &SchemasArgs) -> anyhow::Result<()> {
    let all = published();
    if let Some(event_type) = &args.event {
        let is_it = |of: Option<&str>| of == Some(event_type.as_str());
        let found = all.iter().find(|it| it.source == Some(ACME) && is_it(it.event_type));
        let schema = found.ok_or_else(|| {
            let known = EVENT_TYPES.join(", ");
            Failure::Data(format!("there is no event type {event_type}; there are {known}"))
        })?;
        return output::write_all(schema.text().as_bytes());
    }
    if let Some(directory) = &args.directory {
        for schema in &all {
            write(&directory.join(schema.path()), &schema.text())?;
        }
        return Ok(());
    }
    let all: Map<String, Value> = all.into_iter().map(|it| (it.name, it.schema)).collect();
    let text = serde_json::to_string_pretty(&all).context("writing the schemas")? + "\n";
    output::write_all(text.as_bytes())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let directory = path.parent().unwrap_or(path);
    std::fs::create_dir_all(directory)
        .with_context(|| format!("can't make {}", directory.display()))?;
    std::fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
}

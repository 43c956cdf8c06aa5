//! `schemas`: the JSON Schemas that senders go by, printed or written.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Map, Value};

use crate::domain::schemas::{ACME, EVENT_TYPES, published};

use super::arguments::SchemasArgs;
use super::exit::Failure;
use super::output;

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

//! Sources as they are sent and as they are described.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::sources::{Source as Compiled, SourceText};
use crate::http::exchange::page::PageMeta;

/// Sources, by their names.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SourcePage {
    pub(super) data: Vec<Source>,
    pub(super) meta: PageMeta,
}

/// Whose records are understood, and how.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Source {
    pub(super) name: String,
    webhooks: SourceWebhooks,
    /// Whether its records are understood by the rules of the log; else it only signs.
    in_rules: bool,
    /// Names of the JSON Schemas that its events are held against.
    schemas: Vec<String>,
    /// Fields that are taken from there and can't be sent there, each with why.
    one_way: BTreeMap<String, &'static str>,
    /// What its records have where, by the rules of the log: as `source.<name>` of the configuration
    /// has it, with all that its preset says.
    #[schema(value_type = BTreeMap<String, Value>)]
    table: Value,
}

/// Webhooks of a source at this instance.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SourceWebhooks {
    /// How it signs. Null: it has no secret here, so nothing of it is taken.
    #[schema(required = true)]
    signature: Option<String>,
    /// Secrets that are taken: two while one replaces the other.
    secrets: u64,
    /// Whether it is the source of `POST /api/webhooks`.
    default: bool,
}

impl Source {
    pub(super) fn of(
        name: &str,
        signing: Option<(&str, usize)>,
        default: bool,
        text: Option<&SourceText>,
        schemas: Vec<String>,
    ) -> Self {
        let compiled = text.and_then(|text| Compiled::compile(name, text).ok());
        Self {
            name: name.to_owned(),
            webhooks: SourceWebhooks {
                signature: signing.map(|(form, _)| form.to_owned()),
                secrets: signing.map_or(0, |(_, secrets)| secrets as u64),
                default,
            },
            in_rules: text.is_some(),
            schemas,
            one_way: compiled.map(|it| it.one_way().into_iter().collect()).unwrap_or_default(),
            table: text.and_then(|it| serde_json::to_value(it).ok()).unwrap_or_default(),
        }
    }
}

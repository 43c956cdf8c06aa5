//! Who may send webhooks, and where they wait while Kafka is away.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::ConfigError;
use super::fields::{Fields, free, millis, seconds};
use super::secret::Secret;
use super::sections::{AcmeConfig, OutboxConfig, WebhookSourceConfig, WebhooksConfig};
use super::suggest::nearest;
use super::webhook_secret::{too_short, webhook_key};

/// What stands under `[webhook.<source>]`.
const KEYS: [&str; 7] = [
    "scheme",
    "secret",
    "secret_file",
    "secret_previous",
    "secret_previous_file",
    "schemas",
    "binary_cloudevents",
];
const SCHEMES: [&str; 3] = ["acme", "acme-body", "standard"];

pub(super) fn webhooks(fields: &mut Fields<'_>, acme: &AcmeConfig) -> WebhooksConfig {
    let mut texts: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for ([_, source, key], text) in free(fields, "webhook") {
        if !KEYS.contains(&key.as_str()) {
            let name = format!("webhook.{source}.{key}");
            let suggestion = nearest(&key, KEYS.into_iter()).map(str::to_owned);
            let place = fields.place(&name);
            fields.errors.push(ConfigError::UnknownKey { place, key: name, suggestion });
        } else if !text.trim().is_empty() {
            texts.entry(source).or_default().insert(key, text.trim().to_owned());
        } else {
            texts.entry(source).or_default();
        }
    }
    let mut sources: BTreeMap<String, WebhookSourceConfig> = texts
        .into_iter()
        .map(|(name, texts)| {
            let config = source(fields, &name, &texts);
            (name, config)
        })
        .collect();
    if let Some(secret) = &acme.webhook_secret {
        let acme = sources.entry("acme".to_owned()).or_insert_with(|| WebhookSourceConfig {
            scheme: "acme".to_owned(),
            secret: None,
            secret_previous: None,
            schemas: None,
            binary_cloudevents: false,
        });
        if acme.secret.is_none() {
            check(fields, "acme.webhook_secret", &acme.scheme, secret);
            acme.secret = Some(secret.clone());
        }
    }
    let default_source = fields.text("webhooks.default_source");
    WebhooksConfig {
        default_source,
        tolerance: fields.duration("webhooks.tolerance", seconds(1, 3600)),
        events_max: fields.count("webhooks.events_max", 1..=10_000),
        sources,
    }
}

fn source(
    fields: &mut Fields<'_>,
    name: &str,
    texts: &BTreeMap<String, String>,
) -> WebhookSourceConfig {
    let scheme = texts.get("scheme").map_or("acme", String::as_str);
    if !SCHEMES.contains(&scheme) {
        let problem = format!("is \"{scheme}\", and must be one of {}", SCHEMES.join(", "));
        fields.refuse(&format!("webhook.{name}.scheme"), problem);
    }
    let binary_cloudevents = match texts.get("binary_cloudevents").map(String::as_str) {
        None | Some("false") => false,
        Some("true") => true,
        Some(text) => {
            let problem = format!("is \"{text}\", and must be true or false");
            fields.refuse(&format!("webhook.{name}.binary_cloudevents"), problem);
            false
        }
    };
    WebhookSourceConfig {
        binary_cloudevents,
        scheme: scheme.to_owned(),
        secret: secret(fields, name, scheme, texts, "secret"),
        secret_previous: secret(fields, name, scheme, texts, "secret_previous"),
        schemas: texts.get("schemas").map(|path| {
            let path = fields.path_said_by(&format!("webhook.{name}.schemas"), path);
            path.to_string_lossy().into_owned()
        }),
    }
}

fn secret(
    fields: &mut Fields<'_>,
    name: &str,
    scheme: &str,
    texts: &BTreeMap<String, String>,
    key: &str,
) -> Option<Secret> {
    let secret = match (texts.get(key), texts.get(&format!("{key}_file"))) {
        (None, None) => return None,
        (Some(text), None) => Some(Secret::new(text.clone())),
        (None, Some(path)) => fields.secret_in_file(&format!("webhook.{name}.{key}_file"), path),
        (Some(_), Some(_)) => {
            let file = format!("webhook.{name}.{key}_file");
            fields.refuse(&file, format!("is set beside {key}; keep one of them"));
            None
        }
    };
    if let Some(secret) = &secret {
        let name = format!("webhook.{name}.{key}");
        match too_short(secret) {
            Some(problem) => fields.refuse(&name, problem),
            None => check(fields, &name, scheme, secret),
        }
    }
    secret
}

fn check(fields: &mut Fields<'_>, key: &str, scheme: &str, secret: &Secret) {
    if let Err(problem) = webhook_key(scheme, secret.expose()) {
        fields.refuse(key, problem);
    }
}

pub(super) fn outbox(fields: &mut Fields<'_>, store: &Path) -> OutboxConfig {
    let mib = 1 << 20;
    let path = fields.optional_path("outbox.path").unwrap_or_else(|| store.join("outbox"));
    let bytes_max = fields.size("outbox.bytes_max", 0..=1 << 40);
    if (1..mib).contains(&bytes_max) {
        fields.refuse("outbox.bytes_max", "must be 0 (no outbox) or at least 1MiB");
    }
    OutboxConfig {
        path,
        bytes_max,
        ack_timeout: fields.duration("outbox.ack_timeout", millis(10, 60_000)),
    }
}

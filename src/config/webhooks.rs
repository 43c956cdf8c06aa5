//! Who may send webhooks, and where they wait while Kafka is away.

use std::collections::BTreeMap;
use std::path::Path;

use super::fields::{Fields, millis, seconds};
use super::secret::Secret;
use super::sections::{AcmeConfig, OutboxConfig, WebhookSourceConfig, WebhooksConfig};
use super::signature::SignatureForm;
use super::webhook_secret::{too_short, webhook_key};

pub(super) fn webhooks(
    fields: &mut Fields<'_>,
    sources: BTreeMap<String, WebhookSourceConfig>,
) -> WebhooksConfig {
    WebhooksConfig {
        default_source: fields.text("webhooks.default_source"),
        tolerance: fields.duration("webhooks.tolerance", seconds(1, 3600)),
        events_max: fields.count("webhooks.events_max", 1..=10_000),
        sources,
    }
}

/// The usual name of Acme's secret counts where its table has none.
pub(super) fn take_acme_secret(
    fields: &mut Fields<'_>,
    acme: &AcmeConfig,
    sources: &mut BTreeMap<String, WebhookSourceConfig>,
) {
    let Some(secret) = &acme.webhook_secret else {
        return;
    };
    let source = sources.entry("acme".to_owned()).or_insert_with(|| WebhookSourceConfig {
        signature: SignatureForm::named("acme").unwrap_or_else(SignatureForm::nobody),
        secret: None,
        secret_previous: None,
        schemas: None,
        binary_cloudevents: false,
    });
    if source.secret.is_none() {
        check(fields, "acme.webhook_secret", &source.signature.name, secret);
        source.secret = Some(secret.clone());
    }
}

pub(super) fn secret(
    fields: &mut Fields<'_>,
    name: &str,
    scheme: &str,
    texts: &BTreeMap<String, String>,
    key: &str,
) -> Option<Secret> {
    let secret = match (texts.get(key), texts.get(&format!("{key}_file"))) {
        (None, None) => return None,
        (Some(text), None) => Some(Secret::new(text.clone())),
        (None, Some(path)) => fields.secret_in_file(&format!("source.{name}.{key}_file"), path),
        (Some(_), Some(_)) => {
            let file = format!("source.{name}.{key}_file");
            fields.refuse(&file, format!("is set beside {key}; keep one of them"));
            None
        }
    };
    if let Some(secret) = &secret {
        let name = format!("source.{name}.{key}");
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

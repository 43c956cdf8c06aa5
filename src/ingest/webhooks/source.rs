//! A source of webhooks as it is configured: how it signs, and the schemas that only its webhooks are held
//! against.

use crate::config::{Part, Secret, WebhookSourceConfig};
use crate::domain::Class;
use crate::domain::schemas::{SchemaError, Schemas};
use crate::telemetry::Throttle;

use super::signature::{SecretError, Verifier};

/// What keeps the webhooks from being configured as asked.
#[derive(Debug, thiserror::Error)]
pub enum WebhookSetupError {
    /// A source's secret.
    #[error("source.{name}.secret {source}")]
    Secret {
        /// The source.
        name: String,
        /// What is wrong.
        #[source]
        source: SecretError,
    },
    /// A source's schemas.
    #[error("source.{name}.schemas: {source}")]
    Schema {
        /// The source.
        name: String,
        /// What is wrong.
        #[source]
        source: SchemaError,
    },
}

impl WebhookSetupError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        Class::Fatal
    }
}

/// Who may send, and how its events are checked.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) verifier: Verifier,
    /// The built-in ones, where none are configured.
    pub(super) schemas: Schemas,
    pub(super) binary_cloudevents: bool,
    /// Anybody can send what does not fit.
    hints: Throttle,
}

impl Source {
    /// None: it has no secret, so nothing of it would be believed.
    pub(super) fn new(
        name: &str,
        config: &WebhookSourceConfig,
        tolerance_ms: u64,
    ) -> Result<Option<Self>, WebhookSetupError> {
        let secrets: Vec<&str> = [&config.secret, &config.secret_previous]
            .into_iter()
            .flatten()
            .map(Secret::expose)
            .collect();
        if config.secret.is_none() {
            return Ok(None);
        }
        let verifier = Verifier::new(config.signature.clone(), &secrets, tolerance_ms)
            .map_err(|source| WebhookSetupError::Secret { name: name.to_owned(), source })?;
        let schemas = match &config.schemas {
            // Decoding holds events against these.
            Some(_) => Schemas::default(),
            None => Schemas::built_in(name)
                .map_err(|source| WebhookSetupError::Schema { name: name.to_owned(), source })?,
        };
        let binary_cloudevents = config.binary_cloudevents;
        Ok(Some(Self {
            name: name.to_owned(),
            verifier,
            schemas,
            binary_cloudevents,
            hints: Throttle::a_minute(),
        }))
    }

    /// Which setting would make a signature fit.
    pub(super) fn tell_mismatch(&self, fits_body_alone: bool, url: &str) {
        let (name, form) = (&self.name, self.verifier.form());
        let hints = || self.hints.pass();
        if fits_body_alone && let Some(left_out) = hints() {
            tracing::warn!(
                source = name,
                left_out,
                "a webhook is signed over its body alone, so its time can be forged: where that is \
                 accepted, set source.{name}.signature = \"acme-body\""
            );
        } else if !fits_body_alone
            && form.signed.contains(&Part::Url)
            && let Some(left_out) = hints()
        {
            let url = url.split('?').next().unwrap_or_default();
            tracing::warn!(
                source = name,
                url,
                left_out,
                "the signature of a webhook does not fit; it covers the URL, which must be the one that \
                 the sender uses: behind a proxy, set server.trusted_proxies, and let the proxy send \
                 X-Forwarded-Host and X-Forwarded-Proto"
            );
        }
    }
}

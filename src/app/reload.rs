//! The configuration read again: what can change while the process runs is taken, the rest is named.
//!
//! ```text
//! SIGHUP, POST /api/reload ─► read all layers ─► what differs ─► limits, secrets, log filter, certificate
//!                                                         └────► named: it needs a restart
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::auth::Auth;
use crate::config::{Config, ConfigError, ConfigErrors, ReloadConfig, Reloaded};
use crate::http::{Tls, WebhookIntake};
use crate::ingest::{PresentRules, Webhooks};
use crate::query::CursorKeys;
use crate::shared_state::{Limiter, SharedState};
use crate::telemetry::LogFilter;

use super::webhooks::webhooks_of;

/// Where the configuration comes from, for whoever may read it again.
#[derive(Clone)]
pub struct ConfigSource {
    /// Reads all layers.
    pub read: Arc<dyn Fn() -> Result<Config, ConfigErrors> + Send + Sync>,
    /// Which lines are written.
    pub log_filter: LogFilter,
    /// Whether SIGHUP asks for it; else that ends the process, as where a terminal is closed.
    pub by_signal: bool,
}

/// What can change.
pub(super) struct Changeable {
    pub(super) limiter: Arc<Limiter>,
    pub(super) auth: Arc<Auth>,
    pub(super) webhooks: Arc<ArcSwap<Webhooks>>,
    pub(super) rules: PresentRules,
    pub(super) cursor_keys: CursorKeys,
    pub(super) tls: Option<Arc<Tls>>,
}

/// The configuration that the process was started with, and the one that was taken last.
struct Reload {
    source: ConfigSource,
    started: Arc<Config>,
    taken: Mutex<Config>,
    parts: Changeable,
}

/// What reads the configuration again.
pub(super) fn reload(
    source: ConfigSource,
    started: &Arc<Config>,
    parts: Changeable,
) -> ReloadConfig {
    let taken = Mutex::new(Config::clone(started));
    let reload = Reload { source, started: Arc::clone(started), taken, parts };
    Arc::new(move || reload.run())
}

impl Reload {
    /// All or nothing: where something is wrong nothing is taken.
    fn run(&self) -> Result<Reloaded, ConfigErrors> {
        let mut taken = self.taken.lock();
        let next = (self.source.read)()?;
        next.require_fit_to_serve()?;
        let changed: BTreeSet<String> =
            taken.differences(&next).into_iter().filter(|key| can_change(key)).collect();
        let mut keys: Vec<String> = changed.iter().cloned().collect();
        if let Some(tls) = &self.parts.tls
            && tls.read_again().map_err(|error| wrong("server.tls_certificate", &error))?
        {
            keys.push("server.tls_certificate".to_owned());
        }
        self.take(&next, &changed)?;
        let lasting = self.started.differences(&next);
        let needs_restart = lasting.into_iter().filter(|key| !can_change(key)).collect();
        *taken = next;
        let reloaded = Reloaded { taken: keys, needs_restart };
        tracing::info!(
            taken = reloaded.taken.join(" "),
            needs_restart = reloaded.needs_restart.join(" "),
            "configuration read again"
        );
        Ok(reloaded)
    }

    fn take(&self, next: &Config, changed: &BTreeSet<String>) -> Result<(), ConfigErrors> {
        let any = |of: fn(&str) -> bool| changed.iter().any(|key| of(key));
        if any(is_webhook_secret) {
            let mut config = Config::clone(&self.started);
            for (name, source) in &mut config.webhooks.sources {
                if let Some(next) = next.webhooks.sources.get(name) {
                    source.secret.clone_from(&next.secret);
                    source.secret_previous.clone_from(&next.secret_previous);
                }
            }
            let webhooks = webhooks_of(&config, self.parts.rules.clone());
            let webhooks = webhooks.map_err(|error| wrong("source", &error))?;
            self.parts.webhooks.store(Arc::new(webhooks));
        }
        if any(is_token_secret) {
            let jwt = crate::config::JwtConfig {
                secret: next.jwt.secret.clone(),
                secret_previous: next.jwt.secret_previous.clone(),
                ..self.started.jwt.clone()
            };
            self.parts.auth.set_secrets(&jwt).map_err(|error| wrong("jwt.secret", &error))?;
            if let Some(secret) = &jwt.secret {
                let previous: Vec<&[u8]> =
                    jwt.secret_previous.iter().map(|it| it.expose().as_bytes()).collect();
                self.parts.cursor_keys.set_secrets(secret.expose().as_bytes(), &previous);
            }
        }
        if any(|key| key == LOG) {
            let set = self.source.log_filter.set(&next.telemetry.log);
            set.map_err(|error| wrong(LOG, &error))?;
        }
        if any(is_limit) {
            self.parts.limiter.set_limits(&next.limits);
        }
        Ok(())
    }
}

const LOG: &str = "telemetry.log";

fn can_change(key: &str) -> bool {
    key == LOG || is_limit(key) || is_token_secret(key) || is_webhook_secret(key)
}

fn is_limit(key: &str) -> bool {
    key.starts_with("limits.")
}

fn is_token_secret(key: &str) -> bool {
    matches!(key.trim_end_matches("_file"), "jwt.secret" | "jwt.secret_previous")
}

fn is_webhook_secret(key: &str) -> bool {
    let name = key.trim_end_matches("_file");
    let of_source = name.strip_prefix("source.").and_then(|rest| rest.rsplit_once('.'));
    name == "acme.webhook_secret"
        || of_source.is_some_and(|(_, last)| matches!(last, "secret" | "secret_previous"))
}

fn wrong(key: &str, error: &dyn std::fmt::Display) -> ConfigErrors {
    ConfigErrors(vec![ConfigError::Invalid {
        place: "configuration".to_owned(),
        key: key.to_owned(),
        problem: format!("can't be used: {error}"),
    }])
}

/// Reads it again at every SIGHUP.
pub(super) async fn run(reload: ReloadConfig, stop: CancellationToken) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = hangup.recv() => {}
        }
        let reload = Arc::clone(&reload);
        let read = tokio::task::spawn_blocking(move || reload()).await;
        if let Ok(Err(errors)) = read {
            for error in errors.0 {
                tracing::error!(%error, "the changed configuration is not taken");
            }
        }
    }
}

/// What can change while the process runs, but for the certificate.
pub(super) fn changeable(
    (auth, shared): (&Arc<Auth>, &SharedState),
    webhooks: &WebhookIntake,
    rules: PresentRules,
    cursor_keys: CursorKeys,
) -> Changeable {
    Changeable {
        limiter: Arc::clone(&shared.limiter),
        auth: Arc::clone(auth),
        webhooks: Arc::clone(&webhooks.webhooks),
        rules,
        cursor_keys,
        tls: None,
    }
}

/// Every instance with the same secret takes the cursors of the others.
pub(super) fn cursor_keys(config: &Config) -> CursorKeys {
    let previous: Vec<&[u8]> =
        config.jwt.secret_previous.iter().map(|secret| secret.expose().as_bytes()).collect();
    match &config.jwt.secret {
        Some(secret) => CursorKeys::of_secrets(secret.expose().as_bytes(), &previous),
        None => CursorKeys::random(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_limits_can_change_and_nothing_else() {
        for key in [
            "limits.read",
            "telemetry.log",
            "jwt.secret_file",
            "jwt.secret_previous",
            "source.crm.secret",
            "source.crm.secret_previous_file",
            "acme.webhook_secret_file",
        ] {
            assert!(can_change(key), "{key}");
        }
        for key in [
            "jwt.expiration",
            "telemetry.log_format",
            "source.crm.signature",
            "source.secret.fields",
            "kafka.sasl_password",
            "server.listen",
        ] {
            assert!(!can_change(key), "{key}");
        }
    }
}

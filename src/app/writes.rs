//! How this instance writes: commands, kept by its intake, decided by its store.

use crate::config::Config;
use crate::http::{HttpLimits, IdempotencySecret, Writes};
use crate::ingest::{Commands, Edits};
use crate::store::Reader;

/// Over an open store.
pub(super) fn writes(config: &Config, commands: Commands, reader: &Reader) -> Writes {
    // All instances share the secret; without one, what they share is the log.
    let secret = config.server.idempotency_secret.as_ref().or(config.jwt.secret.as_ref());
    let secret = match secret {
        Some(secret) => IdempotencySecret::derive(secret.expose().as_bytes()),
        None => IdempotencySecret::derive(&reader.position().log.to_le_bytes()),
    };
    Writes {
        edits: Edits::new(commands),
        secret,
        require_if_match: config.server.require_if_match,
        wait: HttpLimits::from(&config.server).position_wait,
    }
}

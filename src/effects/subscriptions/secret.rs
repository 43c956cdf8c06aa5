//! The secrets that deliveries are signed with. None of them stands anywhere: each is made from a secret of
//! ours, which all instances have, and a seed in the subscription's control entry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::config::Secret;
use crate::domain::texts::hex;

use super::subscription::{SecretSeed, Subscription};

/// How secrets begin, so that people and scanners know them.
const SECRET_PREFIX: &str = "whsec_";
/// How long the secret before signs as well.
pub(super) const OVERLAP_MS: u64 = 24 * 3_600 * 1_000;
/// Secrets that sign at once.
pub(super) const SECRETS_MAX: usize = 3;

/// Makes secrets.
pub struct Signer {
    /// The present one first.
    ours: Vec<Secret>,
}

impl Signer {
    /// By our secret, and those that were ours before.
    pub fn new(ours: Vec<Secret>) -> Self {
        Self { ours }
    }

    /// A new secret of a subscription, and what it is made again from.
    pub(super) fn make(&self, id: &str) -> (Secret, SecretSeed) {
        let seed = format!("{:032x}", fastrand::u128(..));
        let secret = self.ours.first().map(|ours| derived(ours, id, &seed));
        let secret = secret.unwrap_or_else(|| Secret::new(""));
        let check = check(&secret);
        (secret, SecretSeed { seed, check, until_ms: None })
    }

    /// Those that sign now, newest first; empty: our secret is another one than when they were made.
    pub(super) fn secrets(&self, subscription: &Subscription, now_ms: u64) -> Vec<Secret> {
        let valid = subscription.secrets.iter();
        let valid = valid.filter(|seed| seed.until_ms.is_none_or(|until| now_ms < until));
        let made = valid.filter_map(|SecretSeed { seed, check: told, .. }| {
            let mut secrets = self.ours.iter().map(|ours| derived(ours, &subscription.id, seed));
            secrets.find(|secret| check(secret) == *told)
        });
        made.take(SECRETS_MAX).collect()
    }
}

fn derived(ours: &Secret, id: &str, seed: &str) -> Secret {
    // HMAC takes keys of any length.
    let bytes = Hmac::<Sha256>::new_from_slice(ours.expose().as_bytes()).map(|mac| {
        let text = format!("contactd subscription secret {id} {seed}");
        mac.chain_update(text).finalize().into_bytes()
    });
    Secret::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes.unwrap_or_default())))
}

fn check(secret: &Secret) -> String {
    hex(Sha256::digest(secret.expose().as_bytes()).get(..8).unwrap_or_default())
}

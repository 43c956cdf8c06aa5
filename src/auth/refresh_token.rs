//! Refresh tokens: `rt1.<user>.<family>.<number>.<secret>.<proof>`.
//!
//! The secret is derived from our own secret, the family's seed and the token's number, so that every
//! instance makes the same token of the same number, and nobody who reads the control topic makes any.
//! The proof says that we made it, so that nobody who only knows a family's id can end it.

use super::jwt::{Jwt, Key};
use super::random::{base64url, from_base64url, sha256_hex};

/// Begins every refresh token.
const PREFIX: &str = "rt1";
const BYTES_MAX: usize = 512;

/// A refresh token, read.
pub(super) struct RefreshToken {
    pub(super) user: String,
    pub(super) family: String,
    pub(super) number: u64,
}

impl RefreshToken {
    /// The token itself, by the secret that signs now.
    pub(super) fn make(&self, jwt: &Jwt, seed: &str) -> String {
        self.by(jwt.current(), seed)
    }

    /// What a refresh makes current after this one.
    pub(super) fn successor(&self) -> Self {
        let Self { user, family, number } = self;
        Self { user: user.clone(), family: family.clone(), number: number.saturating_add(1) }
    }

    /// The same as it was made a moment ago, perhaps by the secret before; `sha256` tells. None: by
    /// neither.
    pub(super) fn make_again(&self, jwt: &Jwt, seed: &str, sha256: &str) -> Option<String> {
        let mut tokens = jwt.keys().map(|key| self.by(key, seed));
        tokens.find(|token| sha256_hex(token.as_bytes()) == sha256)
    }

    fn by(&self, key: &Key, seed: &str) -> String {
        let Self { user, family, number } = self;
        let user = base64url(user.as_bytes());
        let head = format!("{PREFIX}.{user}.{family}.{number}");
        let secret = key.tag(&format!("contactd refresh secret {seed} {head}"));
        let text = format!("{head}.{}", base64url(&secret));
        let proof = key.proof(&text);
        format!("{text}.{proof}")
    }

    /// What a token of ours says; none: it is not one.
    pub(super) fn read(jwt: &Jwt, token: &str) -> Option<Self> {
        let (text, proof) = token.rsplit_once('.')?;
        if token.len() > BYTES_MAX || !jwt.is_proof(text, proof) {
            return None;
        }
        let mut parts = text.split('.');
        let (prefix, user, family) = (parts.next()?, parts.next()?, parts.next()?);
        let number = parts.next()?.parse().ok()?;
        let user = String::from_utf8(from_base64url(user)?).ok()?;
        (prefix == PREFIX).then(|| Self { user, family: family.to_owned(), number })
    }
}

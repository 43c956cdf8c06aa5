//! Access tokens: JWT by RFC 9068, signed with HS256 and nothing else (RFC 8725).

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header,
};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::config::{JwtConfig, Secret};

use super::error::AuthError;
use super::hs256;
use super::random::{NoRandomness, base64url, bytes, id};

/// How far two machines' clocks may differ.
pub(super) const LEEWAY_S: u64 = 30;
/// A token is what we made of a few short claims.
const TOKEN_BYTES_MAX: usize = 4096;
/// RFC 9068: no other kind of token can be mistaken for an access token.
const TYPE: &str = "at+jwt";

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    /// Ends, Unix seconds.
    pub(super) exp: u64,
    /// Begins.
    pub(super) nbf: u64,
    /// Issued.
    pub(super) iat: u64,
    /// This token.
    pub(super) jti: String,
    pub(super) iss: String,
    pub(super) aud: String,
    /// The user.
    pub(super) sub: String,
    pub(super) roles: Vec<String>,
    /// The family of refresh tokens that it came with.
    pub(super) sid: String,
    /// The user's password and roles when it was issued.
    pub(super) stamp: String,
}

impl Claims {
    /// Whether it is past its time.
    pub(super) fn has_ended(&self, now_s: u64) -> bool {
        self.exp.saturating_add(LEEWAY_S) < now_s
    }
}

/// What a new token is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant<'a> {
    pub(super) user: &'a str,
    pub(super) roles: &'a [&'static str],
    pub(super) stamp: &'a str,
    pub(super) session: &'a str,
    /// Unix seconds that it must not outlive.
    pub(super) ends_s: u64,
}

/// A token that can't be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// No identifier for it.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// It can't be written.
    #[error("an access token can't be signed: {0}")]
    Jwt(#[from] jsonwebtoken::errors::Error),
}

/// Signs and verifies.
pub(super) struct Jwt {
    current: Key,
    /// Verifies only.
    previous: Option<Key>,
    validation: Validation,
    issuer: String,
    audience: String,
    lifetime_s: u64,
}

/// A secret that signs or did so.
pub(super) struct Key {
    id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    secret: Secret,
}

impl Key {
    fn new(secret: &Secret) -> Self {
        let bytes = secret.expose().as_bytes();
        Self {
            id: base64url(tag(secret, b"contactd kid").get(..8).unwrap_or_default()),
            encoding: EncodingKey::from_secret(bytes),
            decoding: DecodingKey::from_secret(bytes),
            secret: secret.clone(),
        }
    }

    /// HMAC-SHA-256 of a text that begins with what it is for.
    pub(super) fn tag(&self, text: &str) -> Vec<u8> {
        tag(&self.secret, text.as_bytes())
    }

    /// A short proof that we made `text`.
    pub(super) fn proof(&self, text: &str) -> String {
        let tag = self.tag(&format!("contactd refresh {text}"));
        base64url(tag.get(..16).unwrap_or_default())
    }
}

/// HMAC-SHA-256 under the secret. Other uses of it than tokens begin with a text of their own, and
/// a token never begins with that.
fn tag(secret: &Secret, message: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length.
    Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .map(|mac| mac.chain_update(message).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

impl Jwt {
    /// With the configured secret, or one that lives as long as the process.
    pub(super) fn new(config: &JwtConfig) -> Result<Self, NoRandomness> {
        hs256::install();
        let current = match &config.secret {
            Some(secret) => Key::new(secret),
            None => Key::new(&Secret::new(base64url(&bytes::<48>()?))),
        };
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[&config.issuer]);
        validation.set_audience(&[&config.audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Times are compared below, with a clock that a test can set.
        validation.validate_exp = false;
        Ok(Self {
            current,
            previous: config.secret_previous.as_ref().map(Key::new),
            validation,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            lifetime_s: config.expiration.as_secs(),
        })
    }

    /// How long a token lives.
    pub(super) fn lifetime(&self) -> Duration {
        Duration::from_secs(self.lifetime_s)
    }

    /// A new token, with when it ends.
    pub(super) fn sign(&self, grant: &Grant<'_>, now_s: u64) -> Result<(String, u64), SignError> {
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(self.current.id.clone());
        let claims = Claims {
            exp: (now_s + self.lifetime_s).min(grant.ends_s),
            nbf: now_s,
            iat: now_s,
            jti: id()?,
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: grant.user.to_owned(),
            roles: grant.roles.iter().map(|role| (*role).to_owned()).collect(),
            sid: grant.session.to_owned(),
            stamp: grant.stamp.to_owned(),
        };
        let token = jsonwebtoken::encode(&header, &claims, &self.current.encoding)?;
        Ok((token, claims.exp))
    }

    /// What the token says, if we signed it and it is its time.
    pub(super) fn verify(&self, token: &[u8], now_s: u64) -> Result<Claims, AuthError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::InvalidToken);
        }
        let header = decode_header(token).map_err(|_| AuthError::InvalidToken)?;
        let is_ours = header.typ.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case(TYPE));
        // Whatever is critical is something that we don't understand (RFC 7515, 4.1.11).
        if !is_ours || header.crit.is_some() {
            return Err(AuthError::InvalidToken);
        }
        let kid = header.kid.as_deref().unwrap_or_default();
        let key = self.keys().find(|key| key.id == kid).ok_or(AuthError::InvalidToken)?;
        let claims = decode::<Claims>(token, &key.decoding, &self.validation)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => AuthError::ExpiredToken,
                _ => AuthError::InvalidToken,
            })?
            .claims;
        self.check_times(&claims, now_s)?;
        Ok(claims)
    }

    fn check_times(&self, claims: &Claims, now_s: u64) -> Result<(), AuthError> {
        let latest = now_s + LEEWAY_S;
        if claims.has_ended(now_s) {
            return Err(AuthError::ExpiredToken);
        }
        // None that we sign lives longer, whatever it says.
        let is_early = claims.iat > latest || claims.nbf > latest;
        if is_early || claims.exp > latest + self.lifetime_s || claims.exp < claims.iat {
            return Err(AuthError::InvalidToken);
        }
        Ok(())
    }

    /// What signs now.
    pub(super) fn current(&self) -> &Key {
        &self.current
    }

    /// What signs, and what did so before.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// Whether it is the proof of `text`, by either secret.
    pub(super) fn is_proof(&self, text: &str, given: &str) -> bool {
        use subtle::ConstantTimeEq as _;
        self.keys().any(|key| bool::from(key.proof(text).as_bytes().ct_eq(given.as_bytes())))
    }
}

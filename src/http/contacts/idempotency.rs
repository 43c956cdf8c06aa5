//! `Idempotency-Key`: the same request again is answered as the first time.
//!
//! Its command's id, and the id of a contact that it makes, are HMACs of who asks, what for, and the
//! key, under a secret that all instances have: so a repeat lands on the same contact whichever
//! instance takes it, and the contact itself remembers what was done.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use uuid::Builder;

use crate::domain::texts::hex;
use crate::ingest::{COMMAND_ID, Keyed};

use crate::http::exchange::error::{ApiError, Code};

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

const KEY_BYTES_MAX: usize = 255;

/// What ids of keyed requests are made with.
#[derive(Clone)]
pub struct IdempotencySecret([u8; 32]);

impl IdempotencySecret {
    /// From what all instances share.
    pub fn derive(shared: &[u8]) -> Self {
        Self(hmac(shared, &[b"contactd idempotency 1"]))
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // Keys of any length are taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; 32];
    };
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// A key that a request came with.
pub(in crate::http) struct IdempotencyKey<'r> {
    secret: &'r IdempotencySecret,
    scope: [&'r [u8]; 4],
}

/// The request's key, if it has one.
pub(super) fn idempotency_key<'r>(
    secret: &'r IdempotencySecret,
    principal: &'r str,
    method: &'r Method,
    uri: &'r Uri,
    headers: &'r HeaderMap,
) -> Result<Option<IdempotencyKey<'r>>, ApiError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter().map(HeaderValue::as_bytes);
    let Some(key) = values.next() else {
        return Ok(None);
    };
    let is_decent = (1..=KEY_BYTES_MAX).contains(&key.len())
        && key.iter().all(u8::is_ascii_graphic)
        && values.next().is_none();
    if !is_decent {
        let text = format!("Idempotency-Key has 1 to {KEY_BYTES_MAX} visible ASCII characters");
        return Err(ApiError::new(Code::InvalidHeader, text));
    }
    let scope = [principal.as_bytes(), method.as_str().as_bytes(), uri.path().as_bytes(), key];
    Ok(Some(IdempotencyKey { secret, scope }))
}

impl IdempotencyKey<'_> {
    /// Its command, with what tells another request under the same key.
    pub(super) fn keyed(&self, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Keyed {
        let id = self.hmac(b"command");
        let mut hasher = Sha256::new();
        let conditions = ["if-match", "if-none-match"].map(|name| headers.get(name));
        let query = uri.query().unwrap_or_default().as_bytes();
        for part in [query, body].into_iter().chain(conditions.into_iter().map(bytes)) {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        // A body may hold what must not be found out by trying: a card's number.
        let hash = self.hmac(&hasher.finalize());
        Keyed {
            event_id: format!("{COMMAND_ID}{}", hex(first_16(&id))),
            request_hash: *first_16(&hash),
        }
    }

    /// The id of a contact that it makes.
    pub(super) fn contact_id(&self) -> String {
        let id = self.hmac(b"contact");
        Builder::from_custom_bytes(*first_16(&id)).into_uuid().to_string()
    }

    /// The id of something else that it makes, as hexadecimal digits.
    pub(in crate::http) fn id_of(&self, what: &str) -> String {
        hex(first_16(&self.hmac(what.as_bytes())))
    }

    /// The id of a contact that its operation of that number makes.
    pub(super) fn contact_id_of(&self, index: usize) -> String {
        let id = self.hmac(format!("contact {index}").as_bytes());
        Builder::from_custom_bytes(*first_16(&id)).into_uuid().to_string()
    }

    fn hmac(&self, what: &[u8]) -> [u8; 32] {
        let [principal, method, path, key] = self.scope;
        hmac(&self.secret.0, &[what, principal, method, path, key])
    }
}

fn bytes(value: Option<&HeaderValue>) -> &[u8] {
    value.map(HeaderValue::as_bytes).unwrap_or_default()
}

fn first_16(bytes: &[u8; 32]) -> &[u8; 16] {
    bytes.first_chunk().unwrap_or(&[0; 16])
}

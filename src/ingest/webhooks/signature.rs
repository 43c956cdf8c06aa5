//! Whether a webhook comes from whom it says: HMAC-SHA256 over its raw bytes, in three forms.
//!
//! | scheme | signed bytes | headers |
//! |---|---|---|
//! | `acme` | `timestamp.body` | `X-Acme-Signature: [sha256=]<hex>`, `X-Acme-Timestamp` |
//! | `acme-body` | the body alone: the timestamp can be forged | the same |
//! | `standard` | `id.timestamp.body` (Standard Webhooks 1.0) | `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64> …` |
//!
//! Nothing of the body is looked at before its signature fits.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::config::webhook_key;
use crate::domain::Class;
use crate::domain::timestamp::{parse_epoch_us, parse_rfc3339_us};

/// More signatures than that in one header are not looked at.
const SIGNATURES_MAX: usize = 8;
/// Bytes of a message id (Standard Webhooks) at most.
const MESSAGE_ID_BYTES_MAX: usize = 256;

/// How a source signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Timestamp and body.
    Acme,
    /// The body alone.
    AcmeBody,
    /// Standard Webhooks 1.0.
    Standard,
}

impl Scheme {
    /// Every one, with its name in the configuration.
    pub const ALL: [(&'static str, Self); 3] =
        [("acme", Self::Acme), ("acme-body", Self::AcmeBody), ("standard", Self::Standard)];

    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acme => "acme",
            Self::AcmeBody => "acme-body",
            Self::Standard => "standard",
        }
    }

    fn signature_header(self) -> &'static str {
        match self {
            Self::Acme | Self::AcmeBody => "x-acme-signature",
            Self::Standard => "webhook-signature",
        }
    }

    fn timestamp_header(self) -> &'static str {
        match self {
            Self::Acme | Self::AcmeBody => "x-acme-timestamp",
            Self::Standard => "webhook-timestamp",
        }
    }
}

/// Why a webhook is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A header is not there.
    #[error("the header {header} is missing")]
    Missing {
        /// Its name.
        header: &'static str,
    },
    /// A header can't be read.
    #[error("the header {header} {problem}")]
    Malformed {
        /// Its name.
        header: &'static str,
        /// What is wrong.
        problem: &'static str,
    },
    /// Too old, or ahead of our clock.
    #[error(
        "the timestamp is {seconds} s away from this server's clock, at most {tolerance_seconds} s are allowed"
    )]
    OutOfWindow {
        /// How far, either way.
        seconds: u64,
        /// How far it may be.
        tolerance_seconds: u64,
    },
    /// No secret of the source gives this signature.
    #[error("the signature does not fit")]
    Mismatch {
        /// It fits the body alone: the source signs as `acme-body` does.
        fits_body_alone: bool,
    },
}

impl SignatureError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        Class::Poison
    }
}

/// What a fitting signature vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// When it was signed, in µs since 1970; none where the scheme doesn't sign the time.
    pub timestamp_us: Option<u64>,
    /// The message's id, where the scheme signs one.
    pub message_id: Option<String>,
}

/// Who signs how, with the secrets that are live.
#[derive(Clone)]
pub struct Verifier {
    scheme: Scheme,
    /// Keyed once; a clone of one costs less than the key schedule.
    keys: Vec<Hmac<Sha256>>,
    tolerance_ms: u64,
}

/// A secret that can't be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SecretError(String);

impl Verifier {
    /// With one secret, or two while one replaces the other.
    ///
    /// # Errors
    /// What [`webhook_key`] says of a secret.
    pub fn new(scheme: Scheme, secrets: &[&str], tolerance_ms: u64) -> Result<Self, SecretError> {
        let keys = secrets.iter().map(|secret| key(scheme, secret)).collect::<Result<_, _>>()?;
        Ok(Self { scheme, keys, tolerance_ms })
    }

    /// How the source signs.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Looks at the headers (by lower-case name) and the raw body.
    ///
    /// # Errors
    /// Everything that keeps it from being believed; what is missing or malformed comes first, then
    /// the signature, then the time.
    pub fn verify<'h>(
        &self,
        header: impl Fn(&str) -> Option<&'h [u8]>,
        body: &[u8],
        now_ms: u64,
    ) -> Result<Verified, SignatureError> {
        let required =
            |name: &'static str| header(name).ok_or(SignatureError::Missing { header: name });
        let signature = required(self.scheme.signature_header())?;
        let timestamp = match self.scheme {
            Scheme::Acme | Scheme::Standard => Some(required(self.scheme.timestamp_header())?),
            Scheme::AcmeBody => header(self.scheme.timestamp_header()),
        };
        let timestamp_us = timestamp.map(|text| self.timestamp(text)).transpose()?;
        let mut signed: Vec<&[u8]> = Vec::with_capacity(5);
        match (self.scheme, timestamp) {
            (Scheme::Acme, Some(timestamp)) => signed.extend([timestamp, b".", body]),
            (Scheme::Standard, Some(timestamp)) => {
                signed.extend([message_id(required("webhook-id")?)?, b".", timestamp, b".", body]);
            }
            (Scheme::AcmeBody, _) | (_, None) => signed.push(body),
        }
        if !self.fits(signature, &signed)? {
            let fits_body_alone =
                self.scheme == Scheme::Acme && self.fits(signature, &[body]).unwrap_or(false);
            return Err(SignatureError::Mismatch { fits_body_alone });
        }
        if let Some(timestamp) = timestamp_us {
            let away = (timestamp / 1000).abs_diff(now_ms);
            if away > self.tolerance_ms {
                return Err(SignatureError::OutOfWindow {
                    seconds: away / 1000,
                    tolerance_seconds: self.tolerance_ms / 1000,
                });
            }
        }
        let vouched = self.scheme != Scheme::AcmeBody;
        let message_id = header("webhook-id").filter(|_| self.scheme == Scheme::Standard);
        let message_id = message_id.map(|id| String::from_utf8_lossy(id).into_owned());
        Ok(Verified { timestamp_us: timestamp_us.filter(|_| vouched), message_id })
    }

    fn timestamp(&self, text: &[u8]) -> Result<u64, SignatureError> {
        let header = self.scheme.timestamp_header();
        let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let parsed = match self.scheme {
            _ if is_number => parse_epoch_us(text),
            Scheme::Acme | Scheme::AcmeBody => parse_rfc3339_us(text),
            Scheme::Standard => None,
        };
        parsed.ok_or(SignatureError::Malformed {
            header,
            problem: "is neither seconds nor milliseconds since 1970 nor RFC 3339",
        })
    }

    /// Whether any signature of the header is one that any secret gives. All are compared, in
    /// constant time each.
    fn fits(&self, header: &[u8], signed: &[&[u8]]) -> Result<bool, SignatureError> {
        let given = match self.scheme {
            Scheme::Acme | Scheme::AcmeBody => vec![hex(header)?],
            Scheme::Standard => standard_signatures(header)?,
        };
        let mut fits = false;
        for key in &self.keys {
            let mut mac = key.clone();
            for part in signed {
                mac.update(part);
            }
            for signature in &given {
                fits |= mac.clone().verify_slice(signature).is_ok();
            }
        }
        Ok(fits)
    }
}

fn key(scheme: Scheme, secret: &str) -> Result<Hmac<Sha256>, SecretError> {
    let bytes = webhook_key(scheme.as_str(), secret).map_err(SecretError)?;
    Hmac::new_from_slice(&bytes).map_err(|error| SecretError(error.to_string()))
}

fn hex(header: &[u8]) -> Result<Vec<u8>, SignatureError> {
    let malformed = SignatureError::Malformed {
        header: "x-acme-signature",
        problem: "is not 64 hexadecimal digits, with or without sha256= before them",
    };
    let text = header.strip_prefix(b"sha256=").unwrap_or(header);
    let digits: Option<Vec<u8>> =
        text.iter().map(|byte| char::from(*byte).to_digit(16).map(|digit| digit as u8)).collect();
    match digits {
        Some(digits) if digits.len() == 64 => Ok(digits
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect()),
        Some(_) | None => Err(malformed),
    }
}

/// Those of version 1; others (asymmetric ones) are passed over, as the specification says.
fn standard_signatures(header: &[u8]) -> Result<Vec<Vec<u8>>, SignatureError> {
    let malformed = SignatureError::Malformed {
        header: "webhook-signature",
        problem: "has no \"v1,<base64>\"",
    };
    let signatures: Vec<Vec<u8>> = header
        .split(|byte| *byte == b' ')
        .take(SIGNATURES_MAX)
        .filter_map(|text| STANDARD.decode(text.strip_prefix(b"v1,")?).ok())
        .collect();
    if signatures.is_empty() { Err(malformed) } else { Ok(signatures) }
}

/// A dot would let one message pass for another.
fn message_id(text: &[u8]) -> Result<&[u8], SignatureError> {
    let is_right = (1..=MESSAGE_ID_BYTES_MAX).contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'.');
    is_right.then_some(text).ok_or(SignatureError::Malformed {
        header: "webhook-id",
        problem: "is empty, too long, or holds a dot, a space or what is not ASCII",
    })
}

/// Signs as Acme does: what goes into `X-Acme-Signature`. For senders of ours, and for tests.
pub fn sign_acme(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    let mut text = String::from("sha256=");
    for byte in mac.finalize().into_bytes() {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;

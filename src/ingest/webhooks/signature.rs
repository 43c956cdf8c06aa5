//! Whether a webhook comes from whom it says: an HMAC over its raw bytes and what its form adds to them.
//!
//! | form | signed bytes | headers |
//! |---|---|---|
//! | `acme` | `timestamp.body` | `X-Acme-Signature: [sha256=]<hex>`, `X-Acme-Timestamp` |
//! | `acme-body` | the body alone: the timestamp can be forged | the same |
//! | `standard` | `id.timestamp.body` (Standard Webhooks 1.0) | `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64> …`, or the same with `svix-` |
//! | `hubspot-v3` | method, URL, body, timestamp | `X-HubSpot-Signature-v3`, `X-HubSpot-Request-Timestamp` |
//! | `hmac` | as its template says | as its table says |
//!
//! Nothing of the body is looked at before its signature fits.

use base64::Engine as _;
use base64::alphabet::{STANDARD as ALPHABET, URL_SAFE as URL_ALPHABET};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Sha256, Sha512};

use crate::config::{Algorithm, Encoding, HeaderPart, HeaderSet, Part, SignatureForm, webhook_key};
use crate::domain::Class;
use crate::domain::texts;
use crate::domain::timestamp::{parse_epoch_us, parse_rfc3339_us};

/// More signatures than that in one header are not looked at.
const SIGNATURES_MAX: usize = 8;
/// Bytes of a message id at most.
const MESSAGE_ID_BYTES_MAX: usize = 256;
/// The method of every webhook.
const METHOD: &[u8] = b"POST";
/// What HubSpot decodes in a URL before it signs it.
const DECODED: [(&str, &str); 12] = [
    ("%3A", ":"),
    ("%2F", "/"),
    ("%3F", "?"),
    ("%40", "@"),
    ("%21", "!"),
    ("%24", "$"),
    ("%27", "'"),
    ("%28", "("),
    ("%29", ")"),
    ("%2A", "*"),
    ("%2C", ","),
    ("%3B", ";"),
];

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&ALPHABET, ANY_PADDING);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_ALPHABET, ANY_PADDING);

/// Why a webhook is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A header is not there.
    #[error("the header {header} is missing")]
    Missing {
        /// Its name.
        header: String,
    },
    /// A header can't be read.
    #[error("the header {header} {problem}")]
    Malformed {
        /// Its name.
        header: String,
        /// What is wrong.
        problem: &'static str,
        /// It is the one with the signature.
        is_signature: bool,
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
    /// When it was signed, in µs since 1970; none where the time is not signed.
    pub timestamp_us: Option<u64>,
    /// The message's id, where it is signed.
    pub message_id: Option<String>,
}

/// What may be signed of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Message<'m> {
    /// As its header has it.
    pub timestamp: &'m [u8],
    /// As its header has it.
    pub id: &'m [u8],
    /// As the sender wrote it.
    pub url: &'m str,
    /// The raw bytes.
    pub body: &'m [u8],
}

/// Keyed once; a clone costs less than the key schedule.
#[derive(Clone)]
enum Key {
    Sha256(Hmac<Sha256>),
    /// Twice as large as the usual one.
    Sha512(Box<Hmac<Sha512>>),
}

impl Key {
    fn new(form: &SignatureForm, secret: &str) -> Result<Self, SecretError> {
        let bytes = webhook_key(&form.name, secret).map_err(SecretError)?;
        let refused = |error: hmac::digest::InvalidLength| SecretError(error.to_string());
        Ok(match form.algorithm {
            Algorithm::Sha256 => Self::Sha256(Hmac::new_from_slice(&bytes).map_err(refused)?),
            Algorithm::Sha512 => {
                Self::Sha512(Box::new(Hmac::new_from_slice(&bytes).map_err(refused)?))
            }
        })
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(mac) => mac.update(bytes),
            Self::Sha512(mac) => mac.update(bytes),
        }
    }

    /// After everything that the form signs.
    fn signed(&self, form: &SignatureForm, message: &Message<'_>) -> Self {
        let mut mac = self.clone();
        for part in &form.signed {
            match part {
                Part::Timestamp => mac.update(message.timestamp),
                Part::Id => mac.update(message.id),
                Part::Body => mac.update(message.body),
                Part::Method => mac.update(METHOD),
                Part::Url if form.name == "hubspot-v3" => {
                    mac.update(decoded(message.url).as_bytes())
                }
                Part::Url => mac.update(message.url.as_bytes()),
                Part::Text(text) => mac.update(text.as_bytes()),
            }
        }
        mac
    }

    /// In constant time.
    fn fits(&self, signature: &[u8]) -> bool {
        match self {
            Self::Sha256(mac) => mac.clone().verify_slice(signature).is_ok(),
            Self::Sha512(mac) => Hmac::clone(mac).verify_slice(signature).is_ok(),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha256(mac) => mac.finalize().into_bytes().to_vec(),
            Self::Sha512(mac) => mac.finalize().into_bytes().to_vec(),
        }
    }
}

/// Who signs how, with the secrets that are live.
#[derive(Clone)]
pub struct Verifier {
    form: SignatureForm,
    keys: Vec<Key>,
    tolerance_ms: u64,
}

/// A secret that can't be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SecretError(String);

impl Verifier {
    /// How many secrets are taken.
    pub fn secrets(&self) -> usize {
        self.keys.len()
    }

    /// With one secret, or two while one replaces the other.
    ///
    /// # Errors
    /// What [`webhook_key`] says of a secret.
    pub fn new(
        form: SignatureForm,
        secrets: &[&str],
        tolerance_ms: u64,
    ) -> Result<Self, SecretError> {
        let keys =
            secrets.iter().map(|secret| Key::new(&form, secret)).collect::<Result<_, _>>()?;
        Ok(Self { form, keys, tolerance_ms })
    }

    /// How the source signs.
    pub fn form(&self) -> &SignatureForm {
        &self.form
    }

    /// Looks at the headers (by lower-case name), the URL as the sender wrote it, and the raw body.
    ///
    /// # Errors
    /// Everything that keeps it from being believed; what is missing or malformed comes first, then
    /// the signature, then the time.
    pub fn verify<'h>(
        &self,
        header: impl Fn(&str) -> Option<&'h [u8]>,
        url: &str,
        body: &[u8],
        now_ms: u64,
    ) -> Result<Verified, SignatureError> {
        let missing = |name: &str| SignatureError::Missing { header: name.to_owned() };
        let mut sets = self.form.headers.iter();
        let set = sets.find(|set| header(&set.signature).is_some());
        let Some(set) = set.or(self.form.headers.first()) else {
            return Err(missing("with a signature"));
        };
        let value = |part: &Option<HeaderPart>, signed: &Part| match part {
            Some(part) => match part_of(&header, part) {
                None if self.form.signed.contains(signed) => Err(missing(&part.name)),
                found => Ok(found),
            },
            None => Ok(None),
        };
        let given = header(&set.signature).ok_or_else(|| missing(&set.signature))?;
        let timestamp = value(&set.timestamp, &Part::Timestamp)?;
        let timestamp_us = timestamp.map(|text| self.timestamp(set, text)).transpose()?;
        let signs_id = self.form.signed.contains(&Part::Id);
        let id = value(&set.id, &Part::Id)?.filter(|_| signs_id);
        let id = id.map(|id| message_id(set, id)).transpose()?;
        let message = Message {
            timestamp: timestamp.unwrap_or_default(),
            id: id.unwrap_or_default(),
            url,
            body,
        };
        let signatures = self.signatures(set, given)?;
        if !self.fits(&self.form, &message, &signatures) {
            let alone = || SignatureForm { signed: vec![Part::Body], ..self.form.clone() };
            let fits_body_alone =
                self.form.name == "acme" && self.fits(&alone(), &message, &signatures);
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
        let message_id = id.map(|id| String::from_utf8_lossy(id).into_owned());
        Ok(Verified { timestamp_us: timestamp_us.filter(|_| self.form.signs_time()), message_id })
    }

    fn timestamp(&self, set: &HeaderSet, text: &[u8]) -> Result<u64, SignatureError> {
        let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let parsed = match is_number {
            true => parse_epoch_us(text),
            false if self.form.name == "standard" => None,
            false => parse_rfc3339_us(text),
        };
        parsed.ok_or_else(|| SignatureError::Malformed {
            header: set.timestamp.as_ref().map(|part| part.name.clone()).unwrap_or_default(),
            problem: "is neither seconds nor milliseconds since 1970 nor RFC 3339",
            is_signature: false,
        })
    }

    /// Whether any of the signatures is one that any secret gives. All are compared, in constant time
    /// each.
    fn fits(&self, form: &SignatureForm, message: &Message<'_>, signatures: &[Vec<u8>]) -> bool {
        let mut fits = false;
        for key in &self.keys {
            let mac = key.signed(form, message);
            for signature in signatures {
                fits |= mac.fits(signature);
            }
        }
        fits
    }

    /// Those of the header's list that begin as the form's do; others (of another version) are passed
    /// over.
    fn signatures(&self, set: &HeaderSet, header: &[u8]) -> Result<Vec<Vec<u8>>, SignatureError> {
        let form = &self.form;
        let has_comma = form.prefix.contains(',');
        let parts = header.split(|byte| *byte == b' ' || (*byte == b',' && !has_comma));
        let texts = parts.filter_map(|part| match part.strip_prefix(form.prefix.as_bytes()) {
            None => Some(part).filter(|_| form.is_prefix_optional),
            found => found,
        });
        let signatures = texts.filter_map(|text| decode(form, text)).take(SIGNATURES_MAX);
        let signatures: Vec<Vec<u8>> = signatures.collect();
        if !signatures.is_empty() {
            return Ok(signatures);
        }
        let problem = match (form.name.as_str(), form.encoding) {
            ("acme" | "acme-body", _) => {
                "is not 64 hexadecimal digits, with or without sha256= before them"
            }
            ("standard", _) => "has no \"v1,<base64>\"",
            (_, Encoding::Hex) => "has no signature in hexadecimal digits, behind its prefix",
            (_, Encoding::Base64 | Encoding::Base64Url) => {
                "has no signature in base64, behind its prefix"
            }
        };
        let header = set.signature.clone();
        Err(SignatureError::Malformed { header, problem, is_signature: true })
    }
}

/// A header's value, or the part of its list that begins with the prefix, without that.
fn part_of<'h>(header: &impl Fn(&str) -> Option<&'h [u8]>, part: &HeaderPart) -> Option<&'h [u8]> {
    let value = header(&part.name)?;
    if part.prefix.is_empty() {
        return Some(value);
    }
    let mut parts = value.split(|byte| matches!(byte, b' ' | b','));
    parts.find_map(|each| each.strip_prefix(part.prefix.as_bytes()))
}

fn decode(form: &SignatureForm, text: &[u8]) -> Option<Vec<u8>> {
    let len = match form.algorithm {
        Algorithm::Sha256 => 32,
        Algorithm::Sha512 => 64,
    };
    let bytes = match form.encoding {
        Encoding::Base64 => BASE64.decode(text).ok(),
        Encoding::Base64Url => BASE64_URL.decode(text).ok(),
        Encoding::Hex => hex(text),
    };
    bytes.filter(|bytes| bytes.len() == len)
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let digits: Vec<u8> = text.iter().map(digit).collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit));
    digits.len().is_multiple_of(2).then(|| pairs.collect())
}

/// A dot would let one message pass for another.
fn message_id<'h>(set: &HeaderSet, text: &'h [u8]) -> Result<&'h [u8], SignatureError> {
    let is_right = (1..=MESSAGE_ID_BYTES_MAX).contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'.');
    is_right.then_some(text).ok_or_else(|| SignatureError::Malformed {
        header: set.id.as_ref().map(|part| part.name.clone()).unwrap_or_default(),
        problem: "is empty, too long, or holds a dot, a space or what is not ASCII",
        is_signature: false,
    })
}

fn decoded(url: &str) -> String {
    let mut url = url.to_owned();
    for (code, character) in DECODED {
        url = url.replace(code, character).replace(&code.to_ascii_lowercase(), character);
    }
    url
}

/// Signs as a source does: the signature with its prefix. For senders of ours, and for tests.
///
/// # Errors
/// What [`webhook_key`] says of the secret.
pub fn sign(
    form: &SignatureForm,
    secret: &str,
    message: &Message<'_>,
) -> Result<String, SecretError> {
    let bytes = Key::new(form, secret)?.signed(form, message).finish();
    let text = match form.encoding {
        Encoding::Base64 => BASE64.encode(bytes),
        Encoding::Base64Url => BASE64_URL.encode(bytes),
        Encoding::Hex => texts::hex(&bytes),
    };
    Ok(format!("{}{text}", form.prefix))
}

/// The headers of a signed message, in lower case; without a signature that one is left out.
pub fn signed_headers(
    form: &SignatureForm,
    message: &Message<'_>,
    signature: Option<String>,
) -> Vec<(String, String)> {
    let Some(set) = form.headers.first() else {
        return Vec::new();
    };
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, text: String| match headers.iter_mut().find(|(each, _)| each == name)
    {
        Some((_, value)) => *value = format!("{value},{text}"),
        None => headers.push((name.to_owned(), text)),
    };
    for (part, bytes) in [(&set.timestamp, message.timestamp), (&set.id, message.id)] {
        if let Some(part) = part {
            add(&part.name, format!("{}{}", part.prefix, String::from_utf8_lossy(bytes)));
        }
    }
    if let Some(signature) = signature {
        add(&set.signature, signature);
    }
    headers
}

/// Signs as Acme does: what goes into `X-Acme-Signature`.
pub fn sign_acme(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let message = Message { timestamp: timestamp.as_bytes(), body, ..Message::default() };
    let form = SignatureForm::named("acme");
    form.and_then(|form| sign(&form, secret, &message).ok()).unwrap_or_default()
}

#[cfg(test)]
#[path = "signature_tests.rs"]
mod tests;

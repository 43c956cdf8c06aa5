//! The key that a webhook's secret stands for. Checking a configuration and verifying signatures both
//! ask here, so what the one finds right the other takes.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::secret::Secret;

/// A shorter secret can be found by trying; Standard Webhooks asks for so many bytes too.
const KEY_BYTES_MIN: usize = 24;
/// Stands before the base64 of a Standard Webhooks secret, as dashboards show it.
const STANDARD_PREFIX: &str = "whsec_";
/// Some put the signatures' version before that.
const VERSION_PREFIX: &str = "v1,";
/// Private and public keys of Standard Webhooks' other kind.
const ASYMMETRIC_PREFIXES: [&str; 2] = ["whsk_", "whpk_"];

const ANY_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, ANY_PADDING);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, ANY_PADDING);

/// What is wrong with it under any scheme.
pub(super) fn too_short(secret: &Secret) -> Option<String> {
    let is_short = secret.expose().len() < KEY_BYTES_MIN;
    is_short.then(|| format!("is shorter than {KEY_BYTES_MIN} bytes"))
}

/// The HMAC key of a secret under a scheme of `source.<name>.signature`.
///
/// # Errors
/// What is wrong with the secret, as the rest of a sentence; never any of it.
pub fn webhook_key(scheme: &str, secret: &str) -> Result<Vec<u8>, String> {
    match scheme {
        "standard" => standard_key(secret.trim()),
        _ => Ok(secret.as_bytes().to_vec()),
    }
}

/// As the reference libraries read it: base64 with or without its prefix; padding may be missing, and
/// the alphabet may be that of URLs.
fn standard_key(text: &str) -> Result<Vec<u8>, String> {
    let text = text.strip_prefix(VERSION_PREFIX).unwrap_or(text);
    if ASYMMETRIC_PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
        return Err("is a key of asymmetric signatures (v1a), which are not read".to_owned());
    }
    let base64 = text.strip_prefix(STANDARD_PREFIX).unwrap_or(text);
    // The alphabet of URLs has every letter of the prefix.
    let decoded = Some(base64)
        .filter(|text| !text.starts_with(STANDARD_PREFIX))
        .and_then(|text| BASE64.decode(text).or_else(|_| BASE64_URL.decode(text)).ok());
    let key = decoded.ok_or_else(|| {
        format!(
            "is no secret of Standard Webhooks: that is base64, with or without \
             \"{STANDARD_PREFIX}\" before it"
        )
    })?;
    match key.len() {
        bytes @ ..KEY_BYTES_MIN => {
            Err(format!("decodes to {bytes} bytes, and must have {KEY_BYTES_MIN} at least"))
        }
        _ => Ok(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standard_secret_is_read_in_every_spelling_that_is_in_use() {
        let key: Vec<u8> = (0..25).map(|byte| 0xf8 ^ byte).collect();
        for secret in [
            "whsec_+Pn6+/z9/v/w8fLz9PX29+jp6uvs7e7v4A==",
            "+Pn6+/z9/v/w8fLz9PX29+jp6uvs7e7v4A==",
            "whsec_+Pn6+/z9/v/w8fLz9PX29+jp6uvs7e7v4A",
            "+Pn6+/z9/v/w8fLz9PX29+jp6uvs7e7v4A",
            "v1,whsec_+Pn6+/z9/v/w8fLz9PX29+jp6uvs7e7v4A==",
            "v1,+Pn6+/z9/v/w8fLz9PX29+jp6uvs7e7v4A",
            " whsec_-Pn6-_z9_v_w8fLz9PX29-jp6uvs7e7v4A\n",
        ] {
            assert_eq!(webhook_key("standard", secret), Ok(key.clone()), "{secret}");
        }
        for (scheme, secret, problem) in [
            ("standard", "whsec_not base64, and long enough it is", "no secret of Standard"),
            ("standard", "whsec_+Pn6-_z9/v/w8fLz9PX29+jp6uvs7e7v4A", "no secret of Standard"),
            ("standard", "whsec_whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "no secret of Standard"),
            ("standard", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "decodes to 22 bytes"),
            ("standard", "whsec_", "decodes to 0 bytes"),
            ("standard", "whsk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "asymmetric"),
        ] {
            let refused = webhook_key(scheme, secret).unwrap_err();
            assert!(refused.contains(problem), "{secret}: {refused}");
        }
        // Elsewhere a secret is its bytes, whatever it begins with.
        let acme = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(webhook_key("acme-body", acme), Ok(acme.as_bytes().to_vec()));
    }
}

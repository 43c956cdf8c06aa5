//! Signature headers of all schemes: none is believed without the one HMAC, and with it nothing is
//! refused but for its form or its time.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contactd::config::{SignatureForm, webhook_key};
use contactd::ingest::{SignatureError, Verifier};
use contactd_fuzz::keyed::{SECRET, STANDARD_SECRET, hex, mac};
use contactd_fuzz::{NOW_MS, damage, parts};
use libfuzzer_sys::fuzz_target;

const TOLERANCE_MS: u64 = 300_000;
const URL: &str = "https://x.example/api/webhooks/x";

fuzz_target!(|data: &[u8]| {
    let [how, id, timestamp, signature, body] = parts(data);
    for name in ["acme", "acme-body", "standard", "hubspot-v3"] {
        let form = SignatureForm::named(name).expect("a form");
        let is_standard = name == "standard";
        let secret = if is_standard { STANDARD_SECRET } else { SECRET };
        let verifier = Verifier::new(form, &[secret], TOLERANCE_MS).expect("a secret");
        let verify = |signature: &[u8], body: &[u8]| {
            let header = |name: &str| match name {
                "x-acme-signature" | "webhook-signature" | "x-hubspot-signature-v3" => Some(signature),
                "x-acme-timestamp" | "webhook-timestamp" | "x-hubspot-request-timestamp" => {
                    Some(timestamp)
                }
                "webhook-id" => Some(id),
                _ => None,
            };
            verifier.verify(header, URL, body, NOW_MS)
        };
        let key = webhook_key(name, secret).expect("a secret");
        let tag = match name {
            "acme" => mac(&key, &[timestamp, b".", body]),
            "acme-body" => mac(&key, &[body]),
            "standard" => mac(&key, &[id, b".", timestamp, b".", body]),
            _ => mac(&key, &[b"POST", URL.as_bytes(), body, timestamp]),
        };
        let (hexed, encoded) = (hex(&tag), STANDARD.encode(&tag));
        if verify(signature, body).is_ok() {
            let text = String::from_utf8_lossy(signature);
            assert!(text.to_lowercase().contains(&hexed) || text.contains(&encoded));
        }
        let right = match name {
            "standard" => format!("v1a,x v1,{encoded}"),
            "hubspot-v3" => encoded,
            _ => hexed,
        };
        match verify(right.as_bytes(), body) {
            Err(SignatureError::Mismatch { .. }) => panic!("{name} is right"),
            Err(_) => continue,
            Ok(verified) => {
                let near = |us: u64| (us / 1000).abs_diff(NOW_MS) <= TOLERANCE_MS;
                assert!(verified.timestamp_us.is_none_or(near));
                assert_eq!(verified.timestamp_us.is_none(), name == "acme-body");
            }
        }
        let mut other = body.to_vec();
        damage(&mut other, how);
        assert!(other == body || verify(right.as_bytes(), &other).is_err());
    }
});

//! Signature headers of all schemes: none is believed without the one HMAC, and with it nothing is
//! refused but for its form or its time.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contactd::config::webhook_key;
use contactd::ingest::{Scheme, SignatureError, Verifier};
use contactd_fuzz::keyed::{SECRET, STANDARD_SECRET, hex, mac};
use contactd_fuzz::{NOW_MS, damage, parts};
use libfuzzer_sys::fuzz_target;

const TOLERANCE_MS: u64 = 300_000;

fuzz_target!(|data: &[u8]| {
    let [how, id, timestamp, signature, body] = parts(data);
    for (name, scheme) in Scheme::ALL {
        let secret = if scheme == Scheme::Standard { STANDARD_SECRET } else { SECRET };
        let verifier = Verifier::new(scheme, &[secret], TOLERANCE_MS).expect("a secret");
        let verify = |signature: &[u8], body: &[u8]| {
            let header = |name: &str| match name {
                "x-acme-signature" | "webhook-signature" => Some(signature),
                "x-acme-timestamp" | "webhook-timestamp" => Some(timestamp),
                "webhook-id" => Some(id),
                _ => None,
            };
            verifier.verify(header, body, NOW_MS)
        };
        let key = webhook_key(name, secret).expect("a secret");
        let tag = match scheme {
            Scheme::Acme => mac(&key, &[timestamp, b".", body]),
            Scheme::AcmeBody => mac(&key, &[body]),
            Scheme::Standard => mac(&key, &[id, b".", timestamp, b".", body]),
        };
        let (hexed, encoded) = (hex(&tag), STANDARD.encode(&tag));
        if verify(signature, body).is_ok() {
            let text = String::from_utf8_lossy(signature);
            assert!(text.to_lowercase().contains(&hexed) || text.contains(&encoded));
        }
        let right = if scheme == Scheme::Standard { format!("v1a,x v1,{encoded}") } else { hexed };
        match verify(right.as_bytes(), body) {
            Err(SignatureError::Mismatch { .. }) => panic!("{name} is right"),
            Err(_) => continue,
            Ok(verified) => {
                let near = |us: u64| (us / 1000).abs_diff(NOW_MS) <= TOLERANCE_MS;
                assert!(verified.timestamp_us.is_none_or(near));
                assert_eq!(verified.timestamp_us.is_none(), scheme == Scheme::AcmeBody);
            }
        }
        let mut other = body.to_vec();
        damage(&mut other, how);
        assert!(other == body || verify(right.as_bytes(), &other).is_err());
    }
});

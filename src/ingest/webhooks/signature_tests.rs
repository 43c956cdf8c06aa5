//! Vectors that other programs made, and every way in which a signature can be wrong.

use super::*;

const SECRET: &str = "acme-secret-of-at-least-32-bytes!!";
const BODY: &[u8] = br#"{"id":"evt_1","eventType":"contact.updated","data":{"id":"c1"}}"#;
const TIMESTAMP: &str = "1792230000";
const NOW_MS: u64 = 1_792_230_000_000;
/// printf '%s.%s' "$TIMESTAMP" "$BODY" | openssl dgst -sha256 -hmac "$SECRET"
const OPENSSL: &str = "97f99362dc39e6f50958807ed57f3d16a496361e63a6f8ca6cb97696a11be7cd";
/// printf '%s' "$BODY" | openssl dgst -sha256 -hmac "$SECRET"
const OPENSSL_BODY: &str = "ff413ea9c48cd5863866fc9c69294c5e120a383c77caff30aa262b5fc3a0e041";

fn verifier(scheme: Scheme, secrets: &[&str]) -> Verifier {
    Verifier::new(scheme, secrets, 300_000).unwrap()
}

fn acme(
    scheme: Scheme,
    signature: &str,
    timestamp: Option<&str>,
    body: &[u8],
    now_ms: u64,
) -> Result<Verified, SignatureError> {
    let header = |name: &str| match name {
        "x-acme-signature" => Some(signature.as_bytes()),
        "x-acme-timestamp" => timestamp.map(str::as_bytes),
        _ => None,
    };
    verifier(scheme, &[SECRET]).verify(header, body, now_ms)
}

#[test]
fn what_openssl_signs_is_believed_with_and_without_a_prefix() {
    let prefixed = format!("sha256={OPENSSL}");
    for signature in [OPENSSL, &prefixed, &OPENSSL.to_uppercase()] {
        let verified = acme(Scheme::Acme, signature, Some(TIMESTAMP), BODY, NOW_MS).unwrap();
        assert_eq!(verified.timestamp_us, Some(NOW_MS * 1000));
    }
    assert_eq!(sign_acme(SECRET, TIMESTAMP, BODY), prefixed);
}

#[test]
fn the_body_alone_vouches_for_no_time() {
    let verified = acme(Scheme::AcmeBody, OPENSSL_BODY, None, BODY, NOW_MS).unwrap();
    assert_eq!(verified.timestamp_us, None);
    // A stale time is refused even so.
    let stale = acme(Scheme::AcmeBody, OPENSSL_BODY, Some("1792229000"), BODY, NOW_MS);
    assert!(matches!(stale, Err(SignatureError::OutOfWindow { seconds: 1000, .. })));
}

#[test]
fn a_signature_over_the_body_alone_is_told_apart_from_a_wrong_one() {
    let body_only = acme(Scheme::Acme, OPENSSL_BODY, Some(TIMESTAMP), BODY, NOW_MS);
    assert_eq!(body_only, Err(SignatureError::Mismatch { fits_body_alone: true }));
    let wrong = acme(Scheme::Acme, &"0".repeat(64), Some(TIMESTAMP), BODY, NOW_MS);
    assert_eq!(wrong, Err(SignatureError::Mismatch { fits_body_alone: false }));
}

/// From the reference libraries' tests of Standard Webhooks 1.0.
#[test]
fn the_vector_of_standard_webhooks_is_believed() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let both = format!("v1a,bm90IG91cnM= v1,AAAA {signature}");
    for signature in [signature, &both] {
        let header = |name: &str| match name {
            "webhook-id" => Some(b"msg_p5jXN8AQM9LWM0D4loKWxJek".as_slice()),
            "webhook-timestamp" => Some(b"1614265330".as_slice()),
            "webhook-signature" => Some(signature.as_bytes()),
            _ => None,
        };
        let body = br#"{"test": 2432232314}"#;
        for secret in [secret, &secret[6..], &format!("v1,{secret}")] {
            let verifier = verifier(Scheme::Standard, &[secret]);
            let verified = verifier.verify(header, body, 1_614_265_330_000).unwrap();
            assert_eq!(verified.timestamp_us, Some(1_614_265_330_000_000));
        }
    }
    assert!(Verifier::new(Scheme::Standard, &["no-base64"], 1).is_err());
}

#[test]
fn every_flipped_bit_is_noticed() {
    for byte in 0..BODY.len() {
        for bit in 0..8 {
            let mut body = BODY.to_vec();
            body[byte] ^= 1 << bit;
            let wrong = acme(Scheme::Acme, OPENSSL, Some(TIMESTAMP), &body, NOW_MS);
            assert!(matches!(wrong, Err(SignatureError::Mismatch { .. })), "byte {byte}");
        }
    }
    for digit in 0..64 {
        let mut signature = OPENSSL.as_bytes().to_vec();
        signature[digit] = if signature[digit] == b'0' { b'1' } else { b'0' };
        let signature = String::from_utf8(signature).unwrap();
        let wrong = acme(Scheme::Acme, &signature, Some(TIMESTAMP), BODY, NOW_MS);
        assert!(matches!(wrong, Err(SignatureError::Mismatch { .. })), "digit {digit}");
    }
    let wrong = acme(Scheme::Acme, OPENSSL, Some("1792230001"), BODY, NOW_MS);
    assert!(matches!(wrong, Err(SignatureError::Mismatch { .. })));
}

#[test]
fn the_window_is_five_minutes_either_way() {
    for (now_ms, believed) in [
        (NOW_MS - 300_000, true),
        (NOW_MS + 300_000, true),
        (NOW_MS - 301_000, false),
        (NOW_MS + 301_000, false),
    ] {
        let verified = acme(Scheme::Acme, OPENSSL, Some(TIMESTAMP), BODY, now_ms);
        assert_eq!(verified.is_ok(), believed, "{now_ms}");
    }
}

#[test]
fn either_of_two_live_secrets_fits_and_an_ended_one_does_not() {
    let header = |name: &str| match name {
        "x-acme-signature" => Some(OPENSSL.as_bytes()),
        "x-acme-timestamp" => Some(TIMESTAMP.as_bytes()),
        _ => None,
    };
    let new = "the-new-secret-of-at-least-32-bytes";
    assert!(verifier(Scheme::Acme, &[new, SECRET]).verify(header, BODY, NOW_MS).is_ok());
    assert!(verifier(Scheme::Acme, &[new]).verify(header, BODY, NOW_MS).is_err());
}

#[test]
fn what_is_missing_or_malformed_is_named() {
    let none = verifier(Scheme::Acme, &[SECRET]).verify(|_| None, BODY, NOW_MS);
    assert_eq!(none, Err(SignatureError::Missing { header: "x-acme-signature" }));
    let no_time = acme(Scheme::Acme, OPENSSL, None, BODY, NOW_MS);
    assert_eq!(no_time, Err(SignatureError::Missing { header: "x-acme-timestamp" }));
    for timestamp in ["", "-1", "1.5", "tomorrow", "99999999999999999999999", "1792230000 "] {
        let wrong = acme(Scheme::Acme, OPENSSL, Some(timestamp), BODY, NOW_MS);
        let is_timestamp =
            matches!(wrong, Err(SignatureError::Malformed { header: "x-acme-timestamp", .. }));
        assert!(is_timestamp, "{timestamp}: {wrong:?}");
    }
    for signature in ["", "sha256=", "zz", "sha1=00", &OPENSSL[1..]] {
        let wrong = acme(Scheme::Acme, signature, Some(TIMESTAMP), BODY, NOW_MS);
        assert!(matches!(wrong, Err(SignatureError::Malformed { .. })), "{signature}");
    }
    let verifier = verifier(Scheme::Standard, &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
    for id in ["a.b", "", "a b", "\u{e9}"] {
        let header = |name: &str| match name {
            "webhook-id" => Some(id.as_bytes()),
            "webhook-timestamp" => Some(b"1614265330".as_slice()),
            "webhook-signature" => Some(b"v1,AAAA".as_slice()),
            _ => None,
        };
        let wrong = verifier.verify(header, b"{}", 1_614_265_330_000);
        assert!(matches!(wrong, Err(SignatureError::Malformed { header: "webhook-id", .. })));
    }
}

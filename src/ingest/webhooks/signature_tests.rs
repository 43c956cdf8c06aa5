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

fn verifier(form: &str, secrets: &[&str]) -> Verifier {
    Verifier::new(SignatureForm::named(form).unwrap(), secrets, 300_000).unwrap()
}

fn acme(
    form: &str,
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
    verifier(form, &[SECRET]).verify(header, "", body, now_ms)
}

#[test]
fn what_openssl_signs_is_believed_with_and_without_a_prefix() {
    let prefixed = format!("sha256={OPENSSL}");
    for signature in [OPENSSL, &prefixed, &OPENSSL.to_uppercase()] {
        let verified = acme("acme", signature, Some(TIMESTAMP), BODY, NOW_MS).unwrap();
        assert_eq!(verified.timestamp_us, Some(NOW_MS * 1000));
    }
    assert_eq!(sign_acme(SECRET, TIMESTAMP, BODY), prefixed);
}

#[test]
fn the_body_alone_vouches_for_no_time() {
    let verified = acme("acme-body", OPENSSL_BODY, None, BODY, NOW_MS).unwrap();
    assert_eq!(verified.timestamp_us, None);
    // A stale time is refused even so.
    let stale = acme("acme-body", OPENSSL_BODY, Some("1792229000"), BODY, NOW_MS);
    assert!(matches!(stale, Err(SignatureError::OutOfWindow { seconds: 1000, .. })));
}

#[test]
fn a_signature_over_the_body_alone_is_told_apart_from_a_wrong_one() {
    let body_only = acme("acme", OPENSSL_BODY, Some(TIMESTAMP), BODY, NOW_MS);
    assert_eq!(body_only, Err(SignatureError::Mismatch { fits_body_alone: true }));
    let wrong = acme("acme", &"0".repeat(64), Some(TIMESTAMP), BODY, NOW_MS);
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
            let verifier = verifier("standard", &[secret]);
            let verified = verifier.verify(header, "", body, 1_614_265_330_000).unwrap();
            assert_eq!(verified.timestamp_us, Some(1_614_265_330_000_000));
        }
    }
    let form = SignatureForm::named("standard").unwrap();
    assert!(Verifier::new(form, &["no-base64"], 1).is_err());
}

#[test]
fn every_flipped_bit_is_noticed() {
    for byte in 0..BODY.len() {
        for bit in 0..8 {
            let mut body = BODY.to_vec();
            body[byte] ^= 1 << bit;
            let wrong = acme("acme", OPENSSL, Some(TIMESTAMP), &body, NOW_MS);
            assert!(matches!(wrong, Err(SignatureError::Mismatch { .. })), "byte {byte}");
        }
    }
    for digit in 0..64 {
        let mut signature = OPENSSL.as_bytes().to_vec();
        signature[digit] = if signature[digit] == b'0' { b'1' } else { b'0' };
        let signature = String::from_utf8(signature).unwrap();
        let wrong = acme("acme", &signature, Some(TIMESTAMP), BODY, NOW_MS);
        assert!(matches!(wrong, Err(SignatureError::Mismatch { .. })), "digit {digit}");
    }
    let wrong = acme("acme", OPENSSL, Some("1792230001"), BODY, NOW_MS);
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
        let verified = acme("acme", OPENSSL, Some(TIMESTAMP), BODY, now_ms);
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
    assert!(verifier("acme", &[new, SECRET]).verify(header, "", BODY, NOW_MS).is_ok());
    assert!(verifier("acme", &[new]).verify(header, "", BODY, NOW_MS).is_err());
}

fn malformed(verified: Result<Verified, SignatureError>) -> Option<String> {
    match verified {
        Err(SignatureError::Malformed { header, .. }) => Some(header),
        _ => None,
    }
}

#[test]
fn what_is_missing_or_malformed_is_named() {
    let none = verifier("acme", &[SECRET]).verify(|_| None, "", BODY, NOW_MS);
    assert_eq!(none, Err(SignatureError::Missing { header: "x-acme-signature".to_owned() }));
    let no_time = acme("acme", OPENSSL, None, BODY, NOW_MS);
    assert_eq!(no_time, Err(SignatureError::Missing { header: "x-acme-timestamp".to_owned() }));
    for timestamp in ["", "-1", "1.5", "tomorrow", "99999999999999999999999", "1792230000 "] {
        let wrong = acme("acme", OPENSSL, Some(timestamp), BODY, NOW_MS);
        assert_eq!(malformed(wrong).as_deref(), Some("x-acme-timestamp"), "{timestamp}");
    }
    for signature in ["", "sha256=", "zz", "sha1=00", &OPENSSL[1..]] {
        let wrong = acme("acme", signature, Some(TIMESTAMP), BODY, NOW_MS);
        assert!(matches!(wrong, Err(SignatureError::Malformed { .. })), "{signature}");
    }
    let verifier = verifier("standard", &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]);
    for id in ["a.b", "", "a b", "\u{e9}"] {
        let header = |name: &str| match name {
            "webhook-id" => Some(id.as_bytes()),
            "webhook-timestamp" => Some(b"1614265330".as_slice()),
            "webhook-signature" => Some(b"v1,AAAA".as_slice()),
            _ => None,
        };
        let wrong = verifier.verify(header, "", b"{}", 1_614_265_330_000);
        assert_eq!(malformed(wrong).as_deref(), Some("webhook-id"));
    }
}

/// A form as its table in the configuration makes it.
fn by_table(lines: &str) -> SignatureForm {
    let text = format!("[source.x]\nsignature = \"hmac\"\n[source.x.hmac]\n{lines}");
    let file = Some(crate::config::FileText { name: "x.toml".to_owned(), text });
    let sources = crate::config::Sources::new(crate::config::Mode::Dev);
    let config = crate::config::load(&crate::config::Sources { file, ..sources }).unwrap();
    config.webhooks.sources["x"].signature.clone()
}

/// Who signs how, what a program of another's made of it, and what its headers are.
struct Vector {
    form: SignatureForm,
    headers: Vec<(&'static str, String)>,
    url: &'static str,
    body: &'static [u8],
}

/// Each by `openssl dgst -sha256 -hmac "$SECRET"` over what the system's own documents say is signed;
/// the last one by Python's `hmac`.
fn vectors() -> Vec<Vector> {
    let hubspot: &[u8] =
        br#"[{"eventId":1,"subscriptionType":"contact.propertyChange","objectId":123}]"#;
    let text = str::to_owned;
    vec![
        Vector {
            form: SignatureForm::named("hubspot-v3").unwrap(),
            headers: vec![
                ("x-hubspot-signature-v3", text("Ig6WoodXKcMdGZ1sP28W/LPn5lqCURjg6qZk1bjQByY=")),
                ("x-hubspot-request-timestamp", format!("{TIMESTAMP}000")),
            ],
            // HubSpot signs it with the colon.
            url: "https://crm.example.com/api/webhooks/hubspot?x=a%3Ab",
            body: hubspot,
        },
        Vector {
            form: by_table("header = \"X-Hub-Signature-256\"\nprefix = \"sha256=\""),
            headers: vec![("x-hub-signature-256", format!("sha256={OPENSSL_BODY}"))],
            url: "",
            body: BODY,
        },
        Vector {
            form: by_table("header = \"X-Shopify-Hmac-Sha256\"\nencoding = \"base64\""),
            headers: vec![(
                "x-shopify-hmac-sha256",
                text("/0E+qcSM1YY4ZvycaSlMXhIKODx3yv8wqiYrX8Og4EE="),
            )],
            url: "",
            body: BODY,
        },
        Vector {
            form: by_table(
                "header = \"Stripe-Signature\"\nprefix = \"v1=\"\ntimestamp = \"Stripe-Signature:t=\"\n\
                 signed = \"{timestamp}.{body}\"",
            ),
            headers: vec![(
                "stripe-signature",
                format!("t={TIMESTAMP},v1={OPENSSL},v0={}", "0".repeat(64)),
            )],
            url: "",
            body: BODY,
        },
        Vector {
            form: by_table(
                "header = \"X-Sig\"\nencoding = \"base64url\"\nalgorithm = \"sha512\"\n\
                 timestamp = \"X-Time\"\nid = \"X-Id\"\nsigned = \"{id}:{timestamp}:{method} {url}:{body}\"",
            ),
            headers: vec![
                (
                    "x-sig",
                    text(
                        "GOO9hA_kruxRggaF6CufP9_2VcR8NykPaICDCVrQd-hC4AB5Aju-5hrduZ6LQk2eKHCtxqmZ\
                         OKtM_A-NeByjrw==",
                    ),
                ),
                ("x-time", text(TIMESTAMP)),
                ("x-id", text("msg_1")),
            ],
            url: "https://x.example/h",
            body: BODY,
        },
    ]
}

#[test]
fn what_other_programs_sign_is_believed_and_nothing_else() {
    for Vector { form, headers, url, body } in vectors() {
        let find = |name: &str| headers.iter().find(|(each, _)| *each == name);
        let header = |name: &str| find(name).map(|(_, value)| value.as_bytes());
        let name = &headers[0].0;
        let by = |secret: &str| Verifier::new(form.clone(), &[secret], 300_000).unwrap();
        let verified = by(SECRET).verify(header, url, body, NOW_MS).unwrap_or_else(|error| {
            panic!("{name}: {error}");
        });
        assert_eq!(verified.timestamp_us.is_some(), form.signs_time(), "{name}");
        let mismatch = |verified| matches!(verified, Err(SignatureError::Mismatch { .. }));
        let other = "another-secret-of-at-least-32-bytes";
        assert!(mismatch(by(other).verify(header, url, body, NOW_MS)), "{name}");
        assert!(mismatch(by(SECRET).verify(header, url, &body[1..], NOW_MS)), "{name}");
        if form.signed.contains(&Part::Url) {
            let elsewhere = by(SECRET).verify(header, "https://other.example/", body, NOW_MS);
            assert!(mismatch(elsewhere), "{name}");
        }
        if form.signs_time() {
            let late = by(SECRET).verify(header, url, body, NOW_MS + 301_000);
            assert!(matches!(late, Err(SignatureError::OutOfWindow { .. })), "{name}");
        }
        let cut = |name: &str| header(name).and_then(|value| value.get(..value.len() / 2));
        assert!(by(SECRET).verify(cut, url, body, NOW_MS).is_err(), "{name}");
        assert!(by(SECRET).verify(|_| None, url, body, NOW_MS).is_err(), "{name}");
    }
}

#[test]
fn what_is_signed_here_is_believed_here_under_either_name() {
    let standard = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let named = ["acme", "acme-body", "standard", "hubspot-v3"].map(SignatureForm::named);
    let all = named.into_iter().flatten().chain(vectors().into_iter().map(|vector| vector.form));
    for form in all {
        let secret = if form.name == "standard" { standard } else { SECRET };
        let url = "https://crm.example.com/api/webhooks";
        let message = Message { timestamp: TIMESTAMP.as_bytes(), id: b"msg_1", url, body: BODY };
        let signature = sign(&form, secret, &message).unwrap();
        let headers = signed_headers(&form, &message, Some(signature));
        // The older names of the same.
        let svix = |name: &str| name.replace("svix-", "webhook-");
        let find = |name: &str| headers.iter().find(|(each, _)| *each == svix(name));
        for is_renamed in [false, form.name == "standard"] {
            let header = |name: &str| {
                let is_old = name.starts_with("svix-");
                let named = !is_renamed || is_old;
                find(name).filter(|_| named && (is_renamed || !is_old)).map(|(_, it)| it.as_bytes())
            };
            let verifier = Verifier::new(form.clone(), &[secret], 300_000).unwrap();
            let verified = verifier.verify(header, url, BODY, NOW_MS);
            assert!(verified.is_ok(), "{}, renamed: {is_renamed}: {verified:?}", form.name);
        }
    }
}

//! Whether a text that a client writes has the form of an e-mail address. What events bring is kept as
//! it is: there is nobody who could mend it.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Bytes of a local part (RFC 5321 section 4.5.3.1.1).
const LOCAL_BYTES_MAX: usize = 64;
/// Bytes of a domain's label (RFC 1035 section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// A `Mailbox` of RFC 5321 section 4.1.2, with the letters of RFC 6531. Whether it arrives, only
/// sending it tells.
pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let is_local = match local.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"').is_some_and(is_quoted),
        None => local.split('.').all(is_atom),
    };
    is_local && local.len() <= LOCAL_BYTES_MAX && is_domain(domain)
}

fn is_atom(text: &str) -> bool {
    let is_atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    !text.is_empty() && text.chars().all(|c| is_atext(c) || is_letter_beyond_ascii(c))
}

/// What may stand between quotes: neither a quote nor a backslash, unless a backslash is before it.
fn is_quoted(text: &str) -> bool {
    let is_plain = |c: char| matches!(c, ' '..='~') || is_letter_beyond_ascii(c);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let is_right = match c {
            '"' => false,
            '\\' => chars.next().is_some_and(|c| matches!(c, ' '..='~')),
            _ => is_plain(c),
        };
        if !is_right {
            return false;
        }
    }
    true
}

fn is_domain(text: &str) -> bool {
    if let Some(literal) = text.strip_prefix('[') {
        return literal.strip_suffix(']').is_some_and(is_address);
    }
    text.split('.').all(is_label)
}

fn is_address(text: &str) -> bool {
    match text.strip_prefix("IPv6:") {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => text.parse::<Ipv4Addr>().is_ok(),
    }
}

fn is_label(text: &str) -> bool {
    let is_right = |c: char| c.is_ascii_alphanumeric() || c == '-' || is_letter_beyond_ascii(c);
    (1..=LABEL_BYTES_MAX).contains(&text.len())
        && text.chars().all(is_right)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Letters, and marks that stand with them; no blanks.
fn is_letter_beyond_ascii(c: char) -> bool {
    !c.is_ascii() && !c.is_whitespace() && !c.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_is_a_mailbox_of_rfc_5321() {
        let label = "a".repeat(63);
        for right in [
            "a@b",
            "ada.lovelace+x@example.co.uk",
            "!#$%&'*+-/=?^_`{|}~@example.com",
            "ä@ö.example",
            "ada@xn--bcher-kva.example",
            "1@1.2",
            r#""a b"@example.com"#,
            r#""a@b\"c"@example.com"#,
            r#"""@example.com"#,
            "a@[192.0.2.1]",
            "a@[IPv6:2001:db8::1]",
            &format!("{}@{label}.example", "a".repeat(64)),
        ] {
            assert!(is_email(right), "{right}");
        }
        for wrong in [
            "",
            "a",
            "@b",
            "a@",
            "a@b@c",
            "a b@c",
            "a\u{a0}@b",
            "a@b..c",
            "a@.b",
            "a@b.",
            ".a@b",
            "a.@b",
            "a..b@c",
            "a@-b.c",
            "a@b-.c",
            "a@b.c-",
            "a@b_c",
            "a@b c",
            "a@b/c",
            "a@b(c)",
            "(a)b@c",
            "<a@b>",
            r#""a@b"#,
            r#"a"@b"#,
            r#""a"b@c"#,
            r#""a"b"@c"#,
            r#""a\"@b"#,
            "\"a\u{9}\"@b",
            "a@[1.2.3]",
            "a@[192.0.2.1",
            "a@192.0.2.1]",
            "a@[IPv6:1]",
            "a,b@c",
            "a:b@c",
            "a\\@b",
            &format!("{}@b", "a".repeat(65)),
            &format!("a@{label}a.example"),
        ] {
            assert!(!is_email(wrong), "{wrong}");
        }
    }
}

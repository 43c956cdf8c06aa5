//! Until when a certificate is good: the one thing that is read out of its DER (RFC 5280, 4.1).

use time::PrimitiveDateTime;
use time::macros::format_description;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The version, which is written where it is not the first.
const VERSION: u8 = 0xa0;

/// Its notAfter in seconds of Unix time; none: it is not built as certificates are.
pub(super) fn not_after(der: &[u8]) -> Option<i64> {
    let (certificate, _) = value(der, SEQUENCE)?;
    let (mut fields, _) = value(certificate, SEQUENCE)?;
    if let Some((_, rest)) = value(fields, VERSION) {
        fields = rest;
    }
    // Serial number, signature algorithm, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        (_, fields) = value(fields, tag)?;
    }
    let (validity, _) = value(fields, SEQUENCE)?;
    let (_, not_after) = element(validity).map(|(_, value, rest)| (value, rest))?;
    let (tag, text, _) = element(not_after)?;
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        // Years from 50 on are of the last century.
        UTC_TIME => format!("{}{text}", if text.get(..2)? >= "50" { "19" } else { "20" }),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let format = format_description!("[year][month][day][hour][minute][second]Z");
    Some(PrimitiveDateTime::parse(&text, format).ok()?.assume_utc().unix_timestamp())
}

/// The value of the first element, if that has this tag, and what follows it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    element(der).filter(|(found, ..)| *found == tag).map(|(_, value, rest)| (value, rest))
}

/// Tag, value and rest.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.is_empty() || bytes.len() > 4 {
            return None;
        }
        length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = after;
    }
    let (value, rest) = rest.split_at_checked(length)?;
    Some((tag, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, value: &[u8]) -> Vec<u8> {
        let length = u8::try_from(value.len()).unwrap();
        let head = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
        [head, value.to_vec()].concat()
    }

    fn certificate(version: &[u8], (tag, end): (u8, &str)) -> Vec<u8> {
        let validity = [der(UTC_TIME, b"260101000000Z"), der(tag, end.as_bytes())].concat();
        let fields = [
            version.to_vec(),
            der(INTEGER, &[1]),
            der(SEQUENCE, &[]),
            der(SEQUENCE, &[0x05; 90]),
            der(SEQUENCE, &validity),
        ];
        der(SEQUENCE, &der(SEQUENCE, &fields.concat()))
    }

    #[test]
    fn both_ways_to_write_a_time_are_read_with_and_without_a_version() {
        let version = der(VERSION, &der(INTEGER, &[2]));
        let end = |version: &[u8], time| not_after(&certificate(version, time));
        assert_eq!(end(&version, (UTC_TIME, "270101000000Z")), Some(1_798_761_600));
        assert_eq!(end(&[], (UTC_TIME, "991231235959Z")), Some(946_684_799));
        assert_eq!(end(&version, (GENERALIZED_TIME, "20500101000000Z")), Some(2_524_608_000));
    }

    #[test]
    fn what_is_no_certificate_has_no_end_and_does_no_harm() {
        let whole = certificate(&[], (UTC_TIME, "270101000000Z"));
        for end in 0..whole.len() {
            assert_eq!(not_after(&whole[..end]), None, "cut at {end}");
        }
        for bytes in [
            &[0x30, 0x80][..],
            &[0x30, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1],
            b"PEM",
            &[0x30, 0x84, 255, 255, 255, 255],
        ] {
            assert_eq!(not_after(bytes), None);
        }
        assert_eq!(not_after(&certificate(&[], (INTEGER, "270101000000Z"))), None);
        assert_eq!(not_after(&certificate(&[], (UTC_TIME, "271301000000Z"))), None);
    }
}

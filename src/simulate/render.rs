//! From an event's numbers to its bytes, as Acme writes them.

use crate::domain::digits::{hex_digit, write_decimal, write_hex};

use super::load::{Event, Kind};
use super::zipf::{STEP, mix};

const FIRST_NAMES: [&str; 16] = [
    "Ada",
    "Grace",
    "Alan",
    "Edsger",
    "Barbara",
    "Donald",
    "Katherine",
    "Tony",
    "Frances",
    "Niklaus",
    "Margaret",
    "Dennis",
    "Radia",
    "Leslie",
    "Shafi",
    "Zoë",
];
const LAST_NAMES: [&str; 16] = [
    "Lovelace",
    "Hopper",
    "Turing",
    "Dijkstra",
    "Liskov",
    "Knuth",
    "Johnson",
    "Hoare",
    "Allen",
    "Wirth",
    "Hamilton",
    "Ritchie",
    "Perlman",
    "Lamport",
    "Goldwasser",
    "O'Brien",
];
const COMPANIES: [&str; 16] = [
    "Analytical Engines Ltd",
    "Northwind Traders",
    "Initech",
    "Globex Corporation",
    "Umbrella Retail",
    "Stark Industries",
    "Wayne Enterprises",
    "Hooli",
    "Vandelay Industries",
    "Acme Anvils",
    "Soylent Foods",
    "Tyrell Robotics",
    "Cyberdyne Systems",
    "Wonka Chocolates",
    "Gringotts Bank",
    "Müller \\\"Söhne\\\" GmbH",
];
const TITLES: [&str; 16] = [
    "Head of Engineering",
    "Account Executive",
    "Chief Financial Officer",
    "Product Manager",
    "Support Specialist",
    "Director of Operations",
    "Data Analyst",
    "Sales Representative",
    "Office Manager",
    "Software Engineer",
    "Marketing Lead",
    "Buyer",
    "Legal Counsel",
    "Research Scientist",
    "Founder",
    "Consultant",
];
const SEGMENTS: [&str; 4] = ["enterprise", "mid-market", "small business", "partner"];

/// Bits of a field mask.
const FIRST: u64 = 1;
const LAST: u64 = 2;
const EMAIL: u64 = 4;
const PHONE: u64 = 8;
const COMPANY: u64 = 16;
const TITLE: u64 = 32;
const ALL: u64 = 63;

/// Key and value.
pub(super) fn render(event: &Event, id_seed: u64) -> (Vec<u8>, Option<Vec<u8>>) {
    let id = contact_id(id_seed, event.contact);
    match event.kind {
        Kind::Created | Kind::UpdatedWhole => (id.to_vec(), Some(value(event, &id, id_seed, ALL))),
        Kind::UpdatedPart => {
            let mask = (event.salt >> 40) & (event.salt >> 46) & ALL;
            let mask = if mask == 0 { PHONE } else { mask };
            (id.to_vec(), Some(value(event, &id, id_seed, mask)))
        }
        Kind::Deleted => (id.to_vec(), Some(value(event, &id, id_seed, 0))),
        Kind::Malformed => malformed(event, &id, id_seed),
    }
}

/// UUID-shaped (version 4), from the stream's seed and the contact's rank.
pub(super) fn contact_id(id_seed: u64, rank: u32) -> [u8; 36] {
    let high = mix(id_seed.wrapping_add(u64::from(rank).wrapping_mul(STEP)));
    let low = mix(high ^ STEP);
    let bits = (u128::from(high) << 64 | u128::from(low)) & !(0xf << 76 | 0x3 << 62)
        | (0x4 << 76 | 0x2 << 62);
    let mut id = [b'-'; 36];
    let digits = id.iter_mut().enumerate().filter(|(at, _)| !matches!(at, 8 | 13 | 18 | 23));
    for (nibble, (_, digit)) in digits.enumerate() {
        *digit = hex_digit((bits >> (124 - 4 * nibble)) as u8 & 0xf);
    }
    id
}

fn pick<'a>(words: &[&'a str], bits: u64) -> &'a str {
    words.get(bits as usize % words.len()).copied().unwrap_or_default()
}

fn event_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Created => "contact.created",
        Kind::UpdatedWhole | Kind::UpdatedPart | Kind::Malformed => "contact.updated",
        Kind::Deleted => "contact.deleted",
    }
}

fn value(event: &Event, id: &[u8], id_seed: u64, mask: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(448);
    let kind = event_type(event.kind);
    envelope(&mut out, event, kind, event.timestamp_ms);
    put(&mut out, br#","data":{"id":""#);
    put(&mut out, id);
    out.push(b'"');
    fields(&mut out, event, id_seed, mask);
    put(&mut out, b"}}");
    out
}

/// `{"id":…,"eventType":…,"timestamp":…,"version":…,"source":"acme"`
fn envelope(out: &mut Vec<u8>, event: &Event, kind: &str, timestamp_ms: u64) {
    put(out, br#"{"id":"evt_"#);
    write_hex(event.number, 16, out);
    put(out, br#"","eventType":""#);
    put(out, kind.as_bytes());
    put(out, br#"","timestamp":""#);
    rfc3339(out, timestamp_ms);
    put(out, br#"","version":"#);
    write_decimal(u64::from(event.version), out);
    put(out, br#","source":"acme""#);
}

/// Name and address belong to the contact, the others to the event.
fn fields(out: &mut Vec<u8>, event: &Event, id_seed: u64, mask: u64) {
    let person = mix(id_seed ^ (u64::from(event.contact) << 8));
    let salt = event.salt;
    let first = pick(&FIRST_NAMES, person);
    let last = pick(&LAST_NAMES, person >> 8);
    // One update in 32 clears a field that it carries.
    let cleared = if (salt >> 59) == 0 { mask & (TITLE | PHONE) } else { 0 };
    if mask & FIRST != 0 {
        text(out, br#","acme_first_name":""#, first);
    }
    if mask & LAST != 0 {
        text(out, br#","acme_last_name":""#, last);
    }
    if mask & EMAIL != 0 {
        email(out, event, person);
    }
    if cleared & PHONE != 0 {
        put(out, br#","acme_phone":null"#);
    } else if mask & PHONE != 0 {
        put(out, br#","acme_phone":"+1-555-"#);
        write_decimal(1_000_000 + (salt >> 8) % 9_000_000, out);
        out.push(b'"');
    }
    if mask & COMPANY != 0 {
        text(out, br#","acme_company":""#, pick(&COMPANIES, salt >> 32));
    }
    if cleared & TITLE != 0 {
        put(out, br#","acme_title":null"#);
    } else if mask & TITLE != 0 {
        text(out, br#","acme_title":""#, pick(&TITLES, salt >> 36));
    }
    // One event in 16 brings fields that are nobody's but the source's.
    if mask != 0 && (salt >> 52) & 0xf == 0 {
        text(out, br#","acme_segment":""#, pick(&SEGMENTS, salt >> 56));
        put(out, br#","acme_score":"#);
        write_decimal((salt >> 20) % 100, out);
    }
}

fn email(out: &mut Vec<u8>, event: &Event, person: u64) {
    put(out, br#","acme_email":"contact"#);
    write_decimal(person % 1_000_000, out);
    out.push(b'.');
    write_decimal(u64::from(event.contact), out);
    if event.email > 0 {
        out.push(b'+');
        write_decimal(u64::from(event.email), out);
    }
    put(out, b"@example.com\"");
}

/// Ways to be unreadable, by the salt.
fn malformed(event: &Event, id: &[u8], id_seed: u64) -> (Vec<u8>, Option<Vec<u8>>) {
    let good = || value(event, id, id_seed, ALL);
    let with_data = |data: &[u8]| {
        let mut out = Vec::with_capacity(256 + data.len());
        envelope(&mut out, event, "contact.updated", event.timestamp_ms);
        put(&mut out, br#","data":"#);
        put(&mut out, data);
        out.push(b'}');
        out
    };
    let key = id.to_vec();
    match event.salt % 10 {
        0 => {
            let mut cut = good();
            cut.truncate(cut.len() / 2);
            (key, Some(cut))
        }
        1 => (key, Some(with_data(b"\"a text where the contact should be\""))),
        2 => {
            let mut broken = good();
            if let Some(byte) = broken.iter_mut().rev().nth(6) {
                *byte = 0xff;
            }
            (key, Some(broken))
        }
        3 => {
            let mut out = Vec::with_capacity(256);
            envelope(&mut out, event, "contact.exploded", event.timestamp_ms);
            put(&mut out, br#","data":{"id":""#);
            put(&mut out, id);
            put(&mut out, b"\"}}");
            (key, Some(out))
        }
        4 => (key, Some(with_data(br#"{"id":"","acme_first_name":"Nobody"}"#))),
        5 => (Vec::new(), Some(good())),
        6 => (key, None),
        7 => {
            let mut deep = vec![b'['; 10_000];
            deep.resize(20_000, b']');
            (key, Some(with_data(&deep)))
        }
        // Confluent's framing of a binary schema: a zero byte, the schema's id, the bytes.
        8 => (key, Some(b"\x00\x00\x00\x00\x2a\x02\x48c8b5f7d9\x06Ada\x10Lovelace".to_vec())),
        _ => {
            let mut out = Vec::with_capacity(256);
            // 2099-01-01
            envelope(&mut out, event, "contact.updated", 4_070_908_800_000);
            put(&mut out, br#","data":{"id":""#);
            put(&mut out, id);
            put(&mut out, b"\"}}");
            (key, Some(out))
        }
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
}

/// `opening`, the text (which is JSON already) and the closing quote.
fn text(out: &mut Vec<u8>, opening: &[u8], text: &str) {
    put(out, opening);
    put(out, text.as_bytes());
    out.push(b'"');
}

/// `number` in exactly `width` digits.
fn padded(out: &mut Vec<u8>, number: u64, width: u32) {
    for place in (0..width).rev() {
        out.push(b'0' + ((number / 10_u64.pow(place)) % 10) as u8);
    }
}

/// `2026-01-01T00:00:00.000Z`; the date by Howard Hinnant's `civil_from_days`.
fn rfc3339(out: &mut Vec<u8>, timestamp_ms: u64) {
    let (days, ms) = (timestamp_ms / 86_400_000, timestamp_ms % 86_400_000);
    let shifted = days + 719_468;
    let era_day = shifted % 146_097;
    let era_year = (era_day - era_day / 1_460 + era_day / 36_524 - era_day / 146_096) / 365;
    let year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
    let month = (5 * year_day + 2) / 153;
    let day = year_day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era_year + shifted / 146_097 * 400 + u64::from(month <= 2);
    padded(out, year, 4);
    out.push(b'-');
    padded(out, month, 2);
    out.push(b'-');
    padded(out, day, 2);
    out.push(b'T');
    padded(out, ms / 3_600_000, 2);
    out.push(b':');
    padded(out, ms / 60_000 % 60, 2);
    out.push(b':');
    padded(out, ms / 1_000 % 60, 2);
    out.push(b'.');
    padded(out, ms % 1_000, 3);
    out.push(b'Z');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_written_as_rfc_3339() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
            (4_070_908_800_000, "2099-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(text_of(|out| rfc3339(out, ms)), text);
        }
    }

    #[test]
    fn numbers_are_written_without_leading_zeros() {
        for number in [0, 7, 10, 4_294_967_296, u64::MAX] {
            assert_eq!(text_of(|out| write_decimal(number, out)), number.to_string());
        }
    }

    #[test]
    fn ids_are_shaped_as_uuids_and_differ() {
        let mut ids: Vec<_> = (0..10_000).map(|rank| contact_id(5, rank)).collect();
        let id = String::from_utf8(ids[0].to_vec()).unwrap();
        assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(id.chars().nth(14) == Some('4'), "{id}");
        assert!(id.chars().nth(19).is_some_and(|c| "89ab".contains(c)), "{id}");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 10_000);
    }
}

//! Records that nobody should send: broken, absurd and malicious in every way that is known, and
//! some that are right, so that what follows them is seen to go on.
//!
//! Each is a pure function of seed and number: whoever finds one set aside can make it again.

use super::load::{LoadRecord, START_MS};
use super::zipf::{Random, STEP, mix};

/// The header that says which one it is.
pub const HOSTILE_NUMBER: &str = "x-hostile";
/// Contacts that the events are about, where they are about any.
const CONTACTS: u64 = 5_000;
/// One in so many large records is as large as it can be: they cost far more than the others.
const HUGE_ONE_IN: u64 = 2_000;

/// What to spoil an event with, as JSON that stands for a value.
const VALUES: [&str; 34] = [
    "null",
    "true",
    "0",
    "-0",
    "-1",
    "1.5",
    "1e400",
    "-1e-400",
    "18446744073709551616",
    "99999999999999999999999999999999",
    "9007199254740993",
    "\"\"",
    "\" \"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\u202e\\u2066gnp.exe\"",
    "\"\u{202e}\u{feff}\u{1f469}\u{200d}\"",
    "\"'; DROP TABLE contacts; --\"",
    "\"<script>alert(1)</script>\"",
    "\"../../etc/passwd\"",
    "\"${jndi:ldap://localhost/x}\"",
    "\"%00%0d%0aSet-Cookie: a=b\"",
    "\"=cmd|' /C calc'!A0\"",
    "\"2026-02-30T25:61:61Z\"",
    "\"9999-12-31T23:59:59.999Z\"",
    "\"-1\"",
    "253402300800000",
    "[]",
    "{}",
    "[[]]",
    "{\"id\":{\"id\":1}}",
    "{\"__proto__\":{\"x\":1}}",
    "{\"\":\"\",\"\\u0000\":1}",
];
/// The members of an event, as places to spoil.
const PLACES: [&str; 10] = [
    "\"ID\"",
    "\"contact.updated\"",
    "\"TIME\"",
    "VERSION",
    "\"acme\"",
    "\"CONTACT\"",
    "\"Ada\"",
    "\"ada@example.com\"",
    "\"gold\"",
    "{\"plan\":\"gold\"}",
];
const TEMPLATE: &str = r#"{"id":"ID","eventType":"contact.updated","timestamp":"TIME","version":VERSION,"source":"acme","data":{"id":"CONTACT","acme_first_name":"Ada","acme_email":"ada@example.com","attributes":{"plan":"gold"}}}"#;

/// One record, by its number.
pub fn hostile(seed: u64, number: u64) -> LoadRecord {
    let mut random = Random::new(mix(seed ^ number.wrapping_mul(STEP)));
    let contact = format!("hostile-{}", random.below(CONTACTS));
    let mut record = LoadRecord {
        value: Some(event(&mut random, &contact, number).into_bytes()),
        key: contact.into_bytes(),
        headers: vec![(HOSTILE_NUMBER.to_owned(), Some(number.to_string().into_bytes()))],
        // Ten a second, which is when those events happened that say something sensible.
        timestamp_ms: i64::try_from(START_MS + number * 100).unwrap_or(i64::MAX),
    };
    spoil(&mut record, &mut random);
    record
}

/// One that is right.
fn event(random: &mut Random, contact: &str, number: u64) -> String {
    let time = (START_MS + number * 100).to_string();
    TEMPLATE
        .replace("CONTACT", contact)
        .replace("\"TIME\"", &time)
        .replace("VERSION", &random.below(1_000).to_string())
        .replace("\"ID\"", &format!("\"hostile-{number}\""))
}

fn spoil(record: &mut LoadRecord, random: &mut Random) {
    let whole = record.value.clone().unwrap_or_default();
    let text = String::from_utf8_lossy(&whole).into_owned();
    match random.below(20) {
        // Left as it is.
        0 => {}
        1 => record.value = Some(cut(&whole, random)),
        2 => record.value = Some(other_value(random).into_bytes()),
        3 => record.value = Some(flipped(whole, random)),
        4 => record.value = Some(nested(&text, random).into_bytes()),
        5 => record.value = Some(large(&text, random)),
        6 => record.value = Some(twice(&text, random).into_bytes()),
        7 => cloud_event(record, random),
        8 => record.value = Some(framed(&whole, random)),
        9 => record.value = Some(with_controls(&text, random)),
        10 => record.value = Some(other_time(&text, random).into_bytes()),
        11 => command(record, random),
        12 => record.value = nothing(random),
        13 => record.value = Some(bytes(random, 256)),
        14 => record.value = Some(json(random, 5).into_bytes()),
        15 => other_key(record, random),
        16 => record.value = Some(other_type(&text, random).into_bytes()),
        17 => record.value = Some(spelled(random).into_bytes()),
        18 => headers(record, random),
        // Wrong in more than one way.
        _ => {
            spoil(record, random);
            if record.value.as_ref().is_some_and(|value| value.len() < 4096) {
                spoil(record, random);
            }
        }
    }
}

fn pick<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
    of.get(random.below(of.len() as u64) as usize).copied().unwrap_or_default()
}

fn index(random: &mut Random, len: usize) -> usize {
    random.below(len as u64) as usize
}

fn bytes(random: &mut Random, max: u64) -> Vec<u8> {
    (0..random.below(max)).map(|_| random.next() as u8).collect()
}

fn cut(whole: &[u8], random: &mut Random) -> Vec<u8> {
    whole.get(..index(random, whole.len())).unwrap_or_default().to_vec()
}

/// A value of the wrong kind in place of a right one.
fn other_value(random: &mut Random) -> String {
    let place = pick(random, &PLACES);
    let value = pick(random, &VALUES);
    TEMPLATE
        .replacen(place, value, 1)
        .replace("\"TIME\"", "1767225600000")
        .replace("VERSION", "1")
        .replace("CONTACT", "hostile-1")
}

/// Bytes changed, put in and taken out anywhere: broken UTF-8, broken JSON, or another text.
fn flipped(mut whole: Vec<u8>, random: &mut Random) -> Vec<u8> {
    for _ in 0..=random.below(8) {
        let at = index(random, whole.len().max(1));
        let byte = random.next() as u8;
        match random.below(3) {
            0 => whole.insert(at.min(whole.len()), byte),
            1 if at < whole.len() => drop(whole.remove(at)),
            _ => {
                if let Some(there) = whole.get_mut(at) {
                    *there = byte;
                }
            }
        }
    }
    whole
}

fn nested(text: &str, random: &mut Random) -> String {
    let depth = match random.below(20) {
        0 => 20_000,
        1..4 => 128 + index(random, 1_000),
        _ => 50 + index(random, 20),
    };
    let (open, close) = if random.below(2) == 0 { ("[", "]") } else { ("{\"a\":", "}") };
    let middle = if open == "[" { "" } else { "1" };
    // Half of them are never closed.
    let close = if random.below(2) == 0 { close } else { "" };
    let deep = format!("{}{middle}{}", open.repeat(depth), close.repeat(depth));
    text.replacen("\"gold\"", &deep, 1)
}

/// Strings, numbers, names and lists too long for something.
fn large(text: &str, random: &mut Random) -> Vec<u8> {
    let len = match random.below(HUGE_ONE_IN) {
        0 => (1 << 20) + 1,
        1..10 => 70_000,
        _ => 200 + index(random, 3_000),
    };
    let long = match random.below(5) {
        0 => format!("\"{}\"", "x".repeat(len)),
        1 => "9".repeat(len),
        2 => format!("{{\"{}\":1}}", "n".repeat(len)),
        3 => format!("[{}0]", "0,".repeat(len / 2)),
        _ => format!("\"{}\"", "\\u00e9".repeat(len / 6)),
    };
    text.replacen(pick(random, &PLACES[5..]), &long, 1).into_bytes()
}

fn twice(text: &str, random: &mut Random) -> String {
    let names = [
        "\"source\"",
        "\"eventType\"",
        "\"acme_email\"",
        "\"attributes\"",
        "\"plan\"",
        "\"version\"",
    ];
    if random.below(10) == 0 {
        let long = "n".repeat(100 + index(random, 5_000));
        return text.replacen("\"plan\"", &format!("\"{long}\":1,\"{long}\""), 1);
    }
    let name = pick(random, &names);
    let spelling =
        if random.below(2) == 0 { name.to_owned() } else { name.replacen('e', "\\u0065", 1) };
    text.replacen(name, &format!("{spelling}:{},{name}", pick(random, &VALUES)), 1)
}

fn cloud_event(record: &mut LoadRecord, random: &mut Random) {
    let value = pick(random, &VALUES);
    if random.below(2) == 0 {
        let members =
            ["specversion", "type", "source", "id", "subject", "time", "data", "data_base64"];
        let spoiled = pick(random, &members);
        let members = members.iter().filter(|_| random.below(6) > 0).map(|member| {
            let right = match *member {
                "specversion" => "\"1.0\"",
                "type" => "\"contact.updated\"",
                "time" => "\"2026-01-01T00:00:00Z\"",
                "data" => "{\"firstName\":\"Ada\"}",
                "data_base64" => "\"e30=\"",
                _ => "\"hostile-1\"",
            };
            format!("\"{member}\":{}", if *member == spoiled { value } else { right })
        });
        let members: Vec<String> = members.collect();
        record.value = Some(format!("{{{}}}", members.join(",")).into_bytes());
        return;
    }
    for (name, right) in [
        ("ce_specversion", "1.0"),
        ("ce_id", "hostile"),
        ("ce_type", "contact.updated"),
        ("ce_source", "acme"),
        ("ce_subject", "hostile-1"),
        ("ce_time", "2026-01-01T00:00:00Z"),
    ] {
        let header = match random.below(6) {
            0 => continue,
            1 => Some(bytes(random, 16)),
            2 => Some(value.as_bytes().to_vec()),
            _ => Some(right.as_bytes().to_vec()),
        };
        record.headers.push((name.to_owned(), header));
    }
}

/// Confluent's, Avro's and Protobuf's beginnings, before what they belong to or anything else.
fn framed(whole: &[u8], random: &mut Random) -> Vec<u8> {
    let frames: [&[u8]; 6] = [
        b"\0\0\0\0\x07",
        b"\0\0\0",
        b"Obj\x01",
        b"\xc3\x01",
        b"\xef\xbb\xbf",
        b"\0\0\0\0\x07\x02\x02",
    ];
    let mut framed = frames.get(index(random, frames.len())).copied().unwrap_or_default().to_vec();
    match random.below(3) {
        0 => framed.extend_from_slice(whole),
        1 => framed.extend(bytes(random, 64)),
        _ => framed.extend_from_slice(b"{"),
    }
    framed
}

fn with_controls(text: &str, random: &mut Random) -> Vec<u8> {
    let place = pick(random, &["hostile-", "Ada", "plan", "gold", "acme\"", "contact."]);
    let control = (random.below(33) as u8).min(0x7f);
    let escaped = format!("\\u{control:04x}{place}");
    let bare = format!("{}{place}", char::from(control));
    text.replacen(place, if random.below(2) == 0 { &escaped } else { &bare }, 1).into_bytes()
}

fn other_time(text: &str, random: &mut Random) -> String {
    let Some((before, rest)) = text.split_once("\"timestamp\":") else {
        return text.to_owned();
    };
    let after = rest.split_once(',').map_or("", |(_, after)| after);
    let times = [
        "-1",
        "0",
        "1",
        "1.5",
        "1e3",
        "253402300799999",
        "253402300800000",
        "18446744073709551615",
        "99999999999999999999",
        "\"1970-01-01T00:00:00Z\"",
        "\"9999-12-31T23:59:60+23:59\"",
        "\"0000-00-00T00:00:00Z\"",
        "\"2026-01-01\"",
        "\"now\"",
        "\"\"",
        "null",
        "true",
        "[]",
        "{}",
        "\"2026-01-01T00:00:00.0000000000000000000000001Z\"",
        "\"+292278994-08-17T07:12:55.807Z\"",
    ];
    format!("{before}\"timestamp\":{},{after}", pick(random, &times))
}

/// Headers as only we may write them, right and wrong.
fn command(record: &mut LoadRecord, random: &mut Random) {
    let commands = ["update", "replace", "erase", "create", "restore", "", "UPDATE", "update\0"];
    let tags =
        ["1-00000000000000ab", "", "1-x", "-1", "18446744073709551616-0000000000000000", ","];
    let offsets = ["0", "1", "-1", "18446744073709551616", "x", ""];
    record.headers.push(("contactd_command".to_owned(), Some(pick(random, &commands).into())));
    for name in ["contactd_if_match", "contactd_if_none_match"] {
        record.headers.push((name.to_owned(), Some(pick(random, &tags).into())));
    }
    record.headers.push(("contactd_lane_next".to_owned(), Some(pick(random, &offsets).into())));
    if random.below(2) == 0 {
        record.headers.push(("contactd_clears_attributes".to_owned(), None));
        record.headers.push(("contactd_merges_attributes".to_owned(), None));
        record.headers.push(("contactd_complete".to_owned(), None));
    }
    for name in ["contactd_principal", "contactd_request_id", "contactd_request_hash"] {
        let most = if random.below(2) == 0 { 17 } else { 400 };
        record.headers.push((name.to_owned(), Some(bytes(random, most))));
    }
    if let Some(value) = &mut record.value {
        let text = String::from_utf8_lossy(value);
        let kinds = ["contact.erased", "contact.restored", "contact.deleted", "contact.updated"];
        *value = text.replacen("contact.updated", pick(random, &kinds), 1).into_bytes();
    }
}

fn nothing(random: &mut Random) -> Option<Vec<u8>> {
    let nothings = [
        "",
        " ",
        "\n",
        "null",
        "{}",
        "[]",
        "0",
        "\"\"",
        "{\"data\":{}}",
        "\u{feff}",
        "{",
        "[",
        "\"",
    ];
    (random.below(4) > 0).then(|| pick(random, &nothings).into())
}

fn other_key(record: &mut LoadRecord, random: &mut Random) {
    record.key = match random.below(5) {
        0 => Vec::new(),
        1 => bytes(random, 64),
        2 => vec![b'k'; 10_000],
        3 => vec![0],
        _ => b"another contact".to_vec(),
    };
}

fn other_type(text: &str, random: &mut Random) -> String {
    let kinds = [
        "contact.erased",
        "contact.restored",
        "contact.merged",
        "contact.created",
        "contact.deleted",
        "",
        "CONTACT.UPDATED",
        "contact.updated ",
        "payment.completed",
        "contactd.control",
        "../contact",
    ];
    text.replacen("contact.updated", pick(random, &kinds), 1)
}

/// Every spelling of a member at once, in any order, with anything in it.
fn spelled(random: &mut Random) -> String {
    let names = [
        "id",
        "event_id",
        "eventId",
        "contact_id",
        "contactId",
        "eventType",
        "event_type",
        "type",
        "time",
        "timestamp",
        "version",
        "sourceVersion",
        "source",
        "data",
        "attributes",
        "firstName",
        "specversion",
    ];
    let right = [
        "\"hostile-1\"",
        "\"contact.created\"",
        "1767225600",
        "{\"id\":\"hostile-2\"}",
        "\"acme\"",
    ];
    let members = (0..random.below(12)).map(|_| {
        let value = if random.below(3) == 0 { pick(random, &VALUES) } else { pick(random, &right) };
        format!("\"{}\":{value}", pick(random, &names))
    });
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn headers(record: &mut LoadRecord, random: &mut Random) {
    let names = [
        "content-type",
        "contactd_source",
        "x-request-id",
        "traceparent",
        "ce_",
        "",
        "\u{1f4a3}",
        "x-line\r\nbreak: 1",
    ];
    let values = [
        "application/avro",
        "application/x-protobuf",
        "application/cloudevents-batch+json",
        "acme",
    ];
    for _ in 0..=random.below(30) {
        let value = match random.below(5) {
            0 | 1 => Some(pick(random, &values).into()),
            2 | 3 => Some(bytes(random, 300)),
            _ => None,
        };
        record.headers.push((pick(random, &names).to_owned(), value));
    }
}

/// Any JSON.
fn json(random: &mut Random, depth: u64) -> String {
    match random.below(if depth == 0 { 1 } else { 4 }) {
        0 => pick(random, &VALUES).to_owned(),
        1 => {
            let items = (0..random.below(5)).map(|_| json(random, depth - 1));
            format!("[{}]", items.collect::<Vec<_>>().join(","))
        }
        _ => {
            let names =
                ["id", "data", "type", "eventType", "a", "acme_email", "attributes", "\\u0069d"];
            let members = (0..random.below(5)).map(|_| {
                let name = pick(random, &names);
                format!("\"{name}\":{}", json(random, depth - 1))
            });
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
    }
}

#[cfg(test)]
mod tests;

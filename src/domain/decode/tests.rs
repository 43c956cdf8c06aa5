//! Every spelling that is read, every reason for which a record is not, and hostile bytes.

use proptest::prelude::*;

use super::*;
use crate::domain::command::{Condition, Intent};
use crate::domain::contact::StateTag;
use crate::domain::event::{EventKind, Patch};
use crate::domain::headers;
use crate::domain::position::{Lane, Offset};
use crate::domain::schemas::Schemas;
use DeadLetterReason as Reason;

const AT: u64 = 1_763_719_200_000_000;
const PLAIN: &str = r#"{"id":"e1","eventType":"contact.updated","timestamp":"2025-11-21T10:00:00Z","version":7,"source":"acme","data":{"id":"c1","acme_first_name":"Ada"}}"#;

type Header<'a> = (&'a str, &'a [u8]);

/// A decoded event with the arena that its spans lie in.
#[derive(Debug)]
struct Decoded {
    event: Event,
    arena: Vec<u8>,
}

impl Decoded {
    fn text(&self, span: Span) -> &str {
        span.text(&self.arena)
    }

    fn ids(&self) -> (&str, &str) {
        (self.text(self.event.contact_id), self.text(self.event.event_id))
    }

    fn field(&self, place: usize) -> Option<&str> {
        match self.event.fields[place] {
            Patch::Set(span) => Some(self.text(span)),
            Patch::Absent | Patch::Clear => None,
        }
    }

    fn attributes(&self) -> Vec<(&str, Option<&str>)> {
        let shown = |(name, patch): &(Span, Patch)| match patch {
            Patch::Set(span) => (self.text(*name), Some(self.text(*span))),
            Patch::Absent | Patch::Clear => (self.text(*name), None),
        };
        self.event.attributes.iter().map(shown).collect()
    }
}

fn decode_with(value: &[u8], headers: &[Header<'_>]) -> Result<Decoded, Reject> {
    let decoder = Decoder::new(Sources::built_in(), Limits::default());
    let mut batch = RecordBatch::new(Lane(0));
    // Spans must hold in the middle of an arena as well.
    batch.push(Offset(0), 5, Some(b"other"), Some(b"before"), std::iter::empty());
    let headers = headers.iter().map(|(name, value)| (*name, Some(*value)));
    batch.push(Offset(1), 6, Some(b"c1"), Some(value), headers);
    batch.push(Offset(2), 7, None, Some(b"after"), std::iter::empty());
    let event = decoder.decode(&mut batch, 1)?;
    Ok(Decoded { event, arena: batch.arena })
}

#[track_caller]
fn decoded(value: &str) -> Decoded {
    decode_with(value.as_bytes(), &[]).unwrap()
}

#[track_caller]
fn refused(value: impl AsRef<[u8]>, reason: Reason) {
    let found = decode_with(value.as_ref(), &[]).map(|decoded| decoded.event.kind);
    assert_eq!(found.as_ref().map_err(|reject| reject.reason), Err(reason), "{found:?}");
}

#[test]
fn every_spelling_says_the_same() {
    let spellings = [
        PLAIN,
        r#"{"event_id":"e1","event_type":"contact.updated","timestamp":1763719200,"version":7,"source":"acme","data":{"contact_id":"c1","firstName":"Ada"}}"#,
        r#"{"event_id":"e1","type":"contact.updated","timestamp":1763719200000,"version":7,"source":"acme","id":"c1","acme_first_name":"Ada"}"#,
        r#"{"id":"e1","type":"contact.updated","timestamp":"1763719200","source_version":7,"source":"acme","contact_id":"c1","firstName":"Ada"}"#,
        r#"{"id":"e1","type":"contact.updated","timestamp":1763719200000000,"version":"7","source":"acme","contact_id":"c1","firstName":"Ada"}"#,
        r#"{"id":"e1","type":"contact.updated","timestamp":"1763719200000000000","version":"\u0037","source":"acme","contact_id":"c1","firstName":"Ada"}"#,
        r#"{"id":"e1","type":"contact.updated","timestamp":"Fri, 21 Nov 2025 10:00:00 GMT","version":7,"source":"acme","contact_id":"c1","firstName":"Ada"}"#,
        r#"{"data":{"firstName":"no","acme_first_name":"A\u0064a","id":"c1"},"source":"acm\u0065","eventId":"e1","type":"contact.updated","time":"2025-11-21T11:00:00.0+01:00","version":7}"#,
        r#"{"specversion":"1.0","id":"e1","type":"contact.updated","source":"acme","subject":"c1","time":"2025-11-21T10:00:00Z","sourceversion":7,"data":{"firstName":"Ada"}}"#,
    ];
    for value in spellings {
        let decoded = decoded(value);
        assert_eq!(decoded.ids(), ("c1", "e1"), "{value}");
        assert_eq!(decoded.field(0), Some("Ada"), "{value}");
        assert_eq!(decoded.event.kind, EventKind::Updated);
        let hash = id_hash(b"acme", b"e1");
        assert_eq!(
            decoded.event.clock,
            Some(Clock { ts_us: AT, version: Some(7), hash }),
            "{value}"
        );
        assert!(decoded.attributes().is_empty(), "{value}");
    }
}

#[test]
fn binary_cloudevents_have_their_attributes_in_headers() {
    let headers: [Header<'_>; 6] = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"e1"),
        ("ce_type", b"contact.created"),
        ("ce_source", b"crm"),
        ("ce_subject", b"c1"),
        ("ce_time", b"2025-11-21T10:00:00Z"),
    ];
    let found = decode_with(br#"{"email":"a@b.c"}"#, &headers).unwrap();
    assert_eq!((found.ids(), found.field(2)), (("c1", "e1"), Some("a@b.c")));
    assert_eq!(found.event.timestamp, Some(AT));
    for missing in 0..4 {
        let mut fewer = headers.to_vec();
        fewer.remove(missing);
        let reject = decode_with(b"{}", &fewer).unwrap_err();
        assert_eq!(reject.reason, Reason::InvalidCloudevent);
    }
}

#[test]
fn extensions_of_cloudevents_are_not_the_contacts() {
    let found = decoded(
        r#"{"specversion":"1.0","id":"e1","type":"contact.deleted","source":"s","subject":"c1","traceparent":"00-1"}"#,
    );
    assert_eq!((found.ids(), found.attributes().len()), (("c1", "e1"), 0));
    let beside = decoded(&PLAIN.replace("\"version\"", "\"meta\":{\"a\":1},\"version\""));
    assert!(beside.attributes().is_empty());
}

#[test]
fn a_header_of_delivery_never_becomes_a_clock() {
    let value = r#"{"id":"e1","type":"contact.deleted","data":{"id":"c1"}}"#;
    let found =
        decode_with(value.as_bytes(), &[("timestamp", b"1763719200"), ("X-Acme-Timestamp", b"1")]);
    let found = found.unwrap();
    assert_eq!((found.event.timestamp, found.event.clock), (None, None));
}

#[test]
fn the_time_and_id_that_we_gave_count_where_the_event_has_none() {
    let given: [Header<'_>; 2] =
        [("contactd_time", b"1763719200000000"), ("contactd_event_id", b"given")];
    let bare = r#"{"type":"contact.deleted","data":{"id":"c1"}}"#;
    let found = decode_with(bare.as_bytes(), &given).unwrap();
    assert_eq!((found.ids(), found.event.timestamp), (("c1", "given"), Some(AT)));
    assert!(found.event.body_hash.is_some());
    let other = decode_with(bare.replace("deleted", "updated").as_bytes(), &given).unwrap();
    assert_ne!(found.event.body_hash, other.event.body_hash);
    let own = r#"{"id":"e1","type":"contact.deleted","time":1,"data":{"id":"c1"}}"#;
    let found = decode_with(own.as_bytes(), &given).unwrap();
    assert_eq!((found.ids(), found.event.timestamp), (("c1", "e1"), Some(1_000_000)));
    assert_eq!(found.event.body_hash, None);
    let flat = decode_with(br#"{"type":"contact.deleted","id":"c1"}"#, &given).unwrap();
    assert_eq!(flat.ids(), ("c1", "given"));
    for time in ["", "x", "-1", "7289654400000000"] {
        let given: [Header<'_>; 1] = [("contactd_time", time.as_bytes())];
        let reject = decode_with(bare.as_bytes(), &given).unwrap_err();
        assert_eq!(reject.reason, Reason::InvalidTimestamp, "{time}");
    }
}

#[test]
fn what_is_dated_after_2200_is_refused_in_every_spelling() {
    for time in ["\"2201-01-01T00:00:00Z\"", "7289654400", "7289654400000"] {
        let text =
            format!(r#"{{"id":"e1","type":"contact.deleted","time":{time},"data":{{"id":"c1"}}}}"#);
        refused(text, Reason::InvalidTimestamp);
    }
}

#[test]
fn confluent_json_is_unframed_and_the_rest_named() {
    let framed = [b"\0\0\0\0\x07", PLAIN.as_bytes()].concat();
    assert_eq!(decode_with(&framed, &[]).unwrap().ids(), ("c1", "e1"));
    refused(b"\0\0\0\0\x07\x48c8b5f7d9-8e7a-4a1d-9b5c-1d2e3f4a5b6c", Reason::AvroFraming);
    refused(b"\0\0\0\0\x07\0\x0a\x02c1\x10\x07", Reason::ProtobufFraming);
    refused(b"\0\0\0\0\x07\x04\x41\x64", Reason::AvroFraming);
    refused(b"\0\0\0\0\x07\x02\x02\x0a\x02c1", Reason::ProtobufFraming);
    refused(b"Obj\x01\x04\x14avro.codec", Reason::AvroFraming);
    refused(b"\0\0\0", Reason::MalformedJson);
    let headers: [Header<'_>; 1] = [("Content-Type", b"application/x-protobuf")];
    assert_eq!(decode_with(b"\x0a\x01", &headers).unwrap_err().reason, Reason::ProtobufFraming);
    let marked = [b"\xef\xbb\xbf", PLAIN.as_bytes()].concat();
    assert!(decode_with(&marked, &[]).is_ok());
}

#[test]
fn unknown_members_become_attributes_in_compact_json() {
    let found = decoded(
        r#"{"id":"e","type":"contact.created","data":{"id":"c","z":[ 1.50 , {"k" : "\u0041\u0000"} ],"plan":"beside","gone":null,
        "attributes":{"plan":"g\"old","b":true,"a":-0}}}"#,
    );
    let expected = [
        ("a", Some("-0")),
        ("b", Some("true")),
        ("gone", None),
        ("plan", Some(r#""g\"old""#)),
        ("z", Some(r#"[1.50,{"k":"A\u0000"}]"#)),
    ];
    assert_eq!(found.attributes(), expected);
}

#[test]
fn a_sources_names_count_for_that_source_alone() {
    let value = |source: &str| PLAIN.replace("acme\",\"data", &format!("{source}\",\"data"));
    assert_eq!(decoded(&value("acme")).field(0), Some("Ada"));
    for source in ["crm", ""] {
        let other = decoded(&value(source));
        assert_eq!(
            (other.field(0), other.attributes()),
            (None, vec![("acme_first_name", Some("\"Ada\""))])
        );
    }
    let verified = decode_with(value("crm").as_bytes(), &[(headers::SOURCE, b"acme")]).unwrap();
    assert_eq!(verified.field(0), Some("Ada"));
}

#[test]
fn an_event_without_an_id_gets_one_from_its_bytes() {
    let value = r#"{"type":"contact.created","source":"s","data":{"id":"c1"}}"#;
    let one = decoded(value);
    // Computed apart from this code: SHA-256 over three times u64 length, bytes.
    assert_eq!(
        one.ids(),
        ("c1", "55d031adb7ab8bde3aab74c890b21fe2a3d92f92b7e221f589880f567b6ad691")
    );
    assert_eq!(decoded(r#"{"type":"contact.created","id":17,"phone":"1"}"#).ids().0, "17");
}

#[test]
fn commands_are_told_by_headers_alone() {
    let erase = PLAIN.replace("updated", "erased");
    refused(&erase, Reason::UnknownEventType);
    refused(
        PLAIN
            .replace("\"version\"", "\"contactd_command\":\"update\",\"version\"")
            .replace("updated", "erased"),
        Reason::UnknownEventType,
    );
    let headers: [Header<'_>; 4] = [
        (headers::COMMAND, b"erase"),
        (headers::IF_MATCH, b"3-00000000000000ab,4-00000000000000cd"),
        (headers::PRINCIPAL, b"ada"),
        (headers::REQUEST_ID, b"r1"),
    ];
    let found = decode_with(erase.as_bytes(), &headers).unwrap();
    let command = found.event.command.as_ref().unwrap();
    let tags = [StateTag { version: 3, hash: 0xab }, StateTag { version: 4, hash: 0xcd }];
    assert_eq!(command.intent, Intent::Erase);
    assert_eq!(command.condition, Condition { any_of: Some(tags.to_vec()), none_of: Vec::new() });
    assert_eq!((command.is_keyed, command.clears_attributes), (false, false));
    assert_eq!(command.principal.map(|span| found.text(span)), Some("ada"));
    let later = erase.replace("10:00:00Z", "10:00:01Z");
    let retry = decode_with(later.as_bytes(), &headers).unwrap();
    assert_eq!(retry.event.command.unwrap().body_hash, command.body_hash);
    let other = decode_with(erase.replace("Ada", "Eve").as_bytes(), &headers).unwrap();
    assert_ne!(other.event.command.unwrap().body_hash, command.body_hash);
    for wrong in [
        (headers::COMMAND, b"x".as_slice()),
        (headers::COMMAND, b"erase"),
        (headers::IF_MATCH, b"1"),
        (headers::IF_NONE_MATCH, b"1-00000000000000ab;"),
        (headers::LANE_NEXT, b"-1"),
        (headers::PRINCIPAL, b"user:\x1b[2J"),
        (headers::PRINCIPAL, b"user:\xc2\x9b"),
        (headers::PRINCIPAL, b""),
        (headers::PRINCIPAL, &[b'x'; 257]),
    ] {
        let headers = [wrong, (headers::COMMAND, b"update")];
        assert_eq!(
            decode_with(PLAIN.as_bytes(), &headers).unwrap_err().reason,
            Reason::InvalidCommand
        );
    }
}

#[test]
fn no_id_comes_in_that_no_path_can_name() {
    for id in ["batch", ".", "..", "a\u{1b}b", "a\u{85}b"] {
        assert!(contact_id_problem(id.as_bytes()).is_some(), "{id:?}");
        let escaped = serde_json::to_string(id).unwrap();
        let event = format!(r#"{{"eventType":"contact.created","data":{{"id":{escaped}}}}}"#);
        let reject = decode_with(event.as_bytes(), &[]).unwrap_err();
        assert_eq!(reject.reason, Reason::InvalidId, "{id:?}");
    }
    for id in ["batches", "...", "a b", "Zoë", "日本"] {
        assert_eq!(contact_id_problem(id.as_bytes()), None, "{id}");
    }
}

#[test]
fn every_kind_of_bad_record_has_its_reason() {
    refused("", Reason::MalformedJson);
    refused(&PLAIN[..PLAIN.len() - 1], Reason::MalformedJson);
    refused(format!("{PLAIN}x"), Reason::MalformedJson);
    refused(PLAIN.replace("Ada", "\\ud800"), Reason::MalformedJson);
    refused(PLAIN.replace('7', "NaN"), Reason::MalformedJson);
    refused(PLAIN.replace("Ada", "A\u{1}"), Reason::MalformedJson);
    refused([PLAIN.as_bytes(), b"\xff"].concat(), Reason::InvalidUtf8);
    refused("[".repeat(10_000), Reason::NestingTooDeep);
    refused(
        PLAIN.replace("\"Ada\"", &format!("{}1{}", "[".repeat(63), "]".repeat(63))),
        Reason::NestingTooDeep,
    );
    refused("[]", Reason::WrongType);
    refused(PLAIN.replace("\"Ada\"", "5"), Reason::WrongType);
    refused(PLAIN.replace('7', "-7"), Reason::WrongType);
    for version in ["\"\"", "\"+7\"", "\"7.0\"", "\"seven\"", "true", "18446744073709551616"] {
        refused(PLAIN.replace('7', version), Reason::WrongType);
    }
    refused(r#"{"id":"e","type":"contact.created","data":[1]}"#, Reason::WrongType);
    refused(r#"{"id":"e","type":7,"data":{"id":"c"}}"#, Reason::WrongType);
    refused(r#"{"id":"e","type":"contact.created","data":{"id":1.5}}"#, Reason::WrongType);
    refused(PLAIN.replace("\"version\"", "\"\\u0069d\":\"e2\",\"version\""), Reason::DuplicateKey);
    refused(PLAIN.replace("\"Ada\"", "\"Ada\",\"x\":1,\"\\u0078\":2"), Reason::DuplicateKey);
    refused(PLAIN.replace("\"Ada\"", "\"Ada\",\"x\":{\"y\":1,\"y\":1}"), Reason::DuplicateKey);
    let long = "x".repeat(200);
    let twice = PLAIN.replace("\"Ada\"", &format!("\"Ada\",\"{long}\":1,\"{long}\":2"));
    let reject = decode_with(twice.as_bytes(), &[]).unwrap_err();
    assert!(reject.reason == Reason::DuplicateKey && reject.detail.len() < 200, "{reject}");
    refused(PLAIN.replace("c1", ""), Reason::InvalidId);
    refused(PLAIN.replace("c1", "c\\u0000"), Reason::InvalidId);
    refused(PLAIN.replace("c1", &"c".repeat(257)), Reason::InvalidId);
    refused(PLAIN.replace("Ada", "A\\u0000"), Reason::ControlCharacter);
    refused(PLAIN.replace("updated", "merged"), Reason::UnknownEventType);
    refused("{}", Reason::UnknownEventType);
    refused(PLAIN.replace("2025-11-21T10:00:00Z", "yesterday"), Reason::InvalidTimestamp);
    refused(PLAIN.replace("{\"id\"", "{\"specversion\":\"0.3\",\"id\""), Reason::InvalidCloudevent);
    refused(vec![b' '; (1 << 20) + 1], Reason::RecordTooLarge);
    let mut batch = RecordBatch::new(Lane(0));
    batch.push(Offset(0), 0, Some(b"c1"), None, std::iter::empty());
    assert_eq!(Decoder::default().decode(&mut batch, 0).unwrap_err().reason, Reason::NullValue);
}

#[test]
fn the_key_names_the_contact_where_nothing_else_does() {
    let unnamed = PLAIN.replace("\"id\":\"c1\",", "");
    let by_key = |value: &str, key: Option<&[u8]>, headers: &[Header<'_>]| {
        let mut batch = RecordBatch::new(Lane(0));
        let headers = headers.iter().map(|(name, value)| (*name, Some(*value)));
        batch.push(Offset(0), 6, key, Some(value.as_bytes()), headers);
        let event = Decoder::default().decode(&mut batch, 0)?;
        Ok::<_, Reject>(event.contact_id.text(&batch.arena).to_owned())
    };
    assert_eq!(by_key(&unnamed, Some(b"c9"), &[]).unwrap(), "c9");
    assert_eq!(by_key(PLAIN, Some(b"c9"), &[]).unwrap(), "c1");
    let cloud: [Header<'_>; 4] = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"e1"),
        ("ce_type", b"contact.deleted"),
        ("ce_source", b"crm"),
    ];
    assert_eq!(by_key("", Some(b"c9"), &cloud).unwrap(), "c9");
    let told: [Header<'_>; 1] = [(headers::KEY_PROBLEM, b"the key is of no use")];
    for (key, headers) in [
        (None, &[][..]),
        (Some(b"".as_slice()), &[]),
        (Some(b"\xff"), &[]),
        (Some(b"{\"id\":\"c9\"}"), &[]),
        (Some(b"c9"), &told),
    ] {
        let reject = by_key(&unnamed, key, headers).unwrap_err();
        assert_eq!(reject.reason, Reason::MissingContactId, "{key:?}");
    }
}

#[test]
fn events_are_held_against_their_sources_schemas_and_commands_are_not() {
    let named = r#"{"properties":{"data":{"required":["acme_last_name"]}}}"#;
    let schemas = Schemas::compile([("contact.updated", named)]).unwrap();
    let plain = Decoder::new(Sources::built_in(), Limits::default());
    let decoder = plain.clone().with_schemas([("acme".to_owned(), schemas)].into_iter().collect());
    let decode = |value: &str, headers: &[Header<'_>]| {
        let mut batch = RecordBatch::new(Lane(0));
        let headers = headers.iter().map(|(name, value)| (*name, Some(*value)));
        batch.push(Offset(0), 6, Some(b"c1"), Some(value.as_bytes()), headers);
        decoder.decode(&mut batch, 0).map(|event| event.kind)
    };
    let reject = decode(PLAIN, &[]).unwrap_err();
    assert_eq!(reject.reason, Reason::Schema);
    assert!(reject.detail.starts_with("/data: "), "{reject}");
    // Framed as Confluent does, it is the same JSON.
    let framed = format!("\0\0\0\0\x07{PLAIN}");
    assert_eq!(decode(&framed, &[]).unwrap_err().reason, Reason::Schema);
    for (value, headers) in [
        (PLAIN.replace("acme_first_name", "acme_last_name"), vec![]),
        (PLAIN.replace("updated", "deleted"), vec![]),
        (PLAIN.replace("\"acme\"", "\"crm\""), vec![]),
        (PLAIN.to_owned(), vec![(headers::COMMAND, b"update".as_slice())]),
        (PLAIN.to_owned(), vec![(headers::SOURCE, b"crm".as_slice())]),
    ] {
        assert!(decode(&value, &headers).is_ok(), "{value} {headers:?}");
    }
}

/// Any JSON, with the names that mean something here.
fn json() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "id",
        "event_id",
        "contact_id",
        "eventType",
        "type",
        "timestamp",
        "time",
        "version",
        "source",
        "data",
        "attributes",
        "firstName",
        "acme_email",
        "specversion",
        "subject",
        "\\u0069d",
        "",
    ]);
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|it| it.to_string()),
        any::<f64>().prop_map(|it| serde_json::Value::from(it).to_string()),
        any::<i64>().prop_map(|it| it.to_string()),
        any::<String>().prop_map(|it| serde_json::Value::from(it).to_string()),
        prop::sample::select(vec![
            "\"contact.updated\"",
            "\"c1\"",
            "\"1.0\"",
            "1e999",
            "\"\\ud800\""
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((name.clone(), inner), 0..8).prop_map(|members| {
                let members =
                    members.into_iter().map(|(name, value)| format!("\"{name}\":{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_decoded_or_has_its_reason(value in json(), data in json()) {
        for value in [
            value.clone(),
            format!(r#"{{"id":"e1","eventType":"contact.updated","data":{data}}}"#),
            format!(r#"{{"eventType":"contact.updated","timestamp":{value},"data":{{"id":"c1","x":{data}}}}}"#),
        ] {
            match decode_with(value.as_bytes(), &[]) {
                Ok(found) => {
                    prop_assert!(!found.ids().0.is_empty() && found.ids().0.len() <= ID_BYTES_MAX);
                    prop_assert!(!found.ids().1.is_empty());
                }
                // What is wrong is said, and bounded whatever the record holds.
                Err(reject) => prop_assert!(!reject.detail.is_empty() && reject.detail.len() < 2_048),
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(value in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_with(&value, &[]);
        let _ = decode_with(&value, &[("ce_specversion", b"1.0"), ("ce_id", &value), ("ce_type", b"contact.created"), ("ce_source", &value)]);
        let framed = [b"\0\0\0\0\x01", value.as_slice()].concat();
        let _ = decode_with(&framed, &[(headers::COMMAND, b"update"), (headers::IF_MATCH, &value), (headers::LANE_NEXT, &value)]);
    }

    #[test]
    fn mutated_events_never_panic_and_never_lose_a_text(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4)
    ) {
        let mut value = PLAIN.as_bytes().to_vec();
        for (place, byte, how) in edits {
            let at = place.index(value.len());
            match how {
                0 => value[at] = byte,
                1 => value.insert(at, byte),
                _ => drop(value.remove(at)),
            }
        }
        if let Ok(found) = decode_with(&value, &[]) {
            prop_assert!(!found.ids().0.is_empty());
            prop_assert!(!found.ids().1.is_empty());
            let readable: Result<serde_json::Value, _> = serde_json::from_slice(&value);
            prop_assert!(readable.is_ok());
        }
    }
}

//! Other systems' records: each preset's documents with the contacts that they make, and the laws that
//! hold whatever a source's table says.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::contact::{Contact, ContactView};
use crate::domain::event::FIELDS;
use crate::domain::headers::SOURCE;
use crate::domain::merge::merge;
use crate::domain::position::{Lane, Offset};
use crate::domain::sources::{FieldText, Preset, SourceText, SourceTexts, Unknown};
use DeadLetterReason as Reason;

const RECORD_MS: i64 = 1_763_800_000_000;

fn decoder(text: SourceText) -> Decoder {
    let sources = Sources::compile(&SourceTexts::from([("crm".to_owned(), text)])).unwrap();
    Decoder::new(sources, Limits::default())
}

fn preset(name: &str) -> SourceText {
    Preset::of(name).unwrap().text()
}

/// What a record is, with the arena that its spans lie in.
fn decode(decoder: &Decoder, key: Option<&str>, value: &[u8]) -> Result<(Event, Vec<u8>), Reject> {
    let mut batch = RecordBatch::new(Lane(0));
    let headers = [(SOURCE, Some(b"crm".as_slice()))];
    batch.push(Offset(0), RECORD_MS, key.map(str::as_bytes), Some(value), headers.into_iter());
    let event = decoder.decode(&mut batch, 0)?;
    Ok((event, batch.arena))
}

fn reason(decoder: &Decoder, value: &Value) -> (Reason, String) {
    let reject = decode(decoder, None, value.to_string().as_bytes()).unwrap_err();
    (reject.reason, reject.detail)
}

/// A batch's events, as intake takes them apart.
fn taken_apart(decoder: &Decoder, text: &[u8]) -> Vec<Vec<u8>> {
    let events =
        serde_json::Deserializer::from_slice(text).into_iter::<&serde_json::value::RawValue>();
    let texts = events.map(|event| event.unwrap().get().as_bytes());
    texts.flat_map(|text| decoder.events(b"crm", text).unwrap().0).map(<[u8]>::to_vec).collect()
}

/// Whom an event of several is about.
fn contacts(decoder: &Decoder, event: &[u8]) -> Vec<Option<Vec<u8>>> {
    let items = decoder.items(b"crm", &[event], Most { items: 9, bytes: 1 << 20 });
    items.map(|items| items.into_iter().map(|it| it.contact).collect()).unwrap_or_default()
}

/// The contact's body and its id, after these records.
fn folded<'v>(decoder: &Decoder, values: impl Iterator<Item = &'v Vec<u8>>) -> (String, Vec<u8>) {
    let (mut body, mut id): (Option<Vec<u8>>, _) = (None, String::new());
    for value in values {
        let (event, arena) = decode(decoder, None, value).unwrap();
        id = String::from_utf8(event.contact_id.of(&arena).to_vec()).unwrap();
        let mut out = Vec::new();
        merge(body.as_deref(), &event, &arena, RECORD_MS, &Limits::default(), &mut out).unwrap();
        if !out.is_empty() {
            body = Some(out);
        }
    }
    (id, body.unwrap())
}

fn contact((id, body): &(String, Vec<u8>)) -> Value {
    let view = ContactView::parse(body).unwrap();
    serde_json::to_value(Contact::from_view(id, &view)).unwrap()
}

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/sources/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Each preset, and what its documents come to.
fn expected() -> [(&'static str, Value); 7] {
    let ada = |id: &str, last: &str, email: Value| json!({ "id": id, "firstName": "Ada", "lastName": last, "email": email });
    let with = |mut contact: Value, more: Value| {
        contact.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        contact
    };
    let email = json!("ada@example.com");
    [
        ("contactd", ada("c-1004", "Lovelace", email.clone())),
        ("acme", with(ada("c-1004", "Lovelace", email.clone()), json!({ "sourceVersion": 7 }))),
        (
            "cloudevents",
            with(
                ada("c-1004", "Lovelace", email.clone()),
                json!({ "updatedAt": "2025-11-21T10:00:00.123456Z" }),
            ),
        ),
        (
            "hubspot",
            json!({
                "id": "1148", "firstName": "Ada", "lastName": null, "phone": null, "title": "Countess",
                "attributes": { "hs_lead_status": "OPEN" }, "createdAt": "2025-11-21T10:00:00.000Z",
                "updatedAt": "2025-11-21T10:00:04.000Z",
            }),
        ),
        (
            "salesforce-cdc",
            with(
                ada("0032w00000AbCdEAAV", "King", email.clone()),
                json!({
                    "phone": null, "title": "Countess", "sourceVersion": 11_657_372_702_440_u64,
                    "attributes": { "LastModifiedDate": 1_763_719_260_000_u64, "Name.Salutation": "Ms." },
                }),
            ),
        ),
        (
            "debezium",
            with(
                ada("1004", "King", Value::Null),
                json!({
                    "attributes": { "score": 12 }, "sourceVersion": 24_023_200,
                    "createdAt": "2025-11-21T10:00:00.123456Z",
                }),
            ),
        ),
        ("connect-json", ada("1004", "Lovelace", email)),
    ]
}

#[test]
fn every_presets_documents_make_the_contacts_that_they_mean() {
    for (name, expected) in expected() {
        let decoder = decoder(preset(name));
        let events = taken_apart(&decoder, &fixture(name));
        let made = contact(&folded(&decoder, events.iter()));
        for (member, value) in expected.as_object().unwrap() {
            assert_eq!(&made[member], value, "{name}: {member} of {made}");
        }
        assert_eq!((&made["status"], &made["source"]), (&json!("ACTIVE"), &json!("crm")), "{name}");
    }
}

/// Connect's rows have no time; what arrives last counts.
#[test]
fn any_order_and_repetition_gives_the_same_contact_with_every_preset() {
    for (name, _) in expected().into_iter().filter(|(name, _)| *name != "connect-json") {
        let decoder = decoder(preset(name));
        let events = taken_apart(&decoder, &fixture(name));
        let canonical = |order: &[usize]| {
            let (_, body) = folded(&decoder, order.iter().map(|place| &events[*place]));
            ContactView::parse(&body).unwrap().canonical().to_vec()
        };
        let in_order: Vec<usize> = (0..events.len()).collect();
        let once = canonical(&in_order);
        let orders = Just(in_order).prop_shuffle();
        let again = prop::collection::vec(0..events.len(), 0..6);
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            cases: 128,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let law = |(order, again): (Vec<usize>, Vec<usize>)| {
            let all = [again.as_slice(), &order, &again].concat();
            prop_assert_eq!(canonical(&all), once.clone(), "{}: {:?}", name, all);
            Ok(())
        };
        runner.run(&(orders, again), law).unwrap();
    }
}

fn crm(fields: &[(&str, FieldText)]) -> SourceText {
    let mut text = SourceText::default();
    for (ours, field) in fields {
        text.fields.insert((*ours).to_owned(), field.clone());
    }
    text
}

fn made_by(path: &str, steps: &[&str]) -> FieldText {
    FieldText {
        steps: steps.iter().map(|step| (*step).to_owned()).collect(),
        ..FieldText::at(path)
    }
}

fn event(data: Value) -> Value {
    json!({ "id": "e", "eventType": "contact.updated", "timestamp": 1_763_719_200, "data": data })
}

#[test]
fn paths_steps_and_what_is_left_of_a_nested_value() {
    let text = crm(&[
        ("id", FieldText::at("no")),
        ("firstName", made_by("person.name", &["split: :1"])),
        ("lastName", made_by("person.name", &["split: :2"])),
        ("email", made_by("person.mail[0].address", &["trim", "email"])),
        ("phone", made_by("person.tel", &["e164:DE"])),
        (
            "title",
            FieldText {
                values: [("1", "Dr"), ("*", "none")]
                    .map(|(a, b)| (a.to_owned(), b.to_owned()))
                    .into(),
                ..FieldText::at("person.grade")
            },
        ),
        (
            "company",
            FieldText {
                from: vec!["org.name".to_owned(), "employer".to_owned()],
                ..FieldText::default()
            },
        ),
        ("attributes.born", made_by("person.born", &["date:%d.%m.%Y"])),
        ("attributes.tags", made_by("tags", &["join:, "])),
        ("attributes.from", made_by("no", &["constant:crm"])),
    ]);
    let data = json!({
        "no": 17, "employer": "Works", "other": true, "tags": ["a", "b"],
        "org": { "name": null, "size": 9 },
        "person": {
            "name": "Ada Lovelace", "mail": [{ "address": " ada@EXAMPLE.com " }], "tel": 30901820,
            "grade": 1, "born": "10.12.1815", "pet": "none",
        },
    });
    let value = event(data).to_string().into_bytes();
    let made = contact(&folded(&decoder(text.clone()), [value].iter()));
    let expected = json!({
        "id": "17", "firstName": "Ada", "lastName": "Lovelace", "email": "ada@example.com",
        "phone": "+4930901820", "company": "Works", "title": "Dr",
        "attributes": {
            "born": "1815-12-10", "from": "crm", "org.size": 9, "other": true, "person.pet": "none",
            "tags": "a, b",
        },
    });
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&made[member], value, "{member} of {made}");
    }
    for (member, bad) in [
        ("tel", json!("call me")),
        ("born", json!("yesterday")),
        ("mail", json!([{ "address": "nobody" }])),
        ("name", json!({ "first": "Ada" })),
    ] {
        let person = json!({ member: bad });
        let (reason, detail) =
            reason(&decoder(text.clone()), &event(json!({ "no": 1, "person": person })));
        assert_eq!(reason, Reason::TransformFailed, "{detail}");
        for secret in ["call", "yesterday", "nobody", "Ada"] {
            assert!(!detail.contains(secret), "{detail}");
        }
    }
}

#[test]
fn absent_stays_as_it_is_and_null_clears_and_a_default_is_for_nothing() {
    let text =
        crm(&[("phone", made_by("tel", &["trim"])), ("title", made_by("role", &["default:none"]))]);
    let decoder = decoder(text);
    let fields = |kind: &str, data: Value| {
        let value = json!({ "id": "e", "type": kind, "timestamp": 1, "data": data }).to_string();
        let (event, arena) = decode(&decoder, Some("c"), value.as_bytes()).unwrap();
        [3, 5].map(|place: usize| match event.fields[place] {
            Patch::Absent => "absent".to_owned(),
            Patch::Clear => "null".to_owned(),
            Patch::Set(span) => span.text(&arena).to_owned(),
        })
    };
    assert_eq!(fields("contact.updated", json!({ "x": 1 })), ["absent", "absent"]);
    assert_eq!(fields("contact.updated", json!({ "tel": null, "role": null })), ["null", "none"]);
    assert_eq!(fields("contact.created", json!({ "tel": " 1 " })), ["1", "none"]);
    // Our own names count where the source's are not there.
    assert_eq!(fields("contact.updated", json!({ "phone": "2", "role": "" })), ["2", "none"]);
    assert_eq!(fields("contact.updated", json!({ "phone": "2", "tel": "3" })), ["3", "absent"]);
}

#[test]
fn what_nothing_stands_for_is_kept_dropped_or_refused() {
    let text = |unknown| SourceText { unknown, ..crm(&[("email", FieldText::at("a.mail"))]) };
    let value = event(json!({ "id": "c", "a": { "mail": "m", "more": 1 }, "b": 2 }));
    let names = |unknown| {
        let (event, arena) =
            decode(&decoder(text(unknown)), None, value.to_string().as_bytes()).unwrap();
        let keys = event.attributes.iter();
        keys.map(|(key, _)| key.text(&arena).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(Unknown::Keep), ["a.more", "b"]);
    assert!(names(Unknown::Drop).is_empty());
    assert_eq!(reason(&decoder(text(Unknown::Refuse)), &value).0, Reason::UnknownField);
    let known = event(
        json!({ "id": "c", "a": { "mail": "m" }, "firstName": "A", "attributes": { "x": 1 } }),
    );
    assert!(decode(&decoder(text(Unknown::Refuse)), None, known.to_string().as_bytes()).is_ok());
}

#[test]
fn what_belongs_to_us_is_not_taken() {
    let ours = FieldText { owner: "us".to_owned(), ..FieldText::at("mail") };
    let decoder = decoder(crm(&[("email", ours), ("phone", FieldText::at("tel"))]));
    let value = event(json!({ "id": "c", "mail": "theirs", "tel": "1" })).to_string();
    let (event, _) = decode(&decoder, None, value.as_bytes()).unwrap();
    assert_eq!(event.fields[2], Patch::Absent);
    assert!(matches!(event.fields[3], Patch::Set(_)) && event.attributes.is_empty());
}

#[test]
fn what_belongs_to_us_is_not_taken_by_our_own_name_either() {
    let ours = |path| FieldText { owner: "us".to_owned(), ..FieldText::at(path) };
    let decoder = decoder(crm(&[("email", ours("mail")), ("attributes.tier", ours("level"))]));
    let value = event(json!({ "id": "c", "email": "theirs", "phone": "1", "tier": 1, "x": 1,
        "attributes": { "tier": 2 } }));
    let (event, arena) = decode(&decoder, None, value.to_string().as_bytes()).unwrap();
    assert_eq!(event.fields[2], Patch::Absent);
    assert!(matches!(event.fields[3], Patch::Set(_)));
    let names = event.attributes.iter().map(|(name, _)| name.text(&arena)).collect::<Vec<_>>();
    assert_eq!(names, ["x"]);
}

#[test]
fn a_value_that_the_database_did_not_say_is_not_there() {
    let text = SourceText { unknown: Unknown::Keep, ..preset("debezium") };
    let row = json!({ "op": "u", "after": { "id": 5, "email": "a@b.c",
        "title": "__debezium_unavailable_value", "notes": "__debezium_unavailable_value" },
        "source": { "ts_ms": 1 } });
    let (event, _) = decode(&decoder(text), None, row.to_string().as_bytes()).unwrap();
    assert_eq!(event.fields[5], Patch::Absent);
    assert!(event.attributes.is_empty());
}

#[test]
fn a_column_called_payload_is_no_wrapping() {
    let decoder = decoder(preset("connect-json"));
    let id = |row: &Value| {
        let (event, arena) = decode(&decoder, Some("k"), row.to_string().as_bytes()).unwrap();
        event.contact_id.text(&arena).to_owned()
    };
    let inner = json!({ "id": 7, "first_name": "Grace" });
    for column in [inner.clone(), Value::Null, json!("x")] {
        let row = json!({ "id": 5, "first_name": "Ada", "payload": column });
        assert_eq!(id(&row), "5");
        assert_eq!(id(&json!({ "schema": { "type": "struct" }, "payload": row })), "5");
    }
    assert_eq!(id(&json!({ "payload": inner })), "7");
    assert_eq!(id(&json!({ "schema": null, "payload": inner })), "7");
}

#[test]
fn a_list_of_nulls_has_bounds() {
    let names = |count: usize| {
        let names: Vec<String> = (0..count).map(|number| format!("n{number}")).collect();
        json!({ "ChangeEventHeader": { "entityName": "Contact", "changeType": "UPDATE",
            "recordIds": ["A"], "commitTimestamp": 1, "nulledFields": names } })
    };
    let decoder = decoder(preset("salesforce-cdc"));
    let (event, _) = decode(&decoder, None, names(1000).to_string().as_bytes()).unwrap();
    assert_eq!(event.attributes.len(), 1000);
    assert_eq!(reason(&decoder, &names(1001)).0, Reason::WrongType);
}

#[test]
fn contacts_and_their_copies_are_counted_before_they_are_made() {
    let decoder = decoder(preset("salesforce-cdc"));
    let about = |ids: &[&str]| json!({ "ChangeEventHeader": { "recordIds": ids } }).to_string();
    let texts = [about(&["A", "B"]), about(&["C"]), about(&["D", "E"])];
    let events: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    let items = |items, bytes| decoder.items(b"crm", &events, Most { items, bytes });
    let all = items(5, 1 << 10).unwrap();
    let seen: Vec<_> = all.iter().map(|it| (it.place, it.contact.as_deref())).collect();
    let id = |text: &'static str| Some(text.as_bytes());
    assert_eq!(seen, [(0, id("A")), (0, id("B")), (1, None), (2, id("D")), (2, id("E"))]);
    for most in 0..5 {
        assert!(items(most, 1 << 10).is_err(), "{most}");
    }
    // One of each may always be.
    let bytes = 2 * (texts[0].len() + texts[2].len()) + texts[1].len();
    assert!(items(5, bytes).is_ok() && items(5, bytes - 1).is_err());
    assert!(decoder.items(b"crm", &events[1..2], Most { items: 1, bytes: 0 }).is_ok());
}

#[test]
fn a_record_in_which_nothing_is_known_is_told_apart_from_an_empty_one() {
    let unknown = SourceText { unknown: Unknown::Drop, ..preset("debezium") };
    let row = json!({ "op": "u", "after": { "kunde": 1 }, "source": { "ts_ms": 1 } });
    let with_key = decode(&decoder(unknown), Some("1"), row.to_string().as_bytes()).unwrap_err();
    assert_eq!(with_key.reason, Reason::NothingKnown);
    let no_row = json!({ "op": "u", "after": null, "before": null, "source": { "ts_ms": 1 } });
    assert_eq!(reason(&decoder(preset("debezium")), &no_row).0, Reason::NothingKnown);
    // Wrapped as nobody said: it would have replaced the contact by an empty one.
    let wrapped = json!({ "eventType": "contact.created", "contact_id": "c",
        "data": { "schema": {}, "payload": { "first_name": "Ada" } } });
    let mut batch = RecordBatch::new(Lane(0));
    let headers = [(super::super::headers::COMPLETE, None)];
    batch.push(Offset(0), 1, None, Some(wrapped.to_string().as_bytes()), headers.into_iter());
    let reject = Decoder::default().decode(&mut batch, 0).unwrap_err();
    assert_eq!(reject.reason, Reason::NothingKnown);
    // A contact of which nothing is said yet is one.
    let created = json!({ "subscriptionType": "contact.creation", "objectId": 1, "occurredAt": 1 });
    assert!(decode(&decoder(preset("hubspot")), None, created.to_string().as_bytes()).is_ok());
    let company = json!({ "subscriptionType": "object.propertyChange", "objectTypeId": "0-2",
        "objectId": 1, "occurredAt": 1, "propertyName": "name", "propertyValue": "x" });
    assert_eq!(reason(&decoder(preset("hubspot")), &company).0, Reason::UnknownEventType);
}

#[test]
fn a_delete_says_nothing_of_fields_and_several_contacts_have_a_record_each() {
    let deleted = json!({ "op": "d", "before": { "id": 5, "email": null }, "after": null,
        "source": { "ts_ms": 1 } });
    let (event, arena) =
        decode(&decoder(preset("debezium")), None, deleted.to_string().as_bytes()).unwrap();
    assert_eq!((event.kind, event.contact_id.text(&arena)), (EventKind::Deleted, "5"));
    assert_eq!(event.fields, [Patch::Absent; FIELDS.len()]);
    let both = json!({ "ChangeEventHeader": { "entityName": "Contact", "changeType": "UPDATE",
        "recordIds": ["003A", "003B"], "commitTimestamp": 1 }, "Title": "Dr" });
    let value = both.to_string().into_bytes();
    let decoder = decoder(preset("salesforce-cdc"));
    assert_eq!(contacts(&decoder, &value), [Some(b"003A".to_vec()), Some(b"003B".to_vec())]);
    let (event, arena) = decode(&decoder, Some("003B"), &value).unwrap();
    assert_eq!(event.contact_id.text(&arena), "003B");
    for key in [None, Some("003C")] {
        let reject = decode(&decoder, key, &value).unwrap_err();
        assert_eq!(reject.reason, Reason::MissingContactId);
    }
}

#[test]
fn a_batch_lies_where_the_source_says() {
    let mut text = preset("hubspot");
    text.record.insert("each".to_owned(), vec!["body.events".to_owned()]);
    let decoder = decoder(text);
    let events = |source: &str, text: &str| {
        let (events, is_array) = decoder.events(source.as_bytes(), text.as_bytes())?;
        let texts = events.into_iter().map(|text| String::from_utf8_lossy(text).into_owned());
        Ok::<_, Reject>((texts.collect::<Vec<_>>().join("|"), is_array))
    };
    let found = |text: &str, is_array| Ok((text.to_owned(), is_array));
    assert_eq!(events("crm", r#" {"body": {"events": [1, 2]}} "#), found("1|2", true));
    assert_eq!(events("crm", r#"{"body": {"events": {"a": 1}}}"#), found(r#"{"a": 1}"#, false));
    assert_eq!(events("other", " [1]"), found("1", true));
    assert_eq!(events("other", "{}"), found("{}", false));
    for wrong in ["{}", "[1]", r#"{"body": 1}"#, "{", r#"{"body": {"events": []}}"#] {
        assert!(events("crm", wrong).is_err(), "{wrong}");
    }
    assert!(events("other", "[1,").is_err());
}

fn members() -> impl Strategy<Value = Value> {
    let name =
        prop::sample::select(vec!["fn", "mail", "firstName", "email", "id", "x", "attributes"]);
    let value = prop_oneof![
        Just(Value::Null),
        "[a-zé\\\\\"]{0,6}".prop_map(Value::from),
        any::<u16>().prop_map(Value::from),
        Just(json!({ "x": 1 })),
    ];
    prop::collection::btree_map(name, value, 0..6).prop_map(|members| {
        Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    })
}

proptest! {
    /// A field that is found by a walk of its own comes to the same as one that is known by its name.
    #[test]
    fn the_fast_way_and_the_general_one_agree(data in members()) {
        let plain = crm(&[("firstName", FieldText::at("fn")), ("email", FieldText::at("mail"))]);
        let mut general = plain.clone();
        for field in general.fields.values_mut() {
            // The second is nowhere, so that the first counts.
            field.from.push("nowhere".to_owned());
        }
        let value = event(data).to_string();
        let [fast, slow] = [plain, general].map(|text| {
            decode(&decoder(text), Some("c"), value.as_bytes()).map(|(event, arena)| {
                let text = |span: Span| span.text(&arena).to_owned();
                let patch = |patch: Patch| match patch {
                    Patch::Absent => None,
                    Patch::Clear => Some(None),
                    Patch::Set(span) => Some(Some(text(span))),
                };
                let attributes = event.attributes.iter().map(|(key, it)| (text(*key), patch(*it)));
                (text(event.contact_id), event.fields.map(patch), attributes.collect::<Vec<_>>())
            }).map_err(|reject| reject.reason)
        });
        prop_assert_eq!(fast, slow, "{}", value);
    }

    #[test]
    fn no_bytes_are_a_panic(name in prop::sample::select(vec!["hubspot", "salesforce-cdc", "debezium",
        "connect-json", "cloudevents"]), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut value = fixture(name);
        let at = at.index(value.len());
        value[at] = byte;
        let decoder = decoder(preset(name));
        let _ = decode(&decoder, None, &value);
        let _ = contacts(&decoder, &value);
        let _ = decoder.events(b"crm", &value);
        let _ = decoder.row(b"crm", &value);
    }
}

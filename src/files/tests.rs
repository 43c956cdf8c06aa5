//! What export writes is what import reads: contacts come back as they were, whatever stands in them.

use std::collections::BTreeMap;
use std::io::Write as _;

use proptest::prelude::*;
use serde_json::Value;

use super::export::Format;
use super::export::tests::{ID, Said, file};
use super::import::{ImportOptions, understood};
use crate::domain::event::FIELDS;

/// Texts that file formats, and the programs that read them, take for something else.
const TRAPS: [&str; 34] = [
    "",
    " ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "a\rb\r\nc\nd",
    "'",
    "'=1",
    "=cmd|' /C calc'!A0",
    "+44 20 7946 0000",
    "@SUM(A1)",
    "-1",
    "\"",
    "a \"b\", c",
    ",;|\t",
    ";;;;;;;;;;;;;;;;",
    "\\",
    "\\n",
    "\\\\,\\;",
    "tel:+44",
    "urn:uuid:1",
    "BEGIN:VCARD",
    " END:VCARD",
    "END:VCARD\nBEGIN:VCARD",
    "=3D=\n=41",
    "id,firstName",
    "sep=;",
    "null",
    "{\"a\":[1]}",
    "\u{feff}x\u{feff}",
    "\u{202e}\u{2028}\u{85}\u{1f469}\u{200d}",
    "<script>alert(1)</script>",
    "🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂🙂",
];
/// Names of attributes that are a heading of somebody's, a column of ours, or hard to write.
const NAMES: [&str; 22] = [
    "",
    " x ",
    "E-mail",
    "mobile",
    "Title",
    "Job Title",
    "EMAIL",
    "email",
    "id",
    "status",
    "updatedAt",
    "attributes",
    "attributes.",
    "attributes.email",
    "externalIds",
    "externalId:x",
    "contactd_reason",
    "=1+1",
    "'=1",
    "a,\"b\"",
    ";;;;;;;;;;;;;;;;",
    "7",
];

/// What a field may hold: no control characters but tabs and the ends of lines.
fn text() -> impl Strategy<Value = String> {
    let trap = || prop::sample::select(&TRAPS[..]).prop_map(str::to_owned);
    let any = || "[^\u{0}-\u{8}\u{b}\u{c}\u{e}-\u{1f}\u{7f}]{0,120}";
    prop_oneof![trap(), any(), (trap(), any(), trap()).prop_map(|(a, b, c)| a + &b + &c)]
}

/// As the store has it: compact, and strings escaped no more than they need.
fn json() -> impl Strategy<Value = String> {
    let text = || text().prop_map(|text| Value::from(text).to_string());
    let inner = (text(), any::<f64>())
        .prop_map(|(text, number)| format!("{{\"a\":[{text},{}],\"\":{{}}}}", Value::from(number)));
    let numbers = prop::sample::select(vec![
        "0",
        "-0",
        "1.50",
        "1e400",
        "-1E-400",
        "18446744073709551616",
        "99999999999999999999999999999999",
    ]);
    let words = prop::sample::select(vec!["true", "false", "[]", "{}", "\"\\u0000\\u001f\""]);
    prop_oneof![text(), inner, numbers.prop_map(str::to_owned), words.prop_map(str::to_owned)]
}

fn said() -> impl Strategy<Value = Said> {
    let names = prop_oneof![
        prop::sample::select(&NAMES[..]).prop_map(str::to_owned),
        "[^\u{0}-\u{1f}\u{7f}]{1,40}",
    ];
    let ids = "[^\u{0}-\u{1f}\u{7f}-\u{9f}]{1,20}";
    (
        prop::array::uniform6(prop::option::of(text())),
        prop::collection::btree_map(names, json(), 0..5),
        prop::collection::btree_map(ids, ids, 0..3),
    )
        .prop_map(|(fields, attributes, external_ids)| Said {
            fields,
            attributes,
            external_ids,
        })
}

/// What an import understands of a file, by the contacts' ids.
fn read(format: Format, bytes: &[u8]) -> BTreeMap<String, Said> {
    let mut found = BTreeMap::new();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mut rows = Vec::new();
    understood(file.path(), &ImportOptions::default(), |row| rows.push(row.said)).unwrap();
    for row in rows {
        let (id, patch) = row.unwrap_or_else(|refusal| panic!("{refusal}: {}", shown(bytes)));
        let mut said = Said::default();
        for (place, field) in patch.fields.into_iter().enumerate() {
            said.fields[place] = field.flatten();
        }
        let attributes = patch.attributes.into_iter();
        said.attributes =
            attributes.map(|(name, json)| (name, json.unwrap().get().into())).collect();
        let ids = patch.external_ids.into_iter();
        said.external_ids = ids.map(|(source, id)| (source, id.unwrap())).collect();
        assert!(found.insert(id.unwrap(), said).is_none(), "{format:?} {}", shown(bytes));
    }
    found
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Each contact with what can be told of it. A row that says nothing is no row, so each has a name.
fn contacts() -> impl Strategy<Value = BTreeMap<String, Said>> {
    let ids = prop_oneof![
        Just(ID.to_owned()),
        "x[^\u{0}-\u{1f}\u{7f}-\u{9f}]{0,30}",
        prop::sample::select(vec!["urn:uuid:x", "=1", " a ", "'", "id", "-7", "\u{feff}"])
            .prop_map(str::to_owned),
    ];
    let named = said().prop_map(|mut said| {
        let name = said.fields[0].take().filter(|name| !name.is_empty());
        said.fields[0] = Some(name.unwrap_or_else(|| "Ada".to_owned()));
        said
    });
    prop::collection::btree_map(ids, named, 1..4)
}

proptest! {
    #[test]
    fn contacts_come_back_from_ndjson(contacts in contacts()) {
        check(Format::Ndjson, &contacts)?;
    }

    #[test]
    fn contacts_come_back_from_vcards(contacts in contacts()) {
        check(Format::Vcard, &contacts)?;
    }

    /// In a table an empty cell says nothing, so an empty text is none.
    #[test]
    fn contacts_come_back_from_a_table(contacts in contacts()) {
        let mut contacts = contacts;
        for field in contacts.values_mut().flat_map(|said| &mut said.fields) {
            *field = field.take().filter(|text| !text.is_empty());
        }
        check(Format::Csv, &contacts)?;
    }
}

fn check(format: Format, contacts: &BTreeMap<String, Said>) -> Result<(), TestCaseError> {
    let bytes = file(format, contacts);
    let found = read(format, &bytes);
    prop_assert_eq!(found.keys().collect::<Vec<_>>(), contacts.keys().collect::<Vec<_>>());
    for (id, said) in contacts {
        let found = &found[id];
        for (place, name) in FIELDS.iter().enumerate() {
            let file = shown(&bytes);
            prop_assert_eq!(&found.fields[place], &said.fields[place], "{} in {:?}", name, file);
        }
        prop_assert_eq!(&found.external_ids, &said.external_ids, "{:?}", shown(&bytes));
        prop_assert_eq!(&found.attributes, &said.attributes, "{:?}", shown(&bytes));
    }
    Ok(())
}

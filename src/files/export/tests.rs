//! What comes out is read back by others, and says the same.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::domain::clock::{Clock, id_hash};
use crate::domain::contact::Contact;
use crate::domain::event::{Event, EventKind, FIELDS, Patch};
use crate::domain::limits::Limits;
use crate::domain::merge::merge;
use crate::domain::span::Span;
use crate::files::columns::attribute_json;
use crate::files::formulas::unescape_formula;

pub(in crate::files) const ID: &str = "c8b5f7d9-1";
const TIME_US: u64 = 1_795_257_404_451_000;

/// What a contact is made of.
#[derive(Clone, Debug, Default)]
pub(in crate::files) struct Said {
    pub(in crate::files) fields: [Option<String>; FIELDS.len()],
    /// By name, as JSON.
    pub(in crate::files) attributes: BTreeMap<String, String>,
    pub(in crate::files) external_ids: BTreeMap<String, String>,
}

/// The stored body of such a contact.
fn body(said: &Said) -> Vec<u8> {
    let mut arena = Vec::new();
    let mut put = |text: &str| {
        let start = arena.len();
        arena.extend_from_slice(text.as_bytes());
        Span::new(start, text.len())
    };
    let hash = id_hash(b"lab", b"evt-1");
    let fields = said.fields.each_ref().map(|text| match text {
        Some(text) => Patch::Set(put(text)),
        None => Patch::Absent,
    });
    let mut members = |of: &BTreeMap<String, String>| -> Vec<(Span, Patch)> {
        of.iter().map(|(name, value)| (put(name), Patch::Set(put(value)))).collect()
    };
    let (attributes, external_ids) = (members(&said.attributes), members(&said.external_ids));
    let event = Event {
        kind: EventKind::Created,
        contact_id: put(ID),
        is_id_given: true,
        event_id: put("evt-1"),
        source: put("lab"),
        timestamp: Some(TIME_US),
        body_hash: None,
        clock: Some(Clock { ts_us: TIME_US, version: None, hash }),
        id_hash: hash,
        source_version: Some(7),
        fields,
        attributes,
        external_ids,
        replaces: false,
        is_notice: false,
        payment: None,
        command: None,
    };
    let mut body = Vec::new();
    merge(None, &event, &arena, 1_795_257_404_512, &Limits::default(), &mut body).unwrap();
    body
}

fn written(writer: &Writer, said: &Said) -> (String, Contact) {
    let mut out = Vec::new();
    writer.begin(&mut out);
    let contact = add(writer, ID, said, &mut out);
    (String::from_utf8(out).unwrap(), contact)
}

fn add(writer: &Writer, id: &str, said: &Said, out: &mut Vec<u8>) -> Contact {
    let body = body(said);
    let view = ContactView::parse(&body).unwrap();
    writer.contact(id, &view, out);
    Contact::from_view(id, &view)
}

/// Contacts by their ids, as export writes them.
pub(in crate::files) fn file(format: Format, contacts: &BTreeMap<String, Said>) -> Vec<u8> {
    let mut all = Said::default();
    for said in contacts.values() {
        all.attributes.extend(said.attributes.clone());
        all.external_ids.extend(said.external_ids.clone());
    }
    let writer = match format {
        Format::Csv => Writer::Csv(CsvWriter::new(columns(&all), Formulas::Escape)),
        Format::Ndjson => Writer::Ndjson,
        Format::Vcard => Writer::Vcard,
    };
    let mut out = Vec::new();
    writer.begin(&mut out);
    for (id, said) in contacts {
        add(&writer, id, said, &mut out);
    }
    out
}

fn columns(said: &Said) -> Vec<Column> {
    let sources = said.external_ids.keys().cloned().map(Column::ExternalId);
    let attributes = said.attributes.keys().cloned().map(Column::Attribute);
    Column::usual().into_iter().chain(sources).chain(attributes).collect()
}

/// A row by another reader of CSV, by the names of its columns.
fn row(text: &str) -> BTreeMap<String, String> {
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().unwrap().clone();
    let records: Vec<_> = reader.records().collect::<Result<_, _>>().unwrap();
    assert_eq!(records.len(), 1, "{text:?}");
    let cells = records.iter().flatten().map(str::to_owned);
    names.iter().map(str::to_owned).zip(cells).collect()
}

/// The lines of a card by their names, unfolded and not unescaped.
fn card(text: &str) -> BTreeMap<String, String> {
    let lines = text.split("\r\n").collect::<Vec<_>>();
    assert!(lines.iter().all(|line| line.len() <= 75), "{text}");
    let whole = text.replace("\r\n ", "");
    let lines = whole.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                other => other.unwrap(),
            },
            c => c,
        });
    }
    out
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[^\u{0}-\u{1f}\u{7f}-\u{9f}]{1,90}", "[=+@,;:\"'\\\\\\- \n]{1,5}", "[0-9+ ]{1,14}"]
}

fn said() -> impl Strategy<Value = Said> {
    let json = prop_oneof![
        text().prop_map(|text| Value::from(text).to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        Just("true".to_owned()),
        Just("\"\"".to_owned()),
        Just("{\"a\":[1,\"x, \\\"y\\\"\"]}".to_owned()),
    ];
    let name = "[a-zA-Z_.:=+ ,\"]{1,8}|status|id|externalId:x";
    (
        proptest::array::uniform6(proptest::option::of(text())),
        proptest::collection::btree_map(name, json, 0..4),
        proptest::collection::btree_map("[a-z]{1,6}", "[!-~]{1,12}", 0..3),
    )
        .prop_map(|(fields, attributes, external_ids)| Said {
            fields,
            attributes,
            external_ids,
        })
}

proptest! {
    #[test]
    fn a_csv_is_read_back_to_the_same_contact(said in said()) {
        let csv = Writer::Csv(CsvWriter::new(columns(&said), Formulas::Escape));
        let (text, contact) = written(&csv, &said);
        let cells = row(&text);
        let cell = |column: &Column| {
            let cell = cells.get(unescaped_name(&cells, column)).map(|cell| unescape_formula(cell));
            cell.filter(|cell| !cell.is_empty()).map(str::to_owned)
        };
        for (place, field) in said.fields.iter().enumerate() {
            prop_assert_eq!(&cell(&Column::Field(place)), field);
        }
        for (name, json) in &said.attributes {
            let found = cell(&Column::Attribute(name.clone())).unwrap();
            let found: Value = serde_json::from_str(&attribute_json(&found)).unwrap();
            prop_assert_eq!(found, serde_json::from_str::<Value>(json).unwrap());
        }
        for (source, id) in &said.external_ids {
            prop_assert_eq!(cell(&Column::ExternalId(source.clone())), Some(id.clone()));
        }
        prop_assert_eq!(cell(&Column::Id), Some(ID.to_owned()));
        prop_assert_eq!(cell(&Column::Status), Some("ACTIVE".to_owned()));
        prop_assert_eq!(cell(&Column::UpdatedAt), contact.updated_at);
        for cell in cells.values() {
            prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{}", cell);
        }
    }

    #[test]
    fn ndjson_is_the_contact_as_the_api_has_it(said in said()) {
        let (text, contact) = written(&Writer::Ndjson, &said);
        let line = text.strip_suffix('\n').unwrap();
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(line, serde_json::to_string(&contact).unwrap());
    }

    #[test]
    fn a_vcard_is_read_back_to_the_same_contact(said in said()) {
        let (text, _) = written(&Writer::Vcard, &said);
        let card = card(&text);
        let line = |name: &str| card.get(name).map(|value| unescaped(value));
        for (place, property) in [(2, "EMAIL"), (3, "TEL"), (4, "ORG"), (5, "TITLE")] {
            prop_assert_eq!(&line(property), &said.fields[place], "{}", text);
        }
        let name = |place: usize| said.fields[place].clone().unwrap_or_default();
        let both = card.get("N").unwrap().strip_suffix(";;;").unwrap();
        let escaped = |text: &str| {
            text.replace('\\', "\\\\").replace(',', "\\,").replace(';', "\\;").replace('\n', "\\n")
        };
        prop_assert_eq!(both, format!("{};{}", escaped(&name(1)), escaped(&name(0))));
        prop_assert!(!line("FN").unwrap().is_empty());
        for (property, members) in [
            ("X-CONTACTD-EXTERNAL-IDS", said.external_ids.iter().map(|(source, id)| (source.clone(), Value::from(id.as_str()))).collect::<serde_json::Map<_, _>>()),
            ("X-CONTACTD-ATTRIBUTES", said.attributes.iter().map(|(name, json)| (name.clone(), serde_json::from_str(json).unwrap())).collect()),
        ] {
            let found = line(property).map_or(Value::Object(Default::default()), |json| serde_json::from_str(&json).unwrap());
            prop_assert_eq!(found, Value::Object(members));
        }
    }
}

/// The name of a column as it stands in the header, where it may have an apostrophe before it.
fn unescaped_name<'c>(cells: &'c BTreeMap<String, String>, column: &Column) -> &'c str {
    let name = column.name();
    cells.keys().find(|known| unescape_formula(known) == name).unwrap()
}

#[test]
fn a_table_looks_as_spreadsheets_expect_it() {
    let fields = ["Ada", "Love, lace", "ada@example.com", "+44 20 7946 0000", "=1+1", " x"];
    let said = Said {
        fields: fields.map(|text| Some(text.to_owned())),
        attributes: [
            ("tags".to_owned(), "[\"a\"]".to_owned()),
            ("vip".to_owned(), "\"yes\"".to_owned()),
        ]
        .into(),
        external_ids: [("hubspot".to_owned(), "-7".to_owned())].into(),
    };
    let csv = |formulas| Writer::Csv(CsvWriter::new(columns(&said), formulas));
    let (text, _) = written(&csv(Formulas::Escape), &said);
    assert_eq!(
        text,
        "id,firstName,lastName,email,phone,company,title,status,createdAt,updatedAt,version,\
         externalId:hubspot,tags,vip\r\n\
         c8b5f7d9-1,Ada,\"Love, lace\",ada@example.com,'+44 20 7946 0000,'=1+1,\" x\",ACTIVE,\
         2026-11-21T10:36:44.451Z,2026-11-21T10:36:44.451Z,1,'-7,\"[\"\"a\"\"]\",yes\r\n"
    );
    let (kept, _) = written(&csv(Formulas::Keep), &said);
    assert_eq!(kept, text.replace(",'", ","));
    let one = Writer::Csv(CsvWriter::new(
        vec![Column::Source, Column::Attribute("source".to_owned())],
        Formulas::Escape,
    ));
    assert_eq!(written(&one, &said).0, "source,attributes.source\r\nlab,\r\n");
    let empty =
        Writer::Csv(CsvWriter::new(vec![Column::Attribute("none".to_owned())], Formulas::Escape));
    assert_eq!(written(&empty, &said).0, "none\r\n\"\"\r\n");
}

#[test]
fn a_card_has_what_vcard_4_asks_for() {
    let fields = [Some("Ada"), Some("Lovelace"), None, Some("+44 20"), None, None];
    let said = Said { fields: fields.map(|text| text.map(str::to_owned)), ..Said::default() };
    assert_eq!(
        written(&Writer::Vcard, &said).0,
        "BEGIN:VCARD\r\nVERSION:4.0\r\nUID;VALUE=text:c8b5f7d9-1\r\nFN:Ada Lovelace\r\n\
         N:Lovelace;Ada;;;\r\nTEL:+44 20\r\nREV:20261121T103644Z\r\nX-CONTACTD-STATUS:ACTIVE\r\n\
         X-CONTACTD-VERSION:1\r\nX-CONTACTD-SOURCE:lab\r\n\
         X-CONTACTD-CREATED-AT:2026-11-21T10:36:44.451Z\r\n\
         X-CONTACTD-UPDATED-AT:2026-11-21T10:36:44.451Z\r\nEND:VCARD\r\n"
    );
    let nobody = written(&Writer::Vcard, &Said::default()).0;
    assert!(nobody.contains("\r\nFN:c8b5f7d9-1\r\nN:;;;;\r\n"), "{nobody}");
}

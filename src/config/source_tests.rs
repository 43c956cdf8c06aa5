//! Tables of sources: what they take out, and what they were meant to be called. What is printed, read again.

use crate::domain::decode::Decoder;
use crate::domain::event::{FIELDS, Patch};
use crate::domain::headers::SOURCE;
use crate::domain::limits::Limits;
use crate::domain::position::{Lane, Offset};
use crate::domain::record::RecordBatch;
use crate::domain::sources::{Source, Sources as Compiled, field_of};

use super::{FileText, Mode, Sources, load};

fn file(text: &str) -> Option<FileText> {
    Some(FileText { name: "my.toml".to_owned(), text: text.to_owned() })
}

/// The fields and attributes that a source's event speaks of.
fn taken(table: &str, source: &str, event: &str) -> (Vec<&'static str>, Vec<String>) {
    let mut sources = Sources::new(Mode::Serve);
    sources.file = file(table);
    let texts = load(&sources).unwrap().source_texts();
    let decoder = Decoder::new(Compiled::compile(&texts).unwrap(), Limits::default());
    let mut batch = RecordBatch::new(Lane(0));
    let headers = [(SOURCE, Some(source.as_bytes()))].into_iter();
    batch.push(Offset(0), 0, Some(b"a"), Some(event.as_bytes()), headers);
    let event = decoder.decode(&mut batch, 0).unwrap();
    let fields = FIELDS.into_iter().zip(event.fields);
    let fields = fields.filter(|(_, patch)| *patch != Patch::Absent).map(|(name, _)| name);
    let attributes = event.attributes.iter().map(|(name, _)| name.text(&batch.arena).to_owned());
    (fields.collect(), attributes.collect())
}

#[test]
fn a_field_without_a_path_is_not_taken_by_any_name() {
    let changed = |name: &str| {
        format!(
            r#"{{"eventId":1,"subscriptionType":"contact.propertyChange","occurredAt":1763719200000,
            "objectId":1148,"propertyName":"{name}","propertyValue":"x@example.com"}}"#
        )
    };
    let ours =
        r#"{"eventType":"contact.updated","data":{"id":"a","email":"x@example.com","title":"x"}}"#;
    let hubspot = "[source.hubspot]\npreset = \"hubspot\"\n[source.hubspot.fields]\n";
    let theirs =
        |line: &str, name: &str| taken(&format!("{hubspot}{line}\n"), "hubspot", &changed(name));
    assert_eq!(theirs("phone = \"mobile\"", "email"), (vec!["email"], vec![]));
    for line in
        ["email = \"\"", "email = []", "email = { from = \"\" }", "email = { from = [\"\"] }"]
    {
        // As any property that stands for no field.
        assert_eq!(theirs(line, "email"), (vec![], vec!["email".to_owned()]), "{line}");
        let own = format!("[source.crm.fields]\n{line}\n");
        assert_eq!(taken(&own, "crm", ours), (vec!["title"], vec!["email".to_owned()]), "{line}");
    }
    assert_eq!(theirs("firstName = \"\"", "firstname"), (vec![], vec!["firstname".to_owned()]));
}

#[test]
fn a_field_without_a_path_is_not_sent_either_and_a_path_beside_an_empty_one_is_a_mistake() {
    let mut sources = Sources::new(Mode::Serve);
    sources.file = file("[source.crm.fields]\nemail = \"\"\n");
    let texts = load(&sources).unwrap().source_texts();
    let source = Source::compile("crm", texts.get("crm").unwrap()).unwrap();
    let outward = source.outward(&[Some("x"); FIELDS.len()]);
    assert_eq!(outward.sent.len(), FIELDS.len() - 1);
    assert!(source.leaves_out(field_of(b"email").unwrap()));
    sources.file = file("[source.crm.fields]\nemail = [\"\", \"mail\"]\n");
    let wrong = load(&sources).unwrap_err().to_string();
    assert!(wrong.contains("source.crm.fields.email has an empty path"), "{wrong}");
}

#[test]
fn a_table_under_the_wrong_name_says_which_is_meant() {
    let mut sources = Sources::new(Mode::Serve);
    sources.file = file(
        "[sources.crm]\npreset = \"hubspot\"\nids = \"own\"\n[inputs.\"a.b\"]\nsource = \"crm\"\n\
         [sourc.x]\nids = \"own\"\n",
    );
    let wrong = load(&sources).unwrap_err().to_string();
    let lines: Vec<&str> = wrong.lines().collect();
    let expected = [
        "my.toml:2: unknown section [sources.crm]; did you mean `source.crm`?",
        "my.toml:5: unknown section [inputs.a.b]; did you mean `input.a.b`?",
        "my.toml:7: unknown section [sourc.x]; did you mean `source.x`?",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn what_is_printed_can_be_read_again_and_says_where_its_secrets_are() {
    let mut sources = Sources::new(Mode::Serve);
    sources.file = file(
        "[acme]\napi_key = \"hunter1\"\n[kafka.properties]\n\"sasl.password\" = \"hunter2\"\n\
         [source.hubspot]\npreset = \"hubspot\"\nsecret = \"hunter3-hunter3-hunter3-hunter3\"\n\
         [source.hubspot.fields]\nemail = \"\"\n",
    );
    let config = load(&sources).unwrap();
    let printed = config.to_toml();
    for line in [
        "# api_key = \"***\"  # my.toml:2; not shown: set it as there, or name a file in api_key_file",
        "# \"sasl.password\" = \"***\"  # my.toml:4; not shown: set it as there",
        "# secret = \"***\"  # my.toml:7; not shown: set it as there, or name a file in secret_file",
    ] {
        assert!(printed.lines().any(|printed| printed == line), "no {line}\nin {printed}");
    }
    sources.file = file(&printed);
    let again = load(&sources).unwrap();
    assert!(again.acme.api_key.is_none() && again.kafka.properties.is_empty());
    assert_eq!(again.source_texts(), config.source_texts());
}

//! Schemas are asked for once, and a registry that is away, behind or lying costs no record.

use std::sync::Arc;
use std::time::Duration;

use contactd::app::now_ms;
use contactd::config::{FlagSetting, Mode, SchemaRegistryConfig, Sources, load};
use contactd::domain::avro::to_json;
use contactd::domain::decode::Reject;
use contactd::domain::verdict::DeadLetterReason;
use contactd::schema_registry::{Format, Look, SchemaRegistry};
use contactd::telemetry::Metrics;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::support::registry::TestRegistry;
use crate::support::wait::{wait_for, wait_until};

const PATIENCE: Duration = Duration::from_secs(30);
/// Of a record that is long there.
const OLD: i64 = 1_000;

/// A registry as it is asked, and who asks.
struct Asked {
    registry: Arc<SchemaRegistry>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    runtime: Runtime,
}

impl Asked {
    fn by(theirs: &TestRegistry, settings: &[(&str, &str)]) -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        let config = config(theirs, settings);
        let registry = Arc::new(SchemaRegistry::new(&config, Arc::clone(&metrics)).unwrap());
        registry.show();
        let (runtime, stop) = (Runtime::new().unwrap(), CancellationToken::new());
        let (asking, told) = (Arc::clone(&registry), stop.clone());
        drop(runtime.spawn(async move { asking.run(&told).await }));
        Self { registry, metrics, stop, runtime }
    }

    fn known(&self, id: u32) -> Arc<Format> {
        wait_for(PATIENCE, "the schema is known", || match self.registry.look(id, OLD, None) {
            Look::Known(format) => Some(format),
            Look::Refused(reject) => panic!("{reject}"),
            Look::Awaited => None,
        })
    }

    fn refused(&self, id: u32) -> Reject {
        wait_for(PATIENCE, "the schema is refused", || match self.registry.look(id, OLD, None) {
            Look::Known(_) => panic!("{id} is known"),
            Look::Refused(reject) => Some(reject),
            Look::Awaited => None,
        })
    }

    fn says(&self, figure: &str) -> bool {
        let text = String::from_utf8(self.metrics.render().unwrap()).unwrap();
        text.lines().any(|line| line == figure)
    }

    /// What is wrong, once something is.
    fn trouble(&self, id: u32) -> String {
        assert!(matches!(self.registry.look(id, OLD, None), Look::Awaited));
        wait_for(PATIENCE, "it is in trouble", || self.registry.note())
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.stop.cancel();
        // Its task ends by that.
        let _ = &self.runtime;
    }
}

fn config(theirs: &TestRegistry, settings: &[(&str, &str)]) -> SchemaRegistryConfig {
    let url = theirs.url();
    let all = [("url", url.as_str())].into_iter().chain(settings.iter().copied());
    let flags = all.map(|(key, value)| FlagSetting {
        flag: "test".to_owned(),
        key: format!("schema_registry.{key}"),
        value: value.to_owned(),
    });
    let config = load(&Sources { flags: flags.collect(), ..Sources::new(Mode::Dev) });
    config.unwrap().schema_registry.unwrap()
}

fn json_of(format: &Format, bytes: &[u8]) -> Value {
    let Format::Avro(schema) = format else { panic!("it is no Avro") };
    serde_json::from_slice(&to_json(schema, bytes, 1 << 20).unwrap()).unwrap()
}

#[test]
fn a_schema_is_asked_for_once_with_all_that_it_refers_to() {
    let theirs = TestRegistry::start();
    let reference = |subject: &str| json!({ "name": "x", "subject": subject, "version": 3 });
    let place = json!({ "type": "record", "name": "a.Place", "fields": [
        { "name": "city", "type": "string" }] });
    let home = json!({ "type": "record", "name": "a.Home", "fields": [
        { "name": "place", "type": "Place" }] });
    let person = json!({ "type": "record", "name": "a.Person", "fields": [
        { "name": "home", "type": "Home" }, { "name": "work", "type": ["null", "Place"] }] });
    // Both refer to a place, which is asked for once.
    theirs.add_version("a%2Fplace", 3, &json!({ "schema": place.to_string(), "id": 1 }));
    theirs.add_version(
        "home",
        3,
        &json!({ "schema": home.to_string(), "references": [reference("a/place")] }),
    );
    theirs.add_answer(
        7,
        &json!({ "schema": person.to_string(), "schemaType": "AVRO",
        "references": [reference("home"), reference("a/place")] }),
    );
    let asked = Asked::by(&theirs, &[]);
    let format = asked.known(7);
    let expected = json!({ "home": { "place": { "city": "B" } }, "work": null });
    assert_eq!(json_of(&format, &[2, b'B', 0]), expected);
    for _ in 0..100 {
        asked.known(7);
    }
    assert_eq!(theirs.asked("/schemas/ids/7"), 1);
    assert_eq!(theirs.asked("/subjects/a%2Fplace/versions/3"), 1);
    assert!(asked.says("contactd_schema_registry_schemas 1"));
    assert!(asked.says("contactd_schema_registry_requests_total{result=\"schema\"} 1"));
    assert_eq!(asked.registry.note(), None);
}

#[test]
fn a_registry_that_is_away_is_waited_for_and_named() {
    let theirs = TestRegistry::start();
    theirs.set_away(true);
    theirs.add(1, &json!("long"));
    let asked = Asked::by(&theirs, &[]);
    let note = asked.trouble(1);
    assert!(note.contains(&theirs.url()), "{note}");
    wait_until(PATIENCE, "it is asked again", || theirs.asked("/schemas/ids/1") > 1);
    assert!(asked.says("contactd_dependency_up{dependency=\"schema_registry\"} 0"));
    assert!(matches!(asked.registry.look(1, OLD, None), Look::Awaited));
    theirs.set_away(false);
    assert_eq!(json_of(&asked.known(1), &[4]), json!(2));
    assert!(asked.says("contactd_dependency_up{dependency=\"schema_registry\"} 1"));
    assert_eq!(asked.registry.note(), None);
}

#[test]
fn what_no_registry_says_is_waited_for_too() {
    let theirs = TestRegistry::start();
    let path = "/schemas/ids/1";
    theirs.set(path, 200, "text/html", "<html>hello</html>");
    let asked = Asked::by(&theirs, &[]);
    let note = asked.trouble(1);
    assert!(note.contains("no schema (text/html)"), "{note}");
    for (status, body, words) in [
        (404, "<html>no such page</html>", "it answers 404: is schema_registry.url"),
        (302, "", "it answers 302"),
        (500, r#"{"error_code":50001}"#, "it answers 500"),
        (429, "", "it answers 429"),
    ] {
        theirs.set(path, status, "text/html", body);
        wait_until(PATIENCE, words, || asked.registry.note().is_some_and(|it| it.contains(words)));
        assert!(matches!(asked.registry.look(1, OLD, None), Look::Awaited));
    }
    theirs.add(1, &json!("long"));
    asked.known(1);
}

#[test]
fn a_login_is_sent_and_never_shown() {
    let theirs = TestRegistry::start();
    theirs.let_in("contactd:hunter2");
    theirs.add(1, &json!("long"));
    let wrong = Asked::by(&theirs, &[("user", "contactd"), ("password", "hunter3")]);
    let note = wrong.trouble(1);
    assert!(note.contains("401") && !note.contains("hunter"), "{note}");
    Asked::by(&theirs, &[("user", "contactd"), ("password", "hunter2")]).known(1);
}

#[test]
fn an_id_that_is_not_known_is_refused_when_its_record_is_old_and_asked_for_while_it_is_young() {
    let theirs = TestRegistry::start();
    let asked = Asked::by(&theirs, &[("unknown_wait", "1h")]);
    let reject = asked.refused(5);
    assert_eq!(reject.reason, DeadLetterReason::SchemaUnknown);
    assert!(reject.detail.contains("schema 5 is not known there"), "{reject}");
    assert_eq!(theirs.asked("/schemas/ids/5"), 1);
    let young = i64::try_from(now_ms()).unwrap();
    wait_until(PATIENCE, "it is asked for again", || {
        assert!(matches!(asked.registry.look(6, young, None), Look::Awaited));
        theirs.asked("/schemas/ids/6") > 2
    });
    theirs.add(6, &json!("long"));
    asked.known(6);
    // A registry that has learnt it meanwhile is believed: after a while, or where somebody says that it has.
    let by_now = Some(now_ms());
    for _ in 0..2 {
        wait_until(PATIENCE, "it is asked for once more", || {
            matches!(asked.registry.look(5, OLD, by_now), Look::Refused(_))
        });
        assert_eq!(theirs.asked("/schemas/ids/5"), 2);
    }
    theirs.add(5, &json!("long"));
    let by_now = Some(now_ms() + 1);
    wait_until(PATIENCE, "it is known at last", || {
        matches!(asked.registry.look(5, OLD, by_now), Look::Known(_))
    });
}

#[test]
fn what_nothing_can_be_read_by_is_refused_for_good() {
    let theirs = TestRegistry::start();
    let large = format!("\"{}\"", "x".repeat(5 << 20));
    let many: Vec<Value> = (0..300)
        .map(|version| {
            theirs.add_version("many", version, &json!({ "schema": "\"long\"" }));
            json!({ "subject": "many", "version": version })
        })
        .collect();
    let missing = json!([{ "subject": "gone", "version": 1 }]);
    for (id, answer, reason, words) in [
        (
            1,
            json!({ "schema": "syntax = 3", "schemaType": "PROTOBUF" }),
            DeadLetterReason::ProtobufFraming,
            "schema 1 of the registry: it is Protobuf",
        ),
        (
            2,
            json!({ "schema": "x", "schemaType": "XML" }),
            DeadLetterReason::UnusableSchema,
            "its type",
        ),
        (3, json!({ "schema": "{" }), DeadLetterReason::UnusableSchema, "no JSON"),
        (4, json!({ "schema": "\"Row\"" }), DeadLetterReason::UnusableSchema, "Row is not defined"),
        (5, json!({ "schema": large }), DeadLetterReason::UnusableSchema, "bytes"),
        (
            6,
            json!({ "schema": "\"long\"", "references": many }),
            DeadLetterReason::UnusableSchema,
            "it refers to too much",
        ),
        (
            7,
            json!({ "schema": "\"long\"", "references": missing }),
            DeadLetterReason::SchemaUnknown,
            "version 1 of gone, which schema 7 refers to",
        ),
    ] {
        theirs.add_answer(id, &answer);
        let asked = Asked::by(&theirs, &[("unknown_wait", "0s")]);
        let reject = asked.refused(id);
        assert_eq!(reject.reason, reason, "{reject}");
        assert!(reject.detail.contains(words), "{reject}");
        assert_eq!(asked.registry.note(), None);
    }
    theirs.add_answer(8, &json!({ "schema": "{}", "schemaType": "JSON" }));
    assert!(matches!(*Asked::by(&theirs, &[]).known(8), Format::Json));
}

#[test]
fn a_record_is_tested_by_the_schema_that_the_registry_has_under_its_id() {
    let registry = TestRegistry::start();
    let schema = json!({ "type": "record", "name": "Row", "fields": [
        { "name": "id", "type": "long" }, { "name": "first_name", "type": "string" },
    ] });
    registry.add(7, &schema);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("my.toml");
    let input = "[kafka]\nbrokers = \"\"\n[bridge]\ntopics = [\"rows\"]\n[source.erp]\npreset = \"connect-json\"\n";
    let url = format!("{input}[schema_registry]\nurl = \"{}\"\n", registry.url());
    std::fs::write(&file, url).unwrap();
    let record = |id: u8| [&[0, 0, 0, 0, id][..], b"\x54\x06Ada"].concat();
    std::fs::write(directory.path().join("row"), record(7)).unwrap();
    std::fs::write(directory.path().join("unknown"), record(8)).unwrap();
    std::fs::write(directory.path().join("bare"), "{}").unwrap();
    let tested = |name: &str| {
        let line = ["source", "test", "erp", name, "--registry", "--config", "my.toml"];
        let output = crate::cli::contactd(directory.path()).args(line).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, told) = tested("row");
    assert!(code == Some(0) && told.contains("contact  42") && told.contains("\"Ada\""), "{told}");
    for (name, expected, why) in
        [("unknown", 5, "schema 8"), ("bare", 5, "no schema's id before it")]
    {
        let (code, told) = tested(name);
        assert!(code == Some(expected) && told.contains(why), "{name}: {told}");
    }
    registry.set_away(true);
    let (code, told) = tested("row");
    assert!(code == Some(4) && told.contains(&registry.url()), "{told}");
    std::fs::write(&file, input).unwrap();
    let (code, told) = tested("row");
    assert!(code == Some(2) && told.contains("schema_registry.url"), "{told}");
}

//! The golden log: a fixed load and the digest that it has led to since. It changes only with a new
//! `APPLY_VERSION`, for a store must not hold what two rules made without saying so.
//!
//! `CONTACTD_TEST_GOLDEN=write` writes the fixture of the present `APPLY_VERSION`, where there is
//! none.

use std::fmt::Write as _;
use std::path::PathBuf;

use contactd::domain::fingerprint::APPLY_VERSION;
use contactd::simulate::{LoadGenerator, LoadOptions};

use super::{event, node};
use crate::support::image::Image;
use crate::support::load::new_record;
use crate::support::logs::{RawRecord, TestLog};

const WRITE: &str = "CONTACTD_TEST_GOLDEN";

fn fixture() -> PathBuf {
    let name = format!("tests/fixtures/golden-{APPLY_VERSION}.txt");
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Generated events of every kind, and some by hand that the generator does not make.
fn golden_log() -> Vec<RawRecord> {
    let options = LoadOptions {
        events: 1_000,
        contacts: 120,
        seed: 20_261_121,
        duplicates: 0.05,
        late: 0.1,
        deletes: 0.1,
        malformed: 0.03,
        ..LoadOptions::default()
    };
    let generated = LoadGenerator::new(&options).map(new_record);
    let untimed = r#"{"id":"u1","eventType":"contact.updated","data":{"id":"untimed","email":"u@example.com"}}"#;
    let mut without_time = event("updated", "untimed", 1, "");
    without_time.value = Some(untimed.as_bytes().to_vec());
    let by_hand = [
        event("created", "golden", 10, r#""firstName":"Ada","email":"Ada@Example.com""#),
        event("deleted", "golden", 20, r#""title":"Countess""#),
        event("updated", "golden", 30, r#""company":"Analytical Engines""#),
        event("created", "golden", 40, r#""lastName":"Lovelace""#),
        event("updated", "golden", 15, r#""phone":"+44 1""#),
        event("updated", "golden", 50, r#""lastName":null,"nested":{"b":[1,2.50,"x"],"a":null}"#),
        event("deleted", "buried", 5, ""),
        event("updated", "buried", 6, r#""firstName":"Nobody""#),
        without_time.clone(),
        without_time,
    ];
    generated.chain(by_hand).map(Into::into).collect()
}

/// All that the rules decide, and nothing that batches decide.
fn summary(image: &Image) -> String {
    let mut text = format!("apply version {APPLY_VERSION}\ndigest {:032x}\n", image.digest);
    let _ = writeln!(text, "active {} deleted {}", image.active, image.deleted);
    for (verdict, count) in &image.verdict_totals {
        let _ = writeln!(text, "{verdict} {count}");
    }
    for (lane, next) in &image.next_offsets {
        let _ = writeln!(text, "lane {lane} next {next}");
    }
    text
}

#[test]
fn the_golden_log_gives_the_golden_digest() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = TestLog::embedded(&dir.path().join("log"));
    log.append(golden_log());
    let node = node(dir.path(), &log);
    node.catch_up_soundly();
    let found = summary(&Image::read(&node.store));
    let path = fixture();
    let is_writing = std::env::var(WRITE).as_deref() == Ok("write");
    if is_writing && !path.exists() {
        std::fs::create_dir_all(path.parent().expect("a directory"))
            .expect("the fixtures' directory");
        std::fs::write(&path, &found).expect("the fixture can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; {WRITE}=write makes the fixture of a new APPLY_VERSION",
            path.display()
        )
    });
    assert_eq!(
        expected, found,
        "what apply does has changed: raise APPLY_VERSION, then {WRITE}=write"
    );
}

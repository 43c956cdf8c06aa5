//! Each thing that is stored twice, changed in one of its places.

use super::*;
use crate::store::codec::CONTACT;

fn filled() -> Bench {
    let mut bench = Bench::new(|_| {});
    let mut random = fastrand::Rng::with_seed(41);
    for _ in 0..20 {
        bench.random_batch(&mut random, 50);
    }
    bench.stage(EventKind::Created, "ada", &[(EMAIL, "ada@example.com")]);
    bench.commit();
    bench.checkpoint();
    bench
}

fn told(bench: &Bench) -> String {
    bench.reader.verify(&mut |_, _| {}).unwrap().discrepancies.join("\n")
}

fn put(bench: &Bench, key: &[u8], value: Option<&[u8]>) {
    bench.reader.shared.contacts.engine.insert_sorted([(key, value)]).unwrap();
}

#[test]
fn a_sound_store_has_no_discrepancies() {
    let bench = filled();
    assert_eq!(told(&bench), "");
}

#[test]
fn a_lost_contact_is_named() {
    let bench = filled();
    put(&bench, b"cada", None);
    let told = told(&bench);
    for part in ["1 contacts of the journal are missing", "digest is", "ACTIVE", "are ordered"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn an_older_image_is_named() {
    let mut bench = filled();
    let old = bench.reader.contact(b"ada").unwrap().unwrap();
    bench.stage(EventKind::Updated, "ada", &[(COMPANY, "Analytical Engines")]);
    bench.commit();
    bench.checkpoint();
    put(&bench, b"cada", Some(old.bytes()));
    let told = told(&bench);
    assert!(told.contains("contact ada is not what the journal says last"), "{told}");
    assert!(told.contains("contact ada is ordered by other values"), "{told}");
}

#[test]
fn a_value_that_is_none_is_named() {
    let bench = filled();
    put(&bench, b"cada", Some(b"\x09nonsense"));
    assert!(told(&bench).contains("contact ada has no known format"));
}

#[test]
fn wrong_counters_and_a_wrong_stamp_are_named() {
    let bench = filled();
    bench.reader.shared.commits.cut.lock().counters.active += 1;
    let told_now = told(&bench);
    assert!(told_now.contains("counted were"), "{told_now}");
    assert!(told_now.contains("the journal's end is not the state"), "{told_now}");
    bench.reader.shared.commits.cut.lock().counters.active -= 1;
    assert_eq!(told(&bench), "");
    put(&bench, crate::store::codec::STAMP_KEY, None);
    assert!(told(&bench).contains("is not what the engine holds"));
}

#[test]
fn a_contact_that_no_journal_knows_is_named() {
    let bench = filled();
    let value = bench.reader.contact(b"ada").unwrap().unwrap();
    put(&bench, &[&[CONTACT], b"eve".as_slice()].concat(), Some(value.bytes()));
    assert!(told(&bench).contains("contact eve is not what the journal says last"));
}

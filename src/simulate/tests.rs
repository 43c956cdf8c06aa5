//! The generator's promises: the shares, and that equal seeds give equal bytes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn options(events: u64) -> LoadOptions {
    LoadOptions { events, contacts: 2000, ..LoadOptions::default() }
}

fn json(record: &LoadRecord) -> Option<serde_json::Value> {
    serde_json::from_slice(record.value.as_ref()?).ok()
}

#[test]
fn equal_seeds_give_equal_bytes_and_others_do_not() {
    let options = LoadOptions { malformed: 0.1, ..options(20_000) };
    let first: Vec<_> = LoadGenerator::new(&options).collect();
    let second: Vec<_> = LoadGenerator::new(&options).collect();
    assert!(first == second);
    let other = LoadOptions { seed: 43, ..options };
    assert!(first != LoadGenerator::new(&other).collect::<Vec<_>>());
}

/// A change here changes every figure and fixture that a seed stands for.
#[test]
fn the_stream_of_seed_42_is_what_it_was() {
    let options = LoadOptions { events: 50_000, malformed: 0.01, ..LoadOptions::default() };
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    for record in LoadGenerator::new(&options) {
        hash.update(&record.key);
        hash.update(record.value.as_deref().unwrap_or(b"\0"));
        hash.update(&record.timestamp_ms.to_le_bytes());
    }
    assert_eq!(hash.digest(), 0xc1f8_7ecf_4084_fdce);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_first_records_do_not_depend_on_how_many_follow(
        seed: u64, contacts in 1..500_u32, short in 0..1500_u64, more in 0..1500_u64, malformed in 0.0..0.5_f64
    ) {
        let options = LoadOptions { events: short, contacts, seed, malformed, ..LoadOptions::default() };
        let long = LoadOptions { events: short + more, ..options.clone() };
        let first: Vec<_> = LoadGenerator::new(&options).collect();
        let prefix: Vec<_> = LoadGenerator::new(&long).take(short as usize).collect();
        prop_assert_eq!(first.len() as u64, short);
        prop_assert!(first == prefix);
    }
}

#[test]
fn the_shares_are_what_was_asked_for() {
    let records: Vec<_> = LoadGenerator::new(&options(200_000)).collect();
    let mut seen = BTreeSet::new();
    let mut newest: BTreeMap<String, u64> = BTreeMap::new();
    let (mut duplicates, mut late, mut deletes, mut created, mut bytes) = (0, 0, 0, 0, 0);
    for record in &records {
        bytes += record.key.len() + record.value.as_ref().unwrap().len();
        let event = json(record).expect("every event is JSON");
        assert_eq!(event["data"]["id"].as_str().unwrap().as_bytes(), record.key);
        if !seen.insert(event["id"].as_str().unwrap().to_owned()) {
            duplicates += 1;
            continue;
        }
        let version = event["version"].as_u64().unwrap();
        let newest = newest.entry(event["data"]["id"].as_str().unwrap().to_owned()).or_default();
        late += u32::from(version < *newest);
        *newest = version.max(*newest);
        match event["eventType"].as_str().unwrap() {
            "contact.deleted" => deletes += 1,
            "contact.created" => created += 1,
            other => assert_eq!(other, "contact.updated"),
        }
    }
    let share = |count: u32| f64::from(count) / records.len() as f64;
    assert!((0.018..0.022).contains(&share(duplicates)), "{duplicates} duplicates");
    assert!((0.005..0.03).contains(&share(late)), "{late} late");
    assert!((0.04..0.055).contains(&share(deletes)), "{deletes} deletes");
    assert!(created > newest.len() as u32 * 9 / 10, "{created} created");
    let mean = bytes / records.len();
    assert!((280..330).contains(&mean), "{mean} bytes a record");
}

#[test]
fn malformed_records_come_in_every_kind() {
    let options = LoadOptions { malformed: 1.0, ..options(2000) };
    let records: Vec<_> = LoadGenerator::new(&options).collect();
    let count =
        |is: &dyn Fn(&LoadRecord) -> bool| records.iter().filter(|record| is(record)).count();
    let value = |record: &LoadRecord| record.value.clone().unwrap_or_default();
    assert!(count(&|record| record.key.is_empty()) > 100);
    assert!(count(&|record| record.value.is_none()) > 100);
    assert!(count(&|record| value(record).first() == Some(&0)) > 100);
    assert!(count(&|record| value(record).len() > 20_000) > 100);
    assert!(count(&|record| std::str::from_utf8(&value(record)).is_err()) > 100);
    assert!(count(&|record| json(record).is_none()) > 500);
    let says = |text: &'static str| {
        count(&move |record| String::from_utf8_lossy(&value(record)).contains(text))
    };
    assert!(says("contact.exploded") > 100);
    assert!(says("2099-01-01") > 100);
    assert!(says("where the contact should be") > 100);
    assert!(says("Nobody") > 100);
}

#[test]
fn a_demo_goes_by_the_time_it_is_given_and_never_back() {
    let mut generator = LoadGenerator::new(&LoadOptions { contacts: 10, ..options(0) });
    assert_eq!(generator.next(), None);
    let now = START_MS + 1_000_000;
    assert_eq!(generator.record_at(now).timestamp_ms as u64, now);
    assert!(generator.record_at(now - 5).timestamp_ms as u64 > now);
}

#[test]
fn the_most_frequent_contact_has_the_id_that_is_told() {
    let generator = LoadGenerator::new(&options(50_000));
    let id = generator.contact_id(0).into_bytes();
    let mut counts: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    for record in generator {
        *counts.entry(record.key).or_default() += 1;
    }
    assert_eq!(counts.iter().max_by_key(|(_, count)| **count).unwrap().0, &id);
}

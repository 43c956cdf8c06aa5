//! Random operations on a store and on a model of it, which must then answer alike.

use std::collections::BTreeSet;

use contactd::domain::contact::Status;
use contactd::domain::verdict::Verdict;
use contactd::store::{PageRequest, SortOrder};

use super::world::{Listed, World};
use crate::support::image::ids_by_email;

const STEPS: usize = 120;
const SEEDS: u64 = 3;

#[test]
fn random_operations_agree_with_a_model() {
    for number in 0..SEEDS {
        let seed = fastrand::u64(..);
        println!("world {number}, seed {seed}");
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut world = World::new(dir.path(), seed);
        for _ in 0..STEPS {
            step(&mut world);
        }
        compare_all(&mut world);
    }
}

fn step(world: &mut World) {
    match world.random.u32(..20) {
        0 => world.store().writer.checkpoint_now().expect("a checkpoint"),
        1 => world.store().writer.snapshot_now().expect("a snapshot"),
        2 => {
            let opened = world.opened.take().expect("an open store");
            opened.writer.close().expect("a last checkpoint");
            drop(opened.reader);
            world.open();
        }
        // As a kill leaves it, as far as one process can tell.
        3 => {
            world.opened = None;
            world.open();
            assert_eq!(world.store().report.refilled, None);
        }
        // Without its engine.
        4 => {
            world.opened = None;
            std::fs::remove_dir_all(world.dir.join("sled")).expect("the engine goes");
            world.open();
        }
        5 => world.batch(false),
        6 => compare_all(world),
        _ => world.batch(true),
    }
    compare_some(world);
}

/// A few contacts, so that the cache is warm at some times and cold at others.
fn compare_some(world: &mut World) {
    for _ in 0..3 {
        let id = format!("contact-{}-{}", world.random.u32(..2), world.random.u32(..27));
        let found = world.store().reader.contact(id.as_bytes()).expect("a contact can be read");
        assert_eq!(found.as_ref().map(|value| value.body()), world.model.body(&id), "{id}");
    }
}

fn compare_all(world: &mut World) {
    let model = world.model.clone();
    let reader = world.store().reader.clone();
    let stats = reader.stats().expect("statistics");
    for verdict in Verdict::ALL {
        let expected = model.verdicts.get(&verdict).copied().unwrap_or(0);
        assert_eq!(stats.counters.verdict(verdict), expected, "{verdict}");
    }
    assert_eq!(stats.position.next, model.next);
    let listed = model.listed();
    let count = |status| listed.iter().filter(|contact| contact.status == status).count() as u64;
    let counts = (stats.counters.active, stats.counters.deleted);
    assert_eq!(counts, (count(Status::Active), count(Status::Deleted)));
    for (id, bodies) in &model.bodies {
        let history = reader.history(id.as_bytes(), usize::MAX, None).expect("history");
        let versions: Vec<_> =
            history.iter().rev().map(|entry| entry.view().expect("a view").version()).collect();
        let expected: Vec<_> = (1..=bodies.len() as u64).collect();
        assert_eq!(versions, expected, "the history of {id}");
    }
    compare_emails(world, &listed);
    compare_pages(world, &listed);
    let mut exported = Vec::new();
    let report = reader.export(true, &mut exported).expect("an export");
    assert_eq!(report.contacts, listed.len() as u64);
    let lines = exported.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let ids: Vec<String> = lines.map(id_of).collect();
    assert!(ids.iter().eq(model.bodies.keys()), "an export is sorted by id, and whole");
    let verified = reader.verify(&mut |_, _| {}).expect("a verification");
    assert!(verified.is_sound(), "{:?}", verified.discrepancies);
}

fn id_of(line: &[u8]) -> String {
    let contact: serde_json::Value = serde_json::from_slice(line).expect("a line of JSON");
    contact["id"].as_str().expect("an id").to_owned()
}

fn compare_emails(world: &mut World, listed: &[Listed]) {
    let lower = |contact: &Listed| contact.email.as_ref().map(|email| email.to_lowercase());
    let emails: BTreeSet<String> = listed.iter().filter_map(lower).collect();
    for email in emails.iter().map(String::as_str).chain(["nobody@example.com"]) {
        let found = ids_by_email(&world.store().reader, &email.to_uppercase());
        let expected: Vec<_> = listed
            .iter()
            .filter(|contact| lower(contact).as_deref() == Some(email))
            .map(|contact| contact.id.clone())
            .collect();
        assert_eq!(found, expected, "{email}");
    }
}

fn compare_pages(world: &mut World, listed: &[Listed]) {
    for order in SortOrder::ALL {
        for descending in [false, true] {
            for status in [None, Some(Status::Active), Some(Status::Deleted)] {
                let mut expected: Vec<&Listed> = listed
                    .iter()
                    .filter(|contact| status.is_none_or(|status| status == contact.status))
                    .collect();
                expected.sort_by_key(|contact| (sort_key(order, contact), contact.id.clone()));
                if descending {
                    expected.reverse();
                }
                let request =
                    PageRequest { order, descending, status, limit: 7, ..PageRequest::default() };
                let found = all_pages(world, request);
                let expected: Vec<_> = expected.iter().map(|contact| contact.id.as_str()).collect();
                assert_eq!(found, expected, "{order:?} descending {descending} {status:?}");
            }
        }
    }
}

/// What an order goes by, as text that sorts alike.
fn sort_key(order: SortOrder, contact: &Listed) -> String {
    match order {
        SortOrder::Id | SortOrder::Match => String::new(),
        SortOrder::UpdatedAt => format!("{:020}", contact.updated_at_us),
        SortOrder::CreatedAt => format!("{:020}", contact.created_at_us),
        SortOrder::ChangedAt => format!("{:020}", contact.changed_at_ms),
        SortOrder::Name => contact.name.to_lowercase(),
        SortOrder::Company => contact.company.to_lowercase(),
    }
}

fn all_pages(world: &mut World, mut request: PageRequest) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let page = world.store().reader.page(&request).expect("a page");
        let is_last = page.contacts.len() < request.limit;
        request.after = page.contacts.last().map(|entry| entry.key.clone());
        found.extend(page.contacts.into_iter().map(|entry| entry.id));
        if is_last {
            return found;
        }
    }
}

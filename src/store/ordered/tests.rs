//! The indexes against a plain sort, and pages against changes.

use std::collections::{BTreeMap, BTreeSet};

use super::sorted::Entry;
use super::*;

type Model = BTreeMap<Vec<u8>, SortKeys>;

fn keys(random: &mut fastrand::Rng) -> SortKeys {
    // Few words and many equal beginnings, so that every tie is met.
    let text = |random: &mut fastrand::Rng| {
        let words = ["", "a", "ada", "ada lovelace", "ada lovelace-byron", "grace hopper"];
        random.choice(words).unwrap().as_bytes().to_vec()
    };
    SortKeys {
        active: random.u8(0..10) > 2,
        updated_at_ms: random.u64(0..50),
        created_at_ms: random.u64(0..5),
        email: random.u64(0..9),
        name: text(random),
        company: text(random),
    }
}

fn id(random: &mut fastrand::Rng, contacts: u32) -> Vec<u8> {
    format!("contact-{:05}", random.u32(0..contacts)).into_bytes()
}

fn sort(order: SortOrder, keys: &SortKeys) -> Vec<u8> {
    match order {
        SortOrder::Id => Vec::new(),
        SortOrder::UpdatedAt => keys.updated_at_ms.to_be_bytes().to_vec(),
        SortOrder::CreatedAt => keys.created_at_ms.to_be_bytes().to_vec(),
        SortOrder::Name => keys.name.clone(),
        SortOrder::Company => keys.company.clone(),
    }
}

fn sorted(
    model: &Model,
    order: SortOrder,
    descending: bool,
    status: Option<Status>,
) -> Vec<PageKey> {
    let mut all: Vec<PageKey> = model
        .iter()
        .filter(|(_, keys)| status.is_none_or(|status| keys.active == (status == Status::Active)))
        .map(|(id, keys)| PageKey { sort: sort(order, keys), id: id.clone() })
        .collect();
    all.sort_by(|a, b| (&a.sort, &a.id).cmp(&(&b.sort, &b.id)));
    if descending {
        all.reverse();
    }
    all
}

fn walk(lists: &Lists, mut request: PageRequest) -> Vec<PageKey> {
    let mut all = Vec::new();
    loop {
        let page = lists.page(&request);
        assert!(page.len() <= request.limit);
        let Some(last) = page.last() else {
            return all;
        };
        request.after = Some(last.clone());
        all.extend(page);
    }
}

fn agrees(lists: &Lists, model: &Model, limit: usize) {
    for order in SortOrder::ALL {
        for descending in [false, true] {
            for status in [None, Some(Status::Active), Some(Status::Deleted)] {
                let request = PageRequest { order, descending, status, after: None, limit };
                let expected = sorted(model, order, descending, status);
                assert_eq!(walk(lists, request), expected, "{order:?} {descending} {status:?}");
            }
        }
    }
    for email in 1..9 {
        let mut all: Vec<Box<[u8]>> = Vec::new();
        loop {
            let after = all.last().map(AsRef::as_ref);
            let some = lists.ids_with_email(email, after, limit);
            if some.is_empty() {
                break;
            }
            all.extend(some);
        }
        let expected = model.iter().filter(|(_, keys)| keys.email == email);
        let expected: Vec<Box<[u8]>> = expected.map(|(id, _)| id.as_slice().into()).collect();
        assert_eq!(all, expected, "e-mail {email}");
    }
    assert_eq!(differences(lists, model), "");
}

fn differences(lists: &Lists, model: &Model) -> String {
    let mut found: Vec<String> = model
        .iter()
        .filter_map(|(id, keys)| Some((id, lists.difference(id, keys)?)))
        .map(|(id, how)| format!("{} {how}", String::from_utf8_lossy(id)))
        .collect();
    found.extend(lists.list_differences(model.len() as u64));
    found.join("; ")
}

#[test]
fn random_changes_agree_with_a_plain_sort() {
    for (seed, contacts, steps) in [(1, 40, 400), (2, 3_000, 9_000), (3, 6_000, 6_000)] {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut lists, mut model) = (Lists::default(), Model::new());
        for step in 1..=steps {
            let (id, keys) = (id(&mut random, contacts), keys(&mut random));
            lists.put(&id, &keys);
            model.insert(id, keys);
            if step % (steps / 3) == 0 {
                agrees(&lists, &model, random.usize(1..200));
            }
        }
    }
}

#[test]
fn timestamps_that_only_grow_keep_the_list_dense() {
    let (mut lists, mut model) = (Lists::default(), Model::new());
    let mut random = fastrand::Rng::with_seed(4);
    for now in 0..60_000 {
        let id = id(&mut random, 5_000);
        let keys = SortKeys { active: true, updated_at_ms: now, ..SortKeys::default() };
        lists.put(&id, &keys);
        model.insert(id, keys);
    }
    agrees(&lists, &model, 150);
    let entries = lists.of(SortOrder::UpdatedAt)[0].bytes() / size_of::<Entry>();
    assert!(entries < model.len() * 4, "{entries} entries of room for {}", model.len());
}

#[test]
fn building_at_once_equals_adding_one_by_one() {
    let mut random = fastrand::Rng::with_seed(5);
    let (mut builder, mut model) = (OrderedBuilder::default(), Model::new());
    for _ in 0..5_000 {
        let id = id(&mut random, 4_000);
        builder.keys = keys(&mut random);
        builder.push_keys(&id);
        model.insert(id, builder.keys.clone());
    }
    let indexes = builder.finish();
    agrees(&indexes.lists.read(), &model, 99);
    let active = model.values().filter(|keys| keys.active).count() as u64;
    assert_eq!(indexes.counts(), (active, model.len() as u64 - active));
}

#[test]
fn pages_while_changes_go_on_neither_skip_nor_repeat_what_stayed() {
    for order in SortOrder::ALL {
        for descending in [false, true] {
            let mut random = fastrand::Rng::with_seed(6);
            let mut lists = Lists::default();
            let still: BTreeSet<Vec<u8>> =
                (0..2_000).map(|n| format!("still-{n:05}").into_bytes()).collect();
            for id in &still {
                lists.put(id, &keys(&mut random));
            }
            let mut request =
                PageRequest { order, descending, status: None, after: None, limit: 37 };
            let mut seen = Vec::new();
            loop {
                let page = lists.page(&request);
                let Some(last) = page.last() else { break };
                request.after = Some(last.clone());
                seen.extend(page.into_iter().map(|key| key.id).filter(|id| still.contains(id)));
                for _ in 0..50 {
                    lists.put(&id(&mut random, 3_000), &keys(&mut random));
                }
            }
            assert_eq!(seen.len(), still.len(), "{order:?} {descending}");
            assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), still);
        }
    }
}

#[test]
fn texts_are_lowercased_and_cut_between_characters() {
    let folded = |text: &str| {
        let mut out = Vec::new();
        fold(text, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(folded("Ada LOVELACE"), "ada lovelace");
    assert_eq!(folded("ÄRZTE"), "ärzte");
    assert_eq!(folded(&"X".repeat(100)).len(), TEXT_BYTES_MAX);
    assert_eq!(folded(&"ß".repeat(100)).len(), TEXT_BYTES_MAX);
    assert_eq!(folded(&format!("x{}", "ß".repeat(100))).len(), TEXT_BYTES_MAX - 1);
}

#[test]
fn a_wrong_entry_is_a_named_difference() {
    let mut random = fastrand::Rng::with_seed(7);
    let (mut lists, mut model) = (Lists::default(), Model::new());
    for n in 0..100 {
        let (id, keys) = (format!("{n:03}").into_bytes(), keys(&mut random));
        lists.put(&id, &keys);
        model.insert(id, keys);
    }
    model.get_mut(b"007".as_slice()).unwrap().updated_at_ms += 1;
    assert_eq!(differences(&lists, &model), "007 is ordered by other values than its own");
    model.get_mut(b"007".as_slice()).unwrap().updated_at_ms -= 1;
    model.get_mut(b"007".as_slice()).unwrap().email += 1;
    assert_eq!(differences(&lists, &model), "007 is found by another e-mail than its own");
    model.get_mut(b"007".as_slice()).unwrap().email -= 1;
    model.insert(b"100".to_vec(), SortKeys::default());
    assert!(
        differences(&lists, &model).starts_with("100 is in no order; 100 contacts are ordered")
    );
    model.remove(b"100".as_slice());
    lists.unlink(SortOrder::Name, 3);
    assert!(differences(&lists, &model).starts_with("Name has "));
    let slot = lists.rows.rows.iter().position(|row| row.email != 0);
    lists.unlink_email(slot.unwrap() as u32);
    assert!(differences(&lists, &model).contains("the e-mail index has "));
}

//! The indexes against a plain sort, and pages against changes.

mod model;
mod pages;

use super::keys::{NAME_BYTES_MAX, TEXT_BYTES_MAX, fold_into};
use super::*;
use model::{Model, agrees, differences, id, keys, walk};

fn empty() -> Lists {
    Lists::of_rows(Rows::default(), Bounds::SMALL)
}

#[test]
fn random_changes_agree_with_a_plain_sort() {
    for (seed, contacts, steps) in [(1, 40, 400), (2, 3_000, 9_000), (3, 6_000, 6_000)] {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut lists, mut model) = (empty(), Model::new());
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
    let (mut lists, mut model) = (empty(), Model::new());
    let mut random = fastrand::Rng::with_seed(4);
    for now in 0..60_000 {
        let id = id(&mut random, 5_000);
        let keys = SortKeys { active: true, updated_at_us: now, ..SortKeys::default() };
        lists.put(&id, &keys);
        model.insert(id, keys);
    }
    agrees(&lists, &model, 150);
    let entries = lists.of(Index::UpdatedAt)[0].bytes() / 12;
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
    let indexes = builder.finish(u64::MAX, Bounds::SMALL);
    agrees(&indexes.lists.read(), &model, 99);
}

#[test]
fn lists_that_were_put_off_are_made_of_all_that_changed_meanwhile() {
    let mut random = fastrand::Rng::with_seed(6);
    let (mut lists, mut model) = (empty(), Model::new());
    for round in 0..6 {
        for _ in 0..random.usize(1..3_000) {
            let (id, keys) = (id(&mut random, 2_000), keys(&mut random));
            lists.put(&id, &keys);
            model.insert(id, keys);
        }
        if round % 2 == 0 {
            lists.put_off();
            assert!(
                lists.page(&PageRequest { limit: 1, ..PageRequest::default() }).keys.is_empty()
            );
        } else {
            lists.make();
            agrees(&lists, &model, 99);
        }
    }
}

#[test]
fn two_threads_build_what_one_would() {
    let mut random = fastrand::Rng::with_seed(8);
    let (mut builder, mut model) = (OrderedBuilder::default(), Model::new());
    for n in 0..60_000 {
        let id = format!("{n:05}").into_bytes();
        builder.keys = keys(&mut random);
        builder.push_keys(&id);
        model.insert(id, builder.keys.clone());
    }
    assert_eq!(differences(&builder.finish(u64::MAX, Bounds::SMALL).lists.read(), &model), "");
}

/// What a contact of usual size takes in all indexes.
#[test]
fn the_indexes_of_200_000_contacts_fit_into_their_budget() {
    let mut random = fastrand::Rng::with_seed(9);
    let (mut lists, contacts) = (empty(), 20_000);
    for round in 0..3 {
        for n in 0..contacts {
            let id = format!("{:08x}-786f-4ae3-b692-{n:012}", random.u32(..));
            let keys = SortKeys {
                active: random.u8(0..10) > 0,
                updated_at_us: random.u64(..1 << 40),
                created_at_us: random.u64(..1 << 40),
                changed_at_us: random.u64(..1 << 40),
                first: format!("katherine {round}").into_bytes(),
                last: format!("goldwasser{}", random.u16(..)).into_bytes(),
                email: format!("contact{n}.{round}@example.com").into_bytes(),
                company: format!("analytical engines ltd {}", random.u8(..)).into_bytes(),
                source: b"acme".to_vec(),
            };
            let id = if round == 0 { id.into_bytes() } else { lists.rows.id(n).to_vec() };
            lists.put(&id, &keys);
        }
    }
    let bytes = lists.bytes() / contacts as usize * 200_000;
    assert!(bytes < 60_000_000, "{bytes} bytes");
}

#[test]
fn texts_are_folded_and_cut_between_characters() {
    let folded = |text: &str| {
        let mut out = Vec::new();
        fold_into(text, 64, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(folded("\u{b} Ada LOVELACE\t\n"), "ada lovelace");
    assert_eq!(folded("ÄRZTE"), "ärzte");
    for (one, other) in [
        ("ΟΔΟΣ", "οδος"),
        ("STRASSE", "Straße"),
        ("GROẞ", "groß"),
        // Composed and taken apart, marks in either order.
        ("Jos\u{e9}", "Jose\u{301}"),
        ("q\u{323}\u{307}", "q\u{307}\u{323}"),
        ("\u{c5}sa", "\u{212b}sa"),
        ("\u{1100}\u{1161}", "\u{ac00}"),
        // Wide letters, ligatures.
        ("ＡＤＡ＠ｅｘａｍｐｌｅ．ｃｏｍ", "ada@example.com"),
        ("e\u{fb03}cient", "EFFICIENT"),
        ("\u{210c}", "h"),
        // Blanks and what is not seen.
        ("\u{a0}Ada\u{a0}Lovelace\u{3000}", "ada lovelace"),
        ("\u{feff}Ada \u{200b}", "ada"),
        ("Ada\u{ad}\u{202e}", "ada"),
        ("\u{2003}\u{200b}", ""),
    ] {
        assert_eq!(folded(one), folded(other), "{one} {other}");
    }
    assert_ne!(folded("Jose"), folded("José"));
    assert_ne!(folded("ı"), folded("i"));
    assert_eq!(folded(&"X".repeat(100)).len(), 64);
    assert_eq!(folded(&"ä".repeat(100)).len(), 64);
    assert_eq!(folded(&format!("x{}", "ä".repeat(100))).len(), 63);
    // Lengths are kept in one byte.
    const { assert!(TEXT_BYTES_MAX < 256 && 2 * NAME_BYTES_MAX < 256) };
}

#[test]
fn a_wrong_entry_is_a_named_difference() {
    let mut random = fastrand::Rng::with_seed(7);
    let (mut lists, mut model) = (empty(), Model::new());
    for n in 0..100 {
        let (id, keys) = (format!("{n:03}").into_bytes(), keys(&mut random));
        lists.put(&id, &keys);
        model.insert(id, keys);
    }
    model.get_mut(b"007".as_slice()).unwrap().updated_at_us += 1;
    assert_eq!(differences(&lists, &model), "007 is ordered by other values than its own");
    model.get_mut(b"007".as_slice()).unwrap().updated_at_us -= 1;
    model.get_mut(b"007".as_slice()).unwrap().email.push(b'x');
    assert_eq!(differences(&lists, &model), "007 is found by another e-mail than its own");
    model.get_mut(b"007".as_slice()).unwrap().email.pop();
    model.insert(b"100".to_vec(), SortKeys::default());
    assert!(
        differences(&lists, &model).starts_with("100 is in no order; 100 contacts are ordered")
    );
    model.remove(b"100".as_slice());
    lists.unlink(Index::Name, 3);
    assert!(differences(&lists, &model).starts_with("Name has "));
    let slot = lists.rows.rows.iter().position(|row| row.is_in(Index::Email));
    lists.unlink(Index::Email, slot.unwrap() as u32);
    assert!(differences(&lists, &model).contains("Email has "));
}

#[test]
fn a_page_of_nothing_is_empty() {
    let lists = empty();
    for order in SortOrder::ALL {
        assert_eq!(walk(&lists, PageRequest { order, limit: 3, ..PageRequest::default() }), []);
    }
}

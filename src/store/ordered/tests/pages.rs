//! Filters, combinations, totals, duplicates; and pages while changes go on.

use std::collections::BTreeSet;

use crate::domain::contact::Status;

use super::super::*;
use super::empty;
use super::model::{Model, expected, expected_duplicates, id, keys, walk};

fn filled(seed: u64, contacts: u32, changes: u32) -> (Lists, Model, fastrand::Rng) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut lists, mut model) = (empty(), Model::new());
    for _ in 0..changes {
        let (id, keys) = (id(&mut random, contacts), keys(&mut random));
        lists.put(&id, &keys);
        model.insert(id, keys);
    }
    (lists, model, random)
}

fn some_filters(random: &mut fastrand::Rng) -> Filters {
    let mut some = |texts: &[&str]| {
        let chosen = random.choice(texts).copied().unwrap_or_default();
        Some(chosen.to_owned()).filter(|_| random.u8(0..3) == 0)
    };
    Filters {
        email: some(&["ADA110@example.com", "grace200@example.com", "none@example.com"]),
        company: some(&["Ada", "grace hopper", "a", "none"]),
        source: some(&["acme", "crm", "none"]),
        q: some(&["a", "Ada L", "ada lovelace", "g", "grace2", "x"]),
        updated_since_us: Some(random.u64(0..60)).filter(|_| random.u8(0..3) == 0),
        changed_since_us: Some(random.u64(0..60)).filter(|_| random.u8(0..3) == 0),
    }
}

fn some_request(random: &mut fastrand::Rng) -> PageRequest {
    let filters = some_filters(random);
    let order = match (&filters.q, random.bool()) {
        (Some(_), true) => SortOrder::Match,
        _ => random.choice(SortOrder::ALL).unwrap(),
    };
    PageRequest {
        order,
        descending: random.bool(),
        status: random.choice([None, Some(Status::Active), Some(Status::Deleted)]).unwrap(),
        filters,
        skip: if random.u8(0..4) == 0 { random.usize(0..400) } else { 0 },
        limit: random.usize(1..60),
        ..PageRequest::default()
    }
}

#[test]
fn every_combination_of_filters_and_orders_lists_what_passes() {
    let (lists, model, mut random) = filled(11, 2_500, 6_000);
    for _ in 0..2_000 {
        let request = some_request(&mut random);
        let all = expected(&model, &request);
        let shown = walk(&lists, request.clone());
        assert_eq!(shown, all.get(request.skip..).unwrap_or_default(), "{request:?}");
    }
}

#[test]
fn totals_are_right_or_say_that_they_are_not() {
    let (lists, model, mut random) = filled(12, 2_500, 6_000);
    let mut seen = BTreeSet::new();
    for _ in 0..2_000 {
        let request = some_request(&mut random);
        let all = expected(&model, &request).len() as u64;
        for counting in [false, true] {
            let total = lists.total(&PageRequest { counting, ..request.clone() });
            match total {
                Total::Exact(total) => assert_eq!(total, all, "{request:?}"),
                Total::AtLeast(total) => {
                    assert!(
                        counting && total <= all && total <= Bounds::SMALL.page_count_max,
                        "{request:?}"
                    );
                }
                Total::Unknown => assert!(!counting, "{request:?}"),
            }
            seen.insert(matches!(total, Total::AtLeast(_)));
        }
    }
    assert_eq!(seen.len(), 2, "some are counted to their end and some are not");
    for filters in [
        Filters::default(),
        Filters { company: Some("ADA".into()), ..Filters::default() },
        Filters { source: Some("acme".into()), ..Filters::default() },
        Filters { email: Some("ada110@example.com".into()), ..Filters::default() },
        Filters { updated_since_us: Some(25), ..Filters::default() },
        Filters { changed_since_us: Some(25), ..Filters::default() },
    ] {
        let request = PageRequest { filters, ..PageRequest::default() };
        let all = expected(&model, &request).len() as u64;
        assert_eq!(lists.total(&request), Total::Exact(all));
    }
}

#[test]
fn a_page_looks_at_so_many_contacts_and_says_where_it_goes_on() {
    let (mut lists, keys) = (empty(), SortKeys { active: true, ..SortKeys::default() });
    let contacts = 10 * Bounds::SMALL.page_scan_max;
    for n in 0..contacts {
        let company = if n == contacts - 1 { "last" } else { "other" };
        let keys = SortKeys { company: company.into(), source: b"acme".into(), ..keys.clone() };
        lists.put(format!("{n:06}").as_bytes(), &keys);
    }
    let mut request = PageRequest {
        order: SortOrder::UpdatedAt,
        filters: Filters {
            company: Some("other".into()),
            source: Some("acme".into()),
            ..Filters::default()
        },
        skip: 5 * Bounds::SMALL.page_scan_max,
        limit: 10,
        ..PageRequest::default()
    };
    let mut pages = 0;
    let found = loop {
        let page = lists.page(&request);
        pages += 1;
        let Some(cut) = page.cut else { break page.keys };
        assert_eq!(page.keys, []);
        (request.after, request.skip) = (Some(cut.key), cut.skip);
    };
    assert_eq!((pages, found.len()), (6, 10));
    assert_eq!(found[0].id, format!("{:06}", 5 * Bounds::SMALL.page_scan_max).into_bytes());
}

#[test]
fn duplicates_are_all_contacts_that_share_an_email_in_groups() {
    for changes in [300, 900, 6_000] {
        let (lists, model, mut random) = filled(13, 2_500, changes);
        for status in [None, Some(Status::Active), Some(Status::Deleted)] {
            for descending in [false, true] {
                let request = PageRequest {
                    status,
                    descending,
                    duplicates: true,
                    limit: random.usize(1..50),
                    ..PageRequest::default()
                };
                let all = expected_duplicates(&model, &request);
                assert_eq!(walk(&lists, request.clone()), all, "{request:?}");
                match lists.total(&PageRequest { counting: true, ..request.clone() }) {
                    Total::Exact(total) => assert_eq!(total, all.len() as u64),
                    Total::AtLeast(total) => assert!(total <= all.len() as u64),
                    Total::Unknown => panic!("it was to be counted"),
                }
            }
        }
    }
}

/// Pages of a request while contacts change between them; those that never change are each shown
/// once.
fn page_while_changing(mut request: PageRequest, still: &Model, lists: &mut Lists, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let expected: Vec<Vec<u8>> = if request.duplicates {
        expected_duplicates(still, &request).into_iter().map(|key| key.id).collect()
    } else {
        expected(still, &request).into_iter().map(|key| key.id).collect()
    };
    let mut seen = Vec::new();
    loop {
        let page = lists.page(&request);
        let is_full = page.keys.len() == request.limit;
        match (page.cut, page.keys.last()) {
            (Some(cut), _) => request.after = Some(cut.key),
            (None, Some(last)) if is_full => request.after = Some(last.clone()),
            (None, _) => request.limit = 0,
        }
        seen.extend(page.keys.into_iter().map(|key| key.id).filter(|id| still.contains_key(id)));
        if request.limit == 0 {
            break;
        }
        for _ in 0..50 {
            lists.put(&id(&mut random, 1_500), &keys(&mut random));
        }
    }
    // Those of a group that others have joined or left come and go with them.
    if request.duplicates {
        let all: BTreeSet<_> = seen.iter().collect();
        assert_eq!(all.len(), seen.len());
        assert!(expected.iter().all(|id| all.contains(id)));
    } else {
        assert_eq!(seen, expected, "{request:?}");
    }
}

#[test]
fn pages_while_changes_go_on_neither_skip_nor_repeat_what_stayed() {
    let mut random = fastrand::Rng::with_seed(6);
    for round in 0..60 {
        let (mut lists, mut still) = (empty(), Model::new());
        for n in 0..1_200 {
            let (id, keys) = (format!("still-{n:05}").into_bytes(), keys(&mut random));
            lists.put(&id, &keys);
            still.insert(id, keys);
        }
        let mut request = some_request(&mut random);
        (request.skip, request.limit) = (0, random.usize(5..60));
        if round % 3 == 0 {
            request.filters = Filters::default();
            request.order = random.choice(SortOrder::ALL).unwrap();
            request.duplicates = round % 6 == 0;
        }
        page_while_changing(request, &still, &mut lists, round);
    }
}

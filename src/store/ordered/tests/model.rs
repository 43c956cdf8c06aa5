//! What the indexes should answer, worked out the plain way.

use std::collections::BTreeMap;

use crate::domain::contact::Status;

use super::super::*;

pub(super) type Model = BTreeMap<Vec<u8>, SortKeys>;

/// Few words and many equal beginnings, so that every tie is met.
const WORDS: [&str; 6] = ["", "a", "ada", "ada lovelace", "ada lovelace-byron", "grace hopper"];

pub(super) fn keys(random: &mut fastrand::Rng) -> SortKeys {
    let text = |random: &mut fastrand::Rng| random.choice(WORDS).unwrap().as_bytes().to_vec();
    let email = match random.u16(0..800) {
        0..100 => String::new(),
        n @ 100..120 => format!("ada{n}@example.com"),
        n => format!("grace{n}@example.com"),
    };
    SortKeys {
        active: random.u8(0..10) > 2,
        updated_at_us: random.u64(0..50),
        created_at_us: random.u64(0..5),
        changed_at_us: random.u64(0..50),
        first: text(random),
        last: text(random),
        email: email.into_bytes(),
        company: text(random),
        source: random.choice(["", "acme", "acme", "acme", "crm"]).unwrap().as_bytes().to_vec(),
    }
}

pub(super) fn id(random: &mut fastrand::Rng, contacts: u32) -> Vec<u8> {
    format!("contact-{:05}", random.u32(0..contacts)).into_bytes()
}

fn joined(one: &[u8], other: &[u8]) -> Vec<u8> {
    let space: &[u8] = if one.is_empty() || other.is_empty() { b"" } else { b" " };
    [one, space, other].concat()
}

/// The texts in which a prefix is looked for.
fn texts(keys: &SortKeys) -> [Vec<u8>; 4] {
    let SortKeys { first, last, email, company, .. } = keys;
    [joined(last, first), joined(first, last), email.clone(), company.clone()]
}

fn matches(keys: &SortKeys, q: &str) -> Option<Vec<u8>> {
    let begins = |text: &Vec<u8>| text.starts_with(q.to_lowercase().as_bytes());
    texts(keys).into_iter().filter(begins).min()
}

pub(super) fn passes(keys: &SortKeys, request: &PageRequest) -> bool {
    let Filters { email, company, source, q, updated_since_us, changed_since_us } =
        &request.filters;
    let is = |wanted: &Option<String>, has: &[u8]| {
        wanted.as_ref().is_none_or(|wanted| wanted.to_lowercase().as_bytes() == has)
    };
    request.status.is_none_or(|status| keys.active == (status == Status::Active))
        && is(email, &keys.email)
        && is(company, &keys.company)
        && is(source, &keys.source)
        && updated_since_us.is_none_or(|since| keys.updated_at_us >= since)
        && changed_since_us.is_none_or(|since| keys.changed_at_us >= since)
        && q.as_ref().is_none_or(|q| matches(keys, q).is_some())
}

fn sort(request: &PageRequest, keys: &SortKeys) -> Vec<u8> {
    match request.order {
        SortOrder::Id => Vec::new(),
        SortOrder::UpdatedAt => keys.updated_at_us.to_be_bytes().to_vec(),
        SortOrder::CreatedAt => keys.created_at_us.to_be_bytes().to_vec(),
        SortOrder::ChangedAt => keys.changed_at_us.to_be_bytes().to_vec(),
        SortOrder::Name => joined(&keys.last, &keys.first),
        SortOrder::Company => keys.company.clone(),
        SortOrder::Match => matches(keys, request.filters.q.as_ref().unwrap()).unwrap(),
    }
}

/// Everything that a request is about, in order.
pub(super) fn expected(model: &Model, request: &PageRequest) -> Vec<PageKey> {
    let mut all: Vec<PageKey> = model
        .iter()
        .filter(|(_, keys)| passes(keys, request))
        .map(|(id, keys)| PageKey { sort: sort(request, keys), id: id.clone() })
        .collect();
    all.sort_by(|a, b| (&a.sort, &a.id).cmp(&(&b.sort, &b.id)));
    if request.descending {
        all.reverse();
    }
    all
}

pub(super) fn expected_duplicates(model: &Model, request: &PageRequest) -> Vec<PageKey> {
    let is_of = |keys: &SortKeys| passes(keys, request) && !keys.email.is_empty();
    let mut groups = BTreeMap::<Vec<u8>, Vec<Vec<u8>>>::new();
    for (id, keys) in model.iter().filter(|(_, keys)| is_of(keys)) {
        groups.entry(keys.email.clone()).or_default().push(id.clone());
    }
    let mut all: Vec<PageKey> = groups
        .into_iter()
        .filter(|(_, ids)| ids.len() > 1)
        .flat_map(|(sort, ids)| ids.into_iter().map(move |id| PageKey { sort: sort.clone(), id }))
        .collect();
    if request.descending {
        all.reverse();
    }
    all
}

/// Asks for pages until there is none.
pub(super) fn walk(lists: &Lists, mut request: PageRequest) -> Vec<PageKey> {
    let mut all = Vec::new();
    for _ in 0..100_000 {
        let page = lists.page(&request);
        assert!(page.keys.len() <= request.limit);
        let is_full = page.keys.len() == request.limit;
        let last = page.keys.last().cloned();
        all.extend(page.keys);
        match page.cut {
            Some(cut) => (request.after, request.skip) = (Some(cut.key), cut.skip),
            None if is_full => (request.after, request.skip) = (last, 0),
            None => return all,
        }
    }
    panic!("the pages do not end");
}

pub(super) fn agrees(lists: &Lists, model: &Model, limit: usize) {
    for order in SortOrder::ALL {
        for descending in [false, true] {
            for status in [None, Some(Status::Active), Some(Status::Deleted)] {
                let request =
                    PageRequest { order, descending, status, limit, ..PageRequest::default() };
                assert_eq!(walk(lists, request.clone()), expected(model, &request), "{request:?}");
                let total = expected(model, &request).len() as u64;
                assert_eq!(lists.total(&request), Total::Exact(total));
            }
        }
    }
    assert_eq!(differences(lists, model), "");
}

pub(super) fn differences(lists: &Lists, model: &Model) -> String {
    let mut found: Vec<String> = model
        .iter()
        .filter_map(|(id, keys)| Some((id, lists.difference(id, keys)?)))
        .map(|(id, how)| format!("{} {how}", String::from_utf8_lossy(id)))
        .collect();
    found.extend(lists.list_differences(model.len() as u64));
    found.join("; ")
}

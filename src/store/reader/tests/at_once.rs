//! What is answered at once is what would be answered anyway.

use super::*;
use crate::store::ordered::Filters;

fn keys(page: &Page) -> Vec<(PageKey, Vec<u8>)> {
    page.contacts.iter().map(|at| (at.key.clone(), at.value.body().to_vec())).collect()
}

fn some_request(random: &mut fastrand::Rng) -> PageRequest {
    let company = (random.u8(0..4) == 0).then(|| format!("company {}", random.u8(0..3)));
    let q = (random.u8(0..4) == 0).then(|| "name".to_owned());
    PageRequest {
        order: if q.is_some() { SortOrder::Match } else { SortOrder::UpdatedAt },
        descending: random.bool(),
        status: random.choice([None, Some(Status::Active), Some(Status::Deleted)]).unwrap(),
        filters: Filters { company, q, ..Filters::default() },
        duplicates: random.u8(0..8) == 0,
        skip: if random.u8(0..4) == 0 { random.usize(0..60) } else { 0 },
        limit: random.usize(1..30),
        counting: random.u8(0..8) == 0,
        ..PageRequest::default()
    }
}

#[test]
fn a_page_at_once_is_the_page_or_none() {
    let mut random = fastrand::Rng::with_seed(21);
    let mut bench = Bench::new(|_| {});
    let (mut shown, mut refused) = (0, 0);
    for _ in 0..60 {
        bench.random_batch(&mut random, 80);
        if random.bool() {
            bench.checkpoint();
        }
        let behind = bench.reader.page_at_once(&some_request(&mut random)).unwrap();
        assert!(behind.is_none(), "the lists have not got the batch");
        for _ in 0..20 {
            let request = some_request(&mut random);
            let page = bench.reader.page(&request).unwrap();
            let Some(at_once) = bench.reader.page_at_once(&request).unwrap() else {
                refused += 1;
                continue;
            };
            assert_eq!(keys(&at_once), keys(&page), "{request:?}");
            assert_eq!((at_once.first, at_once.rest), (page.first, page.rest), "{request:?}");
            assert_eq!(at_once.total, page.total, "{request:?}");
            assert!(!request.duplicates && !request.counting);
            shown += 1;
        }
    }
    assert!(shown > 100 && refused > 100, "{shown} shown at once, {refused} not");
}

#[test]
fn nothing_is_waited_for() {
    let mut random = fastrand::Rng::with_seed(22);
    let mut bench = Bench::new(|_| {});
    bench.random_batch(&mut random, 80);
    bench.checkpoint();
    bench.wait_for_all();
    let id = bench.model.keys().next_back().unwrap().clone();
    let request = request(SortOrder::Id, false, None);
    assert_eq!(
        bench.reader.page(&request).unwrap().contacts.len(),
        request.limit.min(bench.model.len())
    );
    // The page has brought those into the cache.
    assert!(bench.reader.page_at_once(&request).unwrap().is_some());
    bench.reopen();
    bench.wait_for_all();
    bench.reader.page(&PageRequest { limit: 0, ..request.clone() }).unwrap();
    assert!(bench.reader.contact_at_once(id.as_bytes()).is_none());
    assert!(bench.reader.page_at_once(&request).unwrap().is_none());
    assert!(bench.reader.contact_at_once(b"nobody").is_some_and(|found| found.is_none()));
    // What is not in the engine yet needs no disk.
    bench.stage(EventKind::Updated, &id, &[(TITLE, "x")]);
    bench.commit();
    assert!(bench.reader.contact_at_once(id.as_bytes()).is_some_and(|found| found.is_some()));
}

#[test]
fn large_contacts_are_not_read_at_once_by_the_page() {
    let mut bench = Bench::new(|_| {});
    let title = "x".repeat(Bounds::SMALL.page_at_once_bytes / 4);
    for n in 0..8 {
        bench.stage(EventKind::Created, &format!("contact-{n}"), &[(TITLE, &title)]);
    }
    bench.commit();
    let request = request(SortOrder::Id, false, None);
    assert_eq!(bench.reader.page(&request).unwrap().contacts.len(), 8);
    assert!(bench.reader.page_at_once(&request).unwrap().is_none());
    let few = PageRequest { limit: 2, ..request };
    assert!(bench.reader.page_at_once(&few).unwrap().is_some());
}

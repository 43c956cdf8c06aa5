//! Every question, asked in every place that a contact may lie in.

use super::*;
use crate::store::Filters;

fn of_email(email: &str) -> PageRequest {
    let filters = Filters { email: Some(email.to_owned()), ..Filters::default() };
    PageRequest { filters, ..request(SortOrder::Id, false, None) }
}

fn ids(entries: Vec<PageEntry>) -> Vec<String> {
    entries.into_iter().map(|at| at.id).collect()
}

/// Everything that a reader can be asked, as text.
fn answers(reader: &Reader, contacts: u32) -> Vec<String> {
    let mut all = Vec::new();
    for n in 0..contacts + 3 {
        let id = format!("contact-{n:04}");
        let value = reader.contact(id.as_bytes()).unwrap();
        all.push(format!("{id} {:?}", value.map(|value| value.body().to_vec())));
        let history = reader.history(id.as_bytes(), 5, None).unwrap();
        all.extend(history.iter().map(|at| format!("{} {:?}", at.event_id, at.change)));
    }
    for n in 0..9 {
        let entries = walk(reader, of_email(&format!("PERSON{n}@example.COM")));
        all.push(format!("{:?}", ids(entries)));
    }
    for order in SortOrder::ALL {
        for status in [None, Some(Status::Active), Some(Status::Deleted)] {
            for descending in [false, true] {
                let entries = walk(reader, request(order, descending, status));
                all.extend(entries.into_iter().map(|at| format!("{:?} {:?}", at.id, at.key)));
            }
        }
    }
    all
}

fn holds_model(bench: &Bench) {
    for (id, bodies) in &bench.model {
        let value = bench.reader.contact(id.as_bytes()).unwrap().unwrap();
        assert_eq!(value.body(), bodies.last().unwrap().as_slice(), "{id}");
        let history = bench.reader.history(id.as_bytes(), usize::MAX, None).unwrap();
        let shown: Vec<_> = history.iter().map(|at| at.view().unwrap().version()).collect();
        let expected: Vec<_> = (1..=bodies.len() as u64).rev().collect();
        assert_eq!(shown, expected, "{id}");
    }
    for n in 0..8 {
        let email = format!("person{n}@EXAMPLE.com");
        let has_it = |view: &ContactView<'_>| {
            view.field(EMAIL).is_some_and(|has| has.eq_ignore_ascii_case(&email))
        };
        let expected: Vec<_> =
            bench.latest().filter(|(_, view)| has_it(view)).map(|(id, _)| id.to_owned()).collect();
        assert_eq!(ids(walk(&bench.reader, of_email(&email))), expected, "{email}");
    }
    for status in [Status::Active, Status::Deleted] {
        let expected: Vec<_> = bench
            .latest()
            .filter(|(_, view)| view.status() == status)
            .map(|(id, _)| id.to_owned())
            .collect();
        let entries = walk(&bench.reader, request(SortOrder::Id, false, Some(status)));
        assert_eq!(ids(entries), expected);
        assert_eq!(bench.reader.total(Some(status)), expected.len() as u64);
    }
    let entries = walk(&bench.reader, request(SortOrder::UpdatedAt, true, None));
    let times = entries.iter().map(|at| at.value.view().unwrap().updated_at_us());
    assert!(times.is_sorted_by(|a, b| a >= b));
    for include_deleted in [false, true] {
        let mut out = Vec::new();
        let report = bench.reader.export(include_deleted, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), bench.model_lines(include_deleted));
        assert_eq!(report.position, bench.reader.position());
    }
    let report = bench.reader.verify(&mut |_, _| {}).unwrap();
    assert_eq!(report.discrepancies, Vec::<String>::new());
    assert_eq!(report.contacts, bench.model.len() as u64);
}

#[test]
fn answers_agree_with_a_model_before_and_after_checkpoints_and_reopening() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut bench = Bench::new(|_| {});
    for round in 0..4 {
        for _ in 0..15 {
            bench.random_batch(&mut random, 60);
            if random.u8(0..5) == 0 {
                bench.checkpoint();
            }
        }
        holds_model(&bench);
        bench.checkpoint();
        holds_model(&bench);
        if round % 2 == 1 {
            bench.reopen();
            holds_model(&bench);
        }
    }
}

#[test]
fn a_cache_that_is_off_changes_no_answer() {
    let benches = [48 << 20, 2_000, 0].map(|cache_bytes| {
        let mut random = fastrand::Rng::with_seed(12);
        let mut bench = Bench::new(|options| options.cache_bytes = cache_bytes);
        bench.wait_for_all();
        let mut all = Vec::new();
        for _ in 0..10 {
            for _ in 0..10 {
                bench.random_batch(&mut random, 40);
            }
            all.push(answers(&bench.reader, 40));
            bench.checkpoint();
            // Twice, so that the second time is answered by the cache.
            all.push(answers(&bench.reader, 40));
            all.push(answers(&bench.reader, 40));
        }
        (bench.reader.stats().unwrap().cache.hits, all)
    });
    let [(hits, with), (_, small), (none, without)] = benches;
    assert!(hits > 1_000 && none == 0, "{hits} hits with and {none} without a cache");
    assert!(with == without && small == without);
}

#[test]
fn history_goes_on_from_any_change() {
    let mut bench = Bench::new(|_| {});
    for n in 0..30 {
        bench.stage(EventKind::Updated, "ada", &[(TITLE, &n.to_string())]);
        if n % 4 == 0 {
            bench.commit();
        }
    }
    bench.commit();
    let all = bench.reader.history(b"ada", 100, None).unwrap();
    assert_eq!(all.len(), 30);
    assert_eq!(all[0].event_id, "event-30");
    assert_eq!(all[0].timestamp.as_deref(), Some("1970-01-01T00:00:00.001030Z"));
    for (n, entry) in all.iter().enumerate() {
        let older = bench.reader.history(b"ada", 3, Some(entry.change)).unwrap();
        let versions: Vec<_> = older.iter().map(|at| at.view().unwrap().version()).collect();
        let expected: Vec<_> = (0..30 - n as u64 - 1).rev().take(3).map(|n| n + 1).collect();
        assert_eq!(versions, expected);
    }
    assert!(bench.reader.history(b"nobody", 3, None).unwrap().is_empty());
    // A place that is none of this contact's begins at the newest.
    let foreign = bench.reader.history(b"ada", 1, Some(ChangeRef(u64::MAX - 1))).unwrap();
    assert_eq!(foreign[0].event_id, "event-30");
}

#[test]
fn page_keys_come_back_from_their_bytes() {
    let key = PageKey { sort: b"lovelace ada".to_vec(), id: b"contact-1".to_vec() };
    assert_eq!(PageKey::from_bytes(&key.to_bytes()), Some(key.clone()));
    assert_eq!(PageKey::from_bytes(&key.to_bytes()[..5]), None);
    assert_eq!(PageKey::from_bytes(b""), None);
}

//! How contacts are spread, and what they were, against a model.

use super::*;
use crate::store::{GroupBy, Moment, Past};

/// ACTIVE and DELETED contacts by a text, folded.
fn counted(bench: &Bench, text: impl Fn(&ContactView<'_>) -> String) -> BTreeMap<String, [u64; 2]> {
    let mut counts = BTreeMap::<String, [u64; 2]>::new();
    for (_, view) in bench.latest() {
        let of_status = usize::from(view.status() == Status::Deleted);
        counts.entry(text(&view)).or_default()[of_status] += 1;
    }
    counts
}

fn groups_hold(bench: &Bench, by: GroupBy, mut counts: BTreeMap<String, [u64; 2]>) {
    let none = counts.remove("").unwrap_or_default();
    for top in [1, 2, 100] {
        let groups = bench.reader.groups(by, top).unwrap();
        assert_eq!(groups, bench.reader.groups(by, 100).unwrap().truncated(top));
        assert_eq!([groups.none.active, groups.none.deleted], none);
        let mut rest = counts.clone();
        let mut sizes = Vec::new();
        for group in &groups.top {
            let count = rest.remove(&group.name.to_lowercase()).unwrap();
            assert_eq!([group.contacts.active, group.contacts.deleted], count, "{group:?}");
            sizes.push(group.contacts.active);
        }
        assert!(sizes.is_sorted_by(|a, b| a >= b));
        let least = sizes.last().copied().unwrap_or_default();
        assert!(top >= counts.len() || rest.values().all(|[active, _]| *active <= least));
        let sum = |place: usize| rest.values().map(|count| count[place]).sum::<u64>();
        assert_eq!([groups.other.active, groups.other.deleted], [sum(0), sum(1)]);
    }
}

fn times_hold(bench: &Bench) {
    let bounds: Vec<u64> = (0..80).map(|step| 1_000 + step * 10).collect();
    let counts = bench.reader.contacts_by_time(&bounds).unwrap();
    for (from, count) in bounds.iter().zip(&counts) {
        let within = |us: Option<u64>| us.is_some_and(|us| (*from..from + 10).contains(&us));
        let created = bench.latest().filter(|(_, view)| within(view.created_at_us())).count();
        let changed = bench.latest().filter(|(_, view)| within(view.updated_at_us())).count();
        assert_eq!((count.created, count.changed), (created as u64, changed as u64));
    }
}

#[test]
fn contacts_are_spread_as_counting_them_says() {
    let mut random = fastrand::Rng::with_seed(17);
    let mut bench = Bench::new(|_| {});
    for round in 0..6 {
        for _ in 0..10 {
            bench.random_batch(&mut random, 80);
        }
        bench.stage(EventKind::Updated, "other", &[(COMPANY, "Company 1 ")]);
        bench.commit();
        let company =
            |view: &ContactView<'_>| view.field(COMPANY).unwrap_or_default().trim().to_lowercase();
        groups_hold(&bench, GroupBy::Company, counted(&bench, company));
        groups_hold(&bench, GroupBy::Source, counted(&bench, |view| view.source().to_owned()));
        times_hold(&bench);
        if round % 2 == 1 {
            bench.reopen();
        }
    }
}

#[test]
fn every_version_that_the_journal_has_is_found_by_its_number_and_its_time() {
    let mut random = fastrand::Rng::with_seed(23);
    let mut bench = Bench::new(|_| {});
    for _ in 0..40 {
        bench.random_batch(&mut random, 10);
    }
    for (id, bodies) in &bench.model {
        let at = |moment| match bench.reader.contact_at(id.as_bytes(), moment).unwrap().unwrap() {
            Past::Contact(value) => Some(value.body().to_vec()),
            Past::NotYet => None,
            Past::Gone { .. } => panic!("{id} {moment:?} is gone"),
        };
        for body in bodies {
            let view = ContactView::parse(body).unwrap();
            let found = at(Moment::Version(view.version())).unwrap();
            assert_eq!(ContactView::parse(&found).unwrap().version(), view.version());
            let ms = view.changed_at_ms().unwrap();
            assert_eq!(at(Moment::At(ms)), Some(found));
            if view.version() == 1 {
                assert_eq!(at(Moment::At(ms - 1)), None);
            }
        }
        assert_eq!(at(Moment::Version(bodies.len() as u64 + 100)), None);
    }
    assert!(bench.reader.contact_at(b"nobody", Moment::Version(1)).unwrap().is_none());
}

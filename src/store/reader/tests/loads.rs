//! Loads, in which the lists are put off.

use super::*;

impl Bench {
    /// Many new contacts at once, as the first load brings them.
    fn load(&mut self, contacts: std::ops::Range<u32>) {
        for n in contacts {
            self.stage(EventKind::Created, &format!("contact-{n:04}"), &[(FIRST_NAME, "Ada")]);
        }
        self.commit();
        self.checkpoint();
    }

    fn are_put_off(&self) -> bool {
        self.reader.shared().ordered.are_put_off()
    }

    fn listed(&self) -> usize {
        walk(&self.reader, request(SortOrder::Name, false, None)).len()
    }
}

#[test]
fn a_list_that_was_put_off_is_whole_for_whoever_asks() {
    let mut bench = Bench::new(|_| {});
    bench.load(0..500);
    assert!(bench.are_put_off());
    let mut random = fastrand::Rng::with_seed(1);
    bench.random_batch(&mut random, 600);
    assert_eq!(bench.listed(), bench.model.len());
    assert!(!bench.are_put_off());
    bench.random_batch(&mut random, 600);
    assert_eq!(bench.listed(), bench.model.len());
}

#[test]
fn lists_that_are_asked_for_are_kept() {
    let mut bench = Bench::new(|_| {});
    bench.load(0..2_000);
    assert_eq!(bench.listed(), 2_000);
    // As many again would be less work anew, whoever asks.
    bench.load(2_000..2_150);
    assert!(!bench.are_put_off());
    bench.load(2_150..2_300);
    assert!(bench.are_put_off(), "nobody asked since the last checkpoint");
    assert_eq!(bench.listed(), 2_300);
}

#[test]
fn lists_are_made_in_the_background_once_nothing_waits() {
    let mut bench = Bench::new(|_| {});
    bench.load(0..500);
    bench.stage(EventKind::Created, "another", &[]);
    bench.commit();
    bench.writer().caught_up();
    // The one that is asked for next comes after it.
    bench.checkpoint();
    assert!(!bench.are_put_off());
    assert_eq!(bench.listed(), 501);
}

#[test]
fn a_new_contact_is_not_looked_for_in_the_engine_and_a_known_one_is() {
    let mut bench = Bench::new(|_| {});
    bench.load(0..300);
    bench.reopen();
    bench.load(300..600);
    let known = |id: &str| {
        bench.reader.shared().known.may_hold(crate::store::codec::id_hash(id.as_bytes()))
    };
    assert!((0..600).all(|n| known(&format!("contact-{n:04}"))));
    assert!((0..600).filter(|n| known(&format!("another-{n:04}"))).count() < 30);
    for (id, bodies) in &bench.model {
        let value = bench.reader.contact(id.as_bytes()).unwrap().unwrap();
        assert_eq!(value.body(), bodies.last().unwrap().as_slice(), "{id}");
    }
}

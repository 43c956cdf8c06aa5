//! Draining a log from its start, stopping, going on.

use super::{every_log, node};
use crate::support::assert_same;
use crate::support::image::Image;
use crate::support::load::Load;

const RECORDS: usize = 1_500;
const CONTACTS: u32 = 200;

#[test]
fn every_log_drains_to_the_same_store() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut expected: Option<Image> = None;
    for log in every_log(dir.path(), "every_log_drains_to_the_same_store") {
        log.append(Load::new(5, CONTACTS).take(RECORDS));
        let node = node(dir.path(), &log);
        node.catch_up_soundly();
        // A log of its own holds its founding, a topic has a control record of it.
        let image = Image::read(&node.store).without_controls();
        assert_eq!(image.received(), RECORDS as u64, "{}", log.name());
        for verdict in ["applied", "stale", "duplicate", "dead_lettered"] {
            assert!(image.verdict_totals[verdict] > 0, "{verdict}: {:?}", image.verdict_totals);
        }
        match &expected {
            None => expected = Some(image),
            // Lanes, offsets and partitioner are the same, so all of it is.
            Some(expected) => assert_same(expected, &image, log.name()),
        }
    }
}

#[test]
fn what_comes_later_is_applied_where_it_left_off() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for log in every_log(dir.path(), "what_comes_later_is_applied_where_it_left_off") {
        let mut load = Load::new(6, CONTACTS);
        let piecewise = node(dir.path(), &log);
        for portion in [400, 1, 300] {
            log.append(load.take(portion));
            piecewise.catch_up_soundly();
        }
        // Nothing new: nothing happens.
        piecewise.catch_up_soundly();
        let at_once = piecewise.clone().on(&dir.path().join(format!("at-once-{}", log.name())));
        at_once.catch_up_soundly();
        assert_same(&Image::read(&at_once.store), &Image::read(&piecewise.store), log.name());
    }
}

#[test]
fn a_node_that_is_stopped_by_a_signal_has_lost_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for log in every_log(dir.path(), "a_node_that_is_stopped_by_a_signal_has_lost_nothing") {
        log.append(Load::new(8, CONTACTS).take(RECORDS));
        let node = node(dir.path(), &log);
        let running = node.start("");
        node.wait_until_journal_exceeds(1_000);
        let exit = running.stop();
        assert!(exit.status.success(), "{}: {}", exit.status, exit.stderr);
        node.catch_up_soundly();
        let calm = node.clone().on(&dir.path().join(format!("calm-{}", log.name())));
        calm.catch_up_soundly();
        assert_same(&Image::read(&calm.store), &Image::read(&node.store), log.name());
    }
}

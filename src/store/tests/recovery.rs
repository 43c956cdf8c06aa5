//! What a kill, a power cut or damage leaves behind is made right, or named.

use super::*;

#[test]
fn redo_brings_back_what_no_checkpoint_held() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 300);
    opened.writer.checkpoint_now().unwrap();
    feed(&mut opened.writer, 300, 620);
    drop(opened);
    let mut opened = open_store(dir.path());
    assert_eq!(opened.report.frames_redone, 64);
    assert_same(&opened, 620);
    feed(&mut opened.writer, 620, 700);
    opened.writer.close().unwrap();
    drop(opened.reader);
    let opened = open_store(dir.path());
    assert_eq!(opened.report.frames_redone, 0);
    assert_same(&opened, 700);
}

#[test]
fn redo_is_right_over_any_subset_of_later_images() {
    for seed in 0..4 {
        let mut random = fastrand::Rng::with_seed(seed);
        let dir = tempfile::tempdir().unwrap();
        let mut opened = open_store(dir.path());
        feed(&mut opened.writer, 0, 200);
        opened.writer.checkpoint_now().unwrap();
        feed(&mut opened.writer, 200, 300);
        let middle = images(&opened);
        feed(&mut opened.writer, 300, 400);
        drop(opened);
        let engine = Engine::open(&dir.path().join("sled"), 1 << 20).unwrap();
        for (id, value) in middle.iter().filter(|_| random.bool()) {
            let key = [b"c", id.as_slice()].concat();
            engine.insert_sorted([(key.as_slice(), Some(value.bytes()))]).unwrap();
        }
        engine.flush().unwrap();
        drop(engine);
        let opened = open_store(dir.path());
        assert_eq!(opened.report.refilled, None);
        assert_same(&opened, 400);
        opened.writer.close().unwrap();
        drop(opened.reader);
        assert_same(&open_store(dir.path()), 400);
    }
}

/// Runs to a closed store, changes its engine behind its back, and opens it again.
fn with_spoilt_engine(spoil: impl Fn(&Engine)) -> (tempfile::TempDir, Opened) {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 150);
    opened.writer.snapshot_now().unwrap();
    feed(&mut opened.writer, 150, 300);
    opened.writer.close().unwrap();
    drop(opened.reader);
    let engine = Engine::open(&dir.path().join("sled"), 1 << 20).unwrap();
    spoil(&engine);
    engine.flush().unwrap();
    drop(engine);
    let opened = open_store(dir.path());
    (dir, opened)
}

#[test]
fn an_engine_that_lost_or_changed_anything_is_filled_again() {
    let first = |engine: &Engine, prefix: &[u8]| engine.scan(prefix, None).next().unwrap().unwrap();
    let spoils: [&dyn Fn(&Engine); 3] = [
        &|engine| {
            let (key, _) = first(engine, b"c");
            engine.insert_sorted([(&*key, None)]).unwrap();
        },
        &|engine| {
            let (key, value) = first(engine, b"c");
            let mut value = value.to_vec();
            let last = value.len() - 30;
            value[last] ^= 1;
            engine.insert_sorted([(&*key, Some(value.as_slice()))]).unwrap();
        },
        &|engine| {
            engine.insert_sorted([(codec::STAMP_KEY, None)]).unwrap();
        },
    ];
    for (at, spoil) in spoils.iter().enumerate() {
        let (_dir, opened) = with_spoilt_engine(spoil);
        assert!(opened.report.refilled.is_some(), "spoil {at} was not noticed");
        assert_same(&opened, 300);
    }
    let (_dir, opened) = with_spoilt_engine(|_| ());
    assert_eq!(opened.report.refilled, None);
}

#[test]
fn a_missing_engine_and_a_damaged_checkpoint_are_refilled() {
    for spoiled in ["sled", "checkpoint"] {
        let (dir, opened) = with_spoilt_engine(|_| ());
        drop(opened);
        if spoiled == "sled" {
            fs::remove_dir_all(dir.path().join("sled")).unwrap();
        } else {
            fs::write(dir.path().join("checkpoint"), b"rubbish").unwrap();
        }
        let opened = open_store(dir.path());
        assert_same(&opened, 300);
        opened.writer.close().unwrap();
        drop(opened.reader);
        assert_same(&open_store(dir.path()), 300);
    }
}

#[test]
fn a_power_cut_takes_only_what_the_engine_never_had() {
    for is_out_of_order in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut opened = open_store(dir.path());
        feed(&mut opened.writer, 0, 100);
        opened.writer.checkpoint_now().unwrap();
        let synced = fs::metadata(only_segment(dir.path())).unwrap().len();
        let before = images(&opened);
        feed(&mut opened.writer, 100, 200);
        let after = images(&opened);
        drop(opened);
        let segment = fs::OpenOptions::new().write(true).open(only_segment(dir.path())).unwrap();
        segment.set_len(synced).unwrap();
        if is_out_of_order {
            // A dirty key that went to the engine before its frame was synced.
            let (id, value) = after.iter().zip(&before).find(|(a, b)| a != b).unwrap().0;
            let engine = Engine::open(&dir.path().join("sled"), 1 << 20).unwrap();
            let key = [b"c", id.as_slice()].concat();
            engine.insert_sorted([(key.as_slice(), Some(value.bytes()))]).unwrap();
            engine.flush().unwrap();
        }
        let mut opened = open_store(dir.path());
        assert_eq!(opened.report.refilled.is_some(), is_out_of_order);
        assert_same(&opened, 100);
        feed(&mut opened.writer, 100, 200);
        assert_same(&opened, 200);
    }
}

#[test]
fn a_checkpoint_that_states_another_moment_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 100);
    opened.writer.checkpoint_now().unwrap();
    drop(opened);
    let mut checkpoint = Checkpoint::read(dir.path()).unwrap().unwrap();
    checkpoint.cut.digest = Digest(1);
    checkpoint.cut.counters.active += 1;
    checkpoint.write(dir.path()).unwrap();
    let opened = open_store(dir.path());
    assert!(opened.report.refilled.is_some());
    assert_same(&opened, 100);
}

#[test]
fn a_checkpoint_beyond_the_journals_end_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 100);
    opened.writer.close().unwrap();
    drop(opened.reader);
    let segment = fs::OpenOptions::new().write(true).open(only_segment(dir.path())).unwrap();
    segment.set_len(segment.metadata().unwrap().len() - 1).unwrap();
    let error = open(options(dir.path()), Some(&log()), &|_| ()).unwrap_err();
    assert!(error.is_about_data(), "{error}");
}

#[test]
fn a_torn_last_frame_is_cut_off_and_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    feed(&mut opened.writer, 0, 95);
    feed(&mut opened.writer, 95, 100);
    drop(opened);
    let segment = fs::OpenOptions::new().write(true).open(only_segment(dir.path())).unwrap();
    segment.set_len(segment.metadata().unwrap().len() - 1).unwrap();
    let mut opened = open_store(dir.path());
    assert!(opened.report.journal_truncated_bytes > 0);
    assert_same(&opened, 95);
    feed(&mut opened.writer, 95, 100);
    assert_same(&opened, 100);
}

#[test]
fn what_the_engine_answers_for_the_heap_file_is_kept_until_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    let spoil = |opened: &mut Opened| {
        opened.writer.checkpoint_now().unwrap();
        for file in fs::read_dir(dir.path().join("heap")).unwrap() {
            fs::write(file.unwrap().path(), b"").unwrap();
        }
    };
    let figures = |opened: &Opened| {
        let stats = opened.reader.stats().unwrap().cache;
        (stats.hits, stats.misses)
    };
    feed(&mut opened.writer, 0, 100);
    let before = images(&opened);
    spoil(&mut opened);
    let first = figures(&opened);
    assert_eq!(images(&opened), before);
    assert_eq!(images(&opened), before);
    let contacts = before.len() as u64;
    assert_eq!(figures(&opened), (first.0 + contacts, first.1 + contacts));
    feed(&mut opened.writer, 100, 200);
    let after = images(&opened);
    spoil(&mut opened);
    assert_ne!(after, before);
    assert_eq!(images(&opened), after);
}

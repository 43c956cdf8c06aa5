//! Events found again: in memory, in tables, and where tables are missing, damaged or trimmed.

use std::time::{Duration, Instant};

use super::*;

const EVENTS: u64 = 1_200;

/// So small that some tens of frames fill a segment.
fn small(dir: &Path) -> StoreConfig {
    StoreConfig { journal_segment_bytes: 4 << 10, ..options(dir) }
}

#[track_caller]
fn open_small(dir: &Path) -> Opened {
    open(small(dir), Some(&log()), &|_| ()).unwrap()
}

/// Looks until the tables that are missing have been made.
#[track_caller]
fn lookup(reader: &Reader, id: &str) -> EventLookup {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = reader.event(id.as_bytes()).unwrap();
        if found.is_complete {
            return found;
        }
        assert!(Instant::now() < deadline, "the tables are not made: {found:?}");
        std::thread::yield_now();
    }
}

#[track_caller]
fn assert_all_found(reader: &Reader, events: std::ops::Range<u64>) {
    for number in events {
        let found = lookup(reader, &format!("evt-{number}"));
        let [record] = found.records.as_slice() else { panic!("{number}: {found:?}") };
        let (lane, offset) = (Lane((number % 2) as u16), Offset(number / 2));
        assert_eq!((record.lane, record.offset), (lane, offset));
        assert_eq!(record.record_time_ms, number as i64);
        assert_eq!(record.contact_id.is_some(), record.verdict == Verdict::Applied);
        if let Some(id) = &record.event_id {
            assert_eq!(id, &format!("evt-{number}"));
        }
        assert_eq!(reader.event_at(lane, offset).unwrap().as_ref(), Some(record));
    }
}

fn tables(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("journal")).unwrap().map(|at| at.unwrap().path());
    let mut tables: Vec<_> =
        files.filter(|at| at.extension().is_some_and(|at| at == "ids")).collect();
    tables.sort();
    tables
}

#[test]
fn events_are_found_over_segments_and_runs_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    for run in 0..3 {
        let mut opened = open_small(dir.path());
        feed(&mut opened.writer, run * EVENTS / 3, (run + 1) * EVENTS / 3);
        assert_all_found(&opened.reader, 0..(run + 1) * EVENTS / 3);
        for id in ["", "evt-", "evt-1200", "contact-1"] {
            assert_eq!(lookup(&opened.reader, id).records, [], "{id}");
        }
        assert_eq!(opened.reader.event_at(Lane(0), Offset(EVENTS)).unwrap(), None);
        assert_eq!(opened.reader.event_at(Lane(7), Offset(0)).unwrap(), None);
    }
    let segments = Journal::open(&dir.path().join("journal")).unwrap().segment_bases().unwrap();
    assert!(segments.len() > 5, "{segments:?}");
    assert_eq!(tables(dir.path()).len(), segments.len() - 1);
}

#[test]
fn missing_and_damaged_tables_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_small(dir.path());
    feed(&mut opened.writer, 0, EVENTS);
    assert_all_found(&opened.reader, 0..1);
    drop(opened);
    let before = tables(dir.path());
    let whole: Vec<_> = before.iter().map(|at| fs::read(at).unwrap()).collect();
    fs::remove_file(&before[0]).unwrap();
    fs::write(&before[1], b"no table").unwrap();
    let opened = open_small(dir.path());
    assert_all_found(&opened.reader, 0..EVENTS);
    // While the store is open a lookup is what notices.
    let mut bytes = whole[2].clone();
    bytes[40] ^= 1;
    fs::write(&before[2], bytes).unwrap();
    fs::remove_file(&before[3]).unwrap();
    assert_all_found(&opened.reader, 0..EVENTS);
    drop(opened);
    assert_eq!(before, tables(dir.path()));
    assert_eq!(whole, before.iter().map(|at| fs::read(at).unwrap()).collect::<Vec<_>>());
}

#[test]
fn damage_of_the_journal_that_a_read_has_met_is_told_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_small(dir.path());
    feed(&mut opened.writer, 0, EVENTS);
    opened.writer.close().unwrap();
    drop(opened.reader);
    let files = fs::read_dir(dir.path().join("journal")).unwrap().map(|at| at.unwrap().path());
    let segments = files.filter(|at| at.extension().is_some_and(|at| at == "seg"));
    let first = segments.min().unwrap();
    let mut bytes = fs::read(&first).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&first, bytes).unwrap();
    let opened = open_small(dir.path());
    let fails = |id: &[u8]| opened.reader.history(id, usize::MAX, None).is_err();
    assert!(images(&opened).iter().any(|(id, _)| fails(id)));
    let damage = opened.reader.journal_damage().unwrap();
    assert!(damage.contains("journal") && damage.contains("damage"), "{damage}");
}

#[test]
fn what_was_trimmed_is_not_found_and_its_tables_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let retention = StoreConfig {
        journal_retention_bytes: JournalRetention::Bytes(8 << 10),
        ..small(dir.path())
    };
    let mut opened = open(retention, Some(&log()), &|_| ()).unwrap();
    feed(&mut opened.writer, 0, EVENTS - 5);
    assert_all_found(&opened.reader, 0..1);
    opened.writer.snapshot_now().unwrap();
    feed(&mut opened.writer, EVENTS - 5, EVENTS);
    let first = opened.reader.shared().journal.first().unwrap();
    assert!(first.0 > 0);
    assert_eq!(lookup(&opened.reader, "evt-0").records, []);
    assert_eq!(opened.reader.event_at(Lane(0), Offset(0)).unwrap(), None);
    assert_all_found(&opened.reader, EVENTS - 20..EVENTS);
    drop(opened);
    let name = format!("{:020}.ids", first.0);
    assert!(tables(dir.path()).iter().all(|at| at.file_name().unwrap().to_str() >= Some(&name)));
}

/// `evt-again`: at offset 1 what became of it, and then repeats without end.
fn come(opened: &mut Opened, offset: u64) {
    let meta = EntryMeta {
        event_id: b"evt-again",
        source: b"lab",
        ..EntryMeta::at(Lane(0), Offset(offset), 1)
    };
    let verdict = if offset == 1 { Verdict::Unchanged } else { Verdict::Duplicate };
    opened.writer.settled(&meta, verdict, b"c").unwrap();
    opened.writer.advance(Lane(0), LaneProgress::at(NextOffset(offset + 1)));
}

#[test]
fn a_lookup_whose_time_is_over_shows_what_it_has_found_within_a_segment_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_store(dir.path());
    for offset in 0..10 {
        come(&mut opened, offset);
        opened.writer.commit().unwrap();
    }
    let look = |deadline| {
        let found = crate::store::events::by_id(opened.reader.shared(), b"evt-again", deadline);
        let found = found.unwrap();
        (found.records.len(), found.is_complete)
    };
    assert_eq!(look(Instant::now()), (1, false));
    assert_eq!(look(Instant::now() + Duration::from_secs(60)), (10, true));
}

#[test]
fn one_event_that_came_often_is_shown_newest_first_and_bounded_with_what_became_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open_small(dir.path());
    come(&mut opened, 0);
    come(&mut opened, 1);
    opened.writer.commit().unwrap();
    let offsets = |reader: &Reader| -> Vec<u64> {
        lookup(reader, "evt-again").records.iter().map(|at| at.offset.0).collect()
    };
    assert_eq!(offsets(&opened.reader), [1, 0]);
    for offset in 2..400 {
        come(&mut opened, offset);
        opened.writer.commit().unwrap();
    }
    // The newest ones, and the one that they repeat.
    let shown: Vec<u64> = (385..400).rev().chain([1]).collect();
    assert_eq!(offsets(&opened.reader), shown);
    drop(opened);
    assert_eq!(offsets(&open_small(dir.path()).reader), shown);
}

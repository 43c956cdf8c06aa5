//! Control records and entries: what is decoded is encoded and decoded the same, and the same records make
//! the same entries, which are kept whole.

#![no_main]

use contactd::domain::control::{
    ControlEntry, ControlLimits, ControlRecord, ControlState, Decision, RecordAt, UNSETTLED_KEY,
};
use contactd::domain::position::Offset;
use contactd_fuzz::{NOW_MS, parts};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [entry, one, two, three] = parts(data);
    if let Some(entry) = ControlEntry::decode(entry) {
        assert_eq!(ControlEntry::decode(&encoded(&entry)), Some(entry));
    }
    let records: Vec<ControlRecord> = [one, two, three, one]
        .into_iter()
        .filter_map(|value| ControlRecord::decode(None, Some(value)).ok())
        .collect();
    for record in &records {
        let again = record.encode().expect("a record");
        let key = Some(record.key.as_bytes());
        assert_eq!(ControlRecord::decode(key, Some(&again)).as_ref(), Ok(record));
    }
    for is_settled in [true, false] {
        let state = applied(&records, is_settled);
        assert_eq!(state, applied(&records, is_settled));
        let bytes = state.iter().map(|(key, entry)| (key.len() + entry.value.len()) as u64);
        assert!(state.bytes() >= bytes.sum());
        for (_, entry) in state.iter() {
            assert_eq!(ControlEntry::decode(&encoded(entry)).as_ref(), Some(&**entry));
        }
    }
});

fn encoded(entry: &ControlEntry) -> Vec<u8> {
    let mut bytes = Vec::new();
    entry.encode(&mut bytes);
    bytes
}

fn applied(records: &[ControlRecord], is_settled: bool) -> ControlState {
    let mut state = ControlState::default();
    let at = |offset| RecordAt { offset: Offset(offset), time_ms: NOW_MS + offset };
    if !is_settled {
        state.take(UNSETTLED_KEY, &Decision::unsettled(at(0)));
    }
    for (offset, record) in (1..).zip(records) {
        if let Ok(decision) = state.decide(record, at(offset), &ControlLimits::default()) {
            state.take(&record.key, &decision);
        }
    }
    state
}

//! Records out of any bytes, and back.

use contactd::domain::position::{Lane, Offset};
use contactd::domain::record::{Headers, NamedValues, RecordBatch, header_refs};

use crate::{NOW_MS, joined, parts};

/// So many at most.
const RECORDS: usize = 3;

/// Key, headers and value of each, one behind the other.
pub fn batch(data: &[u8]) -> RecordBatch {
    let parts = parts::<{ 3 * RECORDS }>(data);
    let mut batch = RecordBatch::new(Lane(0));
    for (number, record) in parts.chunks(3).enumerate() {
        let [key, headers, value] = record else { continue };
        let key = Some(*key).filter(|key| !key.is_empty());
        let value = Some(*value).filter(|value| !value.is_empty());
        let time = i64::try_from(NOW_MS).expect("a time");
        batch.push(Offset(number as u64), time, key, value, Headers::new(headers));
    }
    batch
}

/// Headers as [`batch`] reads them.
pub fn headers(headers: &NamedValues) -> Vec<u8> {
    let mut batch = RecordBatch::new(Lane(0));
    batch.push(Offset(0), 0, None, None, header_refs(headers));
    batch.arena
}

/// The bytes of which [`batch`] makes these: key, headers and value.
pub fn bytes(records: &[(Vec<u8>, NamedValues, Vec<u8>)]) -> Vec<u8> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for (key, named, value) in records.iter().take(RECORDS) {
        parts.extend([key.clone(), headers(named), value.clone()]);
    }
    parts.resize(3 * RECORDS, Vec::new());
    joined(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

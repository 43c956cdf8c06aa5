//! The copy of a record that is appended to its contact's home lane.

use crate::domain::headers::{EVENT_ID, FOUNDING, LANE_NEXT, MARKER, ORIGIN, ORIGIN_KEY, TIME};
use crate::domain::record::{Headers, owned_headers};
use crate::event_log::NewRecord;
use crate::store::RehomedRecord;

/// The same record for its contact's home lane: a function of the record and the rules' founding. An
/// event without an id keeps the one that its bytes gave it where it stood, and one without a time gets
/// its record's, so that a second copy is a repeat.
pub(super) fn at_home(topic: &str, founding: u64, record: &RehomedRecord) -> NewRecord {
    let mut headers = owned_headers(Headers::new(&record.headers));
    // The next offset of the lane where it stood says nothing of its home lane, what an earlier founding's
    // copy says is not this one's, and what was no marker must not become one by standing first.
    headers.retain(|(name, _)| ![LANE_NEXT, FOUNDING, MARKER].contains(&name.as_str()));
    let origin = format!("{topic}:{}:{}", record.lane, record.offset);
    headers.push((ORIGIN.to_owned(), Some(origin.into_bytes())));
    if let Some(key) = record.key.as_ref().filter(|key| **key != record.contact_id) {
        headers.push((ORIGIN_KEY.to_owned(), Some(key.clone())));
    }
    if !headers.iter().any(|(name, _)| name == EVENT_ID) {
        headers.push((EVENT_ID.to_owned(), Some(record.event_id.clone())));
    }
    if let (false, Ok(ms)) = (record.is_timed, u64::try_from(record.timestamp_ms)) {
        // A producer may have written nanoseconds.
        let time_us = ms.saturating_mul(1000);
        headers.push((TIME.to_owned(), Some(time_us.to_string().into_bytes())));
    }
    headers.push((FOUNDING.to_owned(), Some(founding.to_string().into_bytes())));
    NewRecord {
        key: record.contact_id.clone(),
        value: record.value.clone(),
        headers,
        timestamp_ms: record.timestamp_ms,
        lane: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::{Lane, Offset};
    use crate::domain::record::RecordBatch;
    use crate::domain::rules::Marker;

    fn stray(headers: &[(&str, Option<&[u8]>)]) -> RehomedRecord {
        let mut batch = RecordBatch::new(Lane(0));
        batch.push(Offset(0), 0, None, None, headers.iter().copied());
        RehomedRecord {
            lane: Lane(5),
            offset: Offset(17),
            timestamp_ms: 1_700_000_000_123,
            contact_id: b"c1".to_vec(),
            event_id: b"e1".to_vec(),
            is_timed: false,
            key: Some(b"account".to_vec()),
            value: Some(b"{}".to_vec()),
            headers: batch.arena,
        }
    }

    #[test]
    fn a_copy_keeps_what_only_we_write_and_says_where_it_was() {
        let stray = stray(&[
            ("contactd_command", Some(b"replace")),
            // Of the lane where it stood, and of a founding that is over.
            ("contactd_lane_next", Some(b"17")),
            ("contactd_founding", Some(b"2")),
            ("none", None),
        ]);
        let copy = at_home("contacts", 3, &stray);
        assert_eq!(
            (copy.key.as_slice(), copy.value.as_deref()),
            (b"c1".as_slice(), Some(b"{}".as_slice()))
        );
        assert_eq!((copy.timestamp_ms, copy.lane), (1_700_000_000_123, None));
        let expected = [
            ("contactd_command", Some("replace")),
            ("none", None),
            ("contactd_origin", Some("contacts:5:17")),
            ("contactd_origin_key", Some("account")),
            ("contactd_event_id", Some("e1")),
            ("contactd_time", Some("1700000000123000")),
            ("contactd_founding", Some("3")),
        ];
        let expected = expected
            .map(|(name, value)| (name.to_owned(), value.map(|value| value.as_bytes().to_vec())));
        assert_eq!(copy.headers, expected);
        let own = RehomedRecord { key: Some(b"c1".to_vec()), is_timed: true, ..stray };
        assert_eq!(at_home("contacts", 3, &own).headers.len(), 5);
    }

    #[test]
    fn a_record_time_in_nanoseconds_overflows_nothing() {
        let stray = RehomedRecord { timestamp_ms: i64::MAX, ..stray(&[]) };
        let time = (TIME.to_owned(), Some(u64::MAX.to_string().into_bytes()));
        assert!(at_home("contacts", 1, &stray).headers.contains(&time));
    }

    #[test]
    fn a_copy_is_no_marker_whatever_its_record_says() {
        let names = [LANE_NEXT, FOUNDING, MARKER, "x-own"];
        let copy = at_home("contacts", 2, &stray(&names.map(|name| (name, Some(&b"9"[..])))));
        let mut batch = RecordBatch::new(Lane(0));
        let headers = copy.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        batch.push(Offset(0), 0, None, None, headers);
        assert!(!Marker::is_one(&batch, &batch.records[0]));
        assert_eq!(copy.headers[0].0, "x-own");
    }
}

//! The same number makes the same record, and together they meet every reason.

use std::collections::BTreeMap;

use super::*;
use crate::domain::decode::Decoder;
use crate::domain::limits::Limits;
use crate::domain::position::{Lane, Offset};
use crate::domain::record::{RecordBatch, header_refs};
use crate::domain::sources::Sources;
use crate::domain::verdict::DeadLetterReason as Reason;

#[test]
fn a_number_always_makes_the_same_record_and_a_seed_others() {
    for number in 0..500 {
        assert_eq!(hostile(7, number), hostile(7, number));
    }
    let differing = (0..500).filter(|number| hostile(7, *number) != hostile(8, *number)).count();
    assert!(differing > 490, "{differing}");
}

#[test]
fn none_stops_decoding_and_every_reason_is_met() {
    let decoder = Decoder::new(Sources::built_in(), Limits::default());
    let mut reasons: BTreeMap<Option<Reason>, u64> = BTreeMap::new();
    for number in 0..50_000 {
        let record = hostile(1, number);
        let mut batch = RecordBatch::new(Lane(0));
        let headers = header_refs(&record.headers);
        let (key, value) = (Some(record.key.as_slice()), record.value.as_deref());
        batch.push(Offset(0), record.timestamp_ms, key, value, headers);
        let reason = decoder.decode(&mut batch, 0).err().map(|reject| reject.reason);
        *reasons.entry(reason).or_default() += 1;
    }
    // The rest depends on where a record stands, on the contact, or on what is configured.
    let elsewhere = [
        Reason::KeyMissing,
        Reason::MisroutedKey,
        Reason::TimestampInFuture,
        Reason::TooLarge,
        Reason::Schema,
        Reason::InvalidControl,
        Reason::ControlFull,
        Reason::InvalidMarker,
        // Only where a source's table or an input's header asks for it.
        Reason::InvalidPayment,
        Reason::NothingKnown,
        Reason::TransformFailed,
        Reason::UnknownField,
        Reason::SchemaUnknown,
        Reason::UnusableSchema,
        Reason::MalformedAvro,
    ];
    let missing: Vec<_> = Reason::ALL
        .iter()
        .filter(|reason| !elsewhere.contains(reason) && !reasons.contains_key(&Some(**reason)))
        .collect();
    assert!(missing.is_empty(), "{missing:?} of {reasons:?}");
    assert!(reasons.get(&None).is_some_and(|right| *right > 5_000), "{reasons:?}");
}

//! Schemas, and values by them: what is read is JSON of no more bytes than were asked for, and is read to
//! the last byte.

#![no_main]

use contactd::domain::avro::{AvroError, Schema, to_json};
use contactd_fuzz::parts;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

/// Small, so that it is met.
const BYTES_MAX: usize = 1 << 12;

fuzz_target!(|data: &[u8]| {
    let [reference, schema, value] = parts(data);
    let (reference, schema) = (String::from_utf8_lossy(reference), String::from_utf8_lossy(schema));
    let references = if reference.is_empty() { Vec::new() } else { vec![reference.into_owned()] };
    let Ok(schema) = Schema::parse(&schema, &references) else { return };
    let Ok(json) = to_json(&schema, value, BYTES_MAX) else { return };
    assert!(json.len() <= BYTES_MAX);
    serde_json::from_slice::<&RawValue>(&json).expect("JSON");
    let longer = [value, b"\0"].concat();
    assert_eq!(to_json(&schema, &longer, BYTES_MAX), Err(AvroError::LeftOver(1)));
    assert_eq!(to_json(&schema, value, json.len()).as_ref(), Ok(&json));
});

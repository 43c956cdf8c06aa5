//! NDJSON to import.

#![no_main]

use contactd::files::import::Format;
use contactd_fuzz::imported;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| imported::read(data, Format::Ndjson));

//! No target: writes the seeds of all others into the directory that `CONTACTD_FUZZ_SEEDS` names.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: contactd_fuzz::seeds::write(), |_data: &[u8]| {});

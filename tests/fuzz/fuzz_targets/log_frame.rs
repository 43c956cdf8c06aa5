//! Frames of the embedded log, whole by their checksum: what is read and written again is read the same.

#![no_main]

use contactd::event_log::embedded::frame_again;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(again) = frame_again(data) {
        assert!(again.len() <= data.len(), "{} of {}", again.len(), data.len());
        assert_eq!(frame_again(&again).as_ref(), Ok(&again));
    }
});

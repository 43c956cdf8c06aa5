//! Frames of the journal, whole by their checksum: an entry is the same whichever way it is looked up, and
//! no length that is made up is believed.

#![no_main]

use std::ops::ControlFlow;

use contactd::segments::FrameNo;
use contactd::store::journal::{Frame, resealed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let no = FrameNo(7);
    let Ok(frame) = Frame::parse(no, resealed(no, data)) else { return };
    let (mut scratch, mut entries) = (Vec::new(), Vec::new());
    let read = frame.for_each(&mut scratch, |entry| {
        entries.push(format!("{entry:?}"));
        Ok(())
    });
    assert!(scratch.len() <= 256 * (data.len() + 1));
    if read.is_ok() {
        assert_eq!(entries.len(), frame.head.entries);
    }
    for (index, entry) in entries.iter().enumerate() {
        let found = frame.for_each_from(index, &mut scratch, |found| {
            assert_eq!(format!("{found:?}"), *entry);
            Ok(ControlFlow::Break(()))
        });
        found.expect("what is shown once is shown again");
    }
});

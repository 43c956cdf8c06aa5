//! Frames of the journal under a head whose checksum is right: an entry is the same from wherever it is
//! read, and no length that is made up is believed.

#![no_main]

use std::ops::ControlFlow;

use contactd::segments::FrameNo;
use contactd::store::journal::Frame;
use contactd_fuzz::parts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [head, blocks] = parts(data);
    let no = 7_u64;
    let crc = crc32fast::hash(&[&no.to_le_bytes(), head].concat());
    let sealed = [&[1], (head.len() as u32).to_le_bytes().as_slice(), &crc.to_le_bytes()].concat();
    let payload = [&sealed, head, blocks].concat();
    let Ok(frame) = Frame::parse(FrameNo(no), payload) else { return };
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

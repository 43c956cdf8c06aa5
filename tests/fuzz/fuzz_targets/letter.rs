//! Dead letters as the archive holds them: what is read is written and read the same.

#![no_main]

use contactd::store::KeptLetter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(letter) = KeptLetter::decode(data) else { return };
    let again = letter.encode().expect("a letter");
    assert_eq!(KeptLetter::decode(&again).expect("what is written is read"), letter);
    let _ = (letter.reason(), letter.is_truncated(), letter.hops(), letter.headers().count());
});

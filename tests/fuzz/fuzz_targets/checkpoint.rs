//! Checkpoints and identities of stores: a damaged one is refused, and what is read is written the same.

#![no_main]

use std::sync::LazyLock;

use contactd::store::small_file_again;
use contactd_fuzz::{damage, fixture, parts};
use libfuzzer_sys::fuzz_target;

static WHOLE: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    ["checkpoint", "identity"].map(|name| fixture(&format!("format-1/store/{name}")))
});

fuzz_target!(|data: &[u8]| {
    let [how, content] = parts(data);
    for whole in &*WHOLE {
        let mut bytes = whole.clone();
        damage(&mut bytes, how);
        // What stands behind it is not looked at.
        assert!(bytes.starts_with(whole) || small_file_again(&bytes).is_err());
    }
    for magic in [b"CDCP", b"CDID"] {
        let len = (content.len() as u32).to_le_bytes();
        let sealed = [magic, &1_u32.to_le_bytes(), &len, content].concat();
        let sealed = [&*sealed, &crc32fast::hash(&sealed).to_le_bytes()].concat();
        if let Ok(again) = small_file_again(&sealed) {
            assert_eq!(small_file_again(&again).expect("what is written is read"), again);
        }
    }
});

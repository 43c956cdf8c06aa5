//! Cursors: one text each, only for its own query, and only under our signature.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contactd::query::{Cursor, CursorError, CursorKeys, Direction};
use contactd::store::PageKey;
use contactd_fuzz::keyed::{SECRET, mac};
use contactd_fuzz::parts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [text, query, body] = parts(data);
    let (query, keys) =
        (String::from_utf8_lossy(query), CursorKeys::of_secrets(SECRET.as_bytes(), &[]));
    let check = |text: &str| {
        let decoded = Cursor::decode(text, &query, &keys);
        if let Ok(cursor) = &decoded {
            assert_eq!(cursor.encode(&query, &keys), text);
            if let Some(key) = PageKey::from_bytes(&cursor.key) {
                assert_eq!(key.to_bytes(), cursor.key);
            }
        }
        decoded
    };
    let _ = std::str::from_utf8(text).map(check);
    // Any content under a right signature.
    let key = mac(&mac(SECRET.as_bytes(), &[b"contactd cursors 2"]), &[body]);
    let _ = check(&URL_SAFE_NO_PAD.encode([body, &key[..16]].concat()));
    let skip = query.len() as u16;
    let cursor = Cursor { direction: Direction::Next, skip, key: body.to_vec() };
    let text = cursor.encode(&query, &keys);
    if text.len() <= 4096 {
        assert_eq!(check(&text), Ok(cursor));
        let other = Cursor::decode(&text, &format!("{query}."), &keys);
        assert_eq!(other, Err(CursorError::AnotherQuery));
    }
});

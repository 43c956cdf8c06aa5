//! The file of users: what can be in it is written and read the same.

#![no_main]

use contactd::auth::UsersText;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(users) = UsersText::parse(text) else { return };
    if let Ok(file) = users.to_file() {
        assert_eq!(UsersText::parse(&file), Ok(users));
    }
});

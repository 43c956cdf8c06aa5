//! Configuration files: what is printed of a right one is a file that says the same.

#![no_main]

use contactd::config::{Config, FileText, Mode, Sources, load};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Some(config) = read(text) else { return };
    let printed = config.to_toml();
    // Secrets are not printed.
    if printed.contains("***") {
        return;
    }
    let again = read(&printed).unwrap_or_else(|| panic!("refused:\n{printed}")).to_toml();
    let meaning = |text: &str| toml::from_str::<toml::Table>(text).expect("TOML");
    assert_eq!(meaning(&printed), meaning(&again));
});

fn read(text: &str) -> Option<Config> {
    let file = Some(FileText { name: "file".to_owned(), text: text.to_owned() });
    load(&Sources { file, ..Sources::new(Mode::Dev) }).ok()
}

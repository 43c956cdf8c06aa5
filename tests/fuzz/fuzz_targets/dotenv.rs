//! `.env` files: what was read, written in quotes, is read the same.

#![no_main]

use contactd::config::{FileText, dotenv_variables};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let read = |text: String| dotenv_variables(&FileText { name: ".env".to_owned(), text });
    let Ok(variables) = read(text.to_owned()) else { return };
    let quoted = |(name, value): &(String, String)| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        let value = value.replace('\n', "\\n").replace('\r', "\\r");
        format!("export {name} = \"{value}\" # why\n")
    };
    let again = read(variables.iter().map(quoted).collect()).expect("a right file");
    assert_eq!(again, variables);
});

//! Against serde_json: what is accepted, and what strings say.

use proptest::prelude::*;

use super::*;

fn scan(text: &[u8]) -> Scanned<Token> {
    let mut scanner = Scanner::new(text, 0);
    let token = scanner.value()?;
    scanner.finish().map(|()| token)
}

fn check_against_serde(text: &str) {
    let theirs: Result<serde::de::IgnoredAny, _> = serde_json::from_str(text);
    // IgnoredAny leaves surrogates unchecked; a Value reads them, but refuses great numbers.
    let value: Result<serde_json::Value, _> = serde_json::from_str(text);
    let surrogate = value.as_ref().is_err_and(|error| {
        error.to_string().contains("hex escape") || error.to_string().contains("surrogate")
    });
    assert_eq!(scan(text.as_bytes()).is_ok(), theirs.is_ok() && !surrogate, "{text:?}");
}

#[test]
fn edges_of_the_grammar() {
    for text in [
        "",
        "{",
        "{}",
        "[]",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "01",
        "-",
        "-0",
        "1.",
        "1.5e",
        "1e+9",
        ".5",
        "\"\\ud800\"",
        "\"\\ud83d\\ude00\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\\x\"",
        "\"\u{1}\"",
        "nul",
        "null ",
        "true false",
        "\"\\u00zz\"",
        "1e999",
        "\u{feff}1",
        "[[]",
        "NaN",
        "'a'",
        "\"\\u+123\"",
    ] {
        check_against_serde(text);
    }
}

#[test]
fn sixty_four_deep_is_read_and_one_more_is_not() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(scan(nested(DEPTH_MAX).as_bytes()).is_ok());
    assert_eq!(scan(nested(DEPTH_MAX + 1).as_bytes()), Err(JsonError::TooDeep));
    assert_eq!(scan("[".repeat(10_000).as_bytes()), Err(JsonError::TooDeep));
}

proptest! {
    #[test]
    fn accepts_what_serde_json_accepts(text in "[\\[\\]{}:,\"\\\\u0-9a-eE+. tnrulsdD-]{0,24}") {
        check_against_serde(&text);
    }

    #[test]
    fn strings_go_both_ways_as_with_serde_json(text in any::<String>()) {
        let mut written = Vec::new();
        write_string(&text, &mut written);
        prop_assert_eq!(String::from_utf8_lossy(&written), serde_json::to_string(&text).unwrap());
        let ascii: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let quoted = written.len() - 1;
        for raw in [&written[1..quoted], ascii.as_bytes()] {
            let mut read = Vec::new();
            unescape(raw, &mut read);
            prop_assert_eq!(&read, text.as_bytes());
        }
    }
}

//! Cells that a spreadsheet would take for a formula, made harmless and back again.
//!
//! A spreadsheet calculates a cell that begins with `=`, `+`, `-` or `@`, also behind a tab or carriage
//! return. An apostrophe before it makes it text. A cell that begins so after apostrophes of its own
//! gets one more, so that taking one away always gives the cell back.

/// Whether it begins, after any apostrophes, with what a spreadsheet would calculate.
fn is_formula_behind_apostrophes(cell: &str) -> bool {
    let rest = cell.trim_start_matches('\'');
    rest.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

/// Whether a cell needs an apostrophe before it.
pub fn needs_escape(cell: &str) -> bool {
    is_formula_behind_apostrophes(cell)
}

/// A cell that a spreadsheet shows and does not calculate.
pub fn escape_formula(cell: &str) -> std::borrow::Cow<'_, str> {
    if needs_escape(cell) { format!("'{cell}").into() } else { cell.into() }
}

/// What the cell said before [`escape_formula`]; any other cell is as it is.
pub fn unescape_formula(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if is_formula_behind_apostrophes(rest) => rest,
        Some(_) | None => cell,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_telephone_number_is_text_and_comes_back() {
        assert_eq!(escape_formula("+44 20 7946 0000"), "'+44 20 7946 0000");
        assert_eq!(unescape_formula("'+44 20 7946 0000"), "+44 20 7946 0000");
        assert_eq!(unescape_formula("+44 20 7946 0000"), "+44 20 7946 0000");
        for plain in ["", "Ada", "O'Hara", "'tis", "'", "a=1", " =1"] {
            assert_eq!(escape_formula(plain), plain);
            assert_eq!(unescape_formula(plain), plain);
        }
    }

    proptest! {
        #[test]
        fn every_cell_comes_back_and_none_is_a_formula(cell in "['=+@a\\-\t\r]{0,6}") {
            let escaped = escape_formula(&cell);
            prop_assert_eq!(unescape_formula(&escaped), cell.as_str());
            prop_assert!(!escaped.starts_with(['=', '+', '-', '@', '\t', '\r']));
        }
    }
}

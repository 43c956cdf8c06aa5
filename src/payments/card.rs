//! The number of a card, which is asked of the gateway and kept nowhere.

use std::fmt;

/// Digits of a card's number.
const DIGITS: std::ops::RangeInclusive<usize> = 12..=19;

/// The number of a card; shows only its last four digits.
#[derive(Clone, PartialEq, Eq)]
pub struct CardNumber(String);

impl CardNumber {
    /// From its digits, with blanks or hyphens between them; none: they are no card's.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && DIGITS.contains(&digits.len()) && has_check_digit(&digits))
            .then_some(Self(digits))
    }

    pub(super) fn is(&self, number: &str) -> bool {
        self.0 == number
    }

    /// What may be kept of it.
    pub fn last_four(&self) -> &str {
        self.0.get(self.0.len().saturating_sub(4)..).unwrap_or_default()
    }
}

impl fmt::Debug for CardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CardNumber(…{})", self.last_four())
    }
}

/// The check digit of ISO/IEC 7812 (Luhn).
fn has_check_digit(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0') * if place % 2 == 1 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_shows_its_last_four_digits_alone() {
        let card = CardNumber::parse("4242 4242-4242 4242").unwrap();
        assert_eq!(card.last_four(), "4242");
        assert_eq!(format!("{card:?}"), "CardNumber(…4242)");
        for text in ["", "4242", "4242424242424241", "4242x42424242424", "424242424242424242424242"]
        {
            assert!(CardNumber::parse(text).is_none(), "{text}");
        }
    }
}

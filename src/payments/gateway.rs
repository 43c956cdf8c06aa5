//! A gateway that is simulated: the number of a test card says how a payment with it goes. No other card is
//! taken, so nobody's real one can be used here by mistake. It remembers nothing: who asks again is told the
//! same.

use super::card::CardNumber;

/// How a payment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is paid.
    Paid,
    /// It is not, and why.
    Declined(&'static str),
    /// The card's holder must confirm it first (3-D Secure).
    ToBeConfirmed,
    /// No answer came: nobody knows whether it is paid.
    Silence,
}

impl Answer {
    /// The stable word for it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Declined(_) => "declined",
            Self::ToBeConfirmed => "to_be_confirmed",
            Self::Silence => "no_answer",
        }
    }
}

/// A card that the gateway knows.
#[derive(Clone, Copy, Debug)]
pub struct TestCard {
    /// Its number.
    pub number: &'static str,
    /// What becomes of a payment with it, in words.
    pub about: &'static str,
    at_first: Answer,
    /// When it is confirmed, or asked for again.
    then: Answer,
}

const fn card(
    number: &'static str,
    about: &'static str,
    at_first: Answer,
    then: Answer,
) -> TestCard {
    TestCard { number, about, at_first, then }
}

const fn declined(number: &'static str, why: &'static str) -> TestCard {
    card(number, why, Answer::Declined(why), Answer::Declined(why))
}

/// The cards that the gateway knows; the usual ones of other gateways' tests.
pub const TEST_CARDS: &[TestCard] = &[
    card("4242424242424242", "succeeds", Answer::Paid, Answer::Paid),
    declined("4000000000000002", "card_declined"),
    declined("4000000000009995", "insufficient_funds"),
    declined("4000000000000069", "expired_card"),
    declined("4000000000000119", "processing_error"),
    card(
        "4000000000000341",
        "no answer comes; asked again it has succeeded",
        Answer::Silence,
        Answer::Paid,
    ),
    card(
        "4000002500003155",
        "waits for 3-D Secure; confirmed it succeeds",
        Answer::ToBeConfirmed,
        Answer::Paid,
    ),
    card(
        "4000008400001629",
        "waits for 3-D Secure; confirmed it is declined",
        Answer::ToBeConfirmed,
        Answer::Declined("card_declined"),
    ),
];

/// Asks for a payment; none: it is no card that the gateway knows. `is_again`: it was asked before.
pub(super) fn charge(number: &CardNumber, is_again: bool) -> Option<Answer> {
    let card = TEST_CARDS.iter().find(|card| number.is(card.number))?;
    let waits_for_holder = card.at_first == Answer::ToBeConfirmed;
    Some(if is_again && !waits_for_holder { card.then } else { card.at_first })
}

/// Confirms a payment, of whose card only the last four digits are known.
pub(super) fn confirm(last_four: &str) -> Option<Answer> {
    TEST_CARDS.iter().find(|card| card.number.ends_with(last_four)).map(|card| card.then)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_card_is_a_card_and_told_by_its_last_four_digits() {
        let ends: std::collections::BTreeSet<_> = TEST_CARDS
            .iter()
            .map(|card| CardNumber::parse(card.number).unwrap().last_four().to_owned())
            .collect();
        assert_eq!(ends.len(), TEST_CARDS.len());
    }

    #[test]
    fn what_has_no_answer_has_one_when_it_is_asked_again() {
        let silent = CardNumber::parse("4000000000000341").unwrap();
        assert_eq!(charge(&silent, false), Some(Answer::Silence));
        assert_eq!(charge(&silent, true), Some(Answer::Paid));
        let secure = CardNumber::parse("4000002500003155").unwrap();
        assert_eq!(charge(&secure, true), Some(Answer::ToBeConfirmed));
        assert_eq!(confirm("3155"), Some(Answer::Paid));
        assert_eq!(charge(&CardNumber::parse("5555555555554444").unwrap(), false), None);
    }
}

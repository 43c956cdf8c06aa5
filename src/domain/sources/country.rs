//! Telephone numbers as people write them in a country, to E.164.
//!
//! The table is part of what judging does, so a change of it is a new `APPLY_VERSION`.

/// How numbers are dialled in a country.
#[derive(Debug, PartialEq, Eq)]
pub struct Country {
    /// ISO 3166.
    pub code: &'static str,
    calling_code: &'static str,
    /// Stands before a national number, and is not part of it.
    trunk: &'static str,
    /// Stands before another country's code.
    international: &'static str,
}

/// Digits of a number with its country's code.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// What people put between digits.
const BETWEEN: [char; 9] = [' ', '-', '.', '(', ')', '/', '\u{a0}', '\u{202f}', '\u{2011}'];

const fn country(
    code: &'static str,
    calling_code: &'static str,
    trunk: &'static str,
    international: &'static str,
) -> Country {
    Country { code, calling_code, trunk, international }
}

/// After the ITU's list of dialling procedures.
const COUNTRIES: [Country; 48] = [
    country("AE", "971", "0", "00"),
    country("AR", "54", "0", "00"),
    country("AT", "43", "0", "00"),
    country("AU", "61", "0", "0011"),
    country("BE", "32", "0", "00"),
    country("BG", "359", "0", "00"),
    country("BR", "55", "0", "00"),
    country("CA", "1", "1", "011"),
    country("CH", "41", "0", "00"),
    country("CL", "56", "", "00"),
    country("CN", "86", "0", "00"),
    country("CO", "57", "", "00"),
    country("CZ", "420", "", "00"),
    country("DE", "49", "0", "00"),
    country("DK", "45", "", "00"),
    country("EE", "372", "", "00"),
    country("EG", "20", "0", "00"),
    country("ES", "34", "", "00"),
    country("FI", "358", "0", "00"),
    country("FR", "33", "0", "00"),
    country("GB", "44", "0", "00"),
    country("GR", "30", "", "00"),
    country("HK", "852", "", "001"),
    country("HR", "385", "0", "00"),
    country("HU", "36", "06", "00"),
    country("IE", "353", "0", "00"),
    country("IL", "972", "0", "00"),
    country("IN", "91", "0", "00"),
    // Its zero belongs to the number.
    country("IT", "39", "", "00"),
    country("JP", "81", "0", "010"),
    country("KE", "254", "0", "000"),
    country("KR", "82", "0", "00"),
    country("LU", "352", "", "00"),
    country("MX", "52", "", "00"),
    country("NG", "234", "0", "009"),
    country("NL", "31", "0", "00"),
    country("NO", "47", "", "00"),
    country("NZ", "64", "0", "00"),
    country("PL", "48", "", "00"),
    country("PT", "351", "", "00"),
    country("RO", "40", "0", "00"),
    country("SE", "46", "0", "00"),
    country("SG", "65", "", "000"),
    country("SI", "386", "0", "00"),
    country("SK", "421", "0", "00"),
    country("TR", "90", "0", "00"),
    country("US", "1", "1", "011"),
    country("ZA", "27", "0", "00"),
];

impl Country {
    /// The one of this code.
    pub fn of(code: &str) -> Option<&'static Self> {
        COUNTRIES.iter().find(|country| country.code.eq_ignore_ascii_case(code))
    }

    /// `+` and all digits; none: it is no number.
    pub fn e164(&self, text: &str) -> Option<String> {
        let text = text.trim();
        let text = text.strip_prefix("tel:").unwrap_or(text);
        // As in +44 (0)20: dialled at home only.
        let text =
            if text.starts_with('+') { text.replacen("(0)", "", 1) } else { text.to_owned() };
        let (is_whole, rest) = match text.strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, text.as_str()),
        };
        let digits: String = rest.chars().filter(|c| !BETWEEN.contains(c)).collect();
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number = if is_whole {
            digits
        } else if let Some(whole) = digits.strip_prefix(self.international) {
            whole.to_owned()
        } else {
            let national = digits.strip_prefix(self.trunk).unwrap_or(&digits);
            format!("{}{national}", self.calling_code)
        };
        let is_right = DIGITS.contains(&number.len()) && !number.starts_with('0');
        is_right.then(|| format!("+{number}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_write_them() {
        for (code, written, meant) in [
            ("US", "(415) 555-2671", Some("+14155552671")),
            ("US", "1-415-555-2671", Some("+14155552671")),
            ("US", "011 44 20 7946 0018", Some("+442079460018")),
            ("GB", "020 7946 0018", Some("+442079460018")),
            ("GB", "+44 (0)20 7946 0018", Some("+442079460018")),
            ("DE", "030/901820", Some("+4930901820")),
            ("DE", "0049 30 901820", Some("+4930901820")),
            ("de", "tel:+49-30-901820", Some("+4930901820")),
            ("IT", "06 6982", Some("+39066982")),
            ("ES", "91\u{a0}123\u{a0}45\u{a0}67", Some("+34911234567")),
            ("US", "call me", None),
            ("US", "555-2671 ext. 4", None),
            ("US", "", None),
            ("US", "+1", None),
            ("US", "+12345678901234567", None),
            ("DE", "+0123456789", None),
        ] {
            let made = Country::of(code).unwrap().e164(written);
            assert_eq!(made.as_deref(), meant, "{code} {written}");
            if let Some(made) = made {
                assert_eq!(Country::of(code).unwrap().e164(&made), Some(made), "it stays");
            }
        }
        assert!(COUNTRIES.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert_eq!(Country::of("XX"), None);
    }
}

//! What is made of a source's text, step by step, and back where that can be.

use std::collections::BTreeMap;
use std::fmt;

use super::country::Country;
use super::date::DateForm;

/// Stands for every value that a table does not have.
const ANY: &str = "*";
/// The table beside the steps.
const VALUES: &str = "values";
/// Every step, for whoever wrote another.
const KNOWN: &str = "trim, lower, email, e164:COUNTRY, constant:TEXT, default:TEXT, join:TEXT, \
                     split:TEXT:NUMBER, values, date:FORMAT";

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// White space at the ends goes.
    Trim,
    /// A to Z in lower case.
    Lower,
    /// The domain of an e-mail address in lower case.
    EmailDomain,
    /// A telephone number with its country's code; without one it is this country's.
    E164(&'static Country),
    /// This text, whatever stands there.
    Constant(String),
    /// This text where nothing stands there.
    Default(String),
    /// All that is there of several places, with this between them.
    Join(String),
    /// One of the parts between these, counted from 1.
    Split(String, usize),
    /// Their value → ours.
    Values(BTreeMap<String, String>),
    /// A date in this format, as ISO 8601 has it.
    Date(DateForm),
}

/// The steps of a field; a table of values that no step names comes last.
pub(super) fn read_all(
    texts: &[String],
    values: &BTreeMap<String, String>,
) -> Result<Vec<Step>, String> {
    let mut steps = Vec::with_capacity(texts.len());
    for text in texts {
        steps.push(if text == VALUES {
            if values.is_empty() {
                return Err("has the step values, and no table of them".to_owned());
            }
            Step::Values(values.clone())
        } else {
            Step::parse(text)?
        });
    }
    if !values.is_empty() && !texts.iter().any(|text| text == VALUES) {
        steps.push(Step::Values(values.clone()));
    }
    Ok(steps)
}

impl Step {
    /// From its text.
    fn parse(text: &str) -> Result<Self, String> {
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        Ok(match (name, argument) {
            ("trim", None) => Self::Trim,
            ("lower", None) => Self::Lower,
            ("email", None) => Self::EmailDomain,
            ("e164", Some(code)) => Self::E164(Country::of(code).ok_or_else(|| {
                format!("has \"{text}\", and must name a country such as US, DE or GB")
            })?),
            ("constant", Some(text)) => Self::Constant(text.to_owned()),
            ("default", Some(text)) => Self::Default(text.to_owned()),
            ("join", Some(between)) => Self::Join(between.to_owned()),
            ("split", Some(argument)) => {
                let split = argument.rsplit_once(':').and_then(|(between, number)| {
                    Some((between, number.parse().ok().filter(|number| *number > 0)?))
                });
                let (between, number) =
                    split.filter(|(between, _)| !between.is_empty()).ok_or_else(|| {
                        format!(
                            "has \"{text}\", and must be split:TEXT:NUMBER, such as \"split: :1\""
                        )
                    })?;
                Self::Split(between.to_owned(), number)
            }
            ("date", Some(form)) => Self::Date(DateForm::parse(form).ok_or_else(|| {
                format!("has \"{text}\", and must be made of %Y %m %d %H %M %S, each once")
            })?),
            _ => return Err(format!("has the step \"{text}\", and must be one of {KNOWN}")),
        })
    }

    /// What is made of a text; none: nothing can be.
    pub fn inward(&self, text: String) -> Option<String> {
        Some(match self {
            Self::Trim => text.trim().to_owned(),
            // Other letters as they are: what they become depends on the compiler's Unicode.
            Self::Lower => text.to_ascii_lowercase(),
            Self::EmailDomain => {
                let (person, domain) = text.rsplit_once('@')?;
                format!("{person}@{}", domain.to_ascii_lowercase())
            }
            Self::E164(country) => country.e164(&text)?,
            Self::Constant(constant) => constant.clone(),
            Self::Default(default) if text.is_empty() => default.clone(),
            Self::Default(_) | Self::Join(_) => text,
            Self::Split(between, number) => part(&text, between, *number)?,
            Self::Values(values) => values.get(&text).or_else(|| values.get(ANY))?.clone(),
            Self::Date(form) => form.to_iso(&text)?,
        })
    }

    /// What the source would have said; none: it can't say that.
    pub fn outward(&self, text: String) -> Option<String> {
        match self {
            Self::Trim | Self::Lower | Self::EmailDomain | Self::E164(_) | Self::Default(_) => {
                Some(text)
            }
            Self::Values(values) => {
                let mut theirs = values.iter().filter(|(_, ours)| **ours == text);
                theirs.next().map(|(theirs, _)| theirs.clone()).filter(|theirs| theirs != ANY)
            }
            Self::Date(form) => form.to_theirs(&text),
            Self::Constant(_) | Self::Join(_) | Self::Split(..) => None,
        }
    }

    /// Why it can't be turned round, if it can't.
    pub fn one_way(&self) -> Option<&'static str> {
        match self {
            Self::Constant(_) => Some("it is the same whatever we have"),
            Self::Join(_) => Some("what was joined can't be taken apart again"),
            Self::Split(..) => Some("the other parts are not known"),
            Self::Values(values) => {
                let ours: std::collections::BTreeSet<_> = values.values().collect();
                let is_unclear = ours.len() < values.len() || values.contains_key(ANY);
                is_unclear.then_some("several of their values are one of ours")
            }
            Self::Trim | Self::Lower | Self::EmailDomain | Self::E164(_) | Self::Default(_) => None,
            Self::Date(form) => (!form.has_all()).then_some("the rest of the time is not known"),
        }
    }
}

/// A part of a text, counted from 1; none: it has fewer.
pub fn part(text: &str, between: &str, number: usize) -> Option<String> {
    text.split(between).nth(number.checked_sub(1)?).map(str::to_owned)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trim => f.write_str("trim"),
            Self::Lower => f.write_str("lower"),
            Self::EmailDomain => f.write_str("email"),
            Self::E164(country) => write!(f, "e164:{}", country.code),
            Self::Constant(text) => write!(f, "constant:{text}"),
            Self::Default(text) => write!(f, "default:{text}"),
            Self::Join(between) => write!(f, "join:{between}"),
            Self::Split(between, number) => write!(f, "split:{between}:{number}"),
            Self::Values(_) => f.write_str(VALUES),
            Self::Date(form) => write!(f, "date:{form}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_case_is_that_of_a_to_z() {
        let lower = |step: Step, text: &str| step.inward(text.to_owned());
        assert_eq!(lower(Step::Lower, "ADA \u{c9}\u{130}").as_deref(), Some("ada \u{c9}\u{130}"));
        assert_eq!(lower(Step::EmailDomain, "A@B\u{c9}.C").as_deref(), Some("A@b\u{c9}.c"));
    }
}

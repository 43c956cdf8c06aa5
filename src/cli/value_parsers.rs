//! Values of flags that are more than a text or a number.

use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::auth::Role;
use crate::config::units::parse_duration;
use crate::store::Moment;

/// The words that there are show in the help and in completions.
pub(super) fn role() -> impl TypedValueParser<Value = Role> {
    let words = PossibleValuesParser::new(Role::ALL.map(Role::as_str));
    words.try_map(|word| Role::from_word(&word).ok_or("no role"))
}

/// Always with a unit: whoever says 90 means days.
pub(super) fn lifetime(text: &str) -> Result<Duration, String> {
    let has_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
    let fits = |lifetime: &Duration| !lifetime.is_zero() && lifetime.as_secs() < 100 * 366 * 86_400;
    let lifetime = parse_duration(text).filter(fits).filter(|_| has_unit);
    lifetime.ok_or_else(|| "must be a duration with its unit, like 90d or 12h".to_owned())
}

/// `hubspot:123`
pub(super) fn external_id(text: &str) -> Result<(String, String), String> {
    let (source, id) = text.split_once(':').ok_or("must be a source, a colon and its id")?;
    Ok((source.to_owned(), id.to_owned()))
}

/// A time, or `version:3`.
pub(super) fn moment(text: &str) -> Result<Moment, String> {
    Moment::parse(text).ok_or_else(|| format!("must be {}", Moment::FORMS))
}

/// A share between 0 and 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().map_err(|error| error.to_string())?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err("must be from 0 to 1".to_owned()) }
}

/// A rate above 0.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().map_err(|error| error.to_string())?;
    if rate.is_finite() && rate > 0.0 { Ok(rate) } else { Err("must be above 0".to_owned()) }
}

//! What stands for values that JSON has no type for: dates, times, decimals and bytes, as texts.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::{Date, OffsetDateTime, Time};
use uuid::Uuid;

/// The Julian day of 1970-01-01.
const EPOCH_JULIAN_DAY: i64 = 2_440_588;
/// Larger decimals are written as bytes: no database has them.
const DECIMAL_BYTES_MAX: usize = 128;
const BILLION: u64 = 1_000_000_000;

/// What an int is.
#[derive(Clone, Copy, Debug)]
pub(super) enum IntForm {
    Number,
    Date,
    TimeMillis,
}

/// What a long is.
#[derive(Clone, Copy, Debug)]
pub(super) enum LongForm {
    Number,
    TimeMicros,
    /// So many of it a second since 1970; behind the text, where it is.
    Moment {
        per_second: i64,
        zone: &'static str,
    },
}

/// What bytes are.
#[derive(Clone, Copy, Debug)]
pub(super) enum BytesForm {
    Base64,
    /// A whole number with so many digits behind the point.
    Decimal(usize),
    Uuid,
    Duration,
}

impl LongForm {
    pub(super) fn moment(per_second: i64, zone: &'static str) -> Self {
        Self::Moment { per_second, zone }
    }

    /// The text; none: it is written as the number that it is.
    pub(super) fn text(self, number: i64) -> Option<String> {
        match self {
            Self::Number => None,
            Self::TimeMicros => time_of_day(number, 1_000_000),
            Self::Moment { per_second, zone } => {
                let seconds = number.div_euclid(per_second);
                let moment = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
                let fraction = fraction(number.rem_euclid(per_second), per_second);
                let (date, time) = (date_text(moment.date())?, moment.time());
                Some(format!("{date}T{}{fraction}{zone}", clock_text(time)))
            }
        }
    }
}

impl IntForm {
    /// The text; none: it is written as the number that it is.
    pub(super) fn text(self, number: i32) -> Option<String> {
        match self {
            Self::Number => None,
            Self::TimeMillis => time_of_day(number.into(), 1_000),
            Self::Date => {
                let day = i32::try_from(EPOCH_JULIAN_DAY + i64::from(number)).ok()?;
                date_text(Date::from_julian_day(day).ok()?)
            }
        }
    }
}

impl BytesForm {
    pub(super) fn text(self, bytes: &[u8]) -> String {
        let text = match self {
            Self::Base64 => None,
            Self::Decimal(scale) => decimal(bytes, scale),
            Self::Uuid => Uuid::from_slice(bytes).ok().map(|uuid| uuid.to_string()),
            Self::Duration => duration(bytes),
        };
        text.unwrap_or_else(|| STANDARD.encode(bytes))
    }
}

fn date_text(date: Date) -> Option<String> {
    let (year, month, day) = date.to_calendar_date();
    (0..=9999).contains(&year).then(|| format!("{year:04}-{:02}-{day:02}", u8::from(month)))
}

fn clock_text(time: Time) -> String {
    let (hour, minute, second) = time.as_hms();
    format!("{hour:02}:{minute:02}:{second:02}")
}

fn fraction(part: i64, per_second: i64) -> String {
    let digits = per_second.ilog10() as usize;
    format!(".{part:0digits$}")
}

fn time_of_day(number: i64, per_second: i64) -> Option<String> {
    let seconds = u32::try_from(number.div_euclid(per_second)).ok()?;
    let (hour, minute) = (u8::try_from(seconds / 3600).ok()?, (seconds / 60 % 60) as u8);
    let time = Time::from_hms(hour, minute, (seconds % 60) as u8).ok()?;
    Some(clock_text(time) + &fraction(number.rem_euclid(per_second), per_second))
}

/// Months, days and milliseconds, little endian.
fn duration(bytes: &[u8]) -> Option<String> {
    let mut parts = bytes.chunks_exact(4).filter_map(|part| part.try_into().ok());
    let mut next = || parts.next().map(u32::from_le_bytes);
    let (months, days, millis) = (next()?, next()?, next()?);
    Some(format!("P{months}M{days}DT{}.{:03}S", millis / 1000, millis % 1000))
}

/// A number in two's complement, the greatest byte first, with its point.
fn decimal(bytes: &[u8], scale: usize) -> Option<String> {
    if bytes.len() > DECIMAL_BYTES_MAX {
        return None;
    }
    let is_negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    // A negative number is −1 less than what its bits say turned round.
    let flip = if is_negative { 0xff } else { 0 };
    let mut limbs: Vec<u64> = vec![0];
    for (place, byte) in bytes.iter().enumerate() {
        let is_last = place + 1 == bytes.len();
        let mut carry = u64::from(byte ^ flip) + u64::from(is_negative && is_last);
        for limb in &mut limbs {
            let sum = *limb * 256 + carry;
            (*limb, carry) = (sum % BILLION, sum / BILLION);
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    let mut digits = String::new();
    for limb in limbs.iter().rev() {
        // Writing to a String can't fail.
        let _ = write!(digits, "{limb:09}");
    }
    let digits = digits.trim_start_matches('0');
    // At least one digit stands before the point.
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, part) = padded.split_at_checked(padded.len() - scale)?;
    let sign = if is_negative { "-" } else { "" };
    let point = if scale > 0 { "." } else { "" };
    Some(format!("{sign}{whole}{point}{part}"))
}

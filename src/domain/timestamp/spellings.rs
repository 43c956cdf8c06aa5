//! Every spelling of a moment that common encoders write, each with one meaning. The table in docs/events.md
//! says who writes which. What has no offset from UTC names no moment, and is none.

use super::{TIMESTAMP_US_MAX, days_since_epoch, parse_rfc3339_us};

/// Epoch numbers below are seconds (as such the year 5138), from here on milliseconds (1973).
const MILLISECONDS_FROM: u64 = 100_000_000_000;
/// From here on epoch numbers are microseconds (1973); as milliseconds this is the year 5138.
const MICROSECONDS_FROM: u64 = 100_000_000_000_000;
/// From here on epoch numbers are nanoseconds (1973); as microseconds this is the year 5138.
const NANOSECONDS_FROM: u64 = 100_000_000_000_000_000;
/// Digits before the point of any epoch number, those that an exponent adds counted.
const EPOCH_DIGITS_MAX: i64 = 64;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/// Whole microseconds since 1970 of a text in any of the spellings. `None`: it is in none, or lies
/// before 1970.
pub fn parse_time_us(text: &[u8]) -> Option<u64> {
    // Nearly all are.
    if let Some(us) = parse_rfc3339_us(text) {
        return Some(us);
    }
    let text = std::str::from_utf8(text).ok()?.trim();
    parse_epoch_us(text.as_bytes())
        .or_else(|| iso_8601(text))
        .or_else(|| in_words(text))
        .or_else(|| date_call(text))
}

/// Whether an offset from UTC is all that a text lacks.
pub fn lacks_offset(text: &[u8]) -> bool {
    text.last().is_some_and(u8::is_ascii_digit)
        && parse_time_us(text).is_none()
        && parse_time_us(&[text, b"Z"].concat()).is_some()
}

/// Whole microseconds of a number that counts seconds, milliseconds, microseconds or nanoseconds since
/// 1970: which of them, its size says. It may have decimals and an exponent.
pub fn parse_epoch_us(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, decimals) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(both) => both,
        None => (mantissa, ""),
    };
    let digits = [whole.as_bytes(), decimals.as_bytes()].concat();
    if whole.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    if point > EPOCH_DIGITS_MAX {
        return None;
    }
    let digit = |place: i64| {
        let digit = usize::try_from(place).ok().and_then(|place| digits.get(place));
        digit.map_or(0, |digit| u64::from(digit - b'0'))
    };
    let add = |number: u64, place| number.checked_mul(10)?.checked_add(digit(place));
    let whole = (0..point).try_fold(0, add)?;
    let us = match whole {
        0..MILLISECONDS_FROM => (point..point + 6).try_fold(whole, add)?,
        MILLISECONDS_FROM..MICROSECONDS_FROM => (point..point + 3).try_fold(whole, add)?,
        MICROSECONDS_FROM..NANOSECONDS_FROM => whole,
        NANOSECONDS_FROM.. => whole / 1000,
    };
    (us <= TIMESTAMP_US_MAX).then_some(us)
}

/// ISO 8601 with an offset, in its extended or basic form, and what languages make of it.
fn iso_8601(text: &str) -> Option<u64> {
    let mut rest = Rest(text);
    let year = rest.digits(4)?;
    let is_extended = rest.takes("-");
    let month = rest.digits(2)?;
    if is_extended && !rest.takes("-") {
        return None;
    }
    let day = rest.digits(2)?;
    if !rest.takes("T") && !rest.takes_blanks() {
        return None;
    }
    let time = rest.time()?;
    rest.takes_blanks();
    let offset = rest.offset()?;
    is_name_of_zone(rest.0).then_some(())?;
    moment((year, month, day), time, offset)
}

/// What may follow an offset and says no more than it does: `[Europe/Berlin]`, `(CET)`, and as Go's
/// `String` has it, ` CET` or ` +0100`, with a monotonic clock behind that.
fn is_name_of_zone(text: &str) -> bool {
    let text = text.trim_start();
    let is_within = |open, close| text.starts_with(open) && text.ends_with(close);
    if text.is_empty() || is_within('[', ']') || is_within('(', ')') {
        return true;
    }
    let is_name = |word: &str| {
        let is_short = (3..=6).contains(&word.len());
        let is_number = word.starts_with(['+', '-']);
        let is_right = |byte: u8| match is_number {
            true => byte.is_ascii_digit(),
            false => byte.is_ascii_uppercase(),
        };
        is_short && word.bytes().skip(usize::from(is_number)).all(is_right)
    };
    let mut words = text.split(' ');
    words.next().is_some_and(is_name) && words.all(|word| word.starts_with("m="))
}

/// Dates with English names of months: RFC 2822, HTTP's, and what languages make of them.
fn in_words(text: &str) -> Option<u64> {
    let text = match text.strip_suffix(')') {
        Some(named) => named.split_once('(')?.0,
        None => text,
    };
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let words = match words.split_first() {
        Some((first, rest)) if is_weekday(first) => rest,
        Some(_) | None => words.as_slice(),
    };
    let (year, month, day, time, offset) = match *words {
        // 21-Nov-26 10:00:00 GMT
        [date, time, offset] => {
            let mut parts = date.split('-');
            let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
            parts.next().is_none().then_some((year, month, day, time, offset))?
        }
        // Nov 21 10:00:00 UTC 2026
        [month, day, time, offset, year] if time.contains(':') => (year, month, day, time, offset),
        // 21 Nov 2026 10:00:00 +0000
        [day, month, year, time, offset] if day.starts_with(|c: char| c.is_ascii_digit()) => {
            (year, month, day, time, offset)
        }
        // Nov 21 2026 10:00:00 GMT+0100
        [month, day, year, time, offset] => (year, month, day, time, offset),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))? + 1;
    let day = Rest(day).all(|rest| rest.digits(if day.len() == 1 { 1 } else { 2 }))?;
    let time = Rest(time).all(Rest::time)?;
    let offset = Rest(offset).all(Rest::offset)?;
    moment((year_of(year)?, u64::try_from(month).ok()?, day), time, offset)
}

/// Years of two digits are those of RFC 2822, 4.3.
fn year_of(text: &str) -> Option<u64> {
    let year = Rest(text).all(|rest| rest.digits(if text.len() == 2 { 2 } else { 4 }))?;
    Some(match (text.len(), year) {
        (2, ..50) => 2000 + year,
        (2, _) => 1900 + year,
        _ => year,
    })
}

fn is_weekday(word: &str) -> bool {
    WEEKDAYS.iter().any(|day| {
        let short = day.get(..3).unwrap_or_default();
        word.eq_ignore_ascii_case(day) || word.eq_ignore_ascii_case(short)
    })
}

/// `/Date(1763719200000+0100)/`: milliseconds; the offset is how they were shown.
fn date_call(text: &str) -> Option<u64> {
    let text = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let (digits, offset) = text.split_at(text.find(['+', '-']).unwrap_or(text.len()));
    if !offset.is_empty() {
        Rest(offset).all(Rest::offset)?;
    }
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let us = digits.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(1000)?;
    (us <= TIMESTAMP_US_MAX).then_some(us)
}

/// Date, microseconds of the day and the offset's seconds to microseconds since 1970.
fn moment((year, month, day): (u64, u64, u64), time_us: u64, offset: i64) -> Option<u64> {
    let days = days_since_epoch(year, month, day)?;
    let us = (days * 86_400 - offset) * 1_000_000 + i64::try_from(time_us).ok()?;
    u64::try_from(us).ok().filter(|us| *us <= TIMESTAMP_US_MAX)
}

/// What is left to read of a text.
struct Rest<'t>(&'t str);

impl<'t> Rest<'t> {
    /// What `read` makes of it, if nothing is left then.
    fn all<T>(mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<T> {
        read(&mut self).filter(|_| self.0.is_empty())
    }

    fn takes(&mut self, word: &str) -> bool {
        let found = self.0.split_at_checked(word.len());
        let found = found.filter(|(begins, _)| begins.eq_ignore_ascii_case(word));
        self.0 = found.map_or(self.0, |(_, rest)| rest);
        found.is_some()
    }

    fn takes_blanks(&mut self) -> bool {
        let rest = self.0.trim_start_matches(' ');
        let is_shorter = rest.len() < self.0.len();
        self.0 = rest;
        is_shorter
    }

    fn has_digit(&self) -> bool {
        self.0.starts_with(|c: char| c.is_ascii_digit())
    }

    /// The number of exactly so many digits.
    fn digits(&mut self, count: usize) -> Option<u64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse())?;
        self.0 = rest;
        number.ok()
    }

    /// `10:00`, `10:00:00.123`, `100000,123`, in microseconds. Second 60 is a leap second, counted as
    /// the one after.
    fn time(&mut self) -> Option<u64> {
        let hour = self.digits(2)?;
        let has_colons = self.takes(":");
        let minute = self.digits(2)?;
        let has_seconds = if has_colons { self.takes(":") } else { self.has_digit() };
        let (second, micros) =
            if has_seconds { (self.digits(2)?, self.fraction()?) } else { (0, 0) };
        let is_right = hour <= 23 && minute <= 59 && second <= 60;
        is_right.then_some(((hour * 60 + minute) * 60 + second) * 1_000_000 + micros)
    }

    /// The microseconds of optional decimals.
    fn fraction(&mut self) -> Option<u64> {
        if !self.takes(".") && !self.takes(",") {
            return Some(0);
        }
        let len = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) =
            self.0.split_at_checked(len).filter(|(digits, _)| !digits.is_empty())?;
        self.0 = rest;
        let padded = digits.bytes().chain(std::iter::repeat(b'0')).take(6);
        Some(padded.fold(0, |us, digit| us * 10 + u64::from(digit - b'0')))
    }

    /// `Z`, `UTC`, `GMT`, `+01`, `+0100`, `+01:00`, `+01:00:00`, `GMT+0100`, in seconds. Other zones'
    /// letters mean one thing here and another there.
    fn offset(&mut self) -> Option<i64> {
        if self.takes("Z") {
            return Some(0);
        }
        let is_utc = self.takes("UTC") || self.takes("GMT") || self.takes("UT");
        let sign = if self.takes("+") {
            1
        } else if self.takes("-") {
            -1
        } else {
            return is_utc.then_some(0);
        };
        let hours = self.digits(2)?;
        let (mut minutes, mut seconds) = (0, 0);
        if self.takes(":") {
            minutes = self.digits(2)?;
            seconds = if self.takes(":") { self.digits(2)? } else { 0 };
        } else if self.has_digit() {
            minutes = self.digits(2)?;
        }
        let is_right = hours <= 23 && minutes <= 59 && seconds <= 59;
        let seconds = i64::try_from((hours * 60 + minutes) * 60 + seconds).ok()?;
        is_right.then_some(sign * seconds)
    }
}

#[cfg(test)]
#[path = "spellings_tests.rs"]
mod tests;

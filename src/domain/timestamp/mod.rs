//! Timestamps in and out: RFC 3339, every other spelling that encoders write, or epoch numbers to whole
//! microseconds, and back. Finer digits are cut in every spelling.

mod spellings;

pub use spellings::{lacks_offset, parse_epoch_us, parse_time_us};

/// The last microsecond of the year 9999, RFC 3339's end of time.
pub const TIMESTAMP_US_MAX: u64 = 253_402_300_799_999_999;
/// The last microsecond of the year 2200: what an event may be dated at most.
pub const EVENT_TIME_US_MAX: u64 = 7_289_654_399_999_999;
const DAY_US: u64 = 86_400_000_000;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: u64 = 719_468;
/// Days of 400 years.
const ERA_DAYS: u64 = 146_097;

/// Whole microseconds since 1970 of an RFC 3339 text; digits beyond are cut. `None`: it is none,
/// or lies before 1970.
pub fn parse_rfc3339_us(text: &[u8]) -> Option<u64> {
    let (day, rest) = text.split_first_chunk::<10>()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *day else {
        return None;
    };
    let (separator, rest) = rest.split_first()?;
    if !matches!(separator, b'T' | b't' | b' ') {
        return None;
    }
    let (time, rest) = rest.split_first_chunk::<8>()?;
    let [h1, h2, b':', n1, n2, b':', s1, s2] = *time else {
        return None;
    };
    let year = two(y1, y2)? * 100 + two(y3, y4)?;
    let (month, day) = (two(m1, m2)?, two(d1, d2)?);
    let (hour, minute, second) = (two(h1, h2)?, two(n1, n2)?, two(s1, s2)?);
    // Second 60 is a leap second, counted as the one after.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (micros, rest) = fraction(rest)?;
    let days = days_since_epoch(year, month, day)?;
    let seconds = days * 86_400 + i64::try_from((hour * 60 + minute) * 60 + second).ok()?;
    let seconds = u64::try_from(seconds - offset_seconds(rest)?).ok()?;
    let us = seconds * 1_000_000 + micros;
    (us <= TIMESTAMP_US_MAX).then_some(us)
}

/// Appends `2026-11-21T10:00:00.000Z`, or six decimals where the time is no whole millisecond; what
/// lies beyond the year 9999 is written as its end.
pub fn write_rfc3339_us(us: u64, out: &mut Vec<u8>) {
    let us = us.min(TIMESTAMP_US_MAX);
    let (year, month, day) = civil(us / DAY_US);
    let of_day = us % DAY_US;
    let (hour, minute) = (of_day / 3_600_000_000, of_day / 60_000_000 % 60);
    let (second, micros) = (of_day / 1_000_000 % 60, of_day % 1_000_000);
    let digit = |number: u64| b'0' + (number % 10) as u8;
    let tens = |number: u64| [digit(number / 10), digit(number)];
    let ([y1, y2], [y3, y4]) = (tens(year / 100), tens(year));
    let ([m1, m2], [d1, d2]) = (tens(month), tens(day));
    let ([h1, h2], [n1, n2], [s1, s2]) = (tens(hour), tens(minute), tens(second));
    let (f1, [f2, f3]) = (digit(micros / 100_000), tens(micros / 1000));
    out.extend_from_slice(&[
        y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'.',
        f1, f2, f3,
    ]);
    if !micros.is_multiple_of(1000) {
        let (f4, [f5, f6]) = (digit(micros / 100), tens(micros));
        out.extend_from_slice(&[f4, f5, f6]);
    }
    out.push(b'Z');
}

/// [`write_rfc3339_us`] as a string.
pub fn format_rfc3339_us(us: u64) -> String {
    let mut out = Vec::with_capacity(27);
    write_rfc3339_us(us, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// [`write_rfc3339_us`] of milliseconds, as records have them.
pub fn write_rfc3339(ms: u64, out: &mut Vec<u8>) {
    write_rfc3339_us(ms.saturating_mul(1000), out);
}

/// [`write_rfc3339`] as a string.
pub fn format_rfc3339(ms: u64) -> String {
    format_rfc3339_us(ms.saturating_mul(1000))
}

fn two(tens: u8, ones: u8) -> Option<u64> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    Some(digit(tens)? * 10 + digit(ones)?)
}

/// The microseconds of an optional `.digits`, and what follows it.
fn fraction(text: &[u8]) -> Option<(u64, &[u8])> {
    let Some((b'.', digits)) = text.split_first() else {
        return Some((0, text));
    };
    let len = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at_checked(len).filter(|(digits, _)| !digits.is_empty())?;
    let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(6);
    Some((padded.fold(0, |us, digit| us * 10 + u64::from(digit - b'0')), rest))
}

fn offset_seconds(text: &[u8]) -> Option<i64> {
    match *text {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (two(h1, h2)?, two(m1, m2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = i64::try_from((hours * 60 + minutes) * 60).ok()?;
            Some(if sign == b'+' { seconds } else { -seconds })
        }
        _ => None,
    }
}

/// Days from 1970 to a civil date, after Howard Hinnant's `days_from_civil`.
pub(in crate::domain) fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<i64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u64::from(leap),
        _ => return None,
    };
    if day == 0 || day > last {
        return None;
    }
    // Years start in March here; one era earlier, so that year 0 stays positive.
    let year = year + 400 - u64::from(month <= 2);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = year % 400 * 365 + year % 400 / 4 - year % 400 / 100 + of_year;
    let days = year / 400 * ERA_DAYS + of_era;
    Some(i64::try_from(days).ok()? - i64::try_from(EPOCH_DAYS + ERA_DAYS).ok()?)
}

/// Year, month, day of a day since 1970, after Howard Hinnant's `civil_from_days`.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + EPOCH_DAYS;
    let of_era = days % ERA_DAYS;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (days / ERA_DAYS * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    use super::*;

    #[test]
    fn agrees_with_the_time_crate_on_every_kind_of_day() {
        // A stride prime to the day, over all years to 9999.
        for us in (0..=TIMESTAMP_US_MAX).step_by(7_777_777_777_777 * 3) {
            let text = format_rfc3339_us(us);
            assert_eq!(parse_rfc3339_us(text.as_bytes()), Some(us), "{text}");
            let theirs = OffsetDateTime::parse(&text, &Rfc3339).unwrap();
            assert_eq!(theirs.unix_timestamp_nanos(), i128::from(us) * 1_000, "{text}");
        }
    }

    #[test]
    fn offsets_fractions_and_leap_seconds() {
        let at = |text: &str| parse_rfc3339_us(text.as_bytes());
        assert_eq!(at("1970-01-01T01:00:00.0000019+01:00"), Some(1));
        assert_eq!(at("1969-12-31T23:30:00.5-00:30"), Some(500_000));
        assert_eq!(at("2016-12-31T23:59:60Z"), at("2017-01-01T00:00:00Z"));
        assert_eq!(at("2024-02-29 12:00:00z"), Some(1_709_208_000_000_000));
        assert_eq!(at("9999-12-31T23:59:59.999999Z"), Some(TIMESTAMP_US_MAX));
        assert_eq!(at("2200-12-31T23:59:59.9999999Z"), Some(EVENT_TIME_US_MAX));
        assert_eq!(format_rfc3339(u64::MAX), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn six_digits_are_written_where_three_do_not_say_it() {
        assert_eq!(format_rfc3339_us(1_000), "1970-01-01T00:00:00.001Z");
        assert_eq!(format_rfc3339_us(1_020), "1970-01-01T00:00:00.001020Z");
        assert_eq!(format_rfc3339(1), "1970-01-01T00:00:00.001Z");
    }

    #[test]
    fn what_is_no_timestamp_is_none() {
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T10:00:00",
            "2026-02-29T10:00:00Z",
            "2026-13-01T10:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T10:00:00.Z",
            "2026-11-21T10:00:00Zx",
            "1969-12-31T23:59:59Z",
            "2026-11-21T10:00:00+0100",
            "2026-11-00T10:00:00Z",
            "9999-12-31T23:59:59-00:01",
            "+026-11-21T10:00:00Z",
        ] {
            assert_eq!(parse_rfc3339_us(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn finer_digits_than_microseconds_are_cut_in_every_spelling() {
        let texts = ["1763719200.471006", "1763719200.4710069", "1763719200471.0069"];
        let epochs = texts.map(|text| parse_epoch_us(text.as_bytes()));
        let texts = ["2025-11-21T10:00:00.471006Z", "2025-11-21T11:00:00.471006999+01:00"];
        let rfc3339 = texts.map(|text| parse_rfc3339_us(text.as_bytes()));
        let all = [epochs.as_slice(), &rfc3339].concat();
        assert!(all.iter().all(|us| *us == Some(1_763_719_200_471_006)), "{all:?}");
    }
}

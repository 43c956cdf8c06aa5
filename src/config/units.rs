//! Sizes like `64MiB` and durations like `1h30m`, as people write them, both ways.

use std::time::Duration;

/// Unit and its bytes, the largest binary one first.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Unit and its nanoseconds, the largest first.
const DURATIONS: [(&str, u64); 8] = [
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Bytes: a plain number, or a number with B, KB, KiB, MB, MiB, GB, GiB, TB or TiB.
pub fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = split_number(text)?;
    let unit = unit.trim();
    let scale = if unit.is_empty() {
        1
    } else {
        SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1
    };
    scaled(number, scale)
}

/// A plain number of seconds, or numbers with w, d, h, m (min), s, ms, us or ns, one after another.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut nanos: u64 = 0;
    let mut first = true;
    while !rest.is_empty() {
        let (number, after) = split_number(rest)?;
        let after = after.trim_start();
        let unit_end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit_end)?;
        let scale = match unit {
            // Only a number alone may go without its unit.
            "" if first && after.is_empty() => 1_000_000_000,
            "min" => 60_000_000_000,
            _ => DURATIONS.iter().find(|(name, _)| *name == unit)?.1,
        };
        nanos = nanos.checked_add(scaled(number, scale)?)?;
        rest = after.trim_start();
        first = false;
    }
    (!first).then_some(Duration::from_nanos(nanos))
}

/// The shortest exact text: `64MiB`, `1000B`.
pub fn format_size(bytes: u64) -> String {
    let exact = SIZES
        .iter()
        .filter(|(unit, _)| unit.len() != 2)
        .find(|(_, scale)| bytes != 0 && bytes.is_multiple_of(*scale));
    match exact {
        Some((unit, scale)) => format!("{}{unit}", bytes / scale),
        None => format!("{bytes}B"),
    }
}

/// The shortest exact text: `1h30m`, `250ms`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, scale) in DURATIONS {
        // Weeks read badly beside days.
        if unit == "w" || rest < scale {
            continue;
        }
        text.push_str(&format!("{}{unit}", rest / scale));
        rest %= scale;
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// The leading digits (with at most one point) and what follows.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(end)?;
    (!number.is_empty()).then_some((number, rest))
}

/// `number` times `scale`, exact for whole numbers, to the nearest below for others.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().ok()?;
    let mut value = whole.checked_mul(scale)?;
    if number.contains('.') {
        let digits =
            u32::try_from(fraction.len()).ok().filter(|digits| (1..=9).contains(digits))?;
        let part: u64 = fraction.parse().ok()?;
        let part = u128::from(part) * u128::from(scale) / 10u128.pow(digits);
        value = value.checked_add(u64::try_from(part).ok()?)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("1.5KiB", 1536),
            ("2GB", 2_000_000_000),
            ("7B", 7),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["", "MiB", "-1", "64M", "1.KiB", "lots", "99999999999TiB", "1MiB2KiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [
            ("5", 5000),
            ("0", 0),
            ("0.25", 250),
            ("5s", 5000),
            ("250ms", 250),
            ("1h30m", 5_400_000),
            ("1h 30min", 5_400_000),
            ("7d", 604_800_000),
            ("1w", 604_800_000),
            ("1.5s", 1500),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "1h5", "5x", "-1s", "5 5", "99999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for bytes in [0, 1, 1000, 1024, 1536, 64 << 20, 3 << 40] {
            assert_eq!(parse_size(&format_size(bytes)), Some(bytes));
        }
        for millis in [0, 1, 999, 1000, 61_000, 5_400_000, 90_061_001] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&format_duration(duration)), Some(duration));
        }
        assert_eq!(format_size(64 << 20), "64MiB");
        assert_eq!(format_duration(Duration::from_secs(5400)), "1h30m");
    }
}

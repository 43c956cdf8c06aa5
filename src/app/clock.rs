//! Whether this machine's clock agrees with the log's record times, as readiness notes it.

/// A clock that is off by less than that is not worth a word.
const CLOCK_OFF_SECONDS: u64 = 60;

/// What is worth saying of a clock that the log's is so far ahead of.
pub(super) fn clock_note(ahead_ms: i64) -> Option<String> {
    let seconds = ahead_ms.unsigned_abs() / 1000;
    let direction = if ahead_ms > 0 { "behind" } else { "ahead of" };
    (seconds >= CLOCK_OFF_SECONDS).then(|| {
        format!(
            "this machine's clock is {seconds} s {direction} the log's record times; one is wrong"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_noted_from_a_minute_on_either_way() {
        assert_eq!((clock_note(59_999), clock_note(-59_999)), (None, None));
        let noted = |ahead_ms| clock_note(ahead_ms).unwrap_or_default();
        assert!(noted(60_000).contains("60 s behind the log"), "{}", noted(60_000));
        assert!(noted(-3_600_000).contains("3600 s ahead of"), "{}", noted(-3_600_000));
    }
}

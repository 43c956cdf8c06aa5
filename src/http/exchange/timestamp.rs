//! Times as they stand in answers.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const RFC3339_MS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn rfc3339_ms(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(&RFC3339_MS).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    #[test]
    fn milliseconds_are_always_written() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_255_200);
        assert_eq!(super::rfc3339_ms(time), "2026-11-21T10:00:00.000Z");
    }
}

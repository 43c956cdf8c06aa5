//! One moment in every spelling, by who writes it; the law that all of them agree; and what is none.

use proptest::prelude::*;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::super::{EVENT_TIME_US_MAX, format_rfc3339_us};
use super::*;

/// 2025-11-21 10:00:00.123456 UTC, a Friday.
const MICROS: u64 = 1_763_719_200_123_456;
const MILLIS: u64 = 1_763_719_200_123_000;
const SECONDS: u64 = 1_763_719_200_000_000;

fn at(text: &str) -> Option<u64> {
    parse_time_us(text.as_bytes())
}

#[test]
fn every_encoders_spelling_is_the_same_moment() {
    for (encoder, text, us) in [
        ("RFC 3339", "2025-11-21T10:00:00.123456Z", MICROS),
        ("RFC 3339, lower case", "2025-11-21t10:00:00.123456z", MICROS),
        ("Jackson before 2.11, Salesforce", "2025-11-21T10:00:00.123+0000", MILLIS),
        ("Jackson", "2025-11-21T10:00:00.123+00:00", MILLIS),
        ("Gson, PHP DATE_ISO8601, strftime", "2025-11-21T05:00:00-0500", SECONDS),
        ("java.time.Instant", "2025-11-21T10:00:00.123456789Z", MICROS),
        ("java.time.OffsetDateTime", "2025-11-21T10:00Z", SECONDS),
        ("java.time.ZonedDateTime", "2025-11-21T11:00+01:00[Europe/Berlin]", SECONDS),
        ("java.util.Date", "Fri Nov 21 10:00:00 UTC 2025", SECONDS),
        ("Go, RFC3339Nano", "2025-11-21T11:00:00.123456789+01:00", MICROS),
        ("Go, String", "2025-11-21 11:00:00.123456789 +0100 CET", MICROS),
        ("Go, String", "2025-11-21 10:00:00 +0000 UTC m=+0.000012", SECONDS),
        ("Go, String", "2025-11-21 07:00:00.123456 -0300 -03", MICROS),
        ("Go, RFC850", "Friday, 21-Nov-25 10:00:00 UTC", SECONDS),
        ("Go, RFC822Z", "21 Nov 25 11:00 +0100", SECONDS),
        ("Go, RFC1123Z", "Fri, 21 Nov 2025 11:00:00 +0100", SECONDS),
        ("Go, UnixDate; date(1)", "Fri Nov 21 10:00:00 UTC 2025", SECONDS),
        ("Go, RubyDate", "Fri Nov 21 10:00:00 +0000 2025", SECONDS),
        ("Python, isoformat", "2025-11-21T10:00:00.123456+00:00", MICROS),
        ("Python, str; PostgreSQL's JSON", "2025-11-21 10:00:00.123456+00:00", MICROS),
        ("Python, isoformat of minutes", "2025-11-21T10:00+00:00", SECONDS),
        ("Python, isoformat of an old zone", "2025-11-21T10:19:32+00:19:32", SECONDS),
        ("Python, email.utils", "Fri, 21 Nov 2025 10:00:00 -0000", SECONDS),
        ("Python, logging", "2025-11-21 10:00:00,123+0000", MILLIS),
        ("Python, time.time as text", "1763719200.123456", MICROS),
        ("JavaScript, toISOString", "2025-11-21T10:00:00.123Z", MILLIS),
        (
            "JavaScript, toString",
            "Fri Nov 21 2025 11:00:00 GMT+0100 (Central European Standard Time)",
            SECONDS,
        ),
        ("JavaScript, toUTCString; HTTP", "Fri, 21 Nov 2025 10:00:00 GMT", SECONDS),
        (".NET, O", "2025-11-21T11:00:00.1234567+01:00", MICROS),
        (".NET, R", "Fri, 21 Nov 2025 10:00:00 GMT", SECONDS),
        (".NET, u", "2025-11-21 10:00:00Z", SECONDS),
        (".NET, DataContractJsonSerializer", "/Date(1763719200123)/", MILLIS),
        (".NET, DataContractJsonSerializer", "/Date(1763719200123+0100)/", MILLIS),
        ("SQL Server, datetimeoffset", "2025-11-21 11:00:00.1234567 +01:00", MICROS),
        ("PostgreSQL, timestamptz", "2025-11-21 10:00:00.123456+00", MICROS),
        ("PostgreSQL, timestamptz", "2025-11-21 15:30:00+05:30", SECONDS),
        ("Debezium, ZonedTimestamp", "2025-11-21T10:00:00.123456Z", MICROS),
        ("MySQL, UNIX_TIMESTAMP", "1763719200.123456", MICROS),
        ("Ruby, to_s", "2025-11-21 10:00:00 +0000", SECONDS),
        ("Ruby, to_s; BigQuery", "2025-11-21 10:00:00 UTC", SECONDS),
        ("PHP, DATE_COOKIE", "Friday, 21-Nov-2025 10:00:00 UTC", SECONDS),
        ("ISO 8601, basic", "20251121T100000Z", SECONDS),
        ("ISO 8601, basic", "20251121T110000.123456+0100", MICROS),
        ("RFC 2822, one digit", "7 Nov 2025 10:00:00 +0000", 1_762_509_600_000_000),
        ("RFC 2822, lower case", "fri, 21 nov 2025 10:00:00 gmt", SECONDS),
        ("blanks at the ends", " 2025-11-21T10:00:00 Z\n", SECONDS),
    ] {
        assert_eq!(at(text), Some(us), "{encoder}: {text}");
    }
}

/// Debezium's `Timestamp`, `MicroTimestamp`, `NanoTimestamp`; Avro's `timestamp-millis`, `-micros`,
/// `-nanos`; `Date.now()`, `time.time()`, Jackson's decimals; numbers of 64 bits as text (protobuf).
#[test]
fn the_size_of_an_epoch_number_says_its_unit() {
    for (text, us) in [
        ("1763719200", SECONDS),
        ("1763719200.123456", MICROS),
        ("1763719200.123456789", MICROS),
        ("1.763719200123456789E9", MICROS),
        ("1763719200123", MILLIS),
        ("1763719200123.456", MICROS),
        ("1.763719200123e12", MILLIS),
        ("1763719200123456", MICROS),
        ("1763719200123456.9", MICROS),
        ("1763719200123456789", MICROS),
        ("1763719200123456789.5", MICROS),
        ("17637192001234567890e-1", MICROS),
        ("0", 0),
        ("0.000001", 1),
        ("1e-6", 1),
        ("99999999999.999999", 99_999_999_999_999_999),
        ("100000000000", 100_000_000_000_000),
        ("99999999999999", 99_999_999_999_999_000),
        ("100000000000000", 100_000_000_000_000),
        ("99999999999999999", 99_999_999_999_999_999),
        ("100000000000000000", 100_000_000_000_000),
        ("18446744073709551615", 18_446_744_073_709_551),
    ] {
        assert_eq!(parse_epoch_us(text.as_bytes()), Some(us), "{text}");
        assert_eq!(at(text), Some(us), "{text}");
    }
    for text in [
        "",
        "-1",
        "+1",
        "1e300",
        "1e99999999999",
        "18446744073709551616",
        "1.",
        ".5",
        "1.5.5",
        "1e",
        "1e1.5",
        "0x10",
        "1_000",
        "1 000",
        "NaN",
        "Infinity",
        "e5",
    ] {
        assert_eq!(at(text), None, "{text}");
    }
}

#[test]
fn what_names_no_moment_is_none() {
    for text in [
        "2025-11-21T10:00:00",
        "2025-11-21 10:00:00",
        "2025-11-21T10:00:00.123456",
        "20251121T100000",
        "2025-11-21T10:00",
    ] {
        assert_eq!(at(text), None, "{text}");
        assert!(lacks_offset(text.as_bytes()), "{text}");
    }
    for text in [
        "yesterday",
        "2025-11-21",
        "Fri Nov 21 10:00:00 2025",
        "Fri Nov 21 10:00:00 CST 2025",
        "Nov 21, 2025, 10:00:00 AM",
        "11/21/2025 10:00:00 AM +00:00",
        "2025-11-21 10:00:00 +0100 PM",
        "2025-11-21 10:00:00+00 BC",
        "2025-11-21T10:00:00+1:00",
        "2025-11-21T10:00:00+24:00",
        "2025-11-21T10:00:00+01:60",
        "2025-11-21T10:00:00 CET",
        "2025-11-21T24:00:00Z",
        "2025-11-21T10:0:00Z",
        "2025-11-21T10:00:00.+00:00",
        "2025-1121T10:00:00Z",
        "2025-11-31T10:00:00+0000",
        "2025-11-21T10:00:00+0000x",
        "+012025-11-21T10:00:00Z",
        "1969-12-31T23:59:59+0000",
        "Fri, 32 Nov 2025 10:00:00 GMT",
        "Fri, 21 Nov 225 10:00:00 GMT",
        "21 Nov 69 10:00:00 GMT",
        "21-Nov-2025-1 10:00:00 GMT",
        "/Date(-1)/",
        "/Date()/",
        "/Date(1763719200123+1)/",
        "infinity",
        "(",
        ")",
        "é2025-11-21T10:00:00+0000",
    ] {
        assert_eq!(at(text), None, "{text}");
        assert!(!lacks_offset(text.as_bytes()), "{text}");
    }
    assert_eq!(parse_time_us(b"\xff"), None);
}

proptest! {
    #[test]
    fn spellings_of_any_moment_agree(us in 0..EVENT_TIME_US_MAX, offset in -86_340..86_340_i32) {
        // Epoch numbers say their unit from 1973 on.
        let (seconds, micros) = (us / 1_000_000, us % 1_000_000);
        prop_assert_eq!(at(&format!("{seconds}.{micros:06}")), Some(us));
        if us >= MICROSECONDS_FROM {
            prop_assert_eq!(at(&us.to_string()), Some(us));
            prop_assert_eq!(at(&format!("{us}789")), Some(us));
            prop_assert_eq!(at(&format!("{}.{:03}", us / 1000, us % 1000)), Some(us));
        }
        let rfc3339 = format_rfc3339_us(us);
        prop_assert_eq!(at(&rfc3339), Some(us));
        prop_assert_eq!(at(&rfc3339.replace('Z', "+00")), Some(us));
        prop_assert_eq!(at(&rfc3339.replace('T', " ").replace('Z', " +0000 UTC")), Some(us));
        let whole = i64::try_from(seconds).unwrap();
        let zone = time::UtcOffset::from_whole_seconds(offset / 60 * 60).unwrap();
        let theirs = OffsetDateTime::from_unix_timestamp(whole).unwrap().to_offset(zone);
        if theirs.year() >= 1970 {
            let text = theirs.format(&Rfc2822).unwrap();
            prop_assert_eq!(at(&text), Some(seconds * 1_000_000), "{}", text);
        }
    }

    #[test]
    fn no_text_is_a_panic(text in ".{0,40}", about in "[0-9TZ:+,. GMTUCNovDate()/-]{0,40}") {
        let _ = (at(&text), at(&about), lacks_offset(about.as_bytes()));
    }
}

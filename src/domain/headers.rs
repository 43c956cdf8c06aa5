//! Names of the record headers that mean something here.
//!
//! What only we may say (that a record is a command, whom it is from) stands in headers, not in the
//! value: a webhook's body goes to the log as it came, and must not pass for a command.

/// Marks a command of ours; the name of a [`super::command::Intent`].
pub const COMMAND: &str = "contactd_command";
/// The states that the contact must be in one of for the command, `version-hash` each, with commas
/// between them; absent: any.
pub const IF_MATCH: &str = "contactd_if_match";
/// The states that it must be in none of.
pub const IF_NONE_MATCH: &str = "contactd_if_none_match";
/// Says of a command that attributes which it does not name lose their values.
pub const CLEARS_ATTRIBUTES: &str = "contactd_clears_attributes";
/// Says of a command that an object is merged into the attribute that stands there (RFC 7396).
pub const MERGES_ATTRIBUTES: &str = "contactd_merges_attributes";
/// Into which contact the command's own is being merged.
pub const MERGES_INTO: &str = "contactd_merges_into";
/// The home lane's next offset when the command was handed over to the log, in decimal.
pub const LANE_NEXT: &str = "contactd_lane_next";
/// Says of an event that it is the whole contact, so that everything older is hidden.
pub const COMPLETE: &str = "contactd_complete";
/// 16 bytes that stand for what was asked for under an `Idempotency-Key`, so that a retry is told from
/// another request; absent: there was no key, and the value's own content counts.
pub const REQUEST_HASH: &str = "contactd_request_hash";
/// Who gave the command.
pub const PRINCIPAL: &str = "contactd_principal";
/// The request that gave the command.
pub const REQUEST_ID: &str = "contactd_request_id";
/// The source as the intake verified it; counts instead of the one that the event names.
pub const SOURCE: &str = "contactd_source";
/// The time of an event that has none in its value, in decimal µs since 1970. No other header is ever
/// a clock.
pub const TIME: &str = "contactd_time";
/// The id of an event that has none in its value.
pub const EVENT_ID: &str = "contactd_event_id";
/// The contact that the event is about, as intake found it by the id in the event.
pub const CONTACT_ID: &str = "contactd_contact_id";
/// The source's own id of that contact, which the contact keeps. It is the id that the event names.
pub const EXTERNAL_ID: &str = "contactd_external_id";
/// The id that the event names, where the contact does not keep it.
pub const NAMED_ID: &str = "contactd_named_id";
/// Says that the event has our own envelope, whatever its source's paths are: it was made around the
/// source's data on its way in.
pub const OUR_ENVELOPE: &str = "contactd_our_envelope";
/// Where a bridged record was read, `topic:partition:offset`.
pub const ORIGIN: &str = "contactd_origin";
/// The key that it had there, where that is not its contact's id.
pub const ORIGIN_KEY: &str = "contactd_origin_key";
/// Why that key names no contact, where the record could not do without.
pub const KEY_PROBLEM: &str = "contactd_key_problem";
/// Why the bridge could not decode the record, `reason: detail`; it stands on the log as it came.
pub const DECODE_PROBLEM: &str = "contactd_decode_problem";
/// The registry's id of the schema that the value was decoded by, in decimal.
pub const SCHEMA_ID: &str = "contactd_schema_id";
/// The time of its record there, in ms since 1970, where the contact log would not take that.
pub const ORIGIN_TIMESTAMP: &str = "contactd_origin_timestamp";
/// The number of the rules' founding that a marker belongs to; of a record that was brought to its
/// contact's home lane: under which that was its home. In decimal.
pub const FOUNDING: &str = "contactd_founding";
/// Says in a marker what contacts' homes follow from: a partitioner and a number of lanes, `murmur2 4`.
pub const HOMES: &str = "contactd_homes";
/// Says of a source's event that it tells what we are about to change there. It changes nothing of the
/// contact: what the source itself tells of that change is no news then.
pub const NOTICE: &str = "contactd_notice";
/// How many bytes its value had there, where only its head could be appended.
pub const ORIGIN_BYTES: &str = "contactd_origin_bytes";
/// Marks the record from which on other rules hold in its lane, with their number in decimal.
pub const MARKER: &str = "contactd_marker";
/// Starts the names of all headers that only we may write.
pub const OURS_PREFIX: &str = "contactd_";
/// How often a dead letter was redriven, in decimal.
pub const REDRIVE_HOPS: &str = "contactd_redrive_hops";
/// The media type of the value.
pub const CONTENT_TYPE: &str = "content-type";
/// Starts the names of a binary CloudEvent's attributes.
pub const CLOUDEVENT_PREFIX: &str = "ce_";

/// How often a record with these headers was redriven. What is no small number is too often.
pub fn redrive_hops<'h>(headers: impl Iterator<Item = (&'h str, Option<&'h [u8]>)>) -> u8 {
    let said = headers.filter(|(name, _)| *name == REDRIVE_HOPS).last();
    let read = |value: Option<&[u8]>| std::str::from_utf8(value?).ok()?.parse().ok();
    said.map_or(0, |(_, value)| read(value).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_that_are_no_number_count_as_too_many() {
        let of = |value: Option<&'static [u8]>| redrive_hops([(REDRIVE_HOPS, value)].into_iter());
        assert_eq!((of(Some(b"3")), of(Some(b"999")), of(Some(b"x"))), (3, u8::MAX, u8::MAX));
        assert_eq!((of(Some(b"-1")), of(Some(b"\xff")), of(None)), (u8::MAX, u8::MAX, u8::MAX));
        assert_eq!(redrive_hops(std::iter::empty()), 0);
    }
}

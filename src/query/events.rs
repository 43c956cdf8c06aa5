//! What became of an event, as it is shown.

use serde::Serialize;

use crate::domain::position::{Lane, Offset};
use crate::domain::record::RecordKind;
use crate::domain::timestamp::format_rfc3339;
use crate::store::{EventRecord, Reader};

use super::QueryError;

/// One time that an event came.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Occurrence {
    partition: u16,
    offset: u64,
    recorded_at: String,
    verdict: &'static str,
    contact_id: Option<String>,
    event_id: Option<String>,
    reason: Option<&'static str>,
    detail: Option<String>,
}

/// All that the journal holds of an event.
#[derive(Clone, Debug, Default)]
pub struct EventReport {
    /// Newest first.
    pub occurrences: Vec<Occurrence>,
    /// Whether all of the journal was looked through.
    pub is_complete: bool,
}

/// By the event's id, or by its place as `partition:offset` or `topic:partition:offset`.
pub(super) fn report(reader: &Reader, asked: &str) -> Result<EventReport, QueryError> {
    if let Some((lane, offset)) = place(asked) {
        let record = reader.event_at(lane, offset)?;
        let occurrences: Vec<Occurrence> = record.into_iter().filter_map(shown).collect();
        if !occurrences.is_empty() {
            return Ok(EventReport { occurrences, is_complete: true });
        }
    }
    let found = reader.event(asked.as_bytes())?;
    let occurrences = found.records.into_iter().filter_map(shown).collect();
    Ok(EventReport { occurrences, is_complete: found.is_complete })
}

fn place(asked: &str) -> Option<(Lane, Offset)> {
    let (rest, offset) = asked.rsplit_once(':')?;
    let partition = rest.rsplit_once(':').map_or(rest, |(_topic, partition)| partition);
    Some((Lane(partition.parse().ok()?), Offset(offset.parse().ok()?)))
}

/// Control records are not for clients: their keys name sessions.
fn shown(record: EventRecord) -> Option<Occurrence> {
    match record.record_kind {
        RecordKind::Contact | RecordKind::Payment => {}
        RecordKind::Control => return None,
    }
    let (reason, detail) = match record.reason {
        Some((reason, detail)) => (Some(reason.as_str()), Some(detail)),
        None => (None, None),
    };
    Some(Occurrence {
        partition: record.lane.0,
        offset: record.offset.0,
        recorded_at: format_rfc3339(u64::try_from(record.record_time_ms).unwrap_or(0)),
        verdict: record.verdict.as_str(),
        contact_id: record.contact_id,
        event_id: record.event_id,
        reason,
        detail,
    })
}

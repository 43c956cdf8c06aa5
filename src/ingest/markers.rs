//! Markers of the log's rules, as they are appended.

use crate::domain::founding::Founding;
use crate::domain::position::Lane;
use crate::domain::rules::{Marker, RuleSet};
use crate::event_log::NewRecord;

use super::now_ms;

/// The record that lets these rules hold in a lane.
pub fn marker_record(
    lane: Lane,
    number: u64,
    founding: u64,
    homes: Founding,
    rules: &RuleSet,
    principal: Option<&str>,
) -> NewRecord {
    let (headers, value) = Marker::record(number, founding, homes, rules, principal);
    NewRecord {
        key: Vec::new(),
        value: Some(value),
        headers,
        timestamp_ms: i64::try_from(now_ms()).unwrap_or(i64::MAX),
        lane: Some(lane),
    }
}

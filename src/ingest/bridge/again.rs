//! A redriven dead letter: what intake makes now of what could not be decoded when it was bridged, and whose
//! it is.

use std::fmt;
use std::sync::Arc;

use crate::config::BridgeConfig;
use crate::domain::headers::{
    COMMAND, CONTACT_ID, DECODE_PROBLEM, EXTERNAL_ID, FOUNDING, NAMED_ID, ORIGIN, ORIGIN_KEY,
    ORIGIN_TIMESTAMP, REDRIVE_HOPS,
};
use crate::domain::position::{Lane, Offset};
use crate::domain::record::{RecordBatch, header_refs};
use crate::event_log::{EventLog, LogError, NewRecord};
use crate::ingest::PresentRules;
use crate::ingest::whose::{self, WhoseError};
use crate::schema_registry::SchemaRegistry;

use super::convert::Converter;

/// Why it can't be said yet.
#[derive(Debug, thiserror::Error)]
pub enum BridgeAgainError {
    /// The registry has not said yet what a schema is.
    #[error("the schema registry is asked for schema {0}")]
    Schema(u32),
    /// The log is not known yet.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Whose a source's own ids are is not known.
    #[error(transparent)]
    Whose(#[from] WhoseError),
}

/// Makes of redriven records what intake would make of them now.
#[derive(Clone)]
pub struct BridgeAgain {
    /// What is known of the inputs.
    pub config: BridgeConfig,
    /// Understands records as applying will.
    pub rules: PresentRules,
    /// Says what Avro records hold, where there is one.
    pub registry: Option<Arc<SchemaRegistry>>,
}

impl BridgeAgain {
    /// What a redriven record becomes that came at `time_ms`. What could not be decoded is, and whose it is
    /// is looked up anew: neither was known, or not yet. What the registry did not know before the order of
    /// `ordered_ms` is asked for once more. Times in ms since 1970.
    ///
    /// # Errors
    /// What is not known yet. May wait for the disk.
    pub fn records(
        &self,
        log: &EventLog,
        record: NewRecord,
        time_ms: i64,
        ordered_ms: u64,
    ) -> Result<Vec<NewRecord>, BridgeAgainError> {
        let (Some(registry), Some((topic, lane, offset))) = (&self.registry, undecoded(&record))
        else {
            return self.found(record);
        };
        // Another topic's table would read something else out of it.
        let Some(input) = self.config.input(&topic) else {
            return self.found(record);
        };
        let converter = Converter {
            rules: self.rules.clone(),
            lanes: log.founding()?.lanes,
            own_topic: None,
            bytes_max: self.config.batch_bytes_max,
            registry: Some(Arc::clone(registry)),
            asked_since_ms: Some(ordered_ms),
        };
        let mut batch = RecordBatch::new(lane);
        // Where that named nobody it stands in a header.
        let key = Some(header(&record, ORIGIN_KEY).unwrap_or(&record.key));
        let key = key.filter(|key| !key.is_empty());
        // It may have been redriven before, and is as old as it was.
        let first_ms = header(&record, ORIGIN_TIMESTAMP).and_then(|ms| str::from_utf8(ms).ok());
        let time_ms = first_ms.and_then(|ms| ms.parse().ok()).unwrap_or(time_ms);
        batch.push(offset, time_ms, key, record.value.as_deref(), header_refs(&record.headers));
        let Some(came) = batch.records.first() else {
            return Ok(Vec::new());
        };
        let hops = record.headers.iter().filter(|(name, _)| name == REDRIVE_HOPS);
        let source = input.source.as_deref().unwrap_or_default();
        let all = converter.convert(input, &topic, &batch, came);
        let mut again = Vec::new();
        for bridged in all.map_err(BridgeAgainError::Schema)? {
            let Some(mut made) = bridged.record else { continue };
            match bridged.named {
                Some(kind) => whose::find(&self.rules, source, &mut made, kind)?,
                None => {
                    let time = time_ms.to_string().into_bytes();
                    made.headers.push((ORIGIN_TIMESTAMP.to_owned(), Some(time)));
                }
            }
            made.headers.extend(hops.clone().cloned());
            made.timestamp_ms = record.timestamp_ms;
            again.push(made);
        }
        Ok(again)
    }

    /// The record as its contact's: whose the id is that its event names may not have been known, and may be
    /// another's by now. What still can't be read stays as it is, and so does what producers wrote themselves.
    fn found(&self, record: NewRecord) -> Result<Vec<NewRecord>, BridgeAgainError> {
        let has = |name| header(&record, name).is_some();
        let is_bridged = has(ORIGIN) && !has(FOUNDING);
        if has(COMMAND) || !is_bridged && !has(CONTACT_ID) {
            return Ok(vec![record]);
        }
        let named = header(&record, EXTERNAL_ID).or_else(|| header(&record, NAMED_ID));
        let key = named.unwrap_or(&record.key).to_vec();
        let is_of_finding = |name: &str| [CONTACT_ID, EXTERNAL_ID, NAMED_ID].contains(&name);
        let headers = record.headers.iter().filter(|(name, _)| !is_of_finding(name)).cloned();
        let mut again = NewRecord { key, headers: headers.collect(), ..record.clone() };
        let mut batch = RecordBatch::new(Lane(0));
        let headers = header_refs(&again.headers);
        let (key, value) = (Some(again.key.as_slice()), again.value.as_deref());
        batch.push(Offset(0), again.timestamp_ms, key, value, headers);
        let Ok(event) = self.rules.decoder().decode(&mut batch, 0) else {
            return Ok(vec![record]);
        };
        again.key = event.contact_id.of(&batch.arena).to_vec();
        let source = event.source.of(&batch.arena).to_vec();
        let source = String::from_utf8_lossy(&source);
        whose::find(&self.rules, &source, &mut again, event.kind)?;
        Ok(vec![again])
    }
}

fn header<'r>(record: &'r NewRecord, wanted: &str) -> Option<&'r [u8]> {
    let (_, value) = record.headers.iter().find(|(name, _)| name == wanted)?;
    value.as_deref()
}

/// Where a record was read that could not be decoded there.
fn undecoded(record: &NewRecord) -> Option<(String, Lane, Offset)> {
    header(record, DECODE_PROBLEM)?;
    let mut parts = str::from_utf8(header(record, ORIGIN)?).ok()?.rsplitn(3, ':');
    let (offset, lane, topic) = (parts.next()?, parts.next()?, parts.next()?);
    Some((topic.to_owned(), Lane(lane.parse().ok()?), Offset(offset.parse().ok()?)))
}

impl fmt::Debug for BridgeAgain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeAgain").field("registry", &self.registry).finish_non_exhaustive()
    }
}

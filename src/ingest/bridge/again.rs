//! A dead letter that could not be decoded when it was bridged: what the bridge makes of it now.

use std::fmt;
use std::sync::Arc;

use crate::config::BridgeConfig;
use crate::domain::headers::{DECODE_PROBLEM, ORIGIN, ORIGIN_KEY, REDRIVE_HOPS};
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

/// Decodes redriven records by the registry's schemas.
#[derive(Clone)]
pub struct BridgeAgain {
    /// What is known of the inputs.
    pub config: BridgeConfig,
    /// Understands records as applying will.
    pub rules: PresentRules,
    /// Says what they hold.
    pub registry: Arc<SchemaRegistry>,
}

impl BridgeAgain {
    /// What a redriven record becomes that came at `time_ms`; itself, where it was decoded before. What the
    /// registry did not know before `ordered_ms` is asked for once more. Times in ms since 1970.
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
        let Some((topic, lane, offset)) = origin(&record) else {
            return Ok(vec![record]);
        };
        let converter = Converter {
            rules: self.rules.clone(),
            lanes: log.founding()?.lanes,
            own_topic: None,
            bytes_max: self.config.batch_bytes_max,
            registry: Some(Arc::clone(&self.registry)),
            asked_since_ms: Some(ordered_ms),
        };
        let mut batch = RecordBatch::new(lane);
        // Where that named nobody it stands in a header.
        let origin_key = header_refs(&record.headers).find(|(name, _)| *name == ORIGIN_KEY);
        let key = origin_key.and_then(|(_, key)| key).unwrap_or(&record.key);
        let key = Some(key).filter(|key| !key.is_empty());
        let headers = header_refs(&record.headers);
        batch.push(offset, time_ms, key, record.value.as_deref(), headers);
        let input = self.config.input(&topic).cloned().unwrap_or_default();
        let Some(came) = batch.records.first() else {
            return Ok(Vec::new());
        };
        let hops = record.headers.iter().filter(|(name, _)| name == REDRIVE_HOPS);
        let source = input.source.as_deref().unwrap_or_default();
        let all = converter.convert(&input, &topic, &batch, came);
        let mut again = Vec::new();
        for bridged in all.map_err(BridgeAgainError::Schema)? {
            let Some(mut made) = bridged.record else { continue };
            if let Some(kind) = bridged.named {
                whose::find(&self.rules, source, &mut made, kind)?;
            }
            made.headers.extend(hops.clone().cloned());
            made.timestamp_ms = record.timestamp_ms;
            again.push(made);
        }
        Ok(again)
    }
}

/// Where a record was read that could not be decoded there.
fn origin(record: &NewRecord) -> Option<(String, Lane, Offset)> {
    let header = |wanted: &str| {
        let (_, value) = record.headers.iter().find(|(name, _)| name == wanted)?;
        std::str::from_utf8(value.as_deref()?).ok()
    };
    header(DECODE_PROBLEM)?;
    let mut parts = header(ORIGIN)?.rsplitn(3, ':');
    let (offset, lane, topic) = (parts.next()?, parts.next()?, parts.next()?);
    Some((topic.to_owned(), Lane(lane.parse().ok()?), Offset(offset.parse().ok()?)))
}

impl fmt::Debug for BridgeAgain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgeAgain").field("registry", &self.registry).finish_non_exhaustive()
    }
}

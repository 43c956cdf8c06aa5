//! A store whose log has gone on without it: it answers reads and says so, follows control records,
//! and nothing else, until it is restored from a store that knows everything, or is itself declared
//! to be what the log goes on from.

use std::collections::BTreeMap;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::domain::base::{BASE_KEY, Base, BaseRule};
use crate::domain::control::ControlRecord;
use crate::domain::position::{CONTROL_LANE, Lane, NextOffset};
use crate::event_log::{EventLog, LogError, NewRecord};
use crate::ingest::now_ms;
use crate::store::{LaneProgress, Reader, StoreError, Writer};

use super::WorkerError;

/// Which base the log has, as the store knows it; an error says that it is another store's.
pub(super) fn base(writer: &Writer) -> Result<Result<BaseRule, String>, StoreError> {
    let entry = writer.controls().get(BASE_KEY).filter(|entry| !entry.is_removed());
    let on_log = entry.and_then(|entry| Base::parse(&entry.value)).map(|base| base.id);
    Ok(match (writer.base()?, on_log) {
        (None, None) => Ok(BaseRule::Whole),
        (Some((ours, true)), None) => Ok(BaseRule::Only(ours)),
        (Some((ours, true)), Some(on_log)) if ours == on_log => Ok(BaseRule::Only(ours)),
        // Restored from a store that comes from it.
        (None, Some(on_log)) => {
            writer.settle_base(&on_log, true)?;
            Ok(BaseRule::Only(on_log))
        }
        (Some(_), Some(other)) | (Some((other, false)), None) => Err(another(&other)),
    })
}

/// What a store that does not come from the log's base is told.
pub(super) fn another(id: &str) -> String {
    format!(
        "the store is partial: the log was given the base {id} by another store (--accept-gap --sole); \
         restore this one from an instance that comes from it"
    )
}

/// Declares the store to be what the log goes on from: records that the log has dropped are done
/// without. On the log first, so that stores of another base refuse.
pub(super) fn accept_gaps(
    log: &EventLog,
    writer: &mut Writer,
    reader: &Reader,
    from: &BTreeMap<Lane, NextOffset>,
    runtime: &Handle,
) -> Result<bool, WorkerError> {
    let next = writer.next_offsets();
    let at = |lane: &Lane| next.get(lane).copied().unwrap_or_default();
    let gaps: Vec<(Lane, NextOffset)> = from
        .iter()
        .filter(|(lane, first)| at(lane) < **first)
        .map(|(lane, first)| (*lane, *first))
        .collect();
    if gaps.is_empty() {
        return Ok(false);
    }
    let base = Base {
        id: base_id(writer)?,
        digest: writer.committed().digest.to_string(),
        position: reader.position().encode(),
        gaps: gaps.iter().map(|(lane, first)| (lane.0, at(lane).0, first.0)).collect(),
    };
    writer.settle_base(&base.id, true)?;
    let record = ControlRecord {
        id: base.id.clone(),
        key: BASE_KEY.to_owned(),
        value: Some(base.to_json()),
        ..ControlRecord::default()
    };
    let value = record.encode().map_err(|error| LogError::Failed {
        topic: BASE_KEY.to_owned(),
        detail: error.to_string(),
    })?;
    let appended = NewRecord {
        key: BASE_KEY.as_bytes().to_vec(),
        value: Some(value),
        timestamp_ms: i64::try_from(now_ms()).unwrap_or(i64::MAX),
        lane: Some(CONTROL_LANE),
        ..NewRecord::default()
    };
    match runtime.block_on(log.append(vec![appended])) {
        Ok(_acks) => {}
        // Without a control topic nobody can be told.
        Err(LogError::Refused { detail, .. }) => {
            tracing::warn!(detail, "no other store hears that this one is the log's base");
        }
        Err(error) => return Err(error.into()),
    }
    for (lane, first) in gaps {
        writer.advance(lane, LaneProgress::at(first));
    }
    writer.commit()?;
    let gap = |(lane, from, to): &(u16, u64, u64)| format!("partition {lane}: {from} to {to}");
    let gaps = base.gaps.iter().map(gap).collect::<Vec<_>>().join(", ");
    tracing::warn!(base = base.id, gaps, "this store is what the log goes on from");
    Ok(true)
}

/// The base's id, which is its record's too. One that was chosen before and is not known to be on the
/// log is kept: its record may have landed there without an acknowledgement.
fn base_id(writer: &Writer) -> Result<String, StoreError> {
    let entry = writer.controls().get(BASE_KEY);
    let is_on_log = |id: &str| entry.is_some_and(|entry| entry.revision_of(id).is_some());
    let chosen = writer.base()?.filter(|(id, is_ours)| *is_ours && !is_on_log(id));
    Ok(chosen.map_or_else(|| format!("{:032x}", fastrand::u128(..)), |(id, _)| id))
}

/// Runs what only a store that knows everything may do, until told to stop; once the store is partial
/// it ends, and nothing more is done.
pub(super) async fn while_whole<F: Future>(
    partial: &CancellationToken,
    stop: &CancellationToken,
    task: impl FnOnce(CancellationToken) -> F,
) -> F::Output {
    let whole = stop.child_token();
    let mut task = std::pin::pin!(task(whole.clone()));
    tokio::select! {
        ended = &mut task => return ended,
        () = partial.cancelled() => {}
    }
    whole.cancel();
    let ended = task.await;
    stop.cancelled().await;
    ended
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::event_log::embedded::{EmbeddedLog, EmbeddedOptions};
    use crate::store::{self, Opened, StoreConfig};

    fn log(dir: &Path) -> EventLog {
        let options = EmbeddedOptions {
            path: dir.to_owned(),
            topic: "contacts".into(),
            partitions: 1,
            segment_bytes_max: 1 << 20,
            retention_bytes: None,
            retention_age: None,
        };
        EventLog::Embedded(Arc::new(EmbeddedLog::open(options).unwrap()))
    }

    #[test]
    fn a_base_that_was_not_acknowledged_keeps_its_id() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let first = log(&path);
        let options = StoreConfig::at(dir.path().join("store"));
        let opened = store::open(options, Some(&first.identity().unwrap()), &|_| {}).unwrap();
        let Opened { mut writer, reader, .. } = opened;
        let from = BTreeMap::from([(Lane(0), NextOffset(5))]);
        first.shutdown().unwrap();
        accept_gaps(&first, &mut writer, &reader, &from, runtime.handle()).unwrap_err();
        let chosen = writer.base().unwrap();
        assert!(chosen.is_some());
        drop(first);
        // The record may have landed all the same: the second try must not be another base.
        let second = log(&path);
        assert!(accept_gaps(&second, &mut writer, &reader, &from, runtime.handle()).unwrap());
        assert_eq!(writer.base().unwrap(), chosen);
    }
}

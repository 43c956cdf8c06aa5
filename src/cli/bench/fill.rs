//! Filling the log that is then measured.

use indicatif::ProgressBar;

use crate::event_log::{EventLog, NewRecord};

/// Records handed to the log at once.
const CHUNK: usize = 1000;

/// Appends every record, waits until all are durable, and ends the log.
pub(super) fn append_all(
    log: &EventLog,
    bar: &ProgressBar,
    mut records: impl Iterator<Item = NewRecord>,
) -> anyhow::Result<()> {
    loop {
        let chunk: Vec<NewRecord> = records.by_ref().take(CHUNK).collect();
        if chunk.is_empty() {
            break;
        }
        bar.inc(chunk.len() as u64);
        log.append_blocking(chunk)?;
    }
    log.flush()?;
    bar.finish_and_clear();
    Ok(log.shutdown()?)
}

//! A copy of a store's files made a store: with an identity of its own, brought up to its end, and cross-checked.

use std::path::Path;

use crate::config::StoreConfig;
use crate::domain::position::{LogIdentity, Position};

use super::pinning::StoredState;
use super::recovery::open;
use super::verify::VerifyReport;
use super::{StoreError, identity};

/// Makes a directory of a store's files the store of an instance of its own: what is told apart by instance is not
/// the other's. `log`: the log that it follows from now on, where it is another one.
///
/// # Errors
/// When it is no such directory.
pub fn take_over(dir: &Path, log: Option<&LogIdentity>) -> Result<(), StoreError> {
    identity::take_over(dir, log)
}

/// Opens what was copied, brings it up to its end, cross-checks everything, and closes it again, ready to be
/// served.
///
/// # Errors
/// What is damaged, or does not come to `expected`.
pub fn prove(
    config: StoreConfig,
    expected: &StoredState,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<VerifyReport, StoreError> {
    let opened = open(config, None, &|_| {})?;
    let stats = opened.reader.stats()?;
    let found = StoredState {
        log: expected.log.clone(),
        position: Position { log: expected.position.log, ..stats.position },
        active: stats.counters.active,
        deleted: stats.counters.deleted,
        digest: stats.digest,
        control_digest: stats.control.digest,
        // Those that time has ended are forgotten when it is opened.
        attempts_digest: expected.attempts_digest,
        record_time_ms: stats.record_time_ms,
    };
    if found != *expected {
        let detail = format!(
            "it comes to digest {} at {}, and was {} at {}",
            found.digest,
            found.position.encode(),
            expected.digest,
            expected.position.encode()
        );
        return Err(StoreError::damaged("the backup", detail));
    }
    let report = opened.reader.verify(progress)?;
    if let Some(first) = report.discrepancies.first() {
        return Err(StoreError::damaged("the backup", first.clone()));
    }
    opened.writer.close()?;
    Ok(report)
}

//! The log and the store opened directly, by commands that need no running instance.

use std::sync::Arc;

use indicatif::ProgressBar;

use crate::app;
use crate::config::Config;
use crate::event_log::{EventLog, LogError};
use crate::store::{self, OpenProgress, Opened, StoreError};

use super::exit::Failure;
use super::progress;

/// The configured log, ready to append to.
pub(super) fn open_log(config: &Config) -> anyhow::Result<EventLog> {
    app::open_log(config).map_err(|error| match error {
        LogError::Locked { path } => anyhow::Error::new(Failure::Unreachable(format!(
            "the embedded log in {} belongs to a running instance: stop it first, or follow a \
             Kafka topic, which any number of producers may fill",
            path.display()
        ))),
        error => error.into(),
    })
}

/// The same, knowing where keys belong where the log says it; else as any producer would.
pub(super) fn open_log_to_append(config: &Config) -> anyhow::Result<EventLog> {
    let log = open_log(config)?;
    if let EventLog::Kafka(kafka) = &log
        && let Ok(control) = kafka.read_founding()
        && let Ok(Some(founding)) = control.founding
    {
        log.found(&founding);
    }
    Ok(log)
}

/// The store of a stopped instance. One that is not there is not made.
pub(super) fn open_store(config: &Config) -> anyhow::Result<Opened> {
    let bar = Arc::new(progress::bar(None, "opening the store"));
    let shown = Arc::clone(&bar);
    let opened = store::open(config.store.clone(), None, &move |step| show(&shown, &step));
    bar.finish_and_clear();
    opened.map_err(explain_lock)
}

/// Says what to do about a store that is in use.
pub(super) fn explain_lock(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Locked { path } => anyhow::Error::new(Failure::Unreachable(format!(
            "the store in {} belongs to a running instance: stop it first",
            path.display()
        ))),
        error => error.into(),
    }
}

fn show(bar: &ProgressBar, step: &OpenProgress) {
    let (what, done) = match step {
        OpenProgress::Redoing { done, total } => (format!("redoing the journal, {total}"), *done),
        OpenProgress::Scanning { done, total } => (format!("reading contacts, {total}"), *done),
        OpenProgress::Restoring { done, total } => (format!("restoring, {total}"), *done),
        OpenProgress::Refilling { why } => (format!("refilling: {why}"), 0),
    };
    bar.set_message(what);
    bar.set_position(done);
}

//! `store verify`, `export`, `rebuild` and `snapshot`: the data directory of a stopped instance.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;

use crate::app::{self, ApplySetup, GivenOut, RunOptions, WorkerOptions};
use crate::config::{Config, Mode};
use crate::domain::position::Lane;
use crate::domain::rules::{LaneRules, next_number};
use crate::ingest::{Outbox, marker_record};
use crate::store::{self, StoreError};

use super::arguments::StoreCommand;
use super::exit::Failure;
use super::offline::{explain_lock, open_log, open_store};
use super::output::{Output, tell};
use super::progress;
use super::settings::SettingsArgs;

/// How long a snapshot waits for the archive of dead letters; a full disk may hold it up.
const ARCHIVE_WAIT: Duration = Duration::from_secs(30);

pub(super) fn run(settings: &SettingsArgs, command: &StoreCommand) -> anyhow::Result<()> {
    let config = settings.load(Mode::Serve, Vec::new())?;
    match command {
        StoreCommand::Verify => verify(&config),
        StoreCommand::Export { include_deleted } => export(&config, *include_deleted),
        StoreCommand::Rebuild { yes, accept_gap, sole, under_present_rules } => {
            rebuild(config, *yes, *accept_gap && *sole, *under_present_rules)
        }
        StoreCommand::Snapshot => snapshot(&config),
    }
}

fn verify(config: &Config) -> anyhow::Result<()> {
    let opened = open_store(config)?;
    let bar = progress::bar(None, "verifying");
    let report = opened.reader.verify(&mut |what, done| {
        bar.set_message(what.to_owned());
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let report = report?;
    tell(format_args!(
        "{} contacts, {} payments, {} e-mail keys, {} control entries, {} journal frames with {} \
         entries, {} snapshots",
        report.contacts,
        report.payments,
        report.emails,
        report.controls,
        report.frames,
        report.entries,
        report.snapshots
    ));
    if report.is_sound() {
        tell("all of it agrees");
        return Ok(());
    }
    for discrepancy in &report.discrepancies {
        tell(format_args!("  {discrepancy}"));
    }
    let count = report.discrepancies.len() as u64 + report.unnamed;
    Err(Failure::Data(format!("{count} things do not agree")).into())
}

fn export(config: &Config, include_deleted: bool) -> anyhow::Result<()> {
    let opened = open_store(config)?;
    let mut output = Output::new();
    let result = opened.reader.export(include_deleted, &mut output);
    output.finish(result.map(|_| ()).map_err(anyhow::Error::from))
}

fn snapshot(config: &Config) -> anyhow::Result<()> {
    let mut opened = open_store(config)?;
    let bar = progress::bar(None, "writing a snapshot");
    // The journal is trimmed behind the snapshot only as far as its dead letters are archived.
    opened.writer.wait_for_dead_letters(ARCHIVE_WAIT);
    let written = opened.writer.snapshot_now();
    bar.finish_and_clear();
    opened.writer.close()?;
    written?;
    tell(format_args!(
        "snapshot written and verified in {}",
        config.store.path.join("snapshots").display()
    ));
    Ok(())
}

fn rebuild(
    mut config: Config,
    yes: bool,
    accepts_gap: bool,
    under_present_rules: bool,
) -> anyhow::Result<()> {
    let path = config.store.path.clone();
    if !yes {
        let text = format!(
            "this moves the store in {} aside and applies the log again from its beginning; say \
             --yes to do it",
            path.display()
        );
        return Err(Failure::Usage(text).into());
    }
    // Opening it proves that there is one, and that no instance has it. One that is damaged beyond
    // opening is what a rebuild is for.
    let rules = match open_store(&config) {
        Ok(opened) => Some(opened.reader.rules()),
        Err(error) if is_damaged(&error) => {
            tell(format_args!("the old store can't be opened: {error}"));
            None
        }
        Err(error) => return Err(error),
    };
    check_log(&config, accepts_gap)?;
    if under_present_rules {
        found_anew(&config, rules.as_deref())?;
    }
    let aside = store::set_aside(&path).map_err(explain_lock)?;
    tell(format_args!("the old store is in {}", aside.display()));
    // The run answers over HTTP as any other does; nobody is to rely on it.
    config.server.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let worker = WorkerOptions { accepts_gap, until_caught_up: true };
    let bar = progress::bar(None, "applying the log");
    bar.enable_steady_tick(progress::TICK);
    let result = app::run(config.clone(), RunOptions { worker, ..RunOptions::default() });
    bar.finish_and_clear();
    result?;
    let counts = open_store(&config)?.reader.counts();
    tell(format_args!("rebuilt: {} active contacts, {} deleted", counts.active, counts.deleted));
    let waiting = outbox_records(&config)?;
    if waiting > 0 {
        tell(format_args!(
            "{waiting} records wait in the outbox, in {}: they came in while the brokers were away, \
             are no part of the store, and go to the log when contactd is started",
            config.outbox.path.display()
        ));
    }
    Ok(())
}

fn outbox_records(config: &Config) -> anyhow::Result<u64> {
    let outbox = &config.outbox;
    if !config.follows_kafka() || outbox.bytes_max == 0 || !outbox.path.exists() {
        return Ok(0);
    }
    let outbox = Outbox::open(&outbox.path, outbox.bytes_max).context("the outbox")?;
    let records = outbox.records();
    outbox.shutdown()?;
    Ok(records)
}

/// The next founding: its markers stand above every number that was given out, as the log says; the old
/// store may be behind.
fn found_anew(config: &Config, rules: Option<&LaneRules>) -> anyhow::Result<()> {
    let log = open_log(config)?;
    let known = rules.and_then(|rules| Some((rules.founding(), rules.newest()?.number)));
    let unknown = || {
        let text = "the log does not say which rules it has had; rebuild it first without \
                    --under-present-rules";
        Failure::Data(text.to_owned())
    };
    let GivenOut { founding, number, homes } = app::given_out(&log)?.ok_or_else(unknown)?;
    let (known_founding, known_number) = known.unwrap_or((founding, number));
    let next = (next_number(founding.max(known_founding)), next_number(number.max(known_number)));
    let (Some(founding), Some(number)) = next else {
        return Err(Failure::Data("the log has had the greatest number of rules".into()).into());
    };
    let own = ApplySetup::new(config)?.rules;
    let lanes = (0..log.lanes()?).map(Lane);
    let marker = |lane| marker_record(lane, number, founding, homes, &own, Some("local"));
    log.append_blocking(lanes.map(marker).collect())?;
    log.flush()?;
    log.shutdown()?;
    tell(format_args!(
        "the log is founded anew, founding {founding}: every other instance is to be rebuilt"
    ));
    Ok(())
}

/// There is a store, and it is its data that keeps it from being opened.
fn is_damaged(error: &anyhow::Error) -> bool {
    error.downcast_ref::<StoreError>().is_some_and(|error| match error {
        StoreError::NoStore { .. } => false,
        other => other.is_about_data(),
    })
}

/// Whether the log answers and still holds everything, before anything is moved.
fn check_log(config: &Config, accepts_gap: bool) -> anyhow::Result<()> {
    let log = open_log(config)?;
    let identity = log.identity()?;
    for lane in (0..log.lanes()?).map(Lane) {
        let low = log.watermarks(lane)?.low;
        if low.0 > 0 && !accepts_gap {
            let text = format!(
                "partition {lane} of {} no longer begins at 0 but at {low}: what came before would \
                 be lost. Restore a snapshot, or say --accept-gap --sole",
                identity.topic
            );
            return Err(Failure::Data(text).into());
        }
    }
    log.shutdown()?;
    Ok(())
}

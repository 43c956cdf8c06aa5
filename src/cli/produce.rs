//! `produce`: the load generator's records into the log.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::app;
use crate::config::Mode;
use crate::event_log::{EventLog, NewRecord};
use crate::simulate::{LoadGenerator, LoadOptions, LoadRecord, hostile};

use super::arguments::ProduceArgs;
use super::offline::open_log_to_append;
use super::output::tell;
use super::progress;
use super::settings::SettingsArgs;

/// Records handed to the log at once.
const CHUNK_RECORDS: usize = 1000;
/// With a rate, as many records at once as are due in this time.
const CHUNK_TIME: Duration = Duration::from_millis(50);

pub(super) fn run(settings: &SettingsArgs, args: &ProduceArgs) -> anyhow::Result<()> {
    let config = settings.load(Mode::Serve, Vec::new())?;
    let log = open_log_to_append(&config)?;
    // Asked first: a broker that is away or a topic that is missing is told before any work.
    let identity = log.identity()?;
    let bar = progress::bar(Some(args.events), format!("producing to {}", identity.topic));
    let started = Instant::now();
    let bytes = append_all(&log, args, &bar)?;
    log.flush()?;
    log.shutdown()?;
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    tell(format_args!(
        "{} records ({:.1} MB) to {} in {seconds:.1} s, {:.0} a second",
        args.events,
        bytes as f64 / 1e6,
        identity.topic,
        args.events as f64 / seconds.max(1e-9),
    ));
    Ok(())
}

/// Hands every record over; returns their bytes.
fn append_all(log: &EventLog, args: &ProduceArgs, bar: &ProgressBar) -> anyhow::Result<u64> {
    let mut generator = generator(args);
    let started = Instant::now();
    let chunk = chunk_records(args.rate);
    let (mut produced, mut bytes) = (0_u64, 0_u64);
    loop {
        if let Some(rate) = args.rate {
            wait_until(started + Duration::from_secs_f64(produced as f64 / rate));
        }
        // The record's time is now, as it is for any producer: retention goes by it.
        let now = now_ms();
        let records: Vec<NewRecord> = generator
            .by_ref()
            .take(chunk)
            .map(|record| NewRecord { timestamp_ms: now, ..record.into() })
            .collect();
        if records.is_empty() {
            return Ok(bytes);
        }
        produced += records.len() as u64;
        bytes += records.iter().map(record_bytes).sum::<u64>();
        log.append_blocking(records)?;
        bar.set_position(produced);
    }
}

fn generator(args: &ProduceArgs) -> Box<dyn Iterator<Item = LoadRecord>> {
    if args.hostile {
        let seed = args.seed;
        return Box::new((0..args.events).map(move |number| hostile(seed, number)));
    }
    Box::new(LoadGenerator::new(&LoadOptions {
        events: args.events,
        contacts: args.contacts,
        seed: args.seed,
        duplicates: args.duplicates,
        late: args.late,
        deletes: args.deletes,
        malformed: args.malformed,
        ..LoadOptions::default()
    }))
}

fn record_bytes(record: &NewRecord) -> u64 {
    (record.key.len() + record.value.as_ref().map_or(0, Vec::len)) as u64
}

fn chunk_records(rate: Option<f64>) -> usize {
    match rate {
        Some(rate) => ((rate * CHUNK_TIME.as_secs_f64()) as usize).clamp(1, CHUNK_RECORDS),
        None => CHUNK_RECORDS,
    }
}

fn wait_until(due: Instant) {
    let left = due.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        std::thread::sleep(left);
    }
}

/// Milliseconds since 1970, as records are dated.
pub(super) fn now_ms() -> i64 {
    i64::try_from(app::now_ms()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_rate_goes_record_by_record() {
        assert_eq!(chunk_records(Some(3.0)), 1);
        assert_eq!(chunk_records(Some(2000.0)), 100);
        assert_eq!(chunk_records(Some(1e9)), CHUNK_RECORDS);
        assert_eq!(chunk_records(None), CHUNK_RECORDS);
    }
}

//! What of the outbox the contact log may have already, and what it is given.
//!
//! A command carries where its lane ended before the log was first given it: nothing that was decided
//! before can be an attempt of it, so a lane may forget those. What may have been given is looked for
//! from there to the lane's present end, before it is given again with that end: a copy that is there
//! is found, and one that comes later lies behind the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use crate::domain::headers::{COMMAND, LANE_NEXT};
use crate::domain::position::{Lane, NextOffset, Offset};
use crate::domain::timestamp::parse_rfc3339_us;
use crate::event_log::{EventLog, LanePart, LogError, NewRecord, ReadUntil};

use super::outbox::OutboxError;
use super::stamps::replace_synced;

/// The file of the mark.
pub(super) const HANDED_OVER: &str = "handed-over";
/// How long reading may bring nothing before it is given up for now.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A record that waits, and its place in the outbox.
pub(super) type Waiting = (Offset, NewRecord);

/// What may have been given to the log since the outbox was last known to be ahead of it. In a file,
/// so that the next start knows too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Behind the last record of the outbox that it is about.
    next: u64,
    /// Where lanes ended before the first of them was given.
    ends: BTreeMap<u16, u64>,
}

/// Gives the contact log what waits.
pub(super) struct HandOver<'l> {
    log: &'l EventLog,
    path: PathBuf,
    mark: Mark,
    /// Where lanes ended when that was last asked.
    ends: BTreeMap<Lane, NextOffset>,
}

/// Notes in commands where their lane ends, unless it stands there.
pub(super) fn note_ends(records: &mut [NewRecord], end: impl Fn(&[u8]) -> Option<NextOffset>) {
    for record in records.iter_mut().filter(|record| is_command(record) && noted(record).is_none())
    {
        if let Some(end) = end(&record.key) {
            note(record, end);
        }
    }
}

impl<'l> HandOver<'l> {
    /// To a log, out of an outbox in a directory.
    pub(super) fn open(log: &'l EventLog, outbox: PathBuf) -> Result<Self, OutboxError> {
        let path = outbox.join(HANDED_OVER);
        let mark = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Mark::default()),
            Err(error) => Err(error),
        };
        match mark {
            Ok(mark) => Ok(Self { log, path, mark, ends: BTreeMap::new() }),
            Err(source) => Err(OutboxError::File { path, source }),
        }
    }

    pub(super) fn log(&self) -> &'l EventLog {
        self.log
    }

    /// Whether it takes reading the log to tell what of these it has.
    pub(super) fn must_look(&self, waiting: &[Waiting]) -> bool {
        let may_be_there = |(offset, record): &Waiting| {
            is_command(record) && (offset.0 < self.mark.next || noted(record).is_some())
        };
        waiting.iter().any(may_be_there)
    }

    /// Asks where the lanes of these end now.
    pub(super) fn ask_ends(&mut self, waiting: &[Waiting]) -> Result<(), LogError> {
        for lane in self.lanes(waiting)? {
            self.ends.insert(lane, self.log.watermarks(lane)?.high);
        }
        Ok(())
    }

    /// Whether all their lanes' ends were asked for.
    pub(super) fn knows_ends(&self, waiting: &[Waiting]) -> bool {
        let lanes = self.lanes(waiting);
        lanes.is_ok_and(|lanes| lanes.iter().all(|lane| self.ends.contains_key(lane)))
    }

    /// Marks these as given from now on, each command with its lane's end.
    pub(super) fn begin(&mut self, waiting: &mut [Waiting]) -> Result<(), OutboxError> {
        let (Some(first), Some(last)) = (waiting.first(), waiting.last()) else {
            return Ok(());
        };
        let mut mark = Mark { next: last.0.next().0.max(self.mark.next), ..Mark::default() };
        if first.0.0 < self.mark.next {
            mark.ends.clone_from(&self.mark.ends);
        }
        let founding = self.log.founding()?;
        for (_, record) in waiting.iter_mut().filter(|(_, record)| is_command(record)) {
            let lane = founding.home(&record.key);
            let Some(end) = self.ends.get(&lane) else {
                continue;
            };
            mark.ends.entry(lane.0).or_insert(end.0);
            if noted(record).is_none() {
                note(record, *end);
            }
        }
        if mark != self.mark {
            let text = serde_json::to_vec(&mark).unwrap_or_default();
            replace_synced(&self.path, &text)
                .map_err(|source| OutboxError::File { path: self.path.clone(), source })?;
            self.mark = mark;
        }
        Ok(())
    }

    /// Leaves out what the log has, up to the ends that were asked for; what it does not have is given
    /// with that end.
    pub(super) fn look(
        &self,
        waiting: &mut Vec<Waiting>,
        stop: &CancellationToken,
    ) -> Result<(), LogError> {
        let founding = self.log.founding()?;
        let mut wanted: BTreeMap<Lane, Search> = BTreeMap::new();
        for (offset, record) in waiting.iter().filter(|(_, record)| is_command(record)) {
            let lane = founding.home(&record.key);
            if let Some(from) = self.given_from(*offset, record, lane) {
                let none = Search { from, hashes: BTreeSet::new() };
                let wanted = wanted.entry(lane).or_insert(none);
                wanted.from = wanted.from.min(from);
                wanted.hashes.insert(hash(Some(&record.key), record.value.as_deref()));
            }
        }
        let mut looks = BTreeMap::new();
        for (lane, wanted) in wanted {
            if let Some(end) = self.ends.get(&lane) {
                looks.insert(lane, self.look_in(lane, &wanted, *end, stop)?);
            }
        }
        waiting.retain_mut(|(offset, record)| {
            let lane = founding.home(&record.key);
            let (Some(look), true) = (looks.get(&lane), is_command(record)) else {
                return true;
            };
            let Some(from) = self.given_from(*offset, record, lane) else {
                return true;
            };
            let end = self.ends.get(&lane).filter(|_| look.is_whole);
            note(record, end.copied().unwrap_or(from));
            !look.found.contains(&hash(Some(&record.key), record.value.as_deref()))
        });
        Ok(())
    }

    /// Which of the wanted stand in a lane before an end.
    fn look_in(
        &self,
        lane: Lane,
        wanted: &Search,
        end: NextOffset,
        stop: &CancellationToken,
    ) -> Result<SearchResult, LogError> {
        let low = NextOffset(self.log.watermarks(lane)?.low.0);
        let from = wanted.from.max(low);
        let mut found = BTreeSet::new();
        let part = LanePart { lane, from, to: Some(end), patience: Some(SILENCE_MAX) };
        let read = if from >= end {
            ReadUntil::There
        } else {
            self.log.read_part(part, stop, |batch| {
                let commands = batch
                    .records
                    .iter()
                    .filter(|record| batch.headers(record).any(|(name, _)| name == COMMAND));
                let hashes = commands.map(|at| hash(batch.key(at), batch.value(at)));
                found.extend(hashes.filter(|hash| wanted.hashes.contains(hash)));
            })?
        };
        let is_whole = match read {
            ReadUntil::There => low <= wanted.from,
            // What stands behind an open transaction can't be seen.
            ReadUntil::CaughtUp => false,
            ReadUntil::GivenUp => {
                let detail = format!("partition {lane} could not be read up to offset {end}");
                return Err(LogError::Unreachable { topic: self.log.identity()?.topic, detail });
            }
        };
        Ok(SearchResult { found, is_whole })
    }

    /// From where on a record may stand on the log; none: it was never given.
    fn given_from(&self, offset: Offset, record: &NewRecord, lane: Lane) -> Option<NextOffset> {
        let marked = self.mark.ends.get(&lane.0).filter(|_| offset.0 < self.mark.next);
        let marked = marked.map(|end| NextOffset(*end));
        marked.into_iter().chain(noted(record)).min()
    }

    fn lanes(&self, waiting: &[Waiting]) -> Result<BTreeSet<Lane>, LogError> {
        let founding = self.log.founding()?;
        let commands = waiting.iter().filter(|(_, record)| is_command(record));
        Ok(commands.map(|(_, record)| founding.home(&record.key)).collect())
    }
}

/// What is looked for in a lane.
struct Search {
    from: NextOffset,
    hashes: BTreeSet<u64>,
}

/// What was seen of a lane.
struct SearchResult {
    found: BTreeSet<u64>,
    /// Whether all of it was, from where it was to be looked at.
    is_whole: bool,
}

/// A command's record says in its value which event it is, and its stamp.
fn hash(key: Option<&[u8]>, value: Option<&[u8]>) -> u64 {
    let key = key.unwrap_or_default();
    xxh3_64(&[key, &key.len().to_le_bytes(), value.unwrap_or_default()].concat())
}

/// A command as its record has it.
#[derive(Deserialize)]
pub(super) struct WaitingCommand {
    id: String,
    timestamp: String,
}

impl WaitingCommand {
    /// None: the record is none.
    pub(super) fn of(record: &NewRecord) -> Option<Self> {
        serde_json::from_slice(record.value.as_deref().filter(|_| is_command(record))?).ok()
    }

    /// Of its event id.
    pub(super) fn event_hash(&self) -> u64 {
        xxh3_64(self.id.as_bytes())
    }

    /// In µs since 1970.
    pub(super) fn stamp(&self) -> Option<u64> {
        parse_rfc3339_us(self.timestamp.as_bytes())
    }
}

fn is_command(record: &NewRecord) -> bool {
    record.headers.iter().any(|(name, _)| name == COMMAND)
}

fn noted(record: &NewRecord) -> Option<NextOffset> {
    let (_, value) = record.headers.iter().find(|(name, _)| name == LANE_NEXT)?;
    std::str::from_utf8(value.as_deref()?).ok()?.parse().ok().map(NextOffset)
}

fn note(record: &mut NewRecord, end: NextOffset) {
    record.headers.retain(|(name, _)| name != LANE_NEXT);
    record.headers.push((LANE_NEXT.to_owned(), Some(end.0.to_string().into_bytes())));
}

#[cfg(test)]
mod tests {
    use crate::event_log::embedded::{EmbeddedLog, EmbeddedOptions};

    use super::*;

    fn log(dir: &std::path::Path) -> EventLog {
        let options = EmbeddedOptions {
            path: dir.join("log"),
            topic: "contacts".to_owned(),
            partitions: 1,
            segment_bytes_max: 1 << 20,
            retention_bytes: None,
            retention_age: None,
        };
        EventLog::Embedded(std::sync::Arc::new(EmbeddedLog::open(options).unwrap()))
    }

    fn command(number: u64) -> NewRecord {
        NewRecord {
            key: b"c1".to_vec(),
            value: Some(format!("{{\"id\":\"e{number}\"}}").into_bytes()),
            headers: vec![(COMMAND.to_owned(), Some(b"update".to_vec()))],
            timestamp_ms: 1,
            lane: None,
        }
    }

    fn waiting(numbers: std::ops::Range<u64>) -> Vec<Waiting> {
        numbers.map(|number| (Offset(number), command(number))).collect()
    }

    fn ends(waiting: &[Waiting]) -> Vec<(u64, Option<u64>)> {
        let end = |record| noted(record).map(|end| end.0);
        waiting.iter().map(|(offset, record)| (offset.0, end(record))).collect()
    }

    async fn append(log: &EventLog, waiting: &[Waiting]) {
        let records = waiting.iter().map(|(_, record)| record.clone());
        log.append(records.collect()).await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_the_log_has_is_not_given_again_and_the_rest_by_its_present_end() {
        let dir = tempfile::tempdir().unwrap();
        let (log, stop) = (log(dir.path()), CancellationToken::new());
        append(&log, &waiting(100..110)).await;
        let open = || HandOver::open(&log, dir.path().to_owned()).unwrap();
        let mut first = open();
        let mut all = waiting(0..4);
        assert!(!first.must_look(&all) && !first.knows_ends(&all));
        first.ask_ends(&all).unwrap();
        first.begin(&mut all).unwrap();
        assert_eq!(ends(&all), [0, 1, 2, 3].map(|offset| (offset, Some(10))));
        // Killed after the log took two of them; others went on meanwhile.
        append(&log, &all[1..3]).await;
        append(&log, &waiting(200..203)).await;
        let mut next = open();
        let mut again = waiting(0..5);
        assert!(next.must_look(&again));
        next.ask_ends(&again).unwrap();
        next.look(&mut again, &stop).unwrap();
        next.begin(&mut again).unwrap();
        assert_eq!(ends(&again), [0, 3, 4].map(|offset| (offset, Some(15))));
        // From where the first of them was given, however often it is tried.
        let mut third = open();
        let mut again = waiting(0..5);
        third.ask_ends(&again).unwrap();
        third.look(&mut again, &stop).unwrap();
        assert_eq!(again.iter().map(|(offset, _)| offset.0).collect::<Vec<_>>(), [0, 3, 4]);
        log.shutdown().unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_command_that_was_tried_before_it_waited_is_looked_for_too() {
        let dir = tempfile::tempdir().unwrap();
        let (log, stop) = (log(dir.path()), CancellationToken::new());
        append(&log, &waiting(0..1)).await;
        let mut tried: Vec<NewRecord> =
            waiting(0..2).into_iter().map(|(_, record)| record).collect();
        note_ends(&mut tried, |_| Some(NextOffset(0)));
        note_ends(&mut tried, |_| Some(NextOffset(7)));
        let mut waiting: Vec<Waiting> = (0..).map(Offset).zip(tried).collect();
        assert_eq!(ends(&waiting), [(0, Some(0)), (1, Some(0))]);
        let mut to = HandOver::open(&log, dir.path().to_owned()).unwrap();
        assert!(to.must_look(&waiting));
        to.ask_ends(&waiting).unwrap();
        to.look(&mut waiting, &stop).unwrap();
        assert_eq!(ends(&waiting), [(1, Some(1))]);
        log.shutdown().unwrap();
    }

    #[test]
    fn a_command_that_waits_says_which_it_is_and_no_event_does() {
        let mut record = command(3);
        record.value = Some(br#"{"id":"e3","timestamp":"2026-11-21T10:00:00.000001Z"}"#.to_vec());
        let waits = WaitingCommand::of(&record).unwrap();
        let stamp = Some(1_795_255_200_000_001);
        assert_eq!((waits.event_hash(), waits.stamp()), (xxh3_64(b"e3"), stamp));
        record.headers.clear();
        assert!(WaitingCommand::of(&record).is_none());
    }

    #[test]
    fn a_mark_that_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(HANDED_OVER), "soon").unwrap();
        let error = HandOver::open(&log(dir.path()), dir.path().to_owned()).err().unwrap();
        assert!(error.to_string().contains(HANDED_OVER), "{error}");
    }
}

//! Publishes dead letters to a topic of their own, in order, at least once, by one instance at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::domain::Class;
use crate::domain::position::{Lane, NextOffset};
use crate::event_log::kafka::{KafkaLog, TopicPlan};
use crate::event_log::{EventLog, LogError, NewRecord};
use crate::ingest::{ControlOutcome, ControlWrite, Pause, now_ms};
use crate::store::{KeptLetter, LetterRow};

use super::desk::{LetterDesk, blocking};
use super::error::LetterError;
use super::provenance::{VALUE_HASH, VALUE_LENGTH, is_provenance, published_headers};
use super::redrive::whole_value;

/// The control entry that says how far it is.
const KEY: &str = "dead_letter/published";
/// Who has it publishes.
const PUBLISHING: &str = "dead_letter/publishing";
/// Letters and bytes that are appended together.
const LETTERS_AT_ONCE: usize = 200;
const BYTES_AT_ONCE: usize = 1 << 20;
const ROWS: usize = 4096;
/// How often it is written down how far it is.
const WRITE_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether another instance has given up.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// First and longest pause after a failure.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The topic of dead letters.
pub struct Publisher {
    log: Arc<KafkaLog>,
    /// The contacts' log: a topic that is made has as many partitions.
    contacts: EventLog,
    /// All frames of the archive before it are published, or gone.
    frame: AtomicU64,
    /// Whether it is known since the start what was published; before that `frame` says nothing.
    is_known: AtomicBool,
}

impl Publisher {
    /// For a topic that is opened as a log of its own.
    pub fn new(log: KafkaLog, contacts: EventLog) -> Self {
        Self {
            log: Arc::new(log),
            contacts,
            frame: AtomicU64::new(0),
            is_known: AtomicBool::new(false),
        }
    }
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Published {
    /// By lane: letters before it are published.
    next: BTreeMap<Lane, NextOffset>,
}

impl Published {
    fn has(&self, row: &LetterRow) -> bool {
        self.next.get(&row.lane).is_some_and(|next| row.offset.0 < next.0)
    }
}

/// Until told to stop; at once where nothing is published.
pub(super) async fn publish_all(desk: &Arc<LetterDesk>, stop: &CancellationToken) {
    let Some(publisher) = &desk.publisher else {
        return;
    };
    let mut letters = desk.letters().watch();
    let mut pause = Pause::between(PAUSE_MIN, PAUSE_MAX);
    while !stop.is_cancelled() {
        letters.borrow_and_update();
        let published = stop.run_until_cancelled(publish(desk, publisher)).await;
        let wait = match published {
            None => return,
            Some(Ok(())) => {
                pause.reset();
                LOOK_AGAIN
            }
            Some(Err(error)) => {
                desk.metrics.retried("dead_letter_topic");
                tracing::warn!(%error, "dead letters wait to be published");
                pause.take()
            }
        };
        let is_failing = !pause.is_first();
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
            Ok(()) = letters.changed(), if !is_failing => {}
        }
    }
}

/// Publishes what there is, if it is this instance's turn.
async fn publish(desk: &Arc<LetterDesk>, publisher: &Publisher) -> Result<(), LetterError> {
    if !desk.letters().is_loaded() {
        return Ok(());
    }
    let (mut state, mut revision) = match desk.reader.control(KEY) {
        Some(entry) => (serde_json::from_slice::<Published>(&entry.value)?, entry.revision),
        None => (Published::default(), 0),
    };
    if !skip_published(desk, publisher, &state) {
        return Ok(());
    }
    if !desk.lease.take(PUBLISHING).await? {
        return Ok(());
    }
    let lanes = lanes(publisher).await?;
    // Taking it may have taken a while, and another may have been further than was known here.
    if desk.reader.control(KEY).map_or(0, |entry| entry.revision) != revision {
        return Ok(());
    }
    let mut written = Instant::now();
    while desk.lease.is_held() {
        if written.elapsed() >= WRITE_EVERY {
            let Some(new) = write(desk, &state, revision).await? else {
                return Ok(());
            };
            (revision, written) = (new, Instant::now());
        }
        let frame = publisher.frame.load(Ordering::Acquire);
        let chunk = blocking({
            let (desk, state) = (Arc::clone(desk), state.clone());
            move || next_chunk(&desk, &state, frame, lanes)
        })
        .await?;
        if chunk.frame == frame {
            break;
        }
        send(publisher, &chunk.records).await?;
        for (row, _) in &chunk.records {
            state.next.insert(row.lane, row.offset.next());
            desk.metrics.dead_letters.published(row.reason);
        }
        publisher.frame.store(chunk.frame, Ordering::Release);
        expired(desk, chunk.expired);
    }
    write(desk, &state, revision).await.map(|_| ())
}

/// Goes past what the archive's retention was faster with, and says so.
fn pass_expired(desk: &LetterDesk, publisher: &Publisher) {
    let (first, _) = desk.letters().range();
    let frame = publisher.frame.fetch_max(first, Ordering::AcqRel);
    if publisher.is_known.load(Ordering::Acquire) {
        expired(desk, first.saturating_sub(frame));
    }
}

fn expired(desk: &LetterDesk, letters: u64) {
    if letters == 0 {
        return;
    }
    tracing::error!(letters, "dead letters were kept no longer before they could be published");
    desk.metrics.dead_letters.expired(letters);
}

/// Goes past what is published, by whomever. False: that is all.
fn skip_published(desk: &LetterDesk, publisher: &Publisher, state: &Published) -> bool {
    pass_expired(desk, publisher);
    let is_any_left = pass_published(desk, publisher, state);
    publisher.is_known.store(true, Ordering::Release);
    is_any_left
}

fn pass_published(desk: &LetterDesk, publisher: &Publisher, state: &Published) -> bool {
    loop {
        let frame = publisher.frame.load(Ordering::Acquire);
        let rows = desk.letters().rows_from(frame, ROWS);
        let first = rows.iter().find(|(_, row)| !state.has(row)).map(|(frame, _)| *frame);
        let seen = rows.last().map(|(frame, _)| frame + 1);
        match (first, seen) {
            (Some(first), _) => {
                publisher.frame.store(first, Ordering::Release);
                return true;
            }
            (None, Some(seen)) => publisher.frame.store(seen, Ordering::Release),
            (None, None) => return false,
        }
    }
}

/// How far it is. None: it is another instance's turn.
async fn write(
    desk: &LetterDesk,
    state: &Published,
    revision: u64,
) -> Result<Option<u64>, LetterError> {
    let write = ControlWrite {
        key: KEY.to_owned(),
        expected_revision: Some(revision),
        value: Some(serde_json::to_vec(state)?),
        ..ControlWrite::default()
    };
    match desk.control.put(write).await? {
        ControlOutcome::Applied { revision } | ControlOutcome::Unchanged { revision } => {
            Ok(Some(revision))
        }
        ControlOutcome::Conflict { .. } => Ok(None),
        ControlOutcome::Refused { reason, detail } => Err(LetterError::Refused { reason, detail }),
    }
}

/// How many partitions the topic has; it is made where it is missing.
async fn lanes(publisher: &Publisher) -> Result<u16, LetterError> {
    let (log, contacts) = (Arc::clone(&publisher.log), publisher.contacts.clone());
    blocking(move || match log.lanes() {
        Ok(lanes) => Ok(lanes),
        Err(LogError::MissingTopic { .. }) => {
            log.ensure_topic(TopicPlan::dead_letters(contacts.lanes()?, None))?;
            Ok(log.lanes()?)
        }
        Err(error) => Err(error.into()),
    })
    .await
}

/// Some letters as records.
struct Chunk {
    records: Vec<(LetterRow, NewRecord)>,
    /// Behind its last letter.
    frame: u64,
    /// Letters that retention was faster with.
    expired: u64,
}

fn next_chunk(
    desk: &LetterDesk,
    state: &Published,
    frame: u64,
    lanes: u16,
) -> Result<Chunk, LetterError> {
    let letters = desk.letters();
    let mut chunk = Chunk { records: Vec::new(), frame, expired: 0 };
    let mut bytes = 0;
    for (frame, row) in letters.rows_from(frame, ROWS) {
        if chunk.records.len() >= LETTERS_AT_ONCE || bytes >= BYTES_AT_ONCE {
            break;
        }
        chunk.expired += frame - chunk.frame;
        chunk.frame = frame + 1;
        if state.has(&row) {
            continue;
        }
        let Some(letter) = letters.letter(frame)? else {
            chunk.expired += 1;
            continue;
        };
        let record = record(desk, letter, lanes)?;
        bytes += record.value.as_ref().map_or(0, Vec::len);
        chunk.records.push((row, record));
    }
    Ok(chunk)
}

/// In the partition of its own number where there is one, as Spring Kafka has it.
fn record(desk: &LetterDesk, letter: KeptLetter, lanes: u16) -> Result<NewRecord, LetterError> {
    let topics = &desk.options.topics;
    let whole =
        if letter.is_truncated() { whole_value(desk, &letter)? } else { letter.value.clone() };
    let mut headers = published_headers(&letter, topics);
    if whole.is_none() && letter.value.is_some() {
        headers.extend(stub_headers(letter.value_len, letter.value_hash));
    }
    let (_, partition) = topics.of(letter.lane);
    Ok(NewRecord {
        key: letter.key.unwrap_or_default(),
        value: whole,
        headers,
        timestamp_ms: i64::try_from(now_ms()).unwrap_or(i64::MAX),
        lane: (partition < lanes).then_some(Lane(partition)),
    })
}

fn stub_headers(length: u64, hash: u64) -> [(String, Option<Vec<u8>>); 2] {
    [
        (VALUE_LENGTH.to_owned(), Some(length.to_string().into_bytes())),
        (VALUE_HASH.to_owned(), Some(format!("{hash:016x}").into_bytes())),
    ]
}

/// What is too large for the topic goes without its value.
async fn send(
    publisher: &Publisher,
    records: &[(LetterRow, NewRecord)],
) -> Result<(), LetterError> {
    let appends = records.iter().map(|(_, record)| publisher.log.append(vec![record.clone()]));
    let results = join_all(appends).await;
    for ((_, record), result) in records.iter().zip(results) {
        match result {
            Ok(_ack) => {}
            Err(error) if error.class() == Class::Poison => send_stub(publisher, record).await?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Without its value; where key and headers are too large as well, without those of its own.
async fn send_stub(publisher: &Publisher, record: &NewRecord) -> Result<(), LetterError> {
    let mut stub = stub(record);
    match publisher.log.append(vec![stub.clone()]).await {
        Err(error) if error.class() == Class::Poison => {}
        sent => return Ok(sent.map(|_acks| ())?),
    }
    stub.key = Vec::new();
    stub.headers.retain(|(name, _)| is_provenance(name));
    match publisher.log.append(vec![stub]).await {
        Err(error) if error.class() == Class::Poison => {
            tracing::error!(%error, "a dead letter can never be published; it is kept here");
            Ok(())
        }
        sent => Ok(sent.map(|_acks| ())?),
    }
}

fn stub(record: &NewRecord) -> NewRecord {
    let mut stub = record.clone();
    if let Some(value) = stub.value.take() {
        let hash = xxhash_rust::xxh3::xxh3_64(&value);
        stub.headers.extend(stub_headers(value.len() as u64, hash));
    }
    stub
}

/// Letters that wait to be published, about.
pub(super) fn lag(desk: &LetterDesk) -> u64 {
    let end = desk.letters().range().1;
    let done = desk.publisher.as_ref().map(|publisher| publisher.frame.load(Ordering::Acquire));
    done.map_or(0, |frame| end.saturating_sub(frame))
}

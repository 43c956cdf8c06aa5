//! Publishes dead letters to a topic of their own: a follower.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use futures_util::future::join_all;

use crate::domain::Class;
use crate::domain::position::Lane;
use crate::effects::follower::{Answer, Delivery, Picked, Row, Sink, Start};
use crate::event_log::kafka::{KafkaLog, TopicPlan};
use crate::event_log::{EventLog, LogError, NewRecord};
use crate::ingest::now_ms;
use crate::store::journal::Entry;
use crate::store::{Cut, KeptLetter};
use crate::telemetry::Metrics;

use super::desk::blocking;
use super::error::LetterError;
use super::provenance::{VALUE_HASH, VALUE_LENGTH, is_provenance, published_headers};
use super::redrive::whole_value;
use super::selection::Topics;

/// Letters that are appended together.
const LETTERS_AT_ONCE: usize = 200;
/// Bytes of them.
const BYTES_AT_ONCE: usize = 1 << 20;

/// The topic of dead letters.
pub struct Publisher {
    log: Arc<KafkaLog>,
    /// The contacts' log: a topic that is made has as many partitions, and what was too long to be kept
    /// whole stands there.
    contacts: EventLog,
    topics: Topics,
    metrics: Arc<Metrics>,
    /// How many partitions it has; 0: not known yet.
    lanes: AtomicU16,
}

impl Publisher {
    /// For a topic that is opened as a log of its own.
    pub fn new(log: KafkaLog, contacts: EventLog, topics: Topics, metrics: Arc<Metrics>) -> Self {
        Self { log: Arc::new(log), contacts, topics, metrics, lanes: AtomicU16::new(0) }
    }

    /// The follower's row. Records that are not taken as they are go as stubs, so none is refused.
    pub fn row() -> Row {
        Row {
            start: Start::Beginning,
            at_once: LETTERS_AT_ONCE,
            reads_control: true,
            ..Row::new("dead_letters", "dead_letters", "Publishes dead letters to their topic.")
        }
    }

    async fn publish(&self, letters: &[Arc<KeptLetter>]) -> Result<Vec<Answer>, LetterError> {
        let lanes = self.lanes().await?;
        let mut answers = Vec::with_capacity(letters.len());
        for letters in in_bytes(letters, |letter| size(letter)) {
            // Those before them are sent, whatever becomes of these.
            answers.extend(self.publish_some(letters, lanes).await.unwrap_or_else(|error| {
                vec![Answer::Down { why: error.to_string(), after: None }; letters.len()]
            }));
        }
        Ok(answers)
    }

    /// So many as are held in memory at once, their whole values with them.
    async fn publish_some(
        &self,
        letters: &[Arc<KeptLetter>],
        lanes: u16,
    ) -> Result<Vec<Answer>, LetterError> {
        let records = blocking({
            let (contacts, topics) = (self.contacts.clone(), self.topics.clone());
            let letters = letters.to_vec();
            move || {
                let record = |letter: &Arc<KeptLetter>| record(&contacts, &topics, letter, lanes);
                Ok(letters.iter().map(record).collect::<Vec<_>>())
            }
        })
        .await?;
        // An answer each: what can't be made of one is no matter of the others.
        let sent = records.iter().map(async |record| match record {
            Ok(record) => self.send(record).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        });
        let sent = join_all(sent).await;
        let answer = |(letter, sent): (&Arc<KeptLetter>, Result<(), String>)| match sent {
            Ok(()) => {
                self.metrics.dead_letters.published(letter.reason());
                Answer::Delivered
            }
            Err(why) => Answer::Down { why, after: None },
        };
        Ok(letters.iter().zip(sent).map(answer).collect())
    }

    /// How many partitions the topic has; it is made where it is missing.
    async fn lanes(&self) -> Result<u16, LetterError> {
        match self.lanes.load(Ordering::Relaxed) {
            0 => {}
            lanes => return Ok(lanes),
        }
        let (log, contacts) = (Arc::clone(&self.log), self.contacts.clone());
        let plan = move || Ok(TopicPlan::copies(contacts.lanes()?, None));
        let asked = blocking(move || Ok(log.lanes_or_make(plan)?));
        let lanes = asked.await?;
        self.lanes.store(lanes, Ordering::Relaxed);
        Ok(lanes)
    }

    /// What is too large for the topic goes without its value; where key and headers are too large as
    /// well, without those of its own.
    async fn send(&self, record: &NewRecord) -> Result<(), LogError> {
        let append = async |record: &NewRecord| {
            self.log.append(std::slice::from_ref(record)).await.map(|_acks| ())
        };
        let is_poison = |sent: &Result<(), LogError>| {
            sent.as_ref().is_err_and(|it| it.class() == Class::Poison)
        };
        let sent = append(record).await;
        if !is_poison(&sent) {
            return sent;
        }
        let mut stub = stub(record);
        let sent = append(&stub).await;
        if !is_poison(&sent) {
            return sent;
        }
        stub.key = Vec::new();
        stub.headers.retain(|(name, _)| is_provenance(name));
        let sent = append(&stub).await;
        if is_poison(&sent) {
            tracing::error!("a dead letter can never be published; it is kept here");
            return Ok(());
        }
        sent
    }
}

impl Sink for Publisher {
    type Item = KeptLetter;

    fn pick(&self, entry: &Entry<'_>) -> Option<Picked<KeptLetter>> {
        let letter = KeptLetter::of_entry(entry)?;
        let bytes = letter.bytes();
        // None has to wait for another one.
        let key = format!("{}:{}", letter.lane, letter.offset);
        Some(Picked { key, version: 0, bytes, item: letter })
    }

    fn counted(&self, up_to: &Cut) -> Option<u64> {
        Some(up_to.dead_letters())
    }

    async fn deliver(&self, deliveries: &[Delivery<KeptLetter>]) -> Vec<Answer> {
        let letters: Vec<_> = deliveries.iter().map(|it| Arc::clone(&it.item)).collect();
        self.publish(&letters).await.unwrap_or_else(|error| {
            vec![Answer::Down { why: error.to_string(), after: None }; letters.len()]
        })
    }
}

/// Bytes that a letter takes with its whole value.
fn size(letter: &KeptLetter) -> usize {
    let kept = letter.value.as_ref().map_or(0, Vec::len);
    let whole = usize::try_from(letter.value_len).unwrap_or(usize::MAX);
    letter.bytes().saturating_add(whole.saturating_sub(kept))
}

/// In runs of no more bytes than are sent at once; one that is larger goes alone.
fn in_bytes<T>(all: &[T], size: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut runs, mut rest, mut bytes) = (Vec::new(), all, 0_usize);
    let mut count = 0;
    for one in all {
        bytes = bytes.saturating_add(size(one));
        if bytes > BYTES_AT_ONCE && count > 0 {
            let (run, others) = rest.split_at(count);
            runs.push(run);
            (rest, bytes, count) = (others, size(one), 0);
        }
        count += 1;
    }
    if !rest.is_empty() {
        runs.push(rest);
    }
    runs
}

/// In the partition of its own number where there is one, as Spring Kafka has it.
fn record(
    contacts: &EventLog,
    topics: &Topics,
    letter: &KeptLetter,
    lanes: u16,
) -> Result<NewRecord, LetterError> {
    let whole =
        if letter.is_truncated() { whole_value(contacts, letter)? } else { letter.value.clone() };
    let mut headers = published_headers(letter, topics);
    if whole.is_none() && letter.value.is_some() {
        headers.extend(stub_headers(letter.value_len, letter.value_hash));
    }
    let (_, partition) = topics.of(letter.lane);
    Ok(NewRecord {
        key: letter.key.clone().unwrap_or_default(),
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

fn stub(record: &NewRecord) -> NewRecord {
    let mut stub = record.clone();
    if let Some(value) = stub.value.take() {
        let hash = xxhash_rust::xxh3::xxh3_64(&value);
        stub.headers.extend(stub_headers(value.len() as u64, hash));
    }
    stub
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_bytes_are_sent_at_once_than_may_be() {
        let max = BYTES_AT_ONCE;
        let runs = |sizes: &[usize]| -> Vec<usize> {
            in_bytes(sizes, |size| *size).into_iter().map(<[usize]>::len).collect()
        };
        assert!(runs(&[]).is_empty());
        assert_eq!(runs(&[1; 200]), [200]);
        assert_eq!(runs(&[max / 2, max / 2, 1, max, max + 1, 1, 2]), [2, 1, 1, 1, 2]);
        assert_eq!(runs(&[usize::MAX, usize::MAX]), [1, 1]);
    }
}

//! How the log was founded: as its control topic says; and what is looked at before it is founded.

use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::topic_partition_list::Offset as KafkaOffset;

use crate::config::PartitionerChoice;
use crate::domain::control::{ControlLimits, ControlRecord, ControlState, RecordAt};
use crate::domain::founding::{FOUNDING_KEY, Founding, InvalidFounding};
use crate::domain::headers::OURS_PREFIX;
use crate::domain::partitioner::Partitioner;
use crate::domain::position::{CONTROL_LANE, Lane, Offset};

use super::brokers::Sample;
use super::learn::{Learned, learn};
use super::{KafkaLog, LogError, SAMPLE_RECORDS_MAX, SAMPLE_WAIT, TopicState};

/// Records at each lane's end that are looked at.
const LAST_RECORDS: i64 = 50;

/// What the control topic says, up to its last stable offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlFounding {
    /// The founding, if it is there; an error: it is there, and not understood.
    pub founding: Result<Option<Founding>, InvalidFounding>,
    /// Whether the topic still has its first record.
    pub is_whole: bool,
}

/// What the contact topic shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signs {
    /// Where keys lie.
    pub keys: Learned,
    /// Whether it has records that only contactd writes.
    pub has_ours: bool,
}

impl KafkaLog {
    /// How many partitions the topic has now.
    pub fn lanes(&self) -> Result<u16, LogError> {
        self.topic.look().map(|known| known.lanes)
    }

    /// What a key's home lane follows from.
    pub fn founding(&self) -> Result<Founding, LogError> {
        if let Some(founding) = *self.topic.founding.read() {
            return Ok(founding);
        }
        Ok(self.topic.unfounded(self.topic.known()?.lanes))
    }

    /// Goes by this founding from now on.
    pub fn found(&self, founding: &Founding) {
        *self.topic.founding.write() = Some(*founding);
    }

    /// Reads the control topic from its start, and what it says of the founding.
    ///
    /// # Errors
    /// Where it can't be read, or does not exist.
    pub fn read_founding(&self) -> Result<ControlFounding, LogError> {
        let brokers = &self.topic.brokers;
        let is_whole = brokers.watermarks(CONTROL_LANE)?.low.0 == 0;
        let mut entry = FoundingEntry::new(is_whole);
        brokers.read_lane(CONTROL_LANE, |message| {
            if message.key() == Some(FOUNDING_KEY.as_bytes()) {
                entry.take(message.payload(), place(message));
            }
        })?;
        Ok(ControlFounding { founding: entry.founding(), is_whole })
    }

    /// Looks at both ends of every lane of the contact topic. Blocks for some seconds at most.
    pub fn look_around(&self) -> Result<Signs, LogError> {
        let brokers = &self.topic.brokers;
        let lanes = self.lanes()?;
        let (mut samples, mut has_ours) = (Vec::new(), false);
        brokers.read_from(KafkaOffset::Beginning, lanes, SAMPLE_WAIT, |lane, message| {
            has_ours |= is_ours(message);
            sample(&mut samples, lane, message);
            samples.len() < SAMPLE_RECORDS_MAX
        })?;
        brokers.read_from(
            KafkaOffset::OffsetTail(LAST_RECORDS),
            lanes,
            SAMPLE_WAIT,
            |_, message| {
                has_ours |= is_ours(message);
                !has_ours
            },
        )?;
        Ok(Signs { keys: learn(&samples, lanes), has_ours })
    }
}

impl TopicState {
    /// What any producer would go by.
    pub(super) fn unfounded(&self, lanes: u16) -> Founding {
        Founding::first(configured(self.config.partitioner).unwrap_or_default(), lanes)
    }
}

/// The partitioner that is set, if one is.
pub fn configured(choice: PartitionerChoice) -> Option<Partitioner> {
    match choice {
        PartitionerChoice::Auto => None,
        PartitionerChoice::Murmur2 => Some(Partitioner::Murmur2),
        PartitionerChoice::Crc32 => Some(Partitioner::Crc32),
        PartitionerChoice::Fnv1a => Some(Partitioner::Fnv1a),
    }
}

/// What the records of the founding come to.
#[derive(Default)]
pub(super) struct FoundingEntry {
    /// Whether the topic still has its first record.
    is_whole: bool,
    state: ControlState,
    /// Of the first record that is not understood: a later version may have written it.
    unreadable: Option<InvalidFounding>,
}

impl FoundingEntry {
    pub(super) fn new(is_whole: bool) -> Self {
        Self { is_whole, ..Self::default() }
    }

    /// As applying decides it. Where the first records are gone, what is restated tells what they said,
    /// and another record before it may have been refused.
    pub(super) fn take(&mut self, value: Option<&[u8]>, at: RecordAt) {
        // A tombstone says nothing, in any version.
        if value.is_none() {
            return;
        }
        let record = match ControlRecord::decode(Some(FOUNDING_KEY.as_bytes()), value) {
            Ok(record) => record,
            Err(reject) => {
                let why = format!("offset {}: {}", at.offset, reject.detail);
                self.unreadable.get_or_insert(InvalidFounding(why));
                return;
            }
        };
        if !self.is_whole && record.restated.is_some() {
            self.state = ControlState::default();
        }
        if let Ok(decision) = self.state.decide(&record, at, &ControlLimits::default()) {
            self.state.take(&record.key, &decision);
        }
    }

    /// What stands; where nothing does, what is not understood is not taken for nothing.
    pub(super) fn founding(self) -> Result<Option<Founding>, InvalidFounding> {
        let entry = self.state.get(FOUNDING_KEY).filter(|entry| !entry.is_removed());
        match entry {
            Some(entry) => Founding::parse(&entry.value).map(Some),
            None => self.unreadable.map_or(Ok(None), Err),
        }
    }
}

fn place(message: &BorrowedMessage<'_>) -> RecordAt {
    RecordAt {
        offset: Offset(u64::try_from(message.offset()).unwrap_or(0)),
        time_ms: u64::try_from(message.timestamp().to_millis().unwrap_or(0)).unwrap_or(0),
    }
}

fn sample(samples: &mut Vec<Sample>, lane: Lane, message: &BorrowedMessage<'_>) {
    // Ours stand where they are brought.
    if let Some(key) = message.key().filter(|_| !is_ours(message)) {
        samples.push(Sample { lane, key: key.to_vec() });
    }
}

fn is_ours(message: &BorrowedMessage<'_>) -> bool {
    let Some(headers) = message.headers() else {
        return false;
    };
    (0..headers.count())
        .filter_map(|index| super::poll::header(headers, index))
        .any(|(name, _)| name.starts_with(OURS_PREFIX))
}

//! Whose keys lie elsewhere than they should: said once, with what to set.

use crate::domain::founding::Founding;
use crate::domain::headers::OURS_PREFIX;
use crate::domain::partitioner::Partitioner;
use crate::domain::position::Lane;
use crate::domain::record::RecordBatch;

/// Keyed records that are looked at before anything is said, and after which counting begins anew.
const LOOKED_AT: u64 = 200;

/// Records of a batch that are looked at: it costs nothing where much comes.
const OF_A_BATCH: usize = 8;

/// Counts where keys lie, of records that are not ours.
#[derive(Debug, Default)]
pub(super) struct Strays {
    /// One past the greatest lane that was seen.
    lanes: u16,
    keys: u64,
    by: [u64; Partitioner::ALL.len()],
    is_said: bool,
}

impl Strays {
    /// The producers' partitioner, where most keys lie by another one than the founding's: once.
    pub(super) fn note(&mut self, batch: &RecordBatch, founding: &Founding) -> Option<Partitioner> {
        if self.is_said {
            return None;
        }
        self.lanes = self.lanes.max(founding.lanes).max(batch.lane.0.saturating_add(1));
        for record in batch.records.iter().take(OF_A_BATCH) {
            let is_ours = batch.headers(record).any(|(name, _)| name.starts_with(OURS_PREFIX));
            if let (Some(key), false) = (batch.key(record), is_ours) {
                self.count(key, batch.lane);
            }
        }
        if self.keys < LOOKED_AT {
            return None;
        }
        let by = || Partitioner::ALL.into_iter().zip(self.by);
        let own = by().find(|(partitioner, _)| *partitioner == founding.partitioner);
        let most = by().max_by_key(|(_, count)| *count);
        let keys = std::mem::take(&mut self.keys);
        self.by = Default::default();
        let (partitioner, count) = most?;
        // With one lane all of them agree.
        let is_more = own.is_none_or(|(_, own)| count > own);
        self.is_said = is_more && count * 2 > keys;
        self.is_said.then_some(partitioner)
    }

    fn count(&mut self, key: &[u8], lane: Lane) {
        self.keys += 1;
        for (partitioner, count) in Partitioner::ALL.into_iter().zip(&mut self.by) {
            *count += u64::from(partitioner.lane(key, self.lanes) == lane);
        }
    }
}

/// What to set in each client library for keys to lie by a partitioner.
pub(super) fn settings(partitioner: Partitioner) -> &'static str {
    match partitioner {
        Partitioner::Murmur2 => {
            "librdkafka (confluent-kafka for Python, Go, .NET and JavaScript, kcat, rust-rdkafka): \
             partitioner=murmur2_random; Java, kafkajs and franz-go: their defaults; kafka-python and \
             aiokafka: their defaults; Sarama: a PartitionerConstructor of murmur2"
        }
        Partitioner::Crc32 => {
            "librdkafka (confluent-kafka for Python, Go, .NET and JavaScript, kcat, rust-rdkafka): \
             partitioner=consistent_random, its default; Java, kafkajs, franz-go, Sarama, kafka-python: a \
             partitioner of CRC-32 modulo the partitions"
        }
        Partitioner::Fnv1a => {
            "librdkafka (confluent-kafka for Python, Go, .NET and JavaScript, kcat, rust-rdkafka): \
             partitioner=fnv1a_random; Sarama: NewHashPartitioner, its default; franz-go: \
             SaramaHasher; Java, kafkajs, kafka-python: a partitioner of 32-bit FNV-1a as Sarama's"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::Offset;

    fn said(partitioner: Partitioner, lanes: u16) -> Vec<Partitioner> {
        let founding = Founding::first(Partitioner::Murmur2, lanes.min(4));
        let mut strays = Strays::default();
        let said = (0..1_000_u64).filter_map(|number| {
            let key = format!("contact-{number}");
            let mut batch = RecordBatch::new(partitioner.lane(key.as_bytes(), lanes));
            let key = Some(key.as_bytes());
            batch.push(Offset(number), 0, key, None, std::iter::empty());
            strays.note(&batch, &founding)
        });
        said.collect()
    }

    #[test]
    fn another_partitioner_is_named_once_and_added_partitions_are_none() {
        assert_eq!(said(Partitioner::Crc32, 4), [Partitioner::Crc32]);
        assert_eq!(said(Partitioner::Murmur2, 4), []);
        assert_eq!(said(Partitioner::Murmur2, 8), []);
        // With one lane nothing tells them apart.
        assert_eq!(said(Partitioner::Murmur2, 1), []);
        assert!(Partitioner::ALL.map(settings).iter().all(|text| text.contains("librdkafka")));
    }
}

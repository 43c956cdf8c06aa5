//! Partitions that wait while others go on: paused, and read again from where they stopped.

use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};

use crate::domain::position::Offset;
use crate::event_log::LogError;

use super::owned::Owned;
use super::{InputBatch, InputPartition, Inputs};

/// How long going back within a partition may take.
const SEEK_WAIT: Duration = Duration::from_secs(5);

impl Inputs {
    /// Pauses a batch's partition, which is read again from `offset` once it goes on; nothing of it is
    /// kept here.
    ///
    /// # Errors
    /// When the client can't go on, and must be made anew.
    pub fn wait_at(&mut self, batch: &InputBatch, offset: Offset) -> Result<(), LogError> {
        if !self.owns(batch) {
            return Ok(());
        }
        self.drop_gathered(&batch.from);
        let list = self.one(&batch.from, offset)?;
        let sought = self
            .consumer
            .pause(&list)
            .and_then(|()| self.consumer.seek_partitions(list, SEEK_WAIT))
            .and_then(|sought| sought.elements().iter().try_for_each(|element| element.error()));
        sought.map_err(|error| self.unexpected(&error))?;
        if let Some(owned) = self.owned.get_mut(&batch.from) {
            owned.wait_at(offset);
        }
        self.status.count(&self.owned);
        Ok(())
    }

    /// Whether the partition is ours and waits.
    pub fn waits(&self, from: &InputPartition) -> bool {
        self.owned.get(from).is_some_and(Owned::waits)
    }

    /// Goes on with a partition that waits.
    ///
    /// # Errors
    /// As [`Inputs::wait_at`].
    pub fn go_on(&mut self, from: &InputPartition) -> Result<(), LogError> {
        if !self.waits(from) {
            return Ok(());
        }
        let list = self.one(from, Offset(0))?;
        self.consumer.resume(&list).map_err(|error| self.unexpected(&error))?;
        if let Some(owned) = self.owned.get_mut(from) {
            owned.go_on();
        }
        self.status.count(&self.owned);
        Ok(())
    }

    fn one(&self, from: &InputPartition, offset: Offset) -> Result<TopicPartitionList, LogError> {
        let mut list = TopicPartitionList::new();
        let offset = KafkaOffset::Offset(i64::try_from(offset.0).unwrap_or(i64::MAX));
        list.add_partition_offset(&from.topic, i32::from(from.lane.0), offset)
            .map_err(|error| self.unexpected(&error))?;
        Ok(list)
    }
}

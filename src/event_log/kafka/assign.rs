//! Assigning partitions by hand, one assignment after the other.

use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::TopicPartitionList;

/// Assigns these partitions and no others.
pub(super) fn assign<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    consumer.assign(list)?;
    settle(consumer)
}

/// Assigns nothing.
pub(super) fn unassign<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> KafkaResult<()> {
    consumer.unassign()?;
    settle(consumer)
}

/// librdkafka aborts the process where an assignment is taken away while it still stops the
/// partitions of the one before (librdkafka's issue 5573). Its main thread does one thing after the
/// other: before the first answer here it has been told to stop them, before the second that they
/// have stopped.
fn settle<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> KafkaResult<()> {
    consumer.assignment()?;
    consumer.assignment().map(drop)
}

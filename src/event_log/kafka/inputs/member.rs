//! What librdkafka tells a member of the group: which partitions it has, statistics, errors.

use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::domain::position::Lane;
use crate::event_log::kafka::context::TopicContext;

use super::InputPartition;

/// Who reads what has changed.
#[derive(Debug)]
pub(super) enum Change {
    /// These are ours from now on.
    Assigned(Vec<InputPartition>),
    /// These are not ours any more.
    Revoked(Vec<InputPartition>),
}

/// Takes it all in for the thread that polls, which is also the one that is called. A clone shares
/// what was taken.
#[derive(Clone, Debug)]
pub(super) struct Member {
    context: TopicContext,
    changes: Arc<Mutex<Vec<Change>>>,
}

impl Member {
    pub(super) fn new(group: &str) -> Self {
        Self { context: TopicContext::new(group), changes: Arc::default() }
    }

    /// What changed since the last call, in order.
    pub(super) fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut *self.changes.lock())
    }

    pub(super) fn context(&self) -> &TopicContext {
        &self.context
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.context.log(level, facility, line);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.context.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.context.error(error, reason);
    }
}

impl ConsumerContext for Member {
    /// Called while polling, and only then: whatever was taken before has been appended and
    /// committed, or stands in the poller's hands, and is dropped there.
    fn pre_rebalance(&self, _consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let change = match rebalance {
            Rebalance::Assign(list) => Change::Assigned(partitions(list)),
            Rebalance::Revoke(list) => Change::Revoked(partitions(list)),
            Rebalance::Error(error) => {
                tracing::warn!(%error, "rebalancing the bridge's group failed");
                return;
            }
        };
        self.changes.lock().push(change);
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<InputPartition> {
    let elements = list.elements();
    let partitions = elements.iter().filter_map(|element| {
        let lane = u16::try_from(element.partition()).ok()?;
        Some(InputPartition { topic: element.topic().into(), lane: Lane(lane) })
    });
    partitions.collect()
}

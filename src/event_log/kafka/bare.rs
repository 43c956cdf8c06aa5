//! Reading a topic and writing to one with nothing around it: the limits that benchmarks measure
//! against.

use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset as KafkaOffset, TopicPartitionList};

use crate::config::KafkaConfig;
use crate::event_log::LogError;

use super::Purpose;
use super::context::TopicContext;
use super::settings::{self, Packing};

/// Far more than any batch here.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// How long a poll waits.
const POLL: Duration = Duration::from_millis(100);

/// Hands every value of the topic to `each`, from the first record to the end that was there, and
/// returns how many there were. librdkafka's own buffers, as large as it likes them best.
pub fn drain_bare(
    config: &KafkaConfig,
    lanes: u16,
    mut each: impl FnMut(&[u8]),
) -> Result<u64, LogError> {
    let failed = |error: KafkaError| LogError::Failed {
        topic: config.topic.clone(),
        detail: error.to_string(),
    };
    let mut own = settings::reader(config);
    own.set("queued.max.messages.kbytes", "65536")
        .set("fetch.message.max.bytes", "1048576")
        .set("fetch.wait.max.ms", "100")
        .set("queued.min.messages", "100000");
    let consumer: BaseConsumer<TopicContext> =
        settings::create(&own, TopicContext::new(&config.topic))?;
    let mut assignment = TopicPartitionList::new();
    for lane in 0..lanes {
        assignment
            .add_partition_offset(&config.topic, i32::from(lane), KafkaOffset::Beginning)
            .map_err(failed)?;
    }
    consumer.assign(&assignment).map_err(failed)?;
    let (mut records, mut ended) = (0, 0);
    while ended < lanes {
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                records += 1;
                each(message.payload().unwrap_or_default());
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => return Err(failed(error)),
            None => {}
        }
    }
    Ok(records)
}

/// librdkafka's own producer: idempotent, acks=all.
#[derive(Clone)]
pub struct BareProducer {
    topic: String,
    producer: FutureProducer,
}

impl BareProducer {
    /// With that `linger.ms`.
    pub fn new(config: &KafkaConfig, linger_ms: &str) -> Result<Self, LogError> {
        let timeout = Purpose::Log.delivery_timeout(config.linger);
        let mut own = settings::producer(config, BATCH_BYTES_MAX, Packing::Plain, timeout);
        own.set("linger.ms", linger_ms);
        let producer = own.create().map_err(|error| settings::refused_settings(&error))?;
        Ok(Self { topic: config.topic.clone(), producer })
    }

    /// Whether the brokers have acknowledged it. The key spreads records as contacts' ids do.
    pub async fn append(&self, key: &[u8], value: &[u8]) -> bool {
        let record = FutureRecord::<[u8], [u8]>::to(&self.topic).key(key).payload(value);
        self.producer.send(record, Duration::from_secs(5)).await.is_ok()
    }
}

//! A contact log to follow: the embedded one, librdkafka's mock cluster, or a topic of real Kafka.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use contactd::domain::partitioner::Partitioner;
use contactd::domain::record::NamedValues;
use contactd::event_log::embedded::{EmbeddedLog, EmbeddedOptions};
use contactd::event_log::{EventLog, NewRecord};
use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders, OwnedMessage};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use super::node::Node;
use super::services::service;

/// Lanes of every log here.
pub const LANES: u16 = 4;
/// Name of every embedded log.
const TOPIC: &str = "contacts";
/// What a broker may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A log that tests fill and nodes follow.
pub enum TestLog {
    /// In this directory.
    Embedded(PathBuf),
    /// In this process.
    Mock(MockCluster<'static, DefaultProducerContext>),
    /// At these brokers.
    Kafka(KafkaTopic),
}

/// A topic of a real Kafka, or of the mock.
#[derive(Clone, Debug)]
pub struct KafkaTopic {
    pub brokers: String,
    pub topic: String,
}

/// A record as any producer may write it, without a key for instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawRecord {
    /// None: where murmur2 puts the key, or 0.
    pub lane: Option<u16>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: NamedValues,
    pub timestamp_ms: i64,
}

impl From<NewRecord> for RawRecord {
    fn from(record: NewRecord) -> Self {
        let NewRecord { key, value, headers, timestamp_ms, lane } = record;
        Self { lane: lane.map(|lane| lane.0), key: Some(key), value, headers, timestamp_ms }
    }
}

impl RawRecord {
    fn of(message: &OwnedMessage) -> Self {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let header =
            |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
        Self {
            lane: u16::try_from(message.partition()).ok(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.map(header).collect(),
            timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        }
    }

    /// A header's value.
    #[track_caller]
    pub fn header(&self, name: &str) -> &[u8] {
        let found = self.headers.iter().find(|(known, _)| known == name);
        let found = found.unwrap_or_else(|| panic!("no header {name}"));
        found.1.as_deref().unwrap_or_else(|| panic!("no value of header {name}"))
    }

    fn lane(&self) -> u16 {
        let key = self.key.as_deref().unwrap_or_default();
        self.lane.unwrap_or_else(|| Partitioner::Murmur2.lane(key, LANES).0)
    }
}

impl TestLog {
    /// An embedded log in a directory, made with the first append.
    pub fn embedded(dir: &Path) -> Self {
        Self::Embedded(dir.to_owned())
    }

    /// An empty topic of a mock cluster of one broker.
    pub fn mock() -> Self {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic(TOPIC, i32::from(LANES), 1).expect("a topic");
        // It has no admin API by which contactd could make it.
        cluster.create_topic(&format!("{TOPIC}.control"), 1, 1).expect("a control topic");
        Self::Mock(cluster)
    }

    /// An empty topic of its own at a real Kafka.
    pub fn kafka(brokers: &str) -> Self {
        let topic = KafkaTopic::unused(brokers);
        topic.create(&[]);
        Self::Kafka(topic)
    }

    /// For messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "embedded",
            Self::Mock(_) => "mock",
            Self::Kafka(_) => "kafka",
        }
    }

    /// The node, following this log.
    #[must_use]
    pub fn followed_by(&self, node: Node) -> Node {
        match self {
            Self::Embedded(dir) => node
                .with("log.kind", "embedded")
                .with("kafka.topic", TOPIC)
                .with("embedded_log.path", dir.display())
                .with("embedded_log.partitions", LANES)
                .with("embedded_log.segment_bytes", "64KiB"),
            Self::Mock(cluster) => {
                let brokers = cluster.bootstrap_servers();
                KafkaTopic { brokers, topic: TOPIC.to_owned() }.followed_by(node)
            }
            Self::Kafka(topic) => topic.followed_by(node),
        }
    }

    /// Appends, and returns when all is durable.
    #[track_caller]
    pub fn append(&self, records: impl IntoIterator<Item = impl Into<RawRecord>>) {
        let records = records.into_iter().map(Into::into);
        match self {
            Self::Embedded(dir) => append_embedded(dir, records),
            Self::Mock(cluster) => {
                KafkaTopic { brokers: cluster.bootstrap_servers(), topic: TOPIC.to_owned() }
                    .append(records);
            }
            Self::Kafka(topic) => topic.append(records),
        }
    }
}

impl TestLog {
    /// Appends control records, and returns when all is durable.
    #[track_caller]
    pub fn append_control(&self, records: impl IntoIterator<Item = NewRecord>) {
        match self {
            Self::Embedded(_) => self.append(records),
            Self::Mock(cluster) => {
                let (brokers, topic) = (cluster.bootstrap_servers(), TOPIC.to_owned());
                KafkaTopic { brokers, topic }.control().append(records.into_iter().map(first_lane));
            }
            Self::Kafka(topic) => {
                let control = topic.control();
                control.create_once();
                control.append(records.into_iter().map(first_lane));
            }
        }
    }
}

/// The same for the only partition of the topic of control records.
fn first_lane(record: NewRecord) -> RawRecord {
    RawRecord { lane: Some(0), ..record.into() }
}

/// As the node that follows it opens it.
pub fn open_embedded(dir: &Path) -> EventLog {
    let options = EmbeddedOptions {
        path: dir.to_owned(),
        topic: TOPIC.to_owned(),
        partitions: LANES,
        segment_bytes_max: 64 << 10,
        retention_bytes: None,
        retention_age: None,
    };
    EventLog::Embedded(Arc::new(EmbeddedLog::open(options).expect("the embedded log opens")))
}

#[track_caller]
fn append_embedded(dir: &Path, records: impl Iterator<Item = RawRecord>) {
    let log = open_embedded(dir);
    let records: Vec<NewRecord> = records.map(embedded_record).collect();
    for records in records.chunks(64) {
        log.append_blocking(records.to_vec()).expect("an append");
    }
    log.flush().expect("all appends");
    log.shutdown().expect("the log's end");
}

/// The embedded log has no records without a key: an empty one stands for it.
fn embedded_record(record: RawRecord) -> NewRecord {
    let lane = record.lane.map(contactd::domain::position::Lane);
    let RawRecord { key, value, headers, timestamp_ms, .. } = record;
    NewRecord { key: key.unwrap_or_default(), value, headers, timestamp_ms, lane }
}

impl KafkaTopic {
    /// A topic name that no other test uses, not created.
    pub fn unused(brokers: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let topic =
            format!("contactd-it-{}-{number}-{:08x}", std::process::id(), fastrand::u32(..));
        Self { brokers: brokers.to_owned(), topic }
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).create().expect("an admin client")
    }

    /// Creates it with these settings.
    #[track_caller]
    pub fn create(&self, settings: &[(&str, &str)]) {
        // The loads are dated in the past: by default a broker would soon drop them.
        let topic = NewTopic::new(&self.topic, i32::from(LANES), TopicReplication::Fixed(1));
        let mut topic = topic.set("retention.ms", "-1");
        for (name, value) in settings {
            topic = topic.set(name, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let created = block_on(self.admin().create_topics([&topic], &options));
        for result in created.expect("topics can be created") {
            result.expect("the topic is created");
        }
    }

    /// Changes a setting; others but the retention go back to what the broker has.
    #[track_caller]
    pub fn set(&self, name: &str, value: &str) {
        let change = AlterConfig::new(ResourceSpecifier::Topic(&self.topic));
        let change = change.set("retention.ms", "-1").set(name, value);
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let changed = block_on(self.admin().alter_configs([&change], &options));
        for result in changed.expect("settings can be changed") {
            result.expect("the setting is changed");
        }
    }

    /// Where its instances' control records are.
    #[must_use]
    pub fn control(&self) -> Self {
        Self { brokers: self.brokers.clone(), topic: format!("{}.control", self.topic) }
    }

    /// Creates it with one partition, unless it is there.
    #[track_caller]
    fn create_once(&self) {
        let topic = NewTopic::new(&self.topic, 1, TopicReplication::Fixed(1));
        let topic = topic.set("retention.ms", "-1");
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        block_on(self.admin().create_topics([&topic], &options)).expect("topics can be created");
    }

    /// Creates it with one partition and these settings.
    #[track_caller]
    pub fn create_single(&self, settings: &[(&str, &str)]) {
        let topic = NewTopic::new(&self.topic, 1, TopicReplication::Fixed(1));
        let topic = topic.set("retention.ms", "-1");
        let topic = settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value));
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let created = block_on(self.admin().create_topics([&topic], &options));
        for result in created.expect("topics can be created") {
            result.expect("the topic is created");
        }
    }

    /// Lets the reader of the services' read it and its control topic, and nothing else; false: that can't
    /// be had here.
    #[must_use]
    pub fn make_readable(&self, test: &str) -> bool {
        let Some(services) = service("CONTACTD_TEST_SERVICES", test) else { return false };
        let Some(jars) = service("CONTACTD_TEST_KAFKA_JARS", test) else { return false };
        let up = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/up");
        let mut command = std::process::Command::new(up);
        command.args([services.as_str(), "readable", &self.topic]);
        let port = self.brokers.rsplit(':').next().expect("an address with a port");
        command.env("CONTACTD_TEST_KAFKA_PORT", port).env("CONTACTD_TEST_JARS", jars);
        assert!(command.status().expect("it runs").success(), "the access list is not made");
        true
    }

    /// The first offset of its first partition that is kept, and the next one to be written.
    #[track_caller]
    pub fn watermarks(&self) -> (i64, i64) {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .create()
            .expect("a consumer");
        consumer.fetch_watermarks(&self.topic, 0, PATIENCE).expect("watermarks")
    }

    /// Deletes it.
    #[track_caller]
    pub fn delete(&self) {
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let deleted = block_on(self.admin().delete_topics(&[&self.topic], &options));
        for result in deleted.expect("topics can be deleted") {
            result.expect("the topic is deleted");
        }
    }

    /// Gives it more partitions.
    #[track_caller]
    pub fn grow(&self, partitions: usize) {
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let more = NewPartitions::new(&self.topic, partitions);
        let grown = block_on(self.admin().create_partitions([&more], &options));
        for result in grown.expect("partitions can be added") {
            result.expect("partitions are added");
        }
    }

    /// Removes the records of a lane below an offset; -1: all.
    #[track_caller]
    pub fn delete_records(&self, before: &BTreeMap<u16, i64>) {
        let mut offsets = rdkafka::TopicPartitionList::new();
        for (lane, offset) in before {
            let offset = rdkafka::Offset::from_raw(*offset);
            offsets.add_partition_offset(&self.topic, i32::from(*lane), offset).expect("an offset");
        }
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        block_on(self.admin().delete_records(&offsets, &options)).expect("records are deleted");
    }

    /// The node, following this topic.
    #[must_use]
    pub fn followed_by(&self, node: Node) -> Node {
        // Their follower writes its place down as time goes by.
        node.with("subscriptions.max", "0")
            .with("log.kind", "kafka")
            .with("kafka.brokers", &self.brokers)
            .with("kafka.topic", &self.topic)
            .with("kafka.control_topic", format!("{}.control", self.topic))
            .with("kafka.client_id", &self.topic)
            .with("kafka.partitioner", "murmur2")
    }

    /// The topic of its dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> Self {
        Self { brokers: self.brokers.clone(), topic: format!("{}.dlq", self.topic) }
    }

    /// The offset behind the last record of each partition that it has now.
    #[track_caller]
    pub fn ends(&self) -> Vec<i64> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .create()
            .expect("a consumer");
        let metadata = consumer.fetch_metadata(Some(&self.topic), PATIENCE).expect("metadata");
        let partitions = metadata.topics()[0].partitions().iter().map(|partition| partition.id());
        let end = |partition| consumer.fetch_watermarks(&self.topic, partition, PATIENCE);
        partitions.map(|partition| end(partition).expect("watermarks").1).collect()
    }

    /// The first so many records, in whatever order the partitions come, as another program reads
    /// them. More than these fail it.
    #[track_caller]
    pub fn read(&self, count: usize) -> Vec<RawRecord> {
        let found = self.read_at_least(count);
        assert_eq!(found.len(), count, "{}", self.topic);
        found
    }

    /// All records, once there are so many: what waits in an outbox may be appended twice.
    #[track_caller]
    pub fn read_at_least(&self, count: usize) -> Vec<RawRecord> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", "reads-back")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .create()
            .expect("a consumer");
        let (mut found, end) = (Vec::new(), Instant::now() + PATIENCE);
        loop {
            found.clear();
            let metadata = consumer.fetch_metadata(Some(&self.topic), PATIENCE).expect("metadata");
            let partitions = metadata.topics()[0].partitions().len();
            let mut from = rdkafka::TopicPartitionList::new();
            for partition in 0..partitions {
                let partition = i32::try_from(partition).expect("a partition");
                from.add_partition_offset(&self.topic, partition, rdkafka::Offset::Beginning)
                    .expect("an offset");
            }
            consumer.assign(&from).expect("an assignment");
            let mut ends = 0;
            while partitions > 0 && ends < partitions {
                match consumer.poll(PATIENCE).expect("an answer") {
                    Ok(message) => found.push(RawRecord::of(&message.detach())),
                    Err(KafkaError::PartitionEOF(_)) => ends += 1,
                    Err(error) => panic!("{}: {error}", self.topic),
                }
            }
            if found.len() >= count {
                return found;
            }
            assert!(Instant::now() < end, "{} of {count} records in {}", found.len(), self.topic);
        }
    }

    /// Appends, and returns when the broker has it all.
    #[track_caller]
    pub fn append(&self, records: impl Iterator<Item = RawRecord>) {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.max.bytes", "8000000")
            .create()
            .expect("a producer");
        for record in records {
            let mut headers = OwnedHeaders::new();
            for (key, value) in &record.headers {
                headers = headers.insert(Header { key, value: value.as_ref() });
            }
            let mut message = BaseRecord::<[u8], [u8]>::to(&self.topic)
                .partition(i32::from(record.lane()))
                .timestamp(record.timestamp_ms)
                .headers(headers);
            message.key = record.key.as_deref();
            message.payload = record.value.as_deref();
            producer.send(message).map_err(|(error, _)| error).expect("the queue takes a record");
        }
        producer.flush(PATIENCE).expect("the broker takes all records");
    }
}

/// Waits for one future on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

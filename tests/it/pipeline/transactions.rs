//! Producers that write in transactions, on the contact log and on inputs of the bridge: what is
//! aborted is nothing, markers are no records, and what stands behind an open one waits and says so.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::{event, node};
use crate::support::instance::{Instance, until};
use crate::support::logs::{KafkaTopic, LANES, RawRecord, TestLog};
use crate::support::services::{KAFKA, service};
use crate::support::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(90);
/// How long the broker lets a transaction stay open that its producer left.
const TRANSACTION: &str = "120000";

/// A producer with a transaction open.
struct Transaction(BaseProducer);

impl Transaction {
    fn begin(topic: &KafkaTopic) -> Self {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &topic.brokers)
            .set("transactional.id", format!("{}-{:08x}", topic.topic, fastrand::u32(..)))
            .set("transaction.timeout.ms", TRANSACTION)
            .create()
            .expect("a producer");
        producer.init_transactions(PATIENCE).expect("transactions");
        producer.begin_transaction().expect("a transaction");
        Self(producer)
    }

    /// Its records are on the log, and can't be read yet.
    fn write(
        self,
        topic: &KafkaTopic,
        lane: u16,
        records: impl Iterator<Item = RawRecord>,
    ) -> Self {
        for record in records {
            let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
            let record = BaseRecord::<[u8], [u8]>::to(&topic.topic)
                .partition(i32::from(lane))
                .key(&key)
                .payload(&value);
            self.0.send(record).map_err(|(error, _)| error).expect("room");
        }
        self.0.flush(PATIENCE).expect("acknowledgements");
        self
    }

    fn commit(self) {
        self.0.commit_transaction(PATIENCE).expect("a commit");
    }

    fn abort(self) {
        self.0.abort_transaction(PATIENCE).expect("an abort");
    }
}

fn events(prefix: &str, count: u64) -> impl Iterator<Item = RawRecord> {
    let of = move |number| event("updated", prefix, number, r#""firstName":"x""#).into();
    (1..=count).map(of)
}

#[test]
fn markers_leave_no_lag_of_inputs_and_a_new_topic_of_a_pattern_is_no_trouble() {
    const TEST: &str = "markers_leave_no_lag_of_inputs_and_a_new_topic_of_a_pattern_is_no_trouble";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let first = KafkaTopic::unused(&brokers);
    let late = KafkaTopic { topic: format!("{}-late", first.topic), brokers: brokers.clone() };
    first.create(&[]);
    let group = format!("group-{}", first.topic);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let starting = Instance::builder()
        .with("kafka.brokers", &brokers)
        .with("bridge.topics", format!("^{}.*", first.topic))
        .with("bridge.group", &group)
        .start();
    let instance = runtime.block_on(starting);
    let bridged = |topic: &KafkaTopic| {
        let name = &topic.topic;
        let labels = format!("{{outcome=\"event\",topic=\"{name}\"}}");
        let read = instance.figure(&format!("contactd_bridge_records_total{labels}"));
        let lag = instance.figure(&format!("contactd_bridge_lag_records{{topic=\"{name}\"}}"));
        (read, lag)
    };
    let (all, none) = (Some("6".to_owned()), Some("0".to_owned()));
    // A marker behind what was read, and a partition that holds nothing else.
    Transaction::begin(&first).write(&first, 0, events("first", 6)).commit();
    Transaction::begin(&first).write(&first, 1, events("aborted", 3)).abort();
    wait_until(PATIENCE, "nothing is behind", || bridged(&first) == (all.clone(), none.clone()));
    wait_until(PATIENCE, "it is up", || instance.figure("contactd_bridge_up") == none_but("1"));

    late.create(&[]);
    Transaction::begin(&late).write(&late, 0, events("late", 6)).commit();
    wait_until(PATIENCE, "the new topic is bridged", || {
        assert_eq!(instance.figure("contactd_bridge_up"), none_but("1"));
        bridged(&late) == (all.clone(), none.clone())
    });
    // Its lag is known: an open transaction is part of it.
    let open = Transaction::begin(&late).write(&late, 0, events("open", 5));
    let behind = |lag: &str| bridged(&late).1 == Some(lag.to_owned());
    wait_until(PATIENCE, "what the transaction holds back is behind", || behind("5"));
    open.abort();
    wait_until(PATIENCE, "nothing is behind", || behind("0"));
    runtime.block_on(instance.stop());
}

fn none_but(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[test]
fn an_instance_without_inputs_says_nothing_of_the_bridge_being_up() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let instance = runtime.block_on(Instance::start());
    assert_eq!(instance.figure("contactd_bridge_up"), None);
    runtime.block_on(instance.stop());
}

#[test]
fn an_open_transaction_in_front_is_named_and_holds_nothing_up_once_it_is_over() {
    const TEST: &str = "an_open_transaction_in_front_is_named_and_holds_nothing_up_once_it_is_over";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let log = TestLog::kafka(&brokers);
    let TestLog::Kafka(topic) = &log else { unreachable!("it is Kafka") };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let instance = runtime.block_on(Instance::builder().following(topic).start());
    let lag = || -> u64 {
        let of = |lane: u16| {
            let labels = format!("{{partition=\"{lane}\",topic=\"{}\"}}", topic.topic);
            instance.figure(&format!("contactd_consumer_lag_records{labels}"))
        };
        (0..LANES).filter_map(of).map(|lag| lag.parse::<u64>().expect("a number")).sum()
    };
    // Its lines can be read.
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut told = node(directory.path(), &log).with("telemetry.log", "info").start("");
    told.wait_until_it_says(PATIENCE, "listening");
    // Behind the partition's marker.
    let lane = 2;
    let open = Transaction::begin(topic).write(topic, lane, events("open", 1));
    let behind = events("behind", 100).map(|record| RawRecord { lane: Some(lane), ..record });
    topic.append(behind);
    let note = async || {
        let answer = instance.client().get("/readyz?verbose").await;
        answer.expect(200).json()["parts"]["transactions"]["note"].as_str().map(str::to_owned)
    };
    // Ready all the while: nobody else would do better, reads are answered, and what comes is kept.
    let named = runtime.block_on(until("the transaction is named", note));
    for words in [&format!("partition {lane} of {}", topic.topic), "open transaction at offset 1"] {
        assert!(named.contains(words), "no {words:?} in {named}");
    }
    wait_until(PATIENCE, "all behind it is lag", || lag() == 101);
    told.wait_until_it_says(PATIENCE, "open transaction holds back what stands behind it");
    let began = Instant::now();
    open.commit();
    wait_until(PATIENCE, "nothing is behind", || lag() == 0);
    let received = async || instance.client().get("/api/stats").await.json();
    runtime.block_on(until("all is applied", async || {
        (received().await["events"]["received"] == 101).then_some(())
    }));
    runtime.block_on(until("nothing is noted any more", async || {
        note().await.is_none().then_some(())
    }));
    assert!(began.elapsed() < PATIENCE, "it took as long as the transaction's own end");
    told.wait_until_it_says(PATIENCE, "the transaction has ended, records come again");
    let lines = told.stop().stderr;
    let lines: Vec<&str> = lines.lines().filter(|line| line.contains("holds back")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for field in [&format!("partition={lane}"), "offset=1", &format!("topic=\"{}\"", topic.topic)] {
        assert!(lines[0].contains(field), "no {field} in {lines:?}");
    }
    runtime.block_on(instance.stop());
}

#[test]
fn a_log_is_founded_once_though_a_transaction_hides_what_was_proposed() {
    const TEST: &str = "a_log_is_founded_once_though_a_transaction_hides_what_was_proposed";
    let Some(brokers) = service(KAFKA, TEST) else { return };
    let log = TestLog::kafka(&brokers);
    let TestLog::Kafka(topic) = &log else { unreachable!("it is Kafka") };
    let open = Transaction::begin(topic).write(topic, 0, events("open", 1));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let instance = Instance::builder().following(topic).begin(directory);
    let retried =
        || instance.figure(r#"contactd_retries_total{reason="log_unavailable"}"#).unwrap();
    wait_until(PATIENCE, "it has tried some times", || retried().parse::<u64>().unwrap() >= 4);
    let ready = runtime.block_on(instance.client().get("/readyz"));
    let text = String::from_utf8_lossy(&ready.body).into_owned();
    assert!(text.contains("an open transaction stands before"), "{text}");
    open.commit();
    runtime.block_on(instance.until_ready());
    assert_eq!(topic.ends()[0], 3, "the transaction's record, one marker, the transaction's end");
    runtime.block_on(instance.stop());
}

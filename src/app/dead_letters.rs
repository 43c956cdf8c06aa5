//! Dead letters: where they are asked about and redriven.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::auth::{Auth, Role};
use crate::config::{Config, KafkaConfig, PartitionerChoice};
use crate::effects::dead_letters::{LetterDesk, LetterOptions, Publisher, Topics};
use crate::event_log::EventLog;
use crate::event_log::kafka::KafkaLog;
use crate::ingest::{BridgeAgain, Control, Lease};
use crate::telemetry::{DeadLetterGauges, Metrics};

/// What the desk is made with, once the store is open.
#[derive(Clone)]
pub(super) struct Letters {
    options: LetterOptions,
    /// Who may still redrive what was ordered.
    auth: Arc<Auth>,
    bridge: BridgeAgain,
    desk: Arc<watch::Sender<Option<Arc<LetterDesk>>>>,
}

impl Letters {
    pub(super) fn new(config: &Config, auth: Arc<Auth>, bridge: BridgeAgain) -> Self {
        Self {
            options: LetterOptions {
                topics: topics(config),
                hops_max: config.dead_letters.redrive_hops_max,
                age_max: config.store.dead_letters_age,
                redrives_per_second_max: config.dead_letters.redrives_per_second_max,
            },
            auth,
            bridge,
            desk: Arc::default(),
        }
    }

    /// The store is open: the desk, which [`Letters::run`] has from now on.
    pub(super) fn open(
        &self,
        log: EventLog,
        control: Arc<Control>,
        lease: Arc<Lease>,
        metrics: &Arc<Metrics>,
    ) -> Arc<LetterDesk> {
        let options = self.options.clone();
        let auth = Arc::clone(&self.auth);
        let may_still_order = Box::new(move |principal: &str| {
            [Role::Admin, Role::Operator].into_iter().any(|role| auth.has_role(principal, role))
        });
        let metrics_of_desk = Arc::clone(metrics);
        let desk = LetterDesk::new(log, control, lease, options, may_still_order, metrics_of_desk);
        let desk = Arc::new(desk.with_bridge(self.bridge.clone()));
        // The desk has the metrics.
        let scraped = Arc::downgrade(&desk);
        metrics.on_scrape(move |metrics| {
            let Some(desk) = scraped.upgrade() else {
                return;
            };
            let figures = desk.figures();
            metrics.dead_letters.set(&DeadLetterGauges {
                kept: figures.by_reason,
                bytes: figures.bytes,
                oldest_age_seconds: figures.oldest_ms.map_or(0.0, age_seconds),
            });
        });
        self.desk.send_replace(Some(Arc::clone(&desk)));
        desk
    }

    /// Redrives, from the store's opening until told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut opened = self.desk.subscribe();
        let desk = stop.run_until_cancelled(async {
            let desk = opened.wait_for(Option::is_some).await;
            desk.ok().and_then(|desk| desk.clone())
        });
        if let Some(Some(desk)) = desk.await {
            desk.run(stop).await;
        } else {
            stop.cancelled().await;
        }
    }
}

/// Where dead letters come from.
pub(super) fn topics(config: &Config) -> Topics {
    Topics { contacts: config.kafka.topic.clone(), control: config.kafka.control_topic.clone() }
}

/// What publishes them, where they are published.
pub(super) fn publisher(
    config: &Config,
    log: &EventLog,
    metrics: &Arc<Metrics>,
) -> Option<Publisher> {
    let topic = dead_letter_topic(config)?;
    let opened = KafkaLog::open(&topic).inspect_err(|error| {
        tracing::error!(topic = topic.topic, %error, "dead letters are not published");
    });
    let (log, metrics) = (log.clone(), Arc::clone(metrics));
    Some(Publisher::new(opened.ok()?, log, topics(config), metrics))
}

/// How the topic of dead letters is reached; none: they are not published.
pub(super) fn dead_letter_topic(config: &Config) -> Option<KafkaConfig> {
    let topic = config.dead_letters.topic.clone().filter(|_| config.follows_kafka())?;
    Some(topic_as_log(config, topic))
}

/// Another topic at the same brokers.
pub fn topic_as_log(config: &Config, topic: String) -> KafkaConfig {
    // Its keys are spread by whoever filled it: there is nothing to learn from them.
    KafkaConfig { topic, partitioner: PartitionerChoice::Murmur2, ..config.kafka.clone() }
}

/// How long ago that was.
pub(super) fn age_seconds(record_time_ms: i64) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (now.as_secs_f64() - record_time_ms as f64 / 1e3).max(0.0)
}

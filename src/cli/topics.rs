//! `topics ensure`: the Kafka topics as contactd needs them. `topics adopt-control`: the control topic
//! filled from a store. `topics found`: how the log was founded, written again.

use std::sync::Arc;

use crate::app::{self, FoundingError, published_topics, topic_as_log};
use crate::config::units::format_duration;
use crate::config::{Config, Mode};
use crate::domain::partitioner::Partitioner;
use crate::event_log::kafka::{KafkaLog, TopicEnsured, TopicPlan};
use crate::event_log::{EventLog, Retention};
use crate::ingest::adopt_control;

use super::arguments::TopicsCommand;
use super::exit::Failure;
use super::offline::open_store;
use super::output::tell;
use super::settings::SettingsArgs;

pub(super) fn run(settings: &SettingsArgs, command: &TopicsCommand) -> anyhow::Result<()> {
    let config = settings.load(Mode::Serve, Vec::new())?;
    let is_ensured = matches!(command, TopicsCommand::Ensure { .. });
    let has_published = is_ensured && published_topics(&config).next().is_some();
    if !config.follows_kafka() && !has_published {
        let text = "no brokers are configured (KAFKA_BROKERS), and the embedded log has no topics";
        return Err(Failure::Usage(text.to_owned()).into());
    }
    match command {
        TopicsCommand::Ensure { partitions, replication, yes } => {
            ensure(&config, *partitions, *replication, *yes)
        }
        TopicsCommand::AdoptControl { replication, yes } => adopt(&config, *replication, *yes),
        TopicsCommand::Found { partitioner, lanes } => found(&config, partitioner, *lanes),
    }
}

fn found(config: &Config, partitioner: &str, lanes: u16) -> anyhow::Result<()> {
    let known = Partitioner::ALL.into_iter().find(|known| known.as_str() == partitioner);
    let Some(partitioner) = known else {
        let text = format!("there is no partitioner {partitioner}: murmur2, crc32 or fnv1a");
        return Err(Failure::Usage(text).into());
    };
    match app::found_again(&config.kafka, partitioner, lanes) {
        Ok(founding) => tell(format_args!("topic {} is founded: {founding}", config.kafka.topic)),
        Err(
            error @ (FoundingError::Stands { .. }
            | FoundingError::TooFew { .. }
            | FoundingError::Unreadable { .. }),
        ) => {
            return Err(Failure::Data(error.to_string()).into());
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn adopt(config: &Config, replication: Option<u16>, yes: bool) -> anyhow::Result<()> {
    let topic = &config.kafka.control_topic;
    let opened = open_store(config)?;
    let (entries, _) = opened.reader.stats()?.control_entries;
    if !yes {
        let text = format!(
            "this writes {entries} control entries of the store in {} to the topic {topic}, and what \
             other instances know besides them is forgotten; say --yes to do it",
            config.store.path.display()
        );
        return Err(Failure::Usage(text).into());
    }
    let log = KafkaLog::open(&config.kafka)?;
    let plan = TopicPlan::control(replication);
    tell_ensured(topic, plan, log.ensure_control_topic(plan)?);
    let log = EventLog::Kafka(Arc::new(log));
    log.identity()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let adopted = runtime.block_on(adopt_control(&log, &opened.reader))?;
    log.shutdown()?;
    opened.writer.close()?;
    tell(format_args!("{adopted} control entries written to {topic}; start the instances again"));
    Ok(())
}

fn ensure(
    config: &Config,
    partitions: u16,
    replication: Option<u16>,
    yes: bool,
) -> anyhow::Result<()> {
    let plan = |plan| TopicPlan { mends_policy: yes, ..plan };
    if config.follows_kafka() {
        let log = KafkaLog::open(&config.kafka)?;
        let contacts = plan(TopicPlan::contacts(partitions, replication));
        // One that was just made keeps everything.
        if !ensure_one(&log, &config.kafka.topic, contacts)?.created {
            tell_retention(log.retention()?);
        }
        let control = plan(TopicPlan::control(replication));
        let ensured = log.ensure_control_topic(control)?;
        tell_ensured(&config.kafka.control_topic, control, ensured);
        if let Some(topic) = &config.dead_letters.topic {
            let log = KafkaLog::open(&topic_as_log(config, topic.clone()))?;
            ensure_one(&log, topic, plan(TopicPlan::copies(partitions, replication)))?;
        }
    }
    for (topic, purpose) in published_topics(config) {
        let log = KafkaLog::open_for(&topic_as_log(config, topic.to_owned()), purpose)?;
        ensure_one(&log, topic, plan(purpose.plan(partitions, replication)))?;
    }
    Ok(())
}

fn ensure_one(log: &KafkaLog, topic: &str, plan: TopicPlan) -> anyhow::Result<TopicEnsured> {
    let ensured = log.ensure_topic(plan)?;
    tell_ensured(topic, plan, ensured);
    tell_kept(log, plan.partitions, ensured)?;
    Ok(ensured)
}

fn tell_ensured(topic: &str, plan: TopicPlan, ensured: TopicEnsured) {
    let (partitions, policy) = (plan.partitions, plan.cleanup_policy());
    match (ensured.created, ensured.policy_mended) {
        (true, _) => tell(format_args!("topic {topic} made, partitions: {partitions}")),
        (false, true) => tell(format_args!("topic {topic}: cleanup.policy set to {policy}")),
        (false, false) => {
            tell(format_args!("topic {topic} is there, with the right cleanup.policy"))
        }
    }
}

/// Nobody's disk is filled without being asked: what it should be is only said.
fn tell_retention(Retention { age, is_by_bytes }: Retention) {
    let limit = match (age, is_by_bytes) {
        (None, false) => return,
        (Some(age), false) => format!("for {}", format_duration(age)),
        (None, true) => "up to its retention.bytes".to_owned(),
        (Some(age), true) => format!("for {} and up to its retention.bytes", format_duration(age)),
    };
    tell(format_args!(
        "  it keeps records {limit} only, and an instance that starts later lacks what is gone; to keep \
         all of them set its retention.ms and retention.bytes to -1"
    ));
}

/// A topic that is there keeps its partitions, whatever was asked for.
fn tell_kept(log: &KafkaLog, asked: u16, ensured: TopicEnsured) -> anyhow::Result<()> {
    if !ensured.created && log.lanes()? != asked {
        tell(format_args!("  it keeps its {} partitions; {asked} were asked for", log.lanes()?));
    }
    Ok(())
}

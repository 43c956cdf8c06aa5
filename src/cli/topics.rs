//! `topics ensure`: the Kafka topic as contactd needs it.

use crate::app::topic_as_log;
use crate::config::Mode;
use crate::event_log::kafka::{KafkaLog, TopicEnsured, TopicPlan};

use super::arguments::TopicsCommand;
use super::exit::Failure;
use super::settings::SettingsArgs;

pub(super) fn run(settings: &SettingsArgs, command: &TopicsCommand) -> anyhow::Result<()> {
    let TopicsCommand::Ensure { partitions, replication } = *command;
    let config = settings.load(Mode::Serve, Vec::new())?;
    if !config.follows_kafka() {
        let text = "no brokers are configured (KAFKA_BROKERS), and the embedded log has no topics";
        return Err(Failure::Usage(text.to_owned()).into());
    }
    let log = KafkaLog::open(&config.kafka)?;
    let ensured = log.ensure_topic(TopicPlan::contacts(partitions, replication))?;
    tell(&config.kafka.topic, partitions, ensured);
    let ensured = log.ensure_control_topic(replication)?;
    tell(&config.kafka.control_topic, 1, ensured);
    if let Some(topic) = &config.dead_letters.topic {
        let log = KafkaLog::open(&topic_as_log(&config, topic.clone()))?;
        let ensured = log.ensure_topic(TopicPlan::dead_letters(partitions, replication))?;
        tell(topic, partitions, ensured);
    }
    Ok(())
}

fn tell(topic: &str, partitions: u16, ensured: TopicEnsured) {
    match (ensured.created, ensured.policy_mended) {
        (true, _) => eprintln!("topic {topic} made, partitions: {partitions}"),
        (false, true) => eprintln!("topic {topic}: cleanup.policy set to delete"),
        (false, false) => eprintln!("topic {topic} is as it should be"),
    }
}

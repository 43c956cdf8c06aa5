//! What becomes of records that can't be applied.

use super::fields::Fields;
use super::sections::{DeadLettersConfig, KafkaConfig};

/// Kafka takes no longer name.
const TOPIC_BYTES_MAX: usize = 249;

pub(super) fn dead_letters(fields: &mut Fields<'_>, kafka: &KafkaConfig) -> DeadLettersConfig {
    let given = fields.optional("dead_letters.topic");
    let topic = match &given {
        None => Some(format!("{}.dlq", kafka.topic)),
        Some(off) if off == "off" => None,
        Some(topic) => Some(topic.clone()),
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if let Some(topic) = &topic {
        // What is wrong with the contacts' topic is told there.
        let is_own = given.is_some() || kafka.topic.len() <= TOPIC_BYTES_MAX;
        let is_legal = given.is_none() || topic.chars().all(legal);
        if is_own && (topic.len() > TOPIC_BYTES_MAX || !is_legal) {
            let problem = format!(
                "is \"{topic}\", and must be \"off\" or at most {TOPIC_BYTES_MAX} letters, digits, \
                 dots, underscores and hyphens"
            );
            fields.refuse("dead_letters.topic", problem);
        }
        if *topic == kafka.topic || *topic == kafka.control_topic {
            let problem = "is a topic that is followed, so that they would come back for ever";
            fields.refuse("dead_letters.topic", problem);
        }
    }
    let hops_max = fields.number("dead_letters.redrive_hops_max", 1..=100);
    let per_second = fields.number("dead_letters.redrives_per_second_max", 1..=1_000_000);
    DeadLettersConfig {
        topic,
        redrive_hops_max: u8::try_from(hops_max).unwrap_or(u8::MAX),
        redrives_per_second_max: u32::try_from(per_second).unwrap_or(u32::MAX),
    }
}

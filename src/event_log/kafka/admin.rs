//! The topic itself: its settings read, made, and mended.

use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config::KafkaConfig;

use super::context::is_refusal;
use super::produce::block_on;
use super::{LogError, settings};

/// How long a request may take.
const REQUEST_WAIT: Duration = Duration::from_secs(5);
/// The topic setting that decides whether old records of a key may be dropped.
const CLEANUP_POLICY: &str = "cleanup.policy";
const RETENTION: &str = "retention.ms";
const RETENTION_BYTES: &str = "retention.bytes";
const RECORD_BYTES_MAX: &str = "max.message.bytes";
/// 90 days: a session's longest life three times over.
const CONTROL_RETENTION_MS: u64 = 90 * 24 * 60 * 60 * 1000;

/// 30 days: time to look at what went wrong.
const DEAD_LETTERS_RETENTION_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// What a topic's settings say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TopicSettings {
    /// Not told by every broker, nor to everyone.
    pub(super) cleanup_policy: Option<String>,
    pub(super) record_bytes_max: Option<usize>,
    /// Below 0: for ever.
    pub(super) retention_ms: Option<i64>,
    /// Of a partition; below 0: however many.
    pub(super) retention_bytes: Option<i64>,
}

/// What `topics ensure` is to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicPlan {
    /// Partitions of a topic that is made; one that exists keeps its own.
    pub partitions: u16,
    /// Copies of each; `None`: the brokers' default.
    pub replication: Option<u16>,
    /// How long records are kept, in milliseconds; `None`: for ever.
    pub retention_ms: Option<u64>,
    /// Whether the broker's clock dates the records.
    pub is_dated_by_broker: bool,
    /// Whether compaction is taken off a topic that has it; else that is an error.
    pub ends_compaction: bool,
}

impl TopicPlan {
    /// The contact log: everything is kept unless someone decides otherwise.
    pub const fn contacts(partitions: u16, replication: Option<u16>) -> Self {
        Self {
            partitions,
            replication,
            retention_ms: None,
            is_dated_by_broker: false,
            ends_compaction: false,
        }
    }

    /// The topic of dead letters: they hold personal data, and so do not stay for ever.
    pub const fn dead_letters(partitions: u16, replication: Option<u16>) -> Self {
        let retention_ms = Some(DEAD_LETTERS_RETENTION_MS);
        Self {
            partitions,
            replication,
            retention_ms,
            is_dated_by_broker: false,
            ends_compaction: false,
        }
    }

    /// The control topic: one partition, entries are over long before their records are gone, and
    /// one clock for all instances says when.
    pub fn control(replication: Option<u16>) -> Self {
        let retention_ms = Some(CONTROL_RETENTION_MS);
        Self {
            partitions: 1,
            replication,
            retention_ms,
            is_dated_by_broker: true,
            ends_compaction: false,
        }
    }
}

/// What `topics ensure` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicEnsured {
    /// The topic did not exist.
    pub created: bool,
    /// It was compacted, and is no longer.
    pub policy_mended: bool,
}

pub(super) struct Admin {
    topic: String,
    client: AdminClient<DefaultClientContext>,
}

impl Admin {
    pub(super) fn new(config: &KafkaConfig, topic: &str) -> Result<Self, LogError> {
        let client =
            settings::admin(config).create().map_err(|error| settings::refused_settings(&error))?;
        Ok(Self { topic: topic.to_owned(), client })
    }

    /// Ends the client without waiting: its polling thread takes 100 ms to hear of it.
    pub(super) fn close(self) {
        let closing = std::thread::Builder::new().name("admin-close".to_owned());
        // Where there is no thread to be had it is dropped here, and waited for.
        drop(closing.spawn(move || drop(self)));
    }

    fn options() -> AdminOptions {
        AdminOptions::new()
            .request_timeout(Some(REQUEST_WAIT))
            .operation_timeout(Some(REQUEST_WAIT))
    }

    pub(super) fn settings(&self) -> Result<TopicSettings, LogError> {
        let found = self.describe()?;
        let value = |name: &str| {
            found.iter().find(|(found, _, _)| found == name).map(|(_, value, _)| value.clone())
        };
        Ok(TopicSettings {
            cleanup_policy: value(CLEANUP_POLICY),
            record_bytes_max: value(RECORD_BYTES_MAX).and_then(|bytes| bytes.parse().ok()),
            retention_ms: value(RETENTION).and_then(|ms| ms.parse().ok()),
            retention_bytes: value(RETENTION_BYTES).and_then(|bytes| bytes.parse().ok()),
        })
    }

    /// One setting's value.
    #[cfg(test)]
    pub(super) fn setting(&self, name: &str) -> Result<Option<String>, LogError> {
        let mut found = self.describe()?.into_iter();
        Ok(found.find(|(found, _, _)| found == name).map(|(_, value, _)| value))
    }

    /// Name, value, and whether it was set for this topic.
    fn describe(&self) -> Result<Vec<(String, String, bool)>, LogError> {
        let resource = ResourceSpecifier::Topic(&self.topic);
        let answer = block_on(self.client.describe_configs([&resource], &Self::options()));
        let results = answer.map_err(|error| self.failure(&error))?;
        let mut found = Vec::new();
        for result in results {
            let resource = result.map_err(|code| self.code_failure(code))?;
            for entry in resource.entries {
                let is_own = matches!(entry.source, ConfigSource::DynamicTopic);
                if let Some(value) = entry.value {
                    found.push((entry.name, value, is_own));
                }
            }
        }
        Ok(found)
    }

    /// Makes the topic where it is missing; takes compaction off it where the plan says so.
    pub(super) fn ensure(&self, plan: TopicPlan) -> Result<TopicEnsured, LogError> {
        let created = self.create(plan)?;
        let policy = self.settings()?.cleanup_policy.filter(|policy| is_compacted(policy));
        let policy_mended = policy.is_some();
        if let Some(policy) = policy {
            if !plan.ends_compaction {
                return Err(LogError::CompactedTopic { topic: self.topic.clone(), policy });
            }
            self.set_cleanup_delete()?;
        }
        Ok(TopicEnsured { created, policy_mended })
    }

    fn create(&self, plan: TopicPlan) -> Result<bool, LogError> {
        let replication = plan.replication.map_or(-1, i32::from);
        let retention = plan.retention_ms.map_or_else(|| "-1".to_owned(), |ms| ms.to_string());
        let clock = if plan.is_dated_by_broker { "LogAppendTime" } else { "CreateTime" };
        let topic = NewTopic::new(
            &self.topic,
            i32::from(plan.partitions),
            TopicReplication::Fixed(replication),
        )
        .set(CLEANUP_POLICY, "delete")
        .set(RETENTION, &retention)
        .set("message.timestamp.type", clock);
        let answer = block_on(self.client.create_topics([&topic], &Self::options()));
        for result in answer.map_err(|error| self.failure(&error))? {
            match result {
                Ok(_) => {}
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => return Ok(false),
                Err((_, code)) => return Err(self.code_failure(code)),
            }
        }
        Ok(true)
    }

    /// This request replaces all of the topic's own settings, so the others go along.
    fn set_cleanup_delete(&self) -> Result<(), LogError> {
        let found = self.describe()?;
        let mut change =
            AlterConfig::new(ResourceSpecifier::Topic(&self.topic)).set(CLEANUP_POLICY, "delete");
        for (name, value, is_own) in &found {
            if *is_own && name != CLEANUP_POLICY {
                change = change.set(name, value);
            }
        }
        let answer = block_on(self.client.alter_configs([&change], &Self::options()));
        for result in answer.map_err(|error| self.failure(&error))? {
            result.map_err(|(_, code)| self.code_failure(code))?;
        }
        Ok(())
    }

    fn failure(&self, error: &KafkaError) -> LogError {
        match error.rdkafka_error_code() {
            Some(code) => self.code_failure(code),
            None => self.unreachable(error.to_string()),
        }
    }

    fn code_failure(&self, code: RDKafkaErrorCode) -> LogError {
        let topic = self.topic.clone();
        match code {
            RDKafkaErrorCode::UnknownTopicOrPartition => LogError::MissingTopic { topic },
            RDKafkaErrorCode::InvalidPartitions
            | RDKafkaErrorCode::InvalidReplicationFactor
            | RDKafkaErrorCode::InvalidConfig
            | RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::InvalidTopic => {
                LogError::Configuration { detail: format!("topic {topic}: {code}") }
            }
            code if is_refusal(code) => LogError::Refused { topic, detail: code.to_string() },
            code => self.unreachable(code.to_string()),
        }
    }

    fn unreachable(&self, detail: String) -> LogError {
        LogError::Unreachable { topic: self.topic.clone(), detail }
    }
}

/// `compact`, or `compact,delete`.
pub(super) fn is_compacted(policy: &str) -> bool {
    policy.split(',').any(|part| part.trim() == "compact")
}

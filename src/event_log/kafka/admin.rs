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

/// 30 days: time to look at what went wrong, and to be told of what changed.
const COPIES_RETENTION_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// What a topic of states is made with: who reads it to its end within a week hears of every delete, and
/// what a contact was before is gone after a day.
const OF_STATES: [(&str, &str); 2] =
    [("delete.retention.ms", "604800000"), ("max.compaction.lag.ms", "86400000")];

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
    /// Whether only the newest record of each key is kept, for ever.
    pub is_compacted: bool,
    /// Whether the cleanup policy of a topic that has another one is set; else that is an error.
    pub mends_policy: bool,
}

impl TopicPlan {
    /// The contact log: everything is kept unless someone decides otherwise.
    pub const fn contacts(partitions: u16, replication: Option<u16>) -> Self {
        Self {
            partitions,
            replication,
            retention_ms: None,
            is_dated_by_broker: false,
            is_compacted: false,
            mends_policy: false,
        }
    }

    /// A topic of dead letters or of changes: they hold personal data, and so do not stay for ever.
    pub const fn copies(partitions: u16, replication: Option<u16>) -> Self {
        let retention_ms = Some(COPIES_RETENTION_MS);
        Self { retention_ms, ..Self::contacts(partitions, replication) }
    }

    /// The topic of contacts as they are.
    pub const fn states(partitions: u16, replication: Option<u16>) -> Self {
        Self { is_compacted: true, ..Self::contacts(partitions, replication) }
    }

    /// The control topic: one partition, entries are over long before their records are gone, and
    /// one clock for all instances says when.
    pub fn control(replication: Option<u16>) -> Self {
        let retention_ms = Some(CONTROL_RETENTION_MS);
        Self { retention_ms, is_dated_by_broker: true, ..Self::contacts(1, replication) }
    }

    /// What the topic must have.
    pub fn cleanup_policy(&self) -> &'static str {
        if self.is_compacted { "compact" } else { "delete" }
    }

    /// An error where the topic's own policy would lose what it is for.
    pub(super) fn check_policy(&self, topic: &str, policy: Option<String>) -> Result<(), LogError> {
        let topic = topic.to_owned();
        match policy {
            Some(policy) if self.is_compacted && policy.trim() != "compact" => {
                Err(LogError::NotCompacted { topic, policy })
            }
            Some(policy) if !self.is_compacted && is_compacted(&policy) => {
                Err(LogError::CompactedTopic { topic, policy })
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// What `topics ensure` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicEnsured {
    /// The topic did not exist.
    pub created: bool,
    /// It had another cleanup policy.
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

    /// Makes the topic where it is missing; sets its cleanup policy where the plan says so.
    pub(super) fn ensure(&self, plan: TopicPlan) -> Result<TopicEnsured, LogError> {
        let created = self.create(plan)?;
        let checked = plan.check_policy(&self.topic, self.settings()?.cleanup_policy);
        let policy_mended = checked.is_err();
        if !plan.mends_policy {
            checked?;
        } else if policy_mended {
            self.set_cleanup(plan.cleanup_policy())?;
        }
        Ok(TopicEnsured { created, policy_mended })
    }

    fn create(&self, plan: TopicPlan) -> Result<bool, LogError> {
        let replication = plan.replication.map_or(-1, i32::from);
        let retention = plan.retention_ms.map_or_else(|| "-1".to_owned(), |ms| ms.to_string());
        let clock = if plan.is_dated_by_broker { "LogAppendTime" } else { "CreateTime" };
        let mut topic = NewTopic::new(
            &self.topic,
            i32::from(plan.partitions),
            TopicReplication::Fixed(replication),
        )
        .set(CLEANUP_POLICY, plan.cleanup_policy())
        .set(RETENTION, &retention)
        .set("message.timestamp.type", clock);
        for (name, value) in OF_STATES.iter().filter(|_| plan.is_compacted) {
            topic = topic.set(name, value);
        }
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
    fn set_cleanup(&self, policy: &str) -> Result<(), LogError> {
        let found = self.describe()?;
        let mut change =
            AlterConfig::new(ResourceSpecifier::Topic(&self.topic)).set(CLEANUP_POLICY, policy);
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

//! What is looked at: the configuration, and what it names, each asked once.

use serde_json::Value;

use crate::cli::api::Api;
use crate::cli::instance::{Instance, InstanceArgs};
use crate::cli::status::{ANSWER_WAIT, Status, status};
use crate::config::{Config, ConfigError};
use crate::domain::position::LogIdentity;
use crate::event_log::LogError;
use crate::event_log::kafka::KafkaLog;

use super::finding::Finding;

/// The log, and what the brokers said of it.
type Asked = (KafkaLog, Result<LogIdentity, LogError>);

pub(super) struct Setup {
    pub(super) config: Config,
    pub(super) wrong: Vec<ConfigError>,
    pub(super) runtime: tokio::runtime::Runtime,
    instance_args: InstanceArgs,
    pub(super) replicas: Vec<String>,
    brokers: Option<Result<Asked, LogError>>,
    running: Option<Result<Running, String>>,
}

/// An instance that answers.
pub(super) struct Running {
    pub(super) api: Api,
    pub(super) status: Status,
}

impl Setup {
    pub(super) fn new(
        config: Config,
        wrong: Vec<ConfigError>,
        instance: &InstanceArgs,
        replicas: &[String],
    ) -> anyhow::Result<Self> {
        Ok(Self {
            config,
            wrong,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            instance_args: instance.clone(),
            replicas: replicas.to_vec(),
            brokers: None,
            running: None,
        })
    }

    /// The log and what the brokers say of it; a finding where there is no Kafka, or none to be had.
    pub(super) fn brokers(
        &mut self,
    ) -> Result<(&KafkaLog, &Result<LogIdentity, LogError>), Finding> {
        if !self.config.follows_kafka() {
            return Err(Finding::not_looked("the log is on this machine's disk"));
        }
        let kafka = &self.config.kafka;
        let asked = self.brokers.get_or_insert_with(|| {
            let log = KafkaLog::open(kafka)?;
            let identity = log.identity();
            Ok((log, identity))
        });
        match asked {
            Ok((log, identity)) => Ok((log, identity)),
            Err(error) => Err(Finding::fault(error.to_string())),
        }
    }

    /// The same of a topic that is there.
    pub(super) fn topic(&mut self) -> Result<&KafkaLog, Finding> {
        match self.brokers()? {
            (log, Ok(_)) => Ok(log),
            (_, Err(LogError::MissingTopic { .. })) => {
                Err(Finding::not_looked("there is no topic yet"))
            }
            (_, Err(_)) => Err(Finding::not_looked("the brokers don't tell of the topic")),
        }
    }

    /// The running instance; a finding where none answers.
    pub(super) fn running(&mut self) -> Result<&Running, Finding> {
        if self.running.is_none() {
            self.running = Some(self.look_for_instance(self.instance_args.url.as_deref()));
        }
        match &self.running {
            Some(Ok(running)) => Ok(running),
            Some(Err(why)) => Err(Finding::not_looked(why.clone())),
            None => Err(Finding::not_looked("no instance was asked")),
        }
    }

    /// The instance at another address, or the configured one.
    pub(super) fn look_for_instance(&self, url: Option<&str>) -> Result<Running, String> {
        let args = InstanceArgs { url: url.map(str::to_owned), ..self.instance_args.clone() };
        let found = || -> anyhow::Result<Running> {
            let instance = Instance::new(&self.config, &args, ANSWER_WAIT)?;
            let status = self.runtime.block_on(status(&instance))?;
            Ok(Running { api: Api::new(&self.config, &args)?, status })
        };
        found().map_err(|error| error.to_string())
    }
}

impl Running {
    /// What the instance answers, or that it does not tell.
    pub(super) fn get(&self, path: &str) -> Result<Value, Finding> {
        self.api.get(path).map_err(|error| Finding::not_looked(error.to_string()))
    }
}

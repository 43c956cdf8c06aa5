//! What goes out: the topics that changes and contacts are published to, and RabbitMQ.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::bridge::{BridgeConfig, is_topic};
use super::fields::{Fields, YES_OR_NO, millis};
use super::secret::Secret;
use super::sections::{DeadLettersConfig, KafkaConfig, LogChoice, LogConfig};

/// An exchange's name is a short string of AMQP.
const EXCHANGE_BYTES_MAX: usize = 255;

/// Topics for others to follow.
#[derive(Clone, Debug, Default)]
pub struct PublishConfig {
    /// Of contacts as they are; none: they are not published.
    pub state: Option<String>,
    /// Of changes; none: they are not published.
    pub changes: Option<String>,
}

/// Where changes are notified of.
#[derive(Clone, Debug)]
pub struct RabbitmqConfig {
    /// With user and password.
    pub url: Secret,
    /// The topic exchange that changes go to.
    pub exchange: String,
    /// Whether the exchange is made where it is missing; else it must be there.
    pub declare: bool,
    /// The certificate authorities that it is trusted by beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Our certificate and its key, for servers that ask for one.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// How long connecting may take, and a confirm.
    pub timeout: Duration,
}

/// What must not be published to.
pub(super) struct Inputs<'a> {
    pub(super) log: &'a LogConfig,
    pub(super) kafka: &'a KafkaConfig,
    pub(super) dead_letters: &'a DeadLettersConfig,
    pub(super) bridge: &'a BridgeConfig,
}

impl Inputs<'_> {
    /// Why nothing may be published to a topic, if so.
    fn why_not(&self, topic: &str) -> Option<String> {
        let Self { log, kafka, dead_letters, bridge } = self;
        // With an embedded log the topic of that name is another one.
        let is_followed = log.kind != LogChoice::Embedded && topic == kafka.topic;
        let what = if is_followed {
            "the topic of contacts (kafka.topic)"
        } else if topic == kafka.control_topic {
            "the topic of control records (kafka.control_topic)"
        } else if dead_letters.topic.as_deref() == Some(topic) || bridge.is_own(topic) {
            "a topic of dead letters"
        } else if bridge.input(topic).is_some() {
            "an input (bridge.topics), so that what is published would come back for ever"
        } else {
            return None;
        };
        Some(format!("is \"{topic}\", which is {what}: name a topic of its own"))
    }
}

pub(super) fn publish(fields: &mut Fields<'_>, inputs: &Inputs<'_>) -> PublishConfig {
    let mut topic = |key: &str| {
        let topic = fields.optional(key)?;
        if !is_topic(&topic) {
            let problem = format!(
                "is \"{topic}\", and must be 1 to 249 letters, digits, dots, underscores or hyphens"
            );
            fields.refuse(key, problem);
        } else if let Some(problem) = inputs.why_not(&topic) {
            fields.refuse(key, problem);
        }
        Some(topic)
    };
    let config = PublishConfig { state: topic("publish.state"), changes: topic("publish.changes") };
    if config.state.is_some() && config.state == config.changes {
        let problem = "is publish.state as well, and a compacted topic would forget changes";
        fields.refuse("publish.changes", problem);
    }
    config
}

/// None: nothing is told to RabbitMQ.
pub(super) fn rabbitmq(fields: &mut Fields<'_>) -> Option<RabbitmqConfig> {
    let url = fields.secret("rabbitmq.url");
    let exchange = fields.text("rabbitmq.exchange");
    if exchange.is_empty() || exchange.len() > EXCHANGE_BYTES_MAX {
        let problem = format!("must have 1 to {EXCHANGE_BYTES_MAX} bytes");
        fields.refuse("rabbitmq.exchange", problem);
    }
    let declare = fields.choice("rabbitmq.declare", true, &YES_OR_NO);
    let ca_file = fields.optional_path("rabbitmq.ca_file");
    let certificate = certificate(fields);
    let timeout = fields.duration("rabbitmq.timeout", millis(100, 60_000));
    let url = url?;
    // Nothing of it is shown: it holds a password.
    match Url::parse(url.expose()) {
        Ok(parsed) if !matches!(parsed.scheme(), "amqp" | "amqps") || parsed.host().is_none() => {
            let problem = "must be like \"amqps://user:password@host:5671/vhost\"";
            fields.refuse("rabbitmq.url", problem);
        }
        Ok(parsed) if parsed.scheme() == "amqp" && (ca_file.is_some() || certificate.is_some()) => {
            let problem = "is amqp://, so that rabbitmq.ca_file and rabbitmq.certificate are of no use: use amqps://";
            fields.refuse("rabbitmq.url", problem);
        }
        Ok(_) if !cfg!(feature = "rabbitmq") => {
            let problem = "needs a build with the feature `rabbitmq`, which this one lacks";
            fields.refuse("rabbitmq.url", problem);
        }
        Ok(_) => {}
        Err(error) => fields.refuse(
            "rabbitmq.url",
            format!(
                "is no URL ({error}); it must be like \"amqps://user:password@host:5671/vhost\""
            ),
        ),
    }
    Some(RabbitmqConfig { url, exchange, declare, ca_file, certificate, timeout })
}

fn certificate(fields: &mut Fields<'_>) -> Option<(PathBuf, PathBuf)> {
    let certificate = fields.optional_path("rabbitmq.certificate");
    let key = fields.optional_path("rabbitmq.key");
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            fields.refuse("rabbitmq.certificate", "is set without rabbitmq.key");
            None
        }
        (None, Some(_)) => {
            fields.refuse("rabbitmq.key", "is set without rabbitmq.certificate");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, FlagSetting, Mode, Sources, load};

    fn loaded(settings: &[(&str, &str)]) -> Result<Config, String> {
        let flag = |(key, value): &(&str, &str)| FlagSetting {
            flag: "--set".to_owned(),
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        };
        let own = [("kafka.brokers", "b:9092"), ("log.kind", "kafka")];
        let flags = own.iter().chain(settings).map(flag).collect();
        let config = load(&Sources { flags, ..Sources::new(Mode::Dev) });
        config.map_err(|errors| errors.to_string())
    }

    #[test]
    fn nothing_is_published_where_nothing_is_said() {
        let config = loaded(&[]).unwrap();
        assert!(config.publish.state.is_none() && config.publish.changes.is_none());
        assert!(config.rabbitmq.is_none());
    }

    #[test]
    fn a_topic_that_is_read_is_refused_and_named() {
        let bridged = ("bridge.topics", "^crm\\..*,sales");
        for (settings, problem) in [
            (
                vec![("publish.state", "contacts")],
                "is \"contacts\", which is the topic of contacts",
            ),
            (vec![("publish.changes", "contactd.control")], "the topic of control records"),
            (vec![("publish.state", "contacts.dlq")], "a topic of dead letters"),
            (vec![("publish.state", "my.dlq"), ("dead_letters.topic", "my.dlq")], "dead letters"),
            (vec![("publish.changes", "crm.eu"), bridged], "an input (bridge.topics)"),
            (vec![("publish.changes", "sales"), bridged], "an input (bridge.topics)"),
            (vec![("publish.state", "a"), ("publish.changes", "a")], "is publish.state as well"),
            (vec![("publish.state", "a b")], "is \"a b\", and must be 1 to 249"),
        ] {
            let error = loaded(&settings).unwrap_err();
            assert!(error.contains(problem), "{settings:?}: {error}");
        }
        loaded(&[("publish.state", "contacts.state"), ("publish.changes", "contacts.changes")])
            .unwrap();
    }

    #[test]
    fn what_is_wrong_with_rabbitmq_is_named_and_shows_no_password() {
        let right = ("rabbitmq.url", "amqps://u:hunter2@host/v");
        for (settings, problem) in [
            (vec![("rabbitmq.url", "http://u:hunter2@host")], "rabbitmq.url must be like"),
            (vec![("rabbitmq.url", "amqp://")], "rabbitmq.url"),
            (vec![("rabbitmq.url", "hunter2")], "rabbitmq.url is no URL"),
            (vec![right, ("rabbitmq.exchange", "")], "rabbitmq.exchange must have 1 to 255"),
            (vec![right, ("rabbitmq.key", "k.pem")], "rabbitmq.key is set without"),
            (vec![("rabbitmq.url", "amqp://u:hunter2@h"), ("rabbitmq.ca_file", "ca")], "of no use"),
        ] {
            let error = loaded(&settings).unwrap_err();
            assert!(error.contains(problem) && !error.contains("hunter2"), "{error}");
        }
        if cfg!(feature = "rabbitmq") {
            let config = loaded(&[right]).unwrap();
            assert!(!format!("{:?}", config.rabbitmq).contains("hunter2"));
        }
    }
}

//! What goes out: the topics that are published to, and RabbitMQ.

#[cfg(feature = "rabbitmq")]
use std::sync::Arc;

use crate::config::Config;
#[cfg(feature = "rabbitmq")]
use crate::config::{ConfigError, ConfigErrors};
use crate::effects::publish::{ChangePublisher, StatePublisher, Topic};
#[cfg(feature = "rabbitmq")]
use crate::effects::rabbitmq::Server;
use crate::event_log::kafka::Purpose;
use crate::event_log::{EventLog, LogError};
use crate::store::Reader;

use super::dead_letters::topic_as_log;

/// The topics that are published to, and what for.
pub fn published_topics(config: &Config) -> impl Iterator<Item = (&str, Purpose)> {
    let topics = [
        (config.publish.state.as_deref(), Purpose::States),
        (config.publish.changes.as_deref(), Purpose::Changes),
    ];
    topics.into_iter().filter_map(|(topic, purpose)| Some((topic?, purpose)))
}

/// They, once they are of use. Their brokers need not be there.
#[derive(Clone, Default)]
pub(super) struct Published {
    pub(super) state: Option<Topic>,
    pub(super) changes: Option<Topic>,
}

impl Published {
    /// Nothing is asked of the brokers yet.
    ///
    /// # Errors
    /// A configuration that can't work.
    pub(super) fn open(config: &Config, contacts: &EventLog) -> Result<Self, LogError> {
        let mut published = Self::default();
        for (topic, purpose) in published_topics(config) {
            let kafka = topic_as_log(config, topic.to_owned());
            let topic = Topic::open(&kafka, purpose, contacts.clone())?;
            match purpose {
                Purpose::States => published.state = Some(topic),
                Purpose::Changes => published.changes = Some(topic),
                Purpose::Log => {}
            }
        }
        Ok(published)
    }

    /// Makes them where they are missing; blocks. Whatever heals by waiting, or by a word to the brokers, is
    /// told by the follower.
    ///
    /// # Errors
    /// A topic that would lose what is published to it.
    pub(super) fn prepare(&self) -> Result<(), LogError> {
        for topic in self.state.iter().chain(&self.changes) {
            match topic.prepare() {
                Ok(()) => {}
                Err(error @ (LogError::CompactedTopic { .. } | LogError::NotCompacted { .. })) => {
                    return Err(error);
                }
                Err(error) => tracing::warn!(%error, "a topic can't be made ready yet"),
            }
        }
        Ok(())
    }

    pub(super) fn state_sink(&self, reader: &Reader) -> Option<StatePublisher> {
        Some(StatePublisher::new(self.state.clone()?, reader.clone()))
    }

    pub(super) fn change_sink(&self, reader: &Reader) -> Option<ChangePublisher> {
        Some(ChangePublisher::new(self.changes.clone()?, reader.clone()))
    }
}

/// Where changes are notified of; none: nowhere.
#[cfg(feature = "rabbitmq")]
pub(super) fn open_rabbitmq(config: &Config) -> Result<Option<Arc<Server>>, ConfigErrors> {
    let Some(rabbitmq) = &config.rabbitmq else {
        return Ok(None);
    };
    let opened = Server::new(rabbitmq).map(Arc::new);
    opened.map(Some).map_err(|error| {
        let (place, key) = (config.place("rabbitmq.url"), "rabbitmq".to_owned());
        let problem = error.to_string();
        ConfigErrors(vec![ConfigError::Invalid { place, key, problem }])
    })
}

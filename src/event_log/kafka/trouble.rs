//! Why nothing comes at the moment: told to whoever asks for the consumer's status, and in one line
//! when it begins and one when it is over.

use std::time::{Duration, Instant};

use super::context::TopicContext;
use super::{ConsumerStatus, LogError};

/// How long a topic counts as missing after it was said to be: it is said again every few seconds,
/// while statistics go on as if it were there.
const MISSING_FOR: Duration = Duration::from_secs(15);

/// The trouble of one topic.
pub(super) struct Trouble {
    topic: String,
    context: TopicContext,
    /// The topic is that of control records.
    is_control: bool,
    /// When the brokers last said that there is no such topic.
    missing: Option<Instant>,
}

impl Trouble {
    pub(super) fn new(topic: &str, context: TopicContext, is_control: bool) -> Self {
        Self { topic: topic.to_owned(), context, is_control, missing: None }
    }

    /// There is no such topic; `was_there`: any more.
    pub(super) fn is_missing(&mut self, status: &ConsumerStatus, was_there: bool) {
        self.missing = Some(Instant::now());
        if !was_there {
            let missing = LogError::MissingTopic { topic: self.topic.clone() };
            return self.set(status, missing.to_string());
        }
        let text = format!(
            "topic {} does not exist any more: it was deleted while it was read, and one made anew is \
             another log; bring it back with its records, or begin with another data directory",
            self.topic
        );
        self.set(status, text);
        if !self.is_control {
            status.set_gone(true);
        }
    }

    /// A record, or an end: the topic is there.
    pub(super) fn came(&mut self) {
        self.missing = None;
    }

    /// All is well, as far as statistics tell.
    pub(super) fn is_over(&mut self, status: &ConsumerStatus) {
        if self.missing.is_some_and(|since| since.elapsed() < MISSING_FOR) {
            return;
        }
        self.missing = None;
        if self.before(status).is_some() {
            self.context.forget_error();
            tracing::info!(topic = self.topic, "records come again");
            self.tell(status, None);
            status.set_gone(false);
        }
    }

    /// Statistics say why; less than a topic that is missing does.
    pub(super) fn is_measured(&self, status: &ConsumerStatus, why: String) {
        if self.missing.is_none() {
            self.set(status, why);
        }
    }

    /// This is why.
    pub(super) fn set(&self, status: &ConsumerStatus, why: String) {
        let before = self.before(status);
        if before.is_none() {
            tracing::warn!(topic = self.topic, trouble = why, "nothing comes");
        }
        if before.as_ref() != Some(&why) {
            self.tell(status, Some(why));
        }
    }

    fn before(&self, status: &ConsumerStatus) -> Option<String> {
        if self.is_control { status.control_trouble() } else { status.trouble() }
    }

    fn tell(&self, status: &ConsumerStatus, trouble: Option<String>) {
        if self.is_control {
            status.set_control_trouble(trouble);
        } else {
            status.set_trouble(trouble);
        }
    }
}

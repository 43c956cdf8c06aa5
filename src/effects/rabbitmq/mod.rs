//! The follower `rabbitmq`: every change goes to a topic exchange, as a persistent message that RabbitMQ confirms.
//!
//! ```text
//! journal ─► Notifier ─► Link (one connection, one channel) ─► exchange ─► queues of others
//! ```
//!
//! Messages are CloudEvents in AMQP's binding, binary mode. One that no queue takes is returned, counted, and
//! done. What is said when it can't be delivered is the engine's matter: the connection is made anew with its
//! next try. RabbitMQ is never an input.

mod link;
mod message;
mod stream;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use parking_lot::Mutex;

use crate::domain::timestamp::format_rfc3339;
use crate::effects::cloud_event::{CloudEvent, still_said};
use crate::effects::follower::{Answer, Delivery, Picked, Row, Sink};
use crate::ingest::now_ms;
use crate::store::journal::Entry;
use crate::store::{Reader, StoreError};
use crate::telemetry::RabbitmqMetrics;

pub use link::Server;
use link::{Fault, Link, Outcome};
pub use stream::TlsFault;

/// Messages that are on their way at once.
const AT_ONCE: usize = 200;
/// When to look again whether an alarm is over.
const BLOCKED_PAUSE: Duration = Duration::from_secs(2);
/// How long a message that was returned is worth a note.
const NOTED_FOR: Duration = Duration::from_secs(600);

/// Tells RabbitMQ of changes.
pub struct Notifier {
    server: Arc<Server>,
    reader: Reader,
    metrics: RabbitmqMetrics,
    /// None: it is yet to be made, or was lost.
    link: tokio::sync::Mutex<Option<Link>>,
    returned: Mutex<Option<Returned>>,
}

/// The newest message that no queue took.
struct Returned {
    noticed: Instant,
    at_ms: u64,
    routing_key: String,
}

impl Notifier {
    /// To a server that is not asked yet.
    pub fn new(server: Arc<Server>, reader: Reader, metrics: RabbitmqMetrics) -> Self {
        let (link, returned) = (tokio::sync::Mutex::default(), Mutex::default());
        Self { server, reader, metrics, link, returned }
    }

    /// The follower's row.
    pub fn row() -> Row {
        let about = "Notifies an exchange of RabbitMQ's of every change.";
        Row { at_once: AT_ONCE, ..Row::new("rabbitmq", "rabbitmq", about) }
    }

    async fn try_deliver(&self, deliveries: &[Delivery<CloudEvent>]) -> Result<Vec<Answer>, Fault> {
        let said = still_said(&self.reader, deliveries).await.map_err(Fault::Other)?;
        let mut held = self.link.lock().await;
        // One that was lost while there was nothing to say costs no try.
        let link = match held.take().filter(Link::is_open) {
            Some(link) => link,
            None => Link::open(&self.server).await?,
        };
        let settled = link.settle(&self.server).await;
        let sent = match &settled {
            Ok(()) => self.send(&link, deliveries, said).await,
            Err(_) => Vec::new(),
        };
        let is_sound =
            |outcome: &Result<Outcome, Fault>| matches!(outcome, Ok(_) | Err(Fault::Nacked));
        // While it is blocked it holds what was sent, which nothing may overtake.
        if link.is_blocked() || settled.is_ok() && sent.iter().all(is_sound) {
            *held = Some(link);
        }
        settled?;
        let is_alone = sent.len() == 1;
        let told = deliveries.iter().zip(sent);
        Ok(told.map(|(delivery, outcome)| self.answer(delivery, outcome, is_alone)).collect())
    }

    /// All at once, and what became of each.
    async fn send(
        &self,
        link: &Link,
        deliveries: &[Delivery<CloudEvent>],
        said: Vec<bool>,
    ) -> Vec<Result<Outcome, Fault>> {
        let (server, until) = (&*self.server, tokio::time::Instant::now() + self.server.timeout);
        let sent = deliveries.iter().zip(said).map(async |(delivery, is_said)| {
            if is_said { link.publish(server, delivery, until).await } else { Ok(Outcome::Taken) }
        });
        join_all(sent).await
    }

    fn answer(
        &self,
        delivery: &Delivery<CloudEvent>,
        outcome: Result<Outcome, Fault>,
        is_alone: bool,
    ) -> Answer {
        match outcome {
            Ok(Outcome::Taken) => Answer::Delivered,
            Ok(Outcome::Returned) => {
                self.metrics.returned();
                *self.returned.lock() = Some(Returned {
                    noticed: Instant::now(),
                    at_ms: now_ms(),
                    routing_key: message::routing_key(&delivery.item),
                });
                Answer::Delivered
            }
            // It ends the channel, so of several nobody knows which was meant.
            Err(Fault::Precondition(why)) if is_alone => Answer::Refused(why),
            Err(fault) => down(&fault),
        }
    }
}

fn down(fault: &Fault) -> Answer {
    let after = matches!(fault, Fault::Blocked).then_some(BLOCKED_PAUSE);
    Answer::Down { why: fault.to_string(), after }
}

impl Sink for Notifier {
    type Item = CloudEvent;

    fn pick(&self, entry: &Entry<'_>) -> Option<Picked<CloudEvent>> {
        CloudEvent::pick(entry, &self.reader)
    }

    async fn deliver(&self, deliveries: &[Delivery<CloudEvent>]) -> Vec<Answer> {
        let delivered = self.try_deliver(deliveries).await;
        delivered.unwrap_or_else(|fault| vec![down(&fault); deliveries.len()])
    }

    fn tells_states(&self) -> bool {
        true
    }

    fn present(
        &self,
        reader: &Reader,
        key: &str,
    ) -> Result<Option<Picked<CloudEvent>>, StoreError> {
        CloudEvent::present(reader, key)
    }

    fn note(&self) -> Option<String> {
        let returned = self.returned.lock();
        let newest = returned.as_ref().filter(|newest| newest.noticed.elapsed() < NOTED_FOR)?;
        Some(format!(
            "{} messages were returned since the start, because no queue is bound that takes them; the last \
             at {}, routed as {}",
            self.metrics.returned_total(),
            format_rfc3339(newest.at_ms),
            newest.routing_key,
        ))
    }
}

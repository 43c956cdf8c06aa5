//! A connection to RabbitMQ and its one channel.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::{FieldTable, LongString, ShortString};
use lapin::uri::AMQPUri;
use lapin::{Channel, Confirmation, Connection, ConnectionProperties, ErrorKind, ExchangeKind};
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::RabbitmqConfig;
use crate::domain::texts::innermost;
use crate::effects::cloud_event::CloudEvent;
use crate::effects::follower::Delivery;

use super::message::{properties, routing_key, short};
use super::stream::{Dialer, TlsFault};

/// AMQP's "precondition failed": of a message, that it is too large.
const PRECONDITION_FAILED: u16 = 406;

/// Where messages go.
pub struct Server {
    uri: AMQPUri,
    dialer: Dialer,
    exchange: ShortString,
    declare: bool,
    /// How long connecting may take, and a confirm.
    pub(super) timeout: Duration,
}

impl Server {
    /// Nothing is asked of it yet.
    ///
    /// # Errors
    /// An address or certificates that can't be used.
    pub fn new(config: &RabbitmqConfig) -> Result<Self, TlsFault> {
        let uri: AMQPUri = config.url.expose().parse().map_err(TlsFault::Url)?;
        Ok(Self {
            dialer: Dialer::new(config, &uri)?,
            uri,
            exchange: short(&config.exchange),
            declare: config.declare,
            timeout: config.timeout,
        })
    }
}

impl Server {
    /// Looks at the start whether it can be used, and makes the exchange, so that others can bind to it. What
    /// is wrong is told again with the first message that waits for it.
    pub async fn greet(&self) {
        if let Err(fault) = Link::open(self).await {
            tracing::warn!(error = %fault, "RabbitMQ can't be used yet");
        }
    }
}

/// Why a message is not taken. Its text shows no password.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("RabbitMQ can't be reached: {0}")]
    Connect(String),
    #[error("the exchange {exchange} can't be used: {why}")]
    Exchange { exchange: String, why: String },
    #[error("RabbitMQ takes nothing, because it is low on disk or memory (connection.blocked)")]
    Blocked,
    #[error("RabbitMQ has not confirmed a message in time")]
    Late,
    #[error("RabbitMQ could not keep a message (basic.nack)")]
    Nacked,
    #[error("RabbitMQ refuses a message: {0}")]
    Precondition(String),
    #[error("the connection to RabbitMQ is lost: {0}")]
    Lost(String),
    #[error("{0}")]
    Other(String),
}

/// What became of a message.
pub(super) enum Outcome {
    /// Some queue has it.
    Taken,
    /// No queue is bound that wants it.
    Returned,
}

pub(super) struct Link {
    connection: Connection,
    channel: Channel,
    /// Whether confirms are still to come of what was given up.
    is_unsettled: AtomicBool,
}

impl Link {
    pub(super) async fn open(server: &Server) -> Result<Self, Fault> {
        let opened = timeout(server.timeout, Self::connect(server)).await;
        opened.unwrap_or_else(|_late| Err(Fault::Connect("it does not answer in time".to_owned())))
    }

    async fn connect(server: &Server) -> Result<Self, Fault> {
        let failed = |error: lapin::Error| Fault::Connect(said(&error));
        let named =
            ConnectionProperties::default().with_connection_name(LongString::from("contactd"));
        let connection = server.dialer.connect(server.uri.clone(), named);
        let connection = connection.await.map_err(failed)?;
        let channel = connection.create_channel().await.map_err(failed)?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(failed)?;
        let options = ExchangeDeclareOptions {
            passive: !server.declare,
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        let (exchange, arguments) = (server.exchange.clone(), FieldTable::default());
        let declared = channel.exchange_declare(exchange, ExchangeKind::Topic, options, arguments);
        declared.await.map_err(|error| Fault::Exchange {
            exchange: server.exchange.to_string(),
            why: said(&error),
        })?;
        tracing::info!(exchange = server.exchange.as_str(), "connected to RabbitMQ");
        Ok(Self { connection, channel, is_unsettled: AtomicBool::new(false) })
    }

    pub(super) fn is_open(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }

    /// Whether RabbitMQ reads nothing of it for now.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_open() && self.connection.status().blocked()
    }

    /// Waits for what was given up while RabbitMQ took nothing: it comes before whatever is sent now.
    pub(super) async fn settle(&self, server: &Server) -> Result<(), Fault> {
        if self.is_blocked() {
            return Err(Fault::Blocked);
        }
        if !self.is_unsettled.load(Ordering::Relaxed) {
            return Ok(());
        }
        match timeout(server.timeout, self.channel.wait_for_confirms()).await {
            Ok(Ok(_returned)) => {
                self.is_unsettled.store(false, Ordering::Relaxed);
                Ok(())
            }
            Ok(Err(error)) => Err(Fault::Lost(said(&error))),
            Err(_late) if self.is_blocked() => Err(Fault::Blocked),
            Err(_late) => Err(Fault::Late),
        }
    }

    /// Until it is confirmed.
    pub(super) async fn publish(
        &self,
        server: &Server,
        delivery: &Delivery<CloudEvent>,
        until: Instant,
    ) -> Result<Outcome, Fault> {
        match timeout_at(until, self.confirmed(server, delivery)).await {
            Ok(Ok(Confirmation::Ack(None))) => Ok(Outcome::Taken),
            Ok(Ok(Confirmation::Ack(Some(_returned)))) => Ok(Outcome::Returned),
            Ok(Ok(Confirmation::Nack(_) | Confirmation::NotRequested)) => Err(Fault::Nacked),
            Ok(Err(error)) => Err(fault(&error)),
            Err(_late) => {
                self.is_unsettled.store(true, Ordering::Relaxed);
                Err(if self.is_blocked() { Fault::Blocked } else { Fault::Late })
            }
        }
    }

    async fn confirmed(
        &self,
        server: &Server,
        delivery: &Delivery<CloudEvent>,
    ) -> lapin::Result<Confirmation> {
        let event = &delivery.item;
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = (server.exchange.clone(), short(&routing_key(event)));
        let sent =
            self.channel.basic_publish(exchange, key, options, &event.data, properties(delivery));
        sent.await?.await
    }
}

fn fault(error: &lapin::Error) -> Fault {
    match error.kind() {
        ErrorKind::ProtocolError(amqp) if amqp.get_id() == PRECONDITION_FAILED => {
            Fault::Precondition(amqp.get_message().to_string())
        }
        _ => Fault::Lost(said(error)),
    }
}

fn said(error: &lapin::Error) -> String {
    match error.kind() {
        ErrorKind::ProtocolError(amqp) => amqp.get_message().to_string(),
        _ => innermost(error),
    }
}

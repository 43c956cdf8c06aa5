//! What the program says about itself: metrics, log lines, and the faults that tests arm.
//!
//! ```text
//! rooms ─► events (one call: a log line and its metric) ─┬─► logging ─► stderr
//!       ─► Metrics (children resolved once) ─────────────┴─► one registry ─► GET /metrics
//! ```

mod access_log;
mod acme;
mod auth;
mod backup;
mod bridge;
mod build;
mod control;
mod dead_letters;
mod events;
mod exports;
pub mod fault;
mod feed;
mod figures;
mod followers;
mod imports;
mod intake;
mod lanes;
mod limits;
#[cfg(test)]
pub(crate) mod lines;
mod logging;
mod metrics;
mod payments;
mod pools;
mod process;
mod rabbitmq;
mod registry;
mod rules;
mod schemas;
mod security;
mod simulator;
mod store;
mod subscriptions;
mod throttle;

pub use access_log::{AccessLine, AccessLog, AccessLogMetrics};
pub use acme::{AcmeCall, AcmeDrift, AcmeMetrics, AcmeResult};
pub use auth::{AuthMetrics, LoginOutcome, UsersFileBad, UsersFileRead};
pub use backup::BackupMetrics;
pub use bridge::{BridgeMetrics, BridgeOutcome, BridgeStep};
pub use build::Build;
pub use control::ControlMetrics;
pub use dead_letters::{DeadLetterGauges, DeadLetterMetrics};
pub use events::{DependencyDown, DependencyUp, RecordDeadLettered, RequestFailed, RequestSlow};
pub use exports::{ExportEnd, ExportMetrics};
pub use feed::FeedMetrics;
pub use figures::Figures;
pub use followers::{FollowerFigures, FollowerMetrics};
pub use imports::{ImportMetrics, ImportVerdict};
pub use intake::{OutboxGauges, WebhookOutcome};
pub use lanes::{LaneLag, LaneMetrics};
pub use limits::LimitMetrics;
pub use logging::{LogFilter, LoggingError, init_logging};
pub use metrics::{Dependency, Metrics};
pub use payments::PaymentMetrics;
pub use pools::PoolMetrics;
pub use process::ProcessMetrics;
pub use rabbitmq::RabbitmqMetrics;
pub use registry::{FamilyInfo, MetricsError};
pub use rules::RulesMetrics;
pub use schemas::{SchemaAnswer, SchemaMetrics};
pub use security::{Incident, IncidentKind, SecurityLog};
pub use simulator::{SimulatorMetrics, SimulatorOutcome};
pub use store::{CacheTotals, StoreGauges};
pub use subscriptions::SubscriptionMetrics;
pub use throttle::Throttle;

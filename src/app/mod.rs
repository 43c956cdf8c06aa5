//! The process: what is started, in which order, and how it ends.
//!
//! ```text
//! run ─► listener bound ─► HTTP answers /livez          (task `http`)
//!     ─► store opened ─► log reached ─► decode ─► apply (threads `worker`, `decode`)
//!     ─► checkpoints ─► offsets committed to the broker (task `commits`)
//!     ─► demo events, in `dev`                          (task `demo`)
//! ```
//!
//! The table of tasks is [`tasks`]; what each takes in and how it is drained stands in ARCHITECTURE.md.
//!
//! A task that ends before it is told to cancels the others, and the process exits with its error.
//! A second signal ends the process at once, which is as safe as kill -9.

mod acme;
mod beginning;
mod bridge;
mod check;
mod clock;
mod dead_letters;
mod demo;
mod demo_payments;
mod descriptors;
mod error;
mod first_lane;
mod followers;
mod founding;
mod imports;
mod log;
mod partial;
mod permissions;
mod publish;
mod reload;
mod restored;
mod roles;
mod rules;
mod run;
mod schemas;
mod setup;
mod simulator;
mod start;
mod store_figures;
mod subscriptions;
mod systemd;
mod tasks;
mod watch;
mod webhooks;
mod worker;
mod writes;

pub use crate::ingest::now_ms;
pub(crate) use bridge::open_registry;
pub use check::check;
pub use dead_letters::topic_as_log;
pub use demo::DemoOptions;
pub(crate) use descriptors::connections_possible;
pub use error::WorkerError;
pub use first_lane::{GivenOut, given_out};
pub use founding::{FoundingError, found_again};
pub use log::open_log;
pub(crate) use permissions::open_to_others;
pub use publish::published_topics;
pub use reload::ConfigSource;
pub use run::{RunOptions, Started, WhenStarted, run};
pub use setup::ApplySetup;
pub use simulator::has_simulator;
pub use worker::WorkerOptions;

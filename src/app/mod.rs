//! The process: what is started, in which order, and how it ends.
//!
//! ```text
//! run ─► listener bound ─► HTTP answers /livez          (task `http`)
//!     ─► store opened ─► log reached ─► decode ─► apply (threads `worker`, `decode`)
//!     ─► checkpoints ─► offsets committed to the broker (task `commits`)
//!     ─► demo events, in `dev`                          (task `demo`)
//! ```
//!
//! | task | input, bound | ends when | drained |
//! |---|---|---|---|
//! | demo | a clock | told to stop | first |
//! | http | connections, as many as descriptors allow | told to stop | second: requests under way, `server.drain_timeout` |
//! | users | the file of users, looked at every 500 ms | told to stop | after http |
//! | shared_state | Redis, and a clock | told to stop | after http |
//! | feed | commits, while somebody listens | told to stop | with http |
//! | simulator | what is asked for, and commits; `simulator.queue_max` webhooks | told to stop | with http |
//! | bridge | other topics, `bridge.batch_records_max` | told to stop | with the worker |
//! | dead_letters | jobs in the control entries, what the archive has and the topic has not; the instance's lease, restating, and merges | told to stop | before the worker, which applies what it writes down |
//! | worker | the log, 16,384 records or 8 MiB | told to stop, caught up (one-shot), can't go on | third: the batch in hand, a checkpoint, its commit |
//! | commits | the newest checkpoint | the worker has ended | with the worker |
//!
//! A task that ends before it is told to cancels the others, and the process exits with its error.
//! A second signal ends the process at once, which is as safe as kill -9.

mod beginning;
mod bridge;
mod dead_letters;
mod demo;
mod descriptors;
mod first_lane;
mod founding;
mod log;
mod partial;
mod permissions;
mod roles;
mod rules;
mod run;
mod schemas;
mod setup;
mod simulator;
mod start;
mod watch;
mod webhooks;
mod worker;
mod writes;

pub use crate::ingest::now_ms;
pub use dead_letters::topic_as_log;
pub use demo::DemoOptions;
pub use first_lane::{GivenOut, given_out};
pub use founding::{FoundingError, found_again};
pub use log::open_log;
pub use run::{RunOptions, Started, WhenStarted, run};
pub use setup::ApplySetup;
pub use worker::{WorkerError, WorkerOptions};

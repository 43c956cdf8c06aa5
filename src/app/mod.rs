//! The process: what is started, in which order, and how it ends.
//!
//! ```text
//! run ─► listener bound ─► HTTP answers /livez          (task `http`)
//!     ─► store opened ─► log reached ─► decode ─► apply (threads `worker`, `decode`)
//!     ─► checkpoints ─► offsets committed to the broker (task `commits`)
//!     ─► demo events, in `dev`                          (task `demo`)
//! ```
//!
//! | task | input, bound | told to end | drained |
//! |---|---|---|---|
//! | demo | a clock | first | |
//! | http | connections, as many as descriptors allow | first | requests under way, `server.drain_timeout` |
//! | feed | commits, while somebody listens | first | every stream ends |
//! | simulator | what is asked for, and commits; `simulator.queue_max` webhooks | first | |
//! | users | the file of users, looked at every 500 ms | second | |
//! | shared_state | Redis, and a clock | second | |
//! | bridge | other topics, `bridge.batch_records_max` | second | what is under way |
//! | outbox (a thread) | what waits for the log | second | what is under way |
//! | dead_letters | jobs in the control entries, what the archive has and the topic has not; the instance's lease, restating, and merges | second | the part in hand |
//! | apply (a thread) | the log, 16,384 records or 8 MiB | third, caught up (one-shot), can't go on | the batch in hand, a checkpoint, its commit |
//! | commits, retention | the newest checkpoint and snapshot | with apply | |
//! | rules | what holds on the log | with apply | |
//! | purging | what was deleted long ago | with apply | |
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
mod tasks;
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

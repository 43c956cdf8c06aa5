//! What comes in besides the log: API writes become commands on the log, webhooks events.

mod control;
mod error;

pub use control::{Control, ControlOutcome, ControlWrite};
pub use error::IngestError;

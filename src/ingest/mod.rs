//! What comes in besides the log: API writes become commands on the log, webhooks and other topics
//! events.

mod adopt_control;
mod adoption;
mod bridge;
mod command_record;
mod commands;
mod control;
mod edits;
mod error;
mod fading;
mod hand_over;
mod intake;
mod lease;
mod markers;
mod merged;
mod merging;
mod outbox;
mod patch;
mod pause;
mod present;
mod purge;
mod restating;
mod stamps;
mod turns;
mod webhooks;
mod whose;

#[cfg(test)]
pub(crate) mod tests;

use std::time::{SystemTime, UNIX_EPOCH};

use crate::telemetry::fault;

pub use adopt_control::{AdoptControlError, adopt_control};
pub use adoption::{AdoptError, Adopted, Adoption, RulesStanding, Stopped};
pub use bridge::{Bridge, BridgeAgain, BridgeAgainError, reduce};
pub use command_record::{API_SOURCE, COMMAND_ID};
pub use commands::{Author, Command, CommandError, Commands, PaymentCommand, Submitted, Wait};
pub use control::{Control, ControlOutcome, ControlWrite};
pub use edits::{Action, Done, Edit, EditError, Edits, InFlight, Keyed, LinkError, RevertError};
pub use error::IngestError;
pub use intake::{Intake, IntakeError, IntakeOptions, Kept};
pub use lease::{Clocks, Lease};
pub use markers::marker_record;
pub use merged::merged_into;
pub use merging::{Merge, MergeEnd, MergeError, MergeFailure, MergeJob, Merged, Merging};
pub use outbox::{OUTBOX_FILES, Outbox, OutboxError};
pub use patch::{ContactPatch, Data as ContactData, Said};
pub use pause::{Pause, Retries};
pub use present::PresentRules;
pub use purge::purge;
pub use restating::Restating;
pub use stamps::{STAMP_FILE, Stamps};
pub use webhooks::{
    Checked, ItemReport, Message, Received, SecretError, SignatureError, Verified, Verifier,
    WebhookError, WebhookSetupError, Webhooks, sign, sign_acme, signed_headers,
};
pub use whose::{Named, named_contact};

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    now_us() / 1000
}

/// Microseconds since 1970.
fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    fault::clock_us(u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
}

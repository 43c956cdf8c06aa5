//! Dead letters: what can be asked about them, sending them through again, publishing them.
//!
//! ```text
//! the store's archive ─► LetterDesk ─► list, one, preview
//!                           └─ order ─► Job (control entry) ─► redrive: archive ─► contact log ─► apply
//! journal ─► Publisher (a follower) ─► <topic>.dlq
//! ```
//!
//! What holds:
//! - A redriven record is the record that came: key, value and headers, so that an event that was applied
//!   meanwhile, or is redriven thrice or again after a kill, has one effect. Only a count of hops is added,
//!   which ends loops.
//! - A job is a control entry: one instance works on it, writes down how far it is, and another goes on
//!   from there when it is gone. Letters that come while it runs are none of its.
//! - Publishing is a follower's: at least once, by one instance at a time.

mod decisions;
mod desk;
mod error;
mod job;
mod preview;
mod provenance;
mod publish;
mod redrive;
mod selection;

pub use desk::{
    LetterDesk, LetterOptions, LetterPage, LetterQuery, LetterShown, MayStillOrder, Order,
};
pub use error::LetterError;
pub use job::{Counts, Deed, Fate, Job, JobKind, JobState};
pub use preview::Preview;
pub use provenance::{VALUE_LENGTH, is_provenance, redriven};
pub use publish::Publisher;
pub use selection::{Selection, Topics};

//! What was applied, kept: a journal in front of sled, and a heap file beside that for single reads.
//!
//! ```text
//!               ┌──────────────────────── Writer (one, only apply has it) ─────────────────────────┐
//! contact(id) ◄─┤ overlay (a batch) ◄ Contacts                                                      │
//! applied(..) ─►│ entries (raw bytes)                                                               │
//! commit()    ─►│ 1 journal append  ─►  2 DirtySet.current, Cut                  ─►  3 waiters      │
//!               └───────────────────────────────────────────────────────────────────────────────────┘
//!                                            │ swap: current becomes flushing, between two batches,
//!                                            │ the Cut (position, counters, digest) taken there
//!                                            ▼
//!  Checkpointer (thread): journal fsync ─► Engine::insert_sorted ─► Engine::flush + fdatasync
//!                         ─► checkpoint file ─► Contacts::retire, OrderedIndexes::take within
//!                         ─► snapshot when due ─► journal trimmed
//!
//!  Reader (any thread): a contact: Contacts; a list: OrderedIndexes, then the contacts of it
//!                       history: Journal::entry(ChangeRef), back along `prev`
//! ```
//!
//! Rules that hold everywhere here:
//! 1. The journal append is the commit: effects and next offsets are one frame.
//! 2. Memory follows the journal, never the other way.
//! 3. A [`Cut`] is taken under the lock that a commit's memory phase holds, so it lies between two
//!    batches; what a checkpoint states was true at its swap.
//! 4. No dirty key reaches the engine before its journal frame is synced.
//! 5. What the engine holds is any mixture of the last checkpoint and later images; redo of the
//!    journal after the checkpoint makes it right, because entries hold whole after-images.
//! 6. The engine is a cache of snapshot + journal: when it is missing, refuses or its digest
//!    differs, it is moved aside and filled again.
//! 7. The digest (see [`digest`]) is carried by every frame, checkpoint and snapshot.
//!
//! Where a contact is at any moment is a matter of `contacts/` alone.
//!
//! The feed of changed ids: every dirty contact has a mark "the ordered indexes know this image";
//! [`DirtySet::drain_changed`] hands out the unmarked ones, the flushing generation first, and
//! marks them. It is bounded by the dirty set. Calls to it must not overlap (hold the indexes' lock).

mod as_of;
mod attempts;
mod bounds;
pub mod cache;
mod changes;
mod checkpoint;
mod checkpointer;
pub mod codec;
mod commit;
mod commits;
mod contacts;
mod control;
mod cut;
mod dead_letters;
pub mod digest;
mod dirty;
mod disk;
pub mod engine;
mod erased;
mod error;
mod events;
mod expected;
mod export;
mod external_ids;
mod follower_needs;
mod followers;
mod founding;
mod groups;
mod heap;
mod history;
mod identity;
mod insertion;
pub mod journal;
mod options;
mod ordered;
mod outcomes;
mod overlay;
mod parts;
mod past;
mod payments;
mod pinning;
mod proving;
mod reader;
mod recount;
mod recovery;
mod redo;
mod refill;
mod rehoming;
mod rows;
mod rules;
mod scan;
mod shared;
mod snapshot;
mod source_verdicts;
mod trim;
mod verify;
mod verify_controls;
mod writer;

pub use crate::config::StoreConfig;
pub use as_of::AsOf;
pub use changes::Changes;
pub use codec::{ChangeRef, Links, StoredContact};
pub use commit::{CommitTimes, Committed};
pub use control::ControlGap;
pub use cut::{ControlSums, Cut};
pub use dead_letters::{DeadLetters, KeptLetter, LetterFigures, LetterRow};
pub use dirty::{DirtyContact, DirtySet, Generation};
pub(crate) use disk::free_bytes;
pub use error::StoreError;
pub use events::{EventFilter, EventLookup, EventRecord, NewestEvents, Untimed};
pub use expected::Expected;
pub use export::ExportReport;
pub use follower_needs::{FollowerNeed, LEDGERS, REHOMING};
pub use groups::{Group, Groups};
pub use heap::HeapStats;
pub use history::HistoryEntry;
pub use identity::{LaneRange, check_lane};
pub use journal::{
    AwayRecord, ControlChange, Counters, DeadLetter, EntryMeta, Journal, JournalEntry,
    LaneProgress, LastRecord,
};
pub use options::{OpenProgress, set_aside};
pub use ordered::{
    Filters, GroupBy, PageBoundary, PageKey, PageRequest, SortOrder, TimeCounts, Total, fold,
};
pub use outcomes::{Prospect, RecordOutcome};
pub use parts::{contact_in_heap, contact_of_heap, small_file_again, snapshot_images};
pub use past::{Moment, Past};
pub use payments::{
    CurrencyTotals, PaymentGroup, PaymentGrouping, PaymentKey, PaymentPage, PaymentSum,
    StoredPayment,
};
pub use pinning::{Pinning, SEGMENT_FOLDERS, StoredState};
pub use proving::{prove, take_over};
pub use reader::{ContactCounts, Page, PageEntry, Reader, StoreStats, Value};
pub use recovery::{Opened, RecoveryReport, open};
pub use rehoming::RehomedRecord;
pub use source_verdicts::{SourceVerdicts, Verdicts};
pub use verify::VerifyReport;
pub use writer::Writer;

#[cfg(test)]
mod tests;

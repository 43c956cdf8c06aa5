//! Files in: a job that reads a file's rows and appends each as an event to the contact log.
//!
//! ```text
//! body ─► spool (UTF-8) ─► rows ─► mapping ─► whose ─► judged ─► events ─► contact log ─► verdicts ─► counts
//! ```
//!
//! A row's event has an id made of the job and the row, and the time at which the job was first begun
//! anywhere. So the same row says the same however often it is given, and what was edited since then is
//! newer. A job that is killed goes on behind the last rows whose verdicts were noted; those after them are
//! known by the clocks that they have left on their contacts.

mod card;
mod content;
mod csv;
mod desk;
mod encoding;
mod error;
mod headings;
mod intake;
mod job;
mod judge;
mod live;
mod mapping;
mod matching;
mod ndjson;
mod noted;
mod options;
mod prepare;
mod reading;
mod refusal;
mod refused_file;
mod row;
mod rows;
mod run;
mod spool;
mod steering;
#[cfg(test)]
mod tests;
mod undo;
mod vcard;
mod window;
mod working;

pub use desk::Imports;
pub use error::ImportError;
pub use intake::Upload;
pub use job::{Change, Counts, Job, JobState, UndoCounts};
pub use live::MayStillImport;
pub use mapping::ColumnPreview;
pub use noted::{NotedRow, NotedVerdict};
pub use options::{EmptyCells, Format, ImportOptions, Match, Mode, columns_of};
pub use reading::{UnderstoodRow, understood};
pub use refused_file::RefusedFile;

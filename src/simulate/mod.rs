//! Made-up contact events, for demos, tests and measurements, and what a bad day makes of them.
//!
//! ```text
//! load (seeded events) ─┬─► produce, demo, benches
//!                       └─► chaos (repeated, late, forged, cut) ─► target ─► any receiver, over HTTP
//!                       └─► expected (what it should hold) ◄─ compared ─┘
//! ```

mod chaos;
mod compare;
mod expected;
mod hostile;
mod load;
mod render;
mod report;
mod run;
mod target;
mod zipf;

pub use chaos::{Chaos, ChaosOptions, Manner, Seal, Shot, ToSign};
pub use hostile::{HOSTILE_NUMBER, hostile};
pub use load::{LoadGenerator, LoadOptions, LoadRecord, START_MS, STEP_MS_MAX};
pub use report::{ContactCounts, Difference, Report, RequestCounts};
pub use run::{SimulateError, Simulation, Stage, simulate};
pub use target::Sign;

#[cfg(test)]
mod tests;

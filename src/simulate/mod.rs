//! Made-up contact events, for demos, tests and measurements.

mod hostile;
mod load;
mod render;
mod zipf;

pub use hostile::{HOSTILE_NUMBER, hostile};
pub use load::{LoadGenerator, LoadOptions, LoadRecord, START_MS};

#[cfg(test)]
mod tests;

//! Made-up contact events, for demos, tests and measurements.

mod load;
mod render;
mod zipf;

pub use load::{LoadGenerator, LoadOptions, LoadRecord, START_MS};

#[cfg(test)]
mod tests;

//! What survives: a contactd in a process of its own is killed with SIGKILL at named points, loses
//! its power, or finds its pages damaged, is started again until it has caught up, and must then
//! hold exactly what an uninterrupted run over the same log holds. Deliberate mistakes show that
//! the comparison sees what it is for.
//!
//! `CONTACTD_CRASH_KILLS` raises the number of kills, `CONTACTD_CRASH_SEED` repeats a run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "a test fails by panicking, and has no public API"
)]

#[path = "crash/bridge.rs"]
mod bridge;
#[path = "crash/campaign.rs"]
mod campaign;
#[path = "crash/controls.rs"]
mod controls;
#[path = "crash/damage.rs"]
mod damage;
#[path = "crash/kills.rs"]
mod kills;
#[path = "crash/merges.rs"]
mod merges;
#[path = "crash/outage.rs"]
mod outage;
#[path = "crash/power.rs"]
mod power;
#[path = "it/support/mod.rs"]
#[allow(dead_code, reason = "shared with the other test binary, which uses the rest")]
mod support;
#[path = "crash/webhooks.rs"]
mod webhooks;

/// The seed of everything that is drawn; printed, so that a failure can be repeated.
fn seed(test: &str) -> u64 {
    use std::io::Write as _;
    let given = std::env::var("CONTACTD_CRASH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    let _ = writeln!(std::io::stderr(), "{test}: CONTACTD_CRASH_SEED={seed}");
    seed
}

//! contactd.

use std::process::ExitCode;

/// Threads that append, apply and answer free each other's memory all the time.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    contactd::cli::run(std::env::args_os())
}

//! How fast a backup is copied, so that what the disk is needed for goes on; and when it is given up.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::domain::texts::hex;

/// The longest pause before it looks whether it should stop.
const LOOK: Duration = Duration::from_millis(100);

/// Lets so many bytes through a second.
#[derive(Debug)]
pub struct Pace {
    /// None: as fast as it goes.
    bytes_per_second: Option<u64>,
    /// When what went through so far was due.
    due: Instant,
    /// What went through.
    done: u64,
    stop: CancellationToken,
}

impl Pace {
    /// Of a copy that others have to get along with.
    pub fn of(bytes_per_second: Option<u64>, stop: CancellationToken) -> Self {
        Self { bytes_per_second, due: Instant::now(), done: 0, stop }
    }

    /// As fast as it goes.
    pub fn unbounded() -> Self {
        Self::of(None, CancellationToken::new())
    }

    /// Bytes that went through.
    pub fn done(&self) -> u64 {
        self.done
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    fn passed(&mut self, bytes: usize) -> io::Result<()> {
        self.done += bytes as u64;
        let cost = self.bytes_per_second.map(|most| bytes as f64 / most.max(1) as f64);
        self.due = self.due.max(Instant::now()) + Duration::from_secs_f64(cost.unwrap_or(0.0));
        loop {
            if self.stop.is_cancelled() {
                return Err(io::Error::other("told to end"));
            }
            let left = self.due.saturating_duration_since(Instant::now());
            // A short one is made up for by the next.
            if left < Duration::from_millis(1) {
                return Ok(());
            }
            std::thread::sleep(left.min(LOOK));
        }
    }
}

/// What is read, with its checksum, at a pace.
pub(super) struct Hashed<'p, R> {
    from: R,
    hash: Sha256,
    bytes: u64,
    pace: &'p mut Pace,
}

impl<'p, R: Read> Hashed<'p, R> {
    pub(super) fn new(from: R, pace: &'p mut Pace) -> Self {
        Self { from, hash: Sha256::new(), bytes: 0, pace }
    }

    /// How much it was, and its checksum.
    pub(super) fn end(self) -> (u64, String) {
        (self.bytes, hex(&self.hash.finalize()))
    }
}

impl<R: Read> Read for Hashed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        self.pace.passed(count)?;
        Ok(count)
    }
}

//! What this process has used, from the kernel's own accounting.

use std::fs;
use std::time::Instant;

/// Ticks a second of the CPU times in `/proc/self/stat`: 100 on every Linux architecture in use.
const TICKS_A_SECOND: f64 = 100.0;

/// Time and CPU from a start on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch {
    started: Instant,
    cpu_seconds: f64,
}

/// What a stretch of work took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent {
    /// Wall-clock time, in seconds.
    pub(super) wall_seconds: f64,
    /// User and system time of all threads, in seconds.
    pub(super) cpu_seconds: f64,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self {
            started: Instant::now(),
            cpu_seconds: cpu_seconds(),
        }
    }

    pub(super) fn spent(&self) -> Spent {
        Spent {
            wall_seconds: self.started.elapsed().as_secs_f64(),
            cpu_seconds: cpu_seconds() - self.cpu_seconds,
        }
    }
}

impl Spent {
    /// Events a second of wall-clock time.
    pub(super) fn rate(&self, events: u64) -> f64 {
        events as f64 / self.wall_seconds.max(f64::EPSILON)
    }

    /// Microseconds of CPU an event.
    pub(super) fn cpu_micros_each(&self, events: u64) -> f64 {
        self.cpu_seconds * 1e6 / (events.max(1) as f64)
    }
}

/// User and system time of this process so far; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The process's name may hold spaces; the fields after its closing bracket do not.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |index| {
        after_name
            .split_whitespace()
            .nth(index)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    // utime and stime are fields 14 and 15 of the line, the state (field 3) is the first here.
    (ticks(11) + ticks(12)) / TICKS_A_SECOND
}

/// The most memory this process ever had resident, in bytes; 0 where the system does not tell.
pub(super) fn peak_resident_bytes() -> u64 {
    fs::read_to_string("/proc/self/status")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

/// The bytes of all files below a directory.
pub(super) fn directory_bytes(path: &std::path::Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => directory_bytes(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_in_the_figures() {
        let watch = Stopwatch::start();
        let mut sum = 0u64;
        while watch.spent().cpu_seconds < 0.03 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(watch.spent().wall_seconds >= 0.02);
        assert!(peak_resident_bytes() > 100_000);
    }
}

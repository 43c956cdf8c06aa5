//! What this process has used, from the kernel's own accounting.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often threads are looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(20);

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
        Self { started: Instant::now(), cpu_seconds: cpu_seconds() }
    }

    pub(super) fn spent(&self) -> Spent {
        Spent {
            wall_seconds: self.started.elapsed().as_secs_f64(),
            cpu_seconds: cpu_seconds() - self.cpu_seconds,
        }
    }
}

/// User and system time of this process so far, in seconds; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    cpu_seconds_of("self")
}

/// The same of a process, by its name in `/proc`.
pub(super) fn cpu_seconds_of(process: &str) -> f64 {
    let stat = Path::new("/proc").join(process).join("stat");
    cpu_in(&stat).map_or(0.0, |(_, seconds)| seconds)
}

/// Returns when a process has next to nothing to do any more, or after a minute.
pub(super) fn wait_until_idle(process: u32) {
    let process = process.to_string();
    let (started, look) = (Instant::now(), Duration::from_millis(500));
    let mut before = cpu_seconds_of(&process);
    while started.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(look);
        let now = cpu_seconds_of(&process);
        if now - before < look.as_secs_f64() / 20.0 {
            return;
        }
        before = now;
    }
}

/// The name and the CPU seconds that a `stat` file tells.
fn cpu_in(stat: &Path) -> Option<(String, f64)> {
    let stat = fs::read_to_string(stat).ok()?;
    // The name may hold spaces and brackets; the fields after its last bracket do not.
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let ticks = |index| after.split_whitespace().nth(index)?.parse::<f64>().ok();
    // utime and stime are fields 14 and 15 of the line, the state (field 3) is the first here.
    Some((name.to_owned(), (ticks(11)? + ticks(12)?) / TICKS_A_SECOND))
}

/// Notes the CPU of every thread while it lives, since it is gone with the thread.
pub(super) struct ThreadSampler {
    stop: SyncSender<()>,
    thread: Option<JoinHandle<BTreeMap<String, f64>>>,
}

impl ThreadSampler {
    pub(super) fn start() -> Self {
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("sampler".to_owned())
            .spawn(move || sample(&stopped))
            .ok();
        Self { stop, thread }
    }

    /// CPU seconds by thread name, threads of one name together.
    pub(super) fn finish(self) -> BTreeMap<String, f64> {
        // Full only when the thread has been told already.
        let _ = self.stop.try_send(());
        self.thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

fn sample(stopped: &Receiver<()>) -> BTreeMap<String, f64> {
    let mut threads: BTreeMap<OsString, (String, f64)> = BTreeMap::new();
    loop {
        for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            if let Some(found) = cpu_in(&task.path().join("stat")) {
                threads.insert(task.file_name(), found);
            }
        }
        if stopped.recv_timeout(SAMPLE_EVERY) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    let mut by_name = BTreeMap::new();
    for (name, seconds) in threads.into_values() {
        *by_name.entry(name).or_insert(0.0) += seconds;
    }
    by_name.retain(|_, seconds| *seconds > 0.0);
    by_name
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

/// Bytes of a process that are resident now; 0 where the system does not tell.
pub(super) fn resident_bytes(process: u32) -> u64 {
    fs::read_to_string(format!("/proc/{process}/status"))
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

/// The bytes of all files below a directory.
pub(super) fn directory_bytes(path: &Path) -> u64 {
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
        // Ends only when the kernel accounts for it.
        while watch.spent().cpu_seconds < 0.03 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(watch.spent().wall_seconds > 0.0);
        assert!(peak_resident_bytes() > 100_000);
    }
}

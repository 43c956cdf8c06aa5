//! One JSON line a request, for those who want all of them: on standard output, or in a file of bounded size.
//!
//! ```text
//! request ─► line ─► buffer (1 MiB) ─► a thread ─► standard output, or file ─► file.1
//! ```
//!
//! No request waits for the disk. What finds no room is counted and left out. A line holds no path, query,
//! address, header or body: nothing personal but the name of who asks.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _, stdout};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::IntCounter;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::config::AccessLogTarget;

use super::registry::{Families, MetricsError};
use super::throttle::Throttle;

/// Bytes of lines that wait to be written.
const BUFFER_BYTES_MAX: usize = 1 << 20;
/// How often they are.
const WRITE_EVERY: Duration = Duration::from_millis(100);

/// A request that was answered.
#[derive(Debug, Serialize)]
pub struct AccessLine<'a> {
    /// When it was answered, RFC 3339.
    pub at: &'a str,
    /// The id that its answer has.
    pub id: &'a str,
    /// `user:ada` or `key:ci`; none: nobody was asked for, or is known.
    pub principal: Option<&'a str>,
    /// Its method.
    pub method: &'a str,
    /// The route's template, never the path.
    pub route: &'a str,
    /// The answer's status.
    pub status: u16,
    /// Milliseconds until the answer's head was ready.
    pub ms: f64,
    /// Bytes of its body; none: it goes on and on.
    pub bytes: Option<u64>,
}

/// The access log's figures; cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLogMetrics {
    left_out: IntCounter,
}

impl AccessLogMetrics {
    pub(super) fn register(families: &Families<'_>) -> Result<Self, MetricsError> {
        let left_out = families.counter(
            "contactd_access_log_lines_left_out_total",
            "Lines of the access log that found no room, because writing them took too long.",
        )?;
        Ok(Self { left_out })
    }
}

/// Where requests leave their lines.
pub struct AccessLog {
    target: AccessLogTarget,
    waiting: Mutex<Vec<u8>>,
    troubles: Throttle,
    metrics: AccessLogMetrics,
}

impl AccessLog {
    /// Written by [`Self::run`].
    pub fn new(target: AccessLogTarget, metrics: AccessLogMetrics) -> Self {
        Self { target, waiting: Mutex::default(), troubles: Throttle::default(), metrics }
    }

    /// One more. Waits for nothing but others that do the same.
    pub fn add(&self, line: &AccessLine<'_>) {
        let mut text = Vec::with_capacity(256);
        // Texts and numbers can be written.
        let _ = serde_json::to_writer(&mut text, line);
        text.push(b'\n');
        let mut waiting = self.waiting.lock();
        if waiting.len() + text.len() > BUFFER_BYTES_MAX {
            drop(waiting);
            self.metrics.left_out.inc();
            return;
        }
        waiting.extend_from_slice(&text);
    }

    /// Writes what waits until told to stop, and then the rest of it. Blocks.
    pub fn run(&self, stop: &CancellationToken) {
        let mut lines = Vec::with_capacity(BUFFER_BYTES_MAX);
        let mut file = None;
        loop {
            let is_last = stop.is_cancelled();
            std::mem::swap(&mut lines, &mut *self.waiting.lock());
            if !lines.is_empty()
                && let Err(error) = self.write(&mut file, &lines)
            {
                file = None;
                let count = lines.iter().filter(|byte| **byte == b'\n').count();
                self.metrics.left_out.inc_by(count as u64);
                if let Some(lines_left_out) = self.troubles.pass() {
                    tracing::warn!(%error, lines_left_out, "the access log can't be written");
                }
            }
            lines.clear();
            if is_last {
                return;
            }
            std::thread::park_timeout(WRITE_EVERY);
        }
    }

    fn write(&self, file: &mut Option<Bounded>, lines: &[u8]) -> io::Result<()> {
        match &self.target {
            AccessLogTarget::StandardOutput => {
                let mut out = stdout().lock();
                out.write_all(lines)?;
                out.flush()
            }
            AccessLogTarget::File { path, bytes_max } => {
                let open = match file.take() {
                    Some(open) if path.exists() => open,
                    // The first time, or somebody has moved it away.
                    Some(_) | None => Bounded::open(path.clone(), *bytes_max)?,
                };
                file.insert(open).write(lines)
            }
        }
    }
}

/// A file that makes room for itself: what was written before goes to `<path>.1`.
struct Bounded {
    path: PathBuf,
    bytes_max: u64,
    file: File,
    bytes: u64,
}

impl Bounded {
    fn open(path: PathBuf, bytes_max: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, bytes_max, file, bytes })
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + lines.len() as u64 > self.bytes_max {
            let mut older = self.path.clone().into_os_string();
            older.push(".1");
            std::fs::rename(&self.path, older)?;
            *self = Self::open(std::mem::take(&mut self.path), self.bytes_max)?;
        }
        self.file.write_all(lines)?;
        self.bytes += lines.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;

    const LINE: AccessLine<'_> = AccessLine {
        at: "2026-12-01T00:00:00.000Z",
        id: "a\"b",
        principal: Some("user:ada"),
        method: "GET",
        route: "/api/contacts/{id}",
        status: 200,
        ms: 0.25,
        bytes: Some(512),
    };

    fn log_to(target: AccessLogTarget) -> AccessLog {
        let registry = Registry::new();
        let metrics = AccessLogMetrics::register(&Families::of(&registry)).unwrap();
        AccessLog::new(target, metrics)
    }

    /// All that waits is written at once.
    fn write(log: &AccessLog) {
        let stop = CancellationToken::new();
        stop.cancel();
        log.run(&stop);
    }

    #[test]
    fn a_line_is_json_and_the_file_keeps_its_bound() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let log = log_to(AccessLogTarget::File { path: path.clone(), bytes_max: 300 });
        log.add(&LINE);
        write(&log);
        let text = std::fs::read_to_string(&path).unwrap();
        let json: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!((&json["id"], &json["status"]), (&"a\"b".into(), &200.into()));
        for _ in 0..20 {
            log.add(&LINE);
            write(&log);
        }
        let older = std::fs::metadata(directory.path().join("access.log.1")).unwrap();
        assert!(older.len() <= 300 && std::fs::metadata(&path).unwrap().len() <= 300);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let path = PathBuf::from("/nowhere/access.log");
        let log = log_to(AccessLogTarget::File { path, bytes_max: 1 << 20 });
        for _ in 0..10_000 {
            log.add(&LINE);
        }
        let left_out = log.metrics.left_out.get();
        assert!(left_out > 0 && log.waiting.lock().len() <= BUFFER_BYTES_MAX);
        // Nor does it stop anybody where it can't be written.
        write(&log);
        assert_eq!(log.metrics.left_out.get(), 10_000);
    }
}

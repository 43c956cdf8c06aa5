//! Connections that are kept for the next request to the same target: those that were made to addresses that
//! were allowed, for a short time, so that it is soon seen when a host has moved.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;

/// How long one may lie unused.
const UNUSED_MAX: Duration = Duration::from_secs(20);
/// How old one may grow.
const AGE_MAX: Duration = Duration::from_secs(60);

/// A connection that speaks HTTP/1.1.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Full<Bytes>>,
    /// Moves its bytes while it is polled.
    pub(super) driver: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
    pub(super) made: Instant,
}

/// Those that are not used.
pub(super) struct Kept {
    max: usize,
    unused: Mutex<Unused>,
}

#[derive(Default)]
struct Unused {
    /// By scheme and authority, the latest used last.
    of: BTreeMap<String, Vec<(Instant, Connection)>>,
    count: usize,
}

impl Kept {
    pub(super) fn new(max: usize) -> Self {
        Self { max, unused: Mutex::default() }
    }

    /// One to a target that is still open, as far as that is known.
    pub(super) fn take(&self, target: &str) -> Option<Connection> {
        loop {
            let (since, mut connection) = {
                let mut unused = self.unused.lock();
                let connections = unused.of.get_mut(target)?;
                let Some(last) = connections.pop() else {
                    unused.of.remove(target);
                    return None;
                };
                unused.count -= 1;
                last
            };
            let is_fresh = since.elapsed() < UNUSED_MAX && connection.made.elapsed() < AGE_MAX;
            // What the other side has said meanwhile, such as that it closes.
            let is_open = connection.driver.as_mut().now_or_never().is_none();
            if is_fresh && is_open && connection.sender.is_ready() {
                return Some(connection);
            }
        }
    }

    /// Keeps one that may be used again.
    pub(super) fn put(&self, target: String, mut connection: Connection) {
        // It has to see that its last answer was read.
        let is_open = connection.driver.as_mut().now_or_never().is_none();
        if !is_open || connection.sender.is_closed() {
            return;
        }
        let mut unused = self.unused.lock();
        if unused.count >= self.max {
            unused.forget_old();
        }
        if unused.count < self.max {
            unused.of.entry(target).or_default().push((Instant::now(), connection));
            unused.count += 1;
        }
    }
}

impl Unused {
    fn forget_old(&mut self) {
        self.of.retain(|_, connections| {
            connections.retain(|(since, _)| since.elapsed() < UNUSED_MAX);
            !connections.is_empty()
        });
        self.count = self.of.values().map(Vec::len).sum();
    }
}

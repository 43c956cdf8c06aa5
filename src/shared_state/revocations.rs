//! Tokens that are revoked before they expire: in memory, and told to the other instances by a
//! stream in Redis, at once.
//!
//! Control records are the truth. What stands here only makes it known sooner, so neither an empty
//! Redis nor none brings a token back to life.
//!
//! ```text
//! revoke ─► memory ─► stream `<prefix>revocations` ─► every instance's memory
//!              └────► unsent, while Redis is away ──► sent when it is back
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use redis::Script;
use redis::aio::MultiplexedConnection;

use super::error::SharedStateError;
use super::link::{Link, Pause};

/// More are not kept here; control records hold them all.
const KNOWN_MAX: usize = 200_000;
const UNSENT_MAX: usize = 10_000;
/// Ids are short; what is longer is none of ours.
const ID_BYTES_MAX: usize = 256;
const BLOCK: Duration = Duration::from_secs(1);
const ENTRIES_A_READ: usize = 1000;

/// `XREAD`'s answer: streams, their entries, each entry's fields and values.
type Streams = Option<Vec<(String, Vec<(String, Vec<String>)>)>>;

/// What is revoked, as far as it may still matter.
pub struct Revocations {
    /// Id → until when it is remembered.
    known: RwLock<HashMap<Box<str>, Instant>>,
    count: AtomicUsize,
    version: AtomicU64,
    /// No token lives longer.
    longest: Duration,
    link: Option<Arc<Link>>,
    script: Script,
    unsent: Mutex<VecDeque<(Box<str>, Instant)>>,
}

impl Default for Revocations {
    /// Of this instance alone.
    fn default() -> Self {
        Self::new(Duration::from_secs(86_400), None)
    }
}

impl Revocations {
    pub(super) fn new(longest: Duration, link: Option<Arc<Link>>) -> Self {
        Self {
            known: RwLock::default(),
            count: AtomicUsize::new(0),
            version: AtomicU64::new(0),
            longest,
            link,
            script: Script::new(include_str!("revoke.lua")),
            unsent: Mutex::default(),
        }
    }

    /// Whether a token, family or session is known to be revoked.
    pub fn is_revoked(&self, id: &str) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        self.known.read().get(id).is_some_and(|until| *until > Instant::now())
    }

    /// Moves whenever something new is revoked: who remembers a token as good looks again.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Revokes here at once, and everywhere as fast as Redis is; waits for it `redis.timeout` at
    /// most. `lives` is how long the token would have lived.
    pub async fn revoke(&self, id: &str, lives: Duration) {
        let lives = lives.min(self.longest);
        if id.len() > ID_BYTES_MAX || lives.is_zero() {
            return;
        }
        self.remember(id, lives);
        let Some(link) = &self.link else {
            return;
        };
        if self.send(link, id, lives).await.is_err() {
            let mut unsent = self.unsent.lock();
            if unsent.len() < UNSENT_MAX {
                unsent.push_back((id.into(), Instant::now() + lives));
            }
        }
    }

    fn remember(&self, id: &str, lives: Duration) {
        let now = Instant::now();
        let mut known = self.known.write();
        if known.len() >= KNOWN_MAX {
            known.retain(|_, until| *until > now);
        }
        if known.len() >= KNOWN_MAX {
            return;
        }
        let until = now + lives;
        let is_new = match known.get_mut(id) {
            Some(known) => {
                let was_revoked = *known > now;
                *known = until.max(*known);
                !was_revoked
            }
            None => known.insert(id.into(), until).is_none(),
        };
        self.count.store(known.len(), Ordering::Release);
        if is_new {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Forgets what has expired anyway.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        let mut known = self.known.write();
        known.retain(|_, until| *until > now);
        self.count.store(known.len(), Ordering::Release);
    }

    async fn send(&self, link: &Link, id: &str, lives: Duration) -> Result<(), SharedStateError> {
        let key = format!("{}revocations", link.prefix);
        let [lives, longest] = [lives, self.longest].map(|time| time.as_millis().to_string());
        link.run::<u64>(&self.script, &key, &[id, &lives, &longest]).await.map(|_| ())
    }

    /// Hears of the others' revocations, for as long as it is polled.
    pub(super) async fn follow(&self, link: &Link) {
        let mut pause = Pause::default();
        loop {
            if link.is_up() {
                // The link says so when Redis is away; here it only means to begin anew.
                if let Ok(mut connection) = link.connect(Some(BLOCK * 2)).await {
                    pause = Pause::default();
                    let _ended = self.read_stream(link, &mut connection).await;
                }
            }
            tokio::time::sleep(pause.next().min(BLOCK)).await;
        }
    }

    async fn read_stream(
        &self,
        link: &Link,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), SharedStateError> {
        let key = format!("{}revocations", link.prefix);
        // From its start each time: a Redis that was made anew may count from anywhere.
        let mut last = "0".to_owned();
        loop {
            self.send_unsent(link).await;
            let mut read = redis::cmd("XREAD");
            read.arg("COUNT").arg(ENTRIES_A_READ).arg("BLOCK").arg(BLOCK.as_millis() as u64);
            read.arg("STREAMS").arg(&key).arg(&last);
            let streams: Streams = read.query_async(connection).await?;
            for (id, fields) in streams.into_iter().flatten().flat_map(|(_, entries)| entries) {
                self.heard(&fields);
                last = id;
            }
        }
    }

    /// Remembered for its whole life from now: clocks may differ, and a token that has expired is
    /// refused anyway.
    fn heard(&self, fields: &[String]) {
        let [_, id, _, lives_ms, ..] = fields else {
            return;
        };
        let lives_ms = lives_ms.parse().ok().filter(|_| id.len() <= ID_BYTES_MAX);
        if let Some(lives_ms) = lives_ms {
            self.remember(id, Duration::from_millis(lives_ms).min(self.longest));
        }
    }

    async fn send_unsent(&self, link: &Link) {
        loop {
            let first = self.unsent.lock().front().cloned();
            let Some((id, until)) = first else {
                return;
            };
            let lives = until.saturating_duration_since(Instant::now());
            if !lives.is_zero() && self.send(link, &id, lives).await.is_err() {
                return;
            }
            self.unsent.lock().pop_front();
        }
    }
}

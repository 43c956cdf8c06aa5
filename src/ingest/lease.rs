//! One lease an instance, and the roles that rest on it: what only one instance does at a time.
//!
//! ```text
//! lease/<instance>   renewed every 5 s, as soon as there is a role to take
//! <role>             {"owner": <instance>}: written when it is taken, and not again
//! ```
//!
//! So an instance costs 0.2 control records a second, however many roles it has. No two clocks are
//! compared: a role is taken over where its owner's lease is gone, or has not moved for [`DEAD_AFTER`] by
//! one's own clock; an owner works only while its last renewal, acknowledged and applied here, began
//! less than [`HELD_FOR`] ago. Once it is applied here, so is everything that others wrote before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Control, ControlOutcome, ControlWrite, IngestError, now_ms};

/// Keys of the leases begin with it.
const PREFIX: &str = "lease/";
/// Leases that are looked at.
const LEASES_MAX: usize = 10_000;
/// How often it is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How often the others' leases are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a renewal holds.
const HELD_FOR: Duration = Duration::from_secs(10);
/// How long an owner is not heard of before its roles are taken over.
const DEAD_AFTER: Duration = Duration::from_secs(15);
/// How long a lease that nobody renews is kept, in milliseconds of record time.
const KEPT_MS: u64 = 60_000;

/// What time it is: by a clock that never steps, and by one that runs on while the machine sleeps.
pub type Clocks = Box<dyn Fn() -> (Instant, SystemTime) + Send + Sync>;

/// This instance's lease.
pub struct Lease {
    control: Arc<Control>,
    /// Of this instance, and the same after a restart.
    instance: String,
    /// Of this process, in case that a data directory was copied.
    process: String,
    /// Nobody else follows this log: there is nothing to agree upon.
    is_alone: bool,
    renewed: Mutex<Option<Renewal>>,
    renewing: tokio::sync::Mutex<()>,
    others: Mutex<BTreeMap<String, Other>>,
    wanted: Notify,
    clocks: Clocks,
}

/// The last renewal that was acknowledged.
#[derive(Clone, Copy)]
struct Renewal {
    revision: u64,
    /// When it was begun.
    began: (Instant, SystemTime),
}

/// Another instance's lease.
#[derive(Clone, Copy)]
struct Other {
    revision: u64,
    /// When that revision was seen first.
    since: Instant,
    /// How far its record's time was ahead of this clock then, in ms; none: it may have been older.
    ahead_ms: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct LeaseRecord {
    process: String,
}

#[derive(Serialize, Deserialize)]
struct RoleRecord {
    owner: String,
}

impl Lease {
    /// Of the instance with this store.
    pub fn new(control: Arc<Control>, instance: u64) -> Self {
        Self::by(Box::new(|| (Instant::now(), SystemTime::now())), control, instance)
    }

    /// The same by other clocks.
    pub fn by(clocks: Clocks, control: Arc<Control>, instance: u64) -> Self {
        Self {
            clocks,
            control,
            instance: format!("{instance:016x}"),
            process: format!("{:032x}", fastrand::u128(..)),
            is_alone: false,
            renewed: Mutex::default(),
            renewing: tokio::sync::Mutex::default(),
            others: Mutex::default(),
            wanted: Notify::new(),
        }
    }

    /// Of an instance that follows a log of its own.
    pub fn alone(control: Arc<Control>, instance: u64) -> Self {
        Self { is_alone: true, ..Self::new(control, instance) }
    }

    /// Whether this instance may go on with what it has taken.
    pub fn is_held(&self) -> bool {
        self.is_alone || self.renewed.lock().is_some_and(|renewed| renewed.holds((self.clocks)()))
    }

    /// The control record of the last renewal's time, in milliseconds since 1970; none: not held.
    pub fn renewed_at_ms(&self) -> Option<u64> {
        let key = self.key();
        let entry = self.control.reader().control(&key).filter(|_| self.is_held())?;
        Some(entry.changed_at_ms)
    }

    /// Takes a role that nobody has. False: it is another's.
    ///
    /// # Errors
    /// Where it is not known.
    pub async fn take(&self, role: &str) -> Result<bool, IngestError> {
        if self.is_alone {
            return Ok(true);
        }
        self.wanted.notify_one();
        if !self.is_held() && !self.renew().await? {
            return Ok(false);
        }
        let entry = self.control.reader().control(role);
        let owner = entry.as_ref().and_then(|entry| owner(&entry.value));
        match owner {
            Some(owner) if owner == self.instance => return Ok(self.is_held()),
            Some(owner) if !self.is_free(&owner) => return Ok(false),
            Some(_) | None => {}
        }
        let value = RoleRecord { owner: self.instance.clone() };
        let write = ControlWrite {
            key: role.to_owned(),
            expected_revision: Some(entry.map_or(0, |entry| entry.revision)),
            value: serde_json::to_vec(&value).ok(),
            ..ControlWrite::default()
        };
        match self.control.put(write).await? {
            ControlOutcome::Applied { .. } | ControlOutcome::Unchanged { .. } => {
                tracing::info!(role, "taken");
                Ok(self.is_held())
            }
            ControlOutcome::Conflict { .. } | ControlOutcome::Refused { .. } => Ok(false),
        }
    }

    /// Whether a role is this instance's now, taken if nobody has it. False too where that is not known,
    /// or it is told to stop.
    pub async fn takes(&self, role: &str, stop: &CancellationToken) -> bool {
        match stop.run_until_cancelled(self.take(role)).await {
            Some(Ok(is_ours)) => is_ours,
            Some(Err(error)) => {
                tracing::debug!(role, %error, "what rests on the role waits");
                false
            }
            None => false,
        }
    }

    /// Whether somebody has a role who was heard of lately.
    pub fn is_taken(&self, role: &str) -> bool {
        let owner = || owner(&self.control.reader().control(role)?.value);
        self.is_alone
            || owner().is_some_and(|owner| owner == self.instance || !self.is_free(&owner))
    }

    /// Renews, from the moment that a role is wanted, until told to stop; then gives up the lease, so
    /// that others need not wait.
    pub async fn run(&self, stop: &CancellationToken) {
        if self.is_alone || stop.run_until_cancelled(self.wanted.notified()).await.is_none() {
            stop.cancelled().await;
            return;
        }
        let mut due = self.next_due();
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            stop.run_until_cancelled(self.keep(&mut due)).await;
        }
        self.give_up().await;
    }

    /// When a renewal is due that follows one of now.
    pub fn next_due(&self) -> Instant {
        self.now() + RENEW_EVERY
    }

    /// Looks at the others' leases, and renews this one where that is due.
    pub async fn keep(&self, due: &mut Instant) {
        self.look();
        if self.now() < *due {
            return;
        }
        *due = self.next_due();
        if let Err(error) = self.renew().await {
            tracing::debug!(%error, "the lease is not renewed");
        }
    }

    /// What time it is, by the clock that never steps.
    pub fn now(&self) -> Instant {
        (self.clocks)().0
    }

    fn key(&self) -> String {
        format!("{PREFIX}{}", self.instance)
    }

    /// Whether an owner is gone, as far as can be seen from here.
    fn is_free(&self, owner: &str) -> bool {
        self.look();
        let others = self.others.lock();
        others.get(owner).is_none_or(|other| self.now() - other.since >= DEAD_AFTER)
    }

    /// How far leases' record times are ahead of this clock as they come, in ms. Those are the brokers'
    /// where they date the control topic, else the other instances': of those heard of lately the one
    /// that is off least, so that of three clocks the one that is wrong is told, and by itself.
    pub fn log_ahead_ms(&self) -> Option<i64> {
        let leases = self.others.lock();
        let lately = leases.iter().filter(|(_, lease)| self.now() - lease.since < DEAD_AFTER);
        let (own, others): (Vec<_>, Vec<_>) =
            lately.partition(|(instance, _)| **instance == self.instance);
        let ahead = |(_, lease): (&String, &Other)| lease.ahead_ms;
        let others = others.into_iter().filter_map(ahead).min_by_key(|ahead| ahead.abs());
        others.or_else(|| own.into_iter().find_map(ahead))
    }

    fn look(&self) {
        let (since, now_ms) = (self.now(), now_ms());
        let leases = self.control.reader().controls(PREFIX, None, LEASES_MAX);
        let mut others = self.others.lock();
        let mut before = std::mem::take(&mut *others);
        for (key, entry) in leases {
            let instance = key.strip_prefix(PREFIX).unwrap_or_default().to_owned();
            let revision = entry.revision;
            let other = match before.remove(&instance) {
                Some(known) if known.revision == revision => known,
                // It came since the last look, a moment ago.
                Some(_) => {
                    let ahead_ms = Some(entry.changed_at_ms.wrapping_sub(now_ms).cast_signed());
                    Other { revision, since, ahead_ms }
                }
                None => Other { revision, since, ahead_ms: None },
            };
            others.insert(instance, other);
        }
    }

    /// False: another process has this instance's lease.
    async fn renew(&self) -> Result<bool, IngestError> {
        let _one_at_a_time = self.renewing.lock().await;
        let began = (self.clocks)();
        let entry = self.control.reader().control(&self.key());
        let process = entry.as_ref().and_then(|entry| {
            serde_json::from_slice::<LeaseRecord>(&entry.value).ok().map(|held| held.process)
        });
        let is_others = process.is_some_and(|process| process != self.process);
        if is_others && !self.is_free(&self.instance) {
            return Ok(false);
        }
        let write = ControlWrite {
            key: self.key(),
            expected_revision: Some(entry.map_or(0, |entry| entry.revision)),
            lives_ms: Some(KEPT_MS),
            value: serde_json::to_vec(&LeaseRecord { process: self.process.clone() }).ok(),
            ..ControlWrite::default()
        };
        match self.control.put(write).await? {
            ControlOutcome::Applied { revision } | ControlOutcome::Unchanged { revision } => {
                *self.renewed.lock() = Some(Renewal { revision, began });
                Ok(true)
            }
            ControlOutcome::Conflict { .. } | ControlOutcome::Refused { .. } => Ok(false),
        }
    }

    async fn give_up(&self) {
        let _one_at_a_time = self.renewing.lock().await;
        let Some(Renewal { revision, .. }) = self.renewed.lock().take() else {
            return;
        };
        let expected_revision = Some(revision);
        let write = ControlWrite { key: self.key(), expected_revision, ..ControlWrite::default() };
        if let Err(error) = self.control.put(write).await {
            tracing::debug!(%error, "the lease is not given up; it is over by itself");
        }
    }
}

impl Renewal {
    fn holds(&self, (monotonic, awake_or_not): (Instant, SystemTime)) -> bool {
        let slept = awake_or_not.duration_since(self.began.1);
        monotonic - self.began.0 < HELD_FOR && slept.is_ok_and(|slept| slept < HELD_FOR)
    }
}

fn owner(value: &[u8]) -> Option<String> {
    serde_json::from_slice::<RoleRecord>(value).ok().map(|role| role.owner)
}

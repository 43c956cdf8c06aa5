//! Who may go on and who has to wait: in Redis where it answers, else by this instance's part.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use redis::Script;

use crate::config::{LimitsConfig, RateLimit};

use super::gcra::{Gcra, Taken};
use super::link::Link;
use super::subject::{LimitClass, Subject};
use super::table::{Entry, Table};

/// A lease is this part of a burst.
const LEASE_PART: u64 = 20;
/// What is left of a lease is forgotten after a period, within these bounds.
const LEASE_LIFE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The clock starts here, so that an arrival of 0 is long ago.
const CLOCK_START_US: u64 = 1_000_000_000_000;

/// Whether a request may go on, and what to tell the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What was counted.
    pub class: LimitClass,
    /// Whether it may.
    pub is_allowed: bool,
    /// Requests that may follow at once.
    pub remaining: u64,
    /// Until the limit is unused again.
    pub reset: Duration,
    /// Until one more may come; 0 where it may now.
    pub retry_after: Duration,
}

/// The answer that needs no waiting, or what it needs.
#[derive(Debug)]
pub enum AtOnce {
    /// This class has no limit.
    Unlimited,
    /// Decided.
    Decided(Decision),
    /// To be handed to [`Limiter::ask`].
    Ask(Question),
}

/// What Redis has to be asked.
#[derive(Debug)]
pub struct Question {
    class: LimitClass,
    place: u64,
    wanted: u64,
}

/// One class with a limit.
#[derive(Clone, Copy, Debug)]
struct ClassLimit {
    policy: RateLimit,
    /// As Redis counts it, for all instances.
    whole: Gcra,
    /// This instance's part, without Redis.
    part: Gcra,
    /// Requests taken ahead; 1: none.
    lease: u64,
    lease_life_us: u64,
}

impl ClassLimit {
    fn new(class: LimitClass, policy: RateLimit, instances: u64) -> Self {
        let (least, most) = LEASE_LIFE;
        Self {
            policy,
            whole: Gcra::new(&policy, 1),
            part: Gcra::new(&policy, instances),
            lease: if class.is_leased() { (policy.burst / LEASE_PART).max(1) } else { 1 },
            lease_life_us: us(policy.period.clamp(least, most)),
        }
    }
}

type ClassLimits = [Option<ClassLimit>; 6];

/// Limits of every class, by whom they count.
pub struct Limiter {
    classes: ArcSwap<ClassLimits>,
    table: Table,
    link: Option<Arc<Link>>,
    take: Script,
    started: Instant,
    seed: u64,
}

impl Default for Limiter {
    /// Without any limit.
    fn default() -> Self {
        let config = LimitsConfig {
            auth: None,
            account: None,
            sign_in: None,
            read: None,
            write: None,
            webhook: None,
            instances: 1,
        };
        Self::new(&config, None)
    }
}

impl Limiter {
    pub(super) fn new(config: &LimitsConfig, link: Option<Arc<Link>>) -> Self {
        Self {
            classes: ArcSwap::from_pointee(class_limits(config)),
            table: Table::default(),
            link,
            take: take_script(),
            started: Instant::now(),
            seed: fastrand::u64(..),
        }
    }

    /// Counts by these limits from now on; what was counted before stays counted.
    pub fn set_limits(&self, config: &LimitsConfig) {
        self.classes.store(Arc::new(class_limits(config)));
    }

    /// The limit of a class, if it has one.
    pub fn policy(&self, class: LimitClass) -> Option<RateLimit> {
        self.limit(class).map(|limit| limit.policy)
    }

    /// Whether Redis counts, and not this instance alone.
    pub fn is_shared(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.is_up())
    }

    /// Counts one request, waiting for Redis where need be.
    pub async fn check(&self, class: LimitClass, subject: &Subject<'_>) -> Option<Decision> {
        match self.at_once(class, subject, Instant::now()) {
            AtOnce::Unlimited => None,
            AtOnce::Decided(decision) => Some(decision),
            AtOnce::Ask(question) => Some(self.ask(question, subject).await),
        }
    }

    /// Counts one request, where that needs no waiting.
    pub fn at_once(&self, class: LimitClass, subject: &Subject<'_>, now: Instant) -> AtOnce {
        let Some(limit) = self.limit(class) else {
            return AtOnce::Unlimited;
        };
        let now_us = self.us(now);
        let place = subject.place(class, self.seed);
        let shared = self.link.as_ref().filter(|link| link.is_up());
        let decided = self.table.with(place, now_us, |entry| match shared {
            None => Ok(limit.take_part(class, entry, now_us)),
            Some(link) => limit
                .take_ahead(class, entry, now_us)
                .ok_or_else(|| limit.wanted(entry, now_us, link.timeout())),
        });
        match decided {
            None => AtOnce::Unlimited,
            Some(Ok(decision)) => AtOnce::Decided(decision),
            Some(Err(wanted)) => AtOnce::Ask(Question { class, place, wanted }),
        }
    }

    /// Asks Redis; where it does not answer in time, this instance's part of the limit counts.
    pub async fn ask(&self, question: Question, subject: &Subject<'_>) -> Decision {
        let Question { class, place, wanted } = question;
        let answer = self.take_shared(class, subject, i64::try_from(wanted).unwrap_or(1)).await;
        let now_us = self.us(Instant::now());
        let Some(limit) = self.limit(class) else {
            return allowed(class);
        };
        let decision = self.table.with(place, now_us, |entry| {
            if wanted > 1 {
                entry.asking_until_us = 0;
            }
            match answer {
                Some(answer) => limit.answered(class, entry, now_us, answer),
                None => limit.take_part(class, entry, now_us),
            }
        });
        decision.unwrap_or(allowed(class))
    }

    /// Undoes one check: what succeeded in the end does not count.
    pub async fn give_back(&self, class: LimitClass, subject: &Subject<'_>) {
        let Some(limit) = self.limit(class) else {
            return;
        };
        let now_us = self.us(Instant::now());
        self.table.with(subject.place(class, self.seed), now_us, |entry| {
            entry.arrival_us = entry.arrival_us.saturating_sub(limit.part.interval_us);
            entry.refused_until_us = 0;
        });
        if self.is_shared() {
            self.take_shared(class, subject, -1).await;
        }
    }

    /// None: Redis did not say.
    async fn take_shared(
        &self,
        class: LimitClass,
        subject: &Subject<'_>,
        wanted: i64,
    ) -> Option<Answer> {
        let link = self.link.as_ref()?;
        let Gcra { interval_us, capacity_us } = self.limit(class)?.whole;
        let key = subject.key(class, &link.prefix);
        let arguments = [interval_us.to_string(), capacity_us.to_string(), wanted.to_string()];
        let [interval, capacity, wanted] = arguments.each_ref().map(String::as_str);
        let answer = link.run(&self.take, &key, &[interval, capacity, wanted]).await;
        let (granted, used_us, _now_us): (i64, u64, u64) = answer.ok()?;
        Some(Answer { granted: u64::try_from(granted).unwrap_or(0), used_us })
    }

    /// Forgets the keys that say nothing.
    pub(super) fn sweep(&self) {
        self.table.sweep(self.us(Instant::now()));
    }

    fn limit(&self, class: LimitClass) -> Option<ClassLimit> {
        *self.classes.load().get(class as usize)?
    }

    fn us(&self, now: Instant) -> u64 {
        CLOCK_START_US + us(now.saturating_duration_since(self.started))
    }
}

fn class_limits(config: &LimitsConfig) -> ClassLimits {
    LimitClass::ALL.map(|class| {
        let policy = match class {
            LimitClass::Auth => config.auth,
            LimitClass::Account => config.account,
            LimitClass::Read => config.read,
            LimitClass::Write => config.write,
            LimitClass::Webhook => config.webhook,
            LimitClass::SignIn => config.sign_in,
        };
        policy.map(|policy| ClassLimit::new(class, policy, config.instances))
    })
}

/// How many Redis granted, and how much is in use then.
#[derive(Clone, Copy)]
struct Answer {
    granted: u64,
    used_us: u64,
}

impl ClassLimit {
    /// Without Redis.
    fn take_part(&self, class: LimitClass, entry: &mut Entry, now_us: u64) -> Decision {
        let Taken { granted, arrival_us } = self.part.take(entry.arrival_us, now_us, 1);
        entry.arrival_us = arrival_us;
        let used_us = arrival_us.saturating_sub(now_us);
        if granted == 0 {
            refused(class, &self.part, used_us)
        } else {
            self.granted(class, &self.part, used_us)
        }
    }

    /// By what Redis said before.
    fn take_ahead(&self, class: LimitClass, entry: &mut Entry, now_us: u64) -> Option<Decision> {
        if now_us < entry.refused_until_us {
            let wait = Duration::from_micros(entry.refused_until_us - now_us);
            let reset = Duration::from_micros(entry.full_us.saturating_sub(now_us));
            return Some(Decision {
                class,
                is_allowed: false,
                remaining: 0,
                reset,
                retry_after: wait,
            });
        }
        if entry.lease == 0 || now_us >= entry.lease_ends_us {
            return None;
        }
        entry.lease -= 1;
        entry.arrival_us = self.part.follow(entry.arrival_us, now_us);
        Some(self.leased(class, entry, now_us))
    }

    fn leased(&self, class: LimitClass, entry: &Entry, now_us: u64) -> Decision {
        Decision {
            class,
            is_allowed: true,
            remaining: entry.lease + entry.beyond_lease,
            reset: Duration::from_micros(entry.full_us.saturating_sub(now_us)),
            retry_after: Duration::ZERO,
        }
    }

    /// How many to ask for: of many requests at once only one asks for a lease.
    fn wanted(&self, entry: &mut Entry, now_us: u64, timeout: Duration) -> u64 {
        if self.lease == 1 || now_us < entry.asking_until_us {
            return 1;
        }
        entry.asking_until_us = now_us + us(timeout);
        self.lease
    }

    fn answered(
        &self,
        class: LimitClass,
        entry: &mut Entry,
        now_us: u64,
        answer: Answer,
    ) -> Decision {
        entry.full_us = now_us + answer.used_us;
        entry.beyond_lease = self.whole.left(answer.used_us);
        if answer.granted == 0 {
            let decision = refused(class, &self.whole, answer.used_us);
            entry.refused_until_us = now_us + us(decision.retry_after);
            return decision;
        }
        entry.arrival_us = self.part.follow(entry.arrival_us, now_us);
        if answer.granted > 1 {
            let held = if now_us < entry.lease_ends_us { entry.lease } else { 0 };
            entry.lease = held + answer.granted - 1;
            entry.lease_ends_us = now_us + self.lease_life_us;
        }
        if self.lease == 1 {
            return self.granted(class, &self.whole, answer.used_us);
        }
        self.leased(class, entry, now_us)
    }

    fn granted(&self, class: LimitClass, gcra: &Gcra, used_us: u64) -> Decision {
        let reset = Duration::from_micros(used_us);
        let remaining = gcra.left(used_us);
        Decision { class, is_allowed: true, remaining, reset, retry_after: Duration::ZERO }
    }
}

fn refused(class: LimitClass, gcra: &Gcra, used_us: u64) -> Decision {
    Decision {
        class,
        is_allowed: false,
        remaining: 0,
        reset: Duration::from_micros(used_us),
        retry_after: Duration::from_micros(gcra.wait_us(used_us).max(1)),
    }
}

/// Of a class that has lost its limit meanwhile, which none does.
fn allowed(class: LimitClass) -> Decision {
    let (reset, retry_after) = (Duration::ZERO, Duration::ZERO);
    Decision { class, is_allowed: true, remaining: 0, reset, retry_after }
}

/// One step of the arithmetic in Redis.
pub(super) fn take_script() -> Script {
    Script::new(include_str!("take.lua"))
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

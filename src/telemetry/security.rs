//! The security log: one line for each incident, and of many alike the first ones and the last.
//!
//! Its lines have the target `contactd::security`. No line holds a secret, nor what somebody typed as a
//! name that nobody has: it may be a password.

use std::hash::{Hash as _, Hasher as _};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use hashbrown::HashMap;
use parking_lot::Mutex;
use xxhash_rust::xxh3::Xxh3Default;

const TARGET: &str = "contactd::security";
/// Lines about the same before they are held back, and how soon one more may be written.
const ALIKE_AT_ONCE: NonZeroU32 = NonZeroU32::new(5).unwrap();
const ALIKE_EVERY: Duration = Duration::from_secs(10);
/// Lines in all: whoever comes from ever new addresses fills no disk.
const ALL_AT_ONCE: NonZeroU32 = NonZeroU32::new(200).unwrap();
const ALL_EVERY: Duration = Duration::from_millis(50);
/// Bursts that are told apart.
const BURSTS_MAX: usize = 4096;
/// What a client says of itself is cut.
const TEXT_CHARS_MAX: usize = 128;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IncidentKind {
    /// Somebody has signed in.
    SignedIn,
    /// Wrong name or password.
    SignInFailed,
    /// Too many attempts on an account, or sign-ins of it: further ones are refused for a while.
    LockedOut,
    /// A sign-in was ended by its user or an admin.
    SignedOut,
    /// A refresh token came after it was replaced: somebody has a copy.
    RefreshReused,
    /// A token or key that does not hold.
    CredentialRefused,
    /// Who it was has no role for it.
    Forbidden,
    /// It is not allowed from that address.
    AddressRefused,
    /// Requests came too often.
    RateLimited,
    /// A webhook that is not believed, or of a source that there is not.
    WebhookRefused,
    /// The file of users: a user.
    UserChanged,
    /// The file of users: an API key.
    KeyChanged,
}

impl IncidentKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignedIn => "signed_in",
            Self::SignInFailed => "sign_in_failed",
            Self::LockedOut => "locked_out",
            Self::SignedOut => "signed_out",
            Self::RefreshReused => "refresh_reused",
            Self::CredentialRefused => "credential_refused",
            Self::Forbidden => "forbidden",
            Self::AddressRefused => "address_refused",
            Self::RateLimited => "rate_limited",
            Self::WebhookRefused => "webhook_refused",
            Self::UserChanged => "user_changed",
            Self::KeyChanged => "key_changed",
        }
    }

    /// Whether all is as it should be.
    fn is_ordinary(self) -> bool {
        match self {
            Self::SignedIn | Self::SignedOut | Self::UserChanged | Self::KeyChanged => true,
            Self::SignInFailed
            | Self::LockedOut
            | Self::RefreshReused
            | Self::CredentialRefused
            | Self::Forbidden
            | Self::AddressRefused
            | Self::RateLimited
            | Self::WebhookRefused => false,
        }
    }
}

/// One incident.
#[derive(Clone, Debug)]
pub struct Incident {
    /// What happened.
    pub kind: IncidentKind,
    /// Whom it is about: a user's name, or `key:ci`; none: nobody that is known.
    pub user: Option<String>,
    /// The client's address; empty: it came by no request.
    pub address: String,
    /// The request; empty: there was none.
    pub request_id: String,
    /// Why, or what exactly.
    pub detail: String,
    /// Who did it, where that is another.
    pub by: Option<String>,
}

impl Incident {
    /// Without anything but what happened.
    pub fn new(kind: IncidentKind) -> Self {
        let text = String::new;
        Self { kind, user: None, address: text(), request_id: text(), detail: text(), by: None }
    }

    /// What is alike.
    fn burst(&self) -> u64 {
        let mut hasher = Xxh3Default::new();
        (self.kind, &self.user, &self.address, &self.detail, &self.by).hash(&mut hasher);
        hasher.finish()
    }

    /// All of its kind, of whomever.
    fn burst_of_all(&self) -> u64 {
        let mut hasher = Xxh3Default::new();
        self.kind.hash(&mut hasher);
        hasher.finish()
    }

    /// `repeated`: how many alike there were since the last line, this one among them.
    fn write(&self, repeated: u64) {
        let incident = self.kind.as_str();
        let cut = |text: &str| text.chars().take(TEXT_CHARS_MAX).collect::<String>();
        let (user, by) = (self.user.as_deref().unwrap_or("unknown"), self.by.as_deref());
        let (address, detail) = (self.address.as_str(), self.detail.as_str());
        let request_id = cut(&self.request_id);
        if self.kind.is_ordinary() {
            tracing::info!(target: TARGET, incident, user, address, request_id, detail, by, repeated);
        } else {
            tracing::warn!(target: TARGET, incident, user, address, request_id, detail, by, repeated);
        }
    }
}

/// The last of those that were held back, and how many they were.
struct Held {
    incident: Incident,
    count: u64,
}

type Keyed<C> =
    RateLimiter<u64, DefaultKeyedStateStore<u64>, C, NoOpMiddleware<<C as Clock>::Instant>>;
type Direct<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Writes incidents, not too many.
pub struct SecurityLog<C: Clock = DefaultClock> {
    alike: Keyed<C>,
    all: Direct<C>,
    held: Mutex<HashMap<u64, Held>>,
    write: fn(&Incident, u64),
}

impl Default for SecurityLog {
    fn default() -> Self {
        Self::new(DefaultClock::default(), Incident::write)
    }
}

impl<C: Clock + Clone> SecurityLog<C> {
    fn new(clock: C, write: fn(&Incident, u64)) -> Self {
        let quota = |every, burst| Quota::with_period(every).map(|quota| quota.allow_burst(burst));
        // Neither period is 0.
        let alike = quota(ALIKE_EVERY, ALIKE_AT_ONCE).unwrap_or(Quota::per_minute(ALIKE_AT_ONCE));
        let all = quota(ALL_EVERY, ALL_AT_ONCE).unwrap_or(Quota::per_minute(ALL_AT_ONCE));
        Self {
            alike: RateLimiter::new(alike, DefaultKeyedStateStore::default(), clock.clone()),
            all: RateLimiter::direct_with_clock(all, clock),
            held: Mutex::default(),
            write,
        }
    }

    /// Writes it, or holds it back and counts it.
    pub fn tell(&self, incident: Incident) {
        let burst = incident.burst();
        let mut held = self.held.lock();
        if !held.contains_key(&burst) && self.alike.len() < BURSTS_MAX {
            if self.alike.check_key(&burst).is_err() {
                held.insert(burst, Held { incident, count: 1 });
                return;
            }
            if self.all.check().is_ok() {
                drop(held);
                (self.write)(&incident, 1);
                return;
            }
        }
        // Too many that differ are counted together.
        let is_known = held.contains_key(&burst);
        let burst = if is_known { burst } else { incident.burst_of_all() };
        let count = held.get(&burst).map_or(0, |held| held.count) + 1;
        held.insert(burst, Held { incident, count });
    }

    /// Writes the last of each burst once its time has come. To be called now and then.
    pub fn sweep(&self) {
        let mut due = Vec::new();
        self.held.lock().retain(|burst, held| {
            let is_due = self.alike.check_key(burst).is_ok();
            if is_due {
                due.push((held.incident.clone(), held.count));
            }
            !is_due
        });
        self.alike.retain_recent();
        for (incident, count) in due {
            (self.write)(&incident, count);
        }
    }

    /// Writes what is held, at the end.
    pub fn flush(&self) {
        for (_, held) in self.held.lock().drain() {
            (self.write)(&held.incident, held.count);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use governor::clock::FakeRelativeClock;

    use super::*;

    thread_local! {
        static LINES: RefCell<Vec<(String, u64)>> = const { RefCell::new(Vec::new()) };
    }

    fn keep(incident: &Incident, repeated: u64) {
        LINES.with_borrow_mut(|lines| lines.push((incident.request_id.clone(), repeated)));
    }

    fn lines() -> Vec<(String, u64)> {
        LINES.with_borrow_mut(std::mem::take)
    }

    fn failed(address: &str, request: u32) -> Incident {
        Incident {
            address: address.to_owned(),
            request_id: request.to_string(),
            ..Incident::new(IncidentKind::SignInFailed)
        }
    }

    #[test]
    fn of_a_burst_the_first_ones_and_the_last_are_written_with_their_number() {
        let clock = FakeRelativeClock::default();
        let log = SecurityLog::new(clock.clone(), keep);
        for request in 0..1000 {
            log.tell(failed("10.0.0.1", request));
        }
        log.sweep();
        assert_eq!(lines(), (0..5).map(|at| (at.to_string(), 1)).collect::<Vec<_>>());
        // Another one is not kept back by it.
        log.tell(failed("10.0.0.2", 7));
        assert_eq!(lines(), [("7".to_owned(), 1)]);
        clock.advance(ALIKE_EVERY);
        log.sweep();
        assert_eq!(lines(), [("999".to_owned(), 995)]);
        clock.advance(ALIKE_EVERY * 6);
        log.sweep();
        log.tell(failed("10.0.0.1", 1));
        assert_eq!(lines(), [("1".to_owned(), 1)]);
    }

    #[test]
    fn ever_new_addresses_fill_neither_the_log_nor_the_memory() {
        let clock = FakeRelativeClock::default();
        let log = SecurityLog::new(clock.clone(), keep);
        for request in 0..100_000 {
            log.tell(failed(&request.to_string(), request));
        }
        let written = lines();
        assert_eq!(written.len(), ALL_AT_ONCE.get() as usize);
        assert!(log.held.lock().len() <= 1 && log.alike.len() <= BURSTS_MAX + 1);
        clock.advance(ALIKE_EVERY);
        log.sweep();
        assert_eq!(lines(), [("99999".to_owned(), 100_000 - written.len() as u64)]);
    }
}

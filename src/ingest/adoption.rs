//! New rules for the log: a marker into lane 0, whose order decides, then into every other lane.
//!
//! ```text
//! adopt ─► marker n+1 ─► lane 0: first of its number? ─► the other lanes ─► all of them read
//! run   ─► lanes without the newest marker, markers that are about to be dropped ─► said again
//! ```
//!
//! What is left to be done shows in the lanes themselves, so any instance ends what another began, and
//! a marker that is said twice changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::domain::fingerprint::Fingerprint;
use crate::domain::position::{CONTROL_LANE, Lane, Position};
use crate::domain::rules::{InForce, LaneRules, RuleSet};
use crate::event_log::{Ack, ConsumerStatus, EventLog, LogError};
use crate::store::{Reader, StoreError};

use super::{marker_record, now_ms};

/// Whose order decides between two that adopt at once.
const DECIDES: Lane = Lane(0);
/// How often it is looked whether a lane lacks the newest marker.
const LOOK: Duration = Duration::from_secs(1);
/// How long who adopted has for the other lanes, before others help.
const OWN_TIME: Duration = Duration::from_secs(5);
/// How often it is asked how long the log keeps a record.
const RETENTION_LOOK: Duration = Duration::from_secs(30);
/// How long one look's appends may take.
const APPEND_WAIT: Duration = Duration::from_secs(20);

/// Why rules were not adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// Nothing is known of the lanes yet.
    #[error("the log is not followed yet")]
    NotFollowing,
    /// Who asks means other rules than this instance was started with.
    #[error(
        "this instance was started with the rules {own}, not with {expected}: restart it with the \
         files that are meant, or ask with its own configuration"
    )]
    OtherFiles {
        /// This instance's.
        own: Fingerprint,
        /// What was meant.
        expected: Fingerprint,
    },
    /// Somebody else was faster.
    #[error(
        "other rules were adopted at the same moment, as number {number}{by}: look at them first"
    )]
    Overtaken {
        /// Their number.
        number: u64,
        /// Who did.
        by: String,
    },
    /// The log did not take it, or did not answer in time.
    #[error("the log did not take the marker: {0}")]
    Log(#[from] LogError),
    /// Not all lanes were read to their marker in time; it is gone on with.
    #[error("number {number} is adopted; partitions {} are not there yet", list(.lacking))]
    Unfinished {
        /// The rules' number.
        number: u64,
        /// Lanes that have not read it.
        lacking: Vec<Lane>,
    },
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How an instance's own rules and the log's stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesStanding {
    /// What all lanes come to.
    pub newest: InForce,
    /// Lanes that have not read its marker.
    pub lacking: Vec<Lane>,
    /// Hash of this instance's own rules.
    pub own: Fingerprint,
    /// What is different in this instance's own files.
    pub differences: Vec<String>,
}

/// What became of adopting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The number of the rules that hold now.
    pub number: u64,
    /// Whether that is a new one.
    pub is_new: bool,
}

/// The log's rules beside this instance's own.
pub struct Adoption {
    log: EventLog,
    reader: Reader,
    own: Arc<RuleSet>,
    lanes: Mutex<Option<Arc<ConsumerStatus>>>,
}

impl Adoption {
    /// With the rules that the instance was started with.
    pub fn new(log: EventLog, reader: Reader, own: Arc<RuleSet>) -> Self {
        Self { log, reader, own, lanes: Mutex::default() }
    }

    /// From now on the lanes are known, or are not followed any more.
    pub fn following(&self, lanes: Option<Arc<ConsumerStatus>>) {
        *self.lanes.lock() = lanes;
    }

    /// None before the log is followed.
    pub fn standing(&self) -> Option<RulesStanding> {
        let rules = self.reader.rules();
        let newest = rules.newest()?.clone();
        let lacking = self.lacking(&rules, &newest)?;
        let differences = self.own.text().differences(newest.rules.text());
        Some(RulesStanding { newest, lacking, own: self.own.fingerprint(), differences })
    }

    /// Lets this instance's own rules hold from now on, in every lane. `expected` is what the caller
    /// takes them for.
    ///
    /// # Errors
    /// What keeps it from being so, or from being known, until the deadline.
    pub async fn adopt(
        &self,
        principal: &str,
        expected: Option<Fingerprint>,
        until: Instant,
    ) -> Result<Adopted, AdoptError> {
        let own = self.own.fingerprint();
        if let Some(expected) = expected.filter(|expected| *expected != own) {
            return Err(AdoptError::OtherFiles { own, expected });
        }
        let rules = self.reader.rules();
        let newest = rules.newest().ok_or(AdoptError::NotFollowing)?;
        // No further number before every lane has the last one.
        self.spread(newest, until).await?;
        let is_clear = rules.lanes().values().all(|at| {
            at.number < newest.number || at.rules.fingerprint() == newest.rules.fingerprint()
        });
        if newest.rules.fingerprint() == own && is_clear {
            return Ok(Adopted { number: newest.number, is_new: false });
        }
        let adopted = InForce {
            number: newest.number + 1,
            rules: Arc::clone(&self.own),
            principal: Some(principal.to_owned()),
            ..newest.clone()
        };
        self.append(&adopted, &[DECIDES], until).await?;
        let rules = self.reader.rules();
        match rules.lanes().get(&DECIDES) {
            Some(at) if at.number == adopted.number && at.rules.fingerprint() == own => {}
            Some(InForce { number, principal, .. }) => {
                let by = principal.as_ref().map_or(String::new(), |who| format!(" by {who}"));
                return Err(AdoptError::Overtaken { number: *number, by });
            }
            None => return Err(AdoptError::NotFollowing),
        }
        self.spread(&adopted, until).await?;
        Ok(Adopted { number: adopted.number, is_new: true })
    }

    /// Ends what was begun and says again what the log is about to drop, until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut unfinished: Option<(u64, Instant)> = None;
        let mut retention = Retention::default();
        while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            let rules = self.reader.rules();
            let Some(newest) = rules.newest() else {
                continue;
            };
            let lacking = self.lacking(&rules, newest).unwrap_or_default();
            let since = match unfinished {
                _ if lacking.is_empty() => None,
                Some((number, since)) if number == newest.number => Some((number, since)),
                Some(_) | None => Some((newest.number, Instant::now())),
            };
            unfinished = since;
            let late = since.is_some_and(|(_, since)| since.elapsed() >= OWN_TIME);
            let mut lanes = if late { lacking } else { self.added(lacking) };
            let kept_for = retention.of(&self.log).await;
            lanes.extend(kept_for.map(|kept| fading(&rules, newest, kept)).unwrap_or_default());
            if lanes.is_empty() {
                continue;
            }
            let until = Instant::now() + APPEND_WAIT;
            let said = stop.run_until_cancelled(self.append(newest, &lanes, until)).await;
            let number = newest.number;
            match said {
                Some(Ok(())) => {
                    tracing::info!(
                        number,
                        partitions = list(&lanes),
                        "the log's rules were said again"
                    );
                }
                Some(Err(error)) => {
                    tracing::warn!(number, %error, "the log's rules could not be said again");
                }
                None => return,
            }
        }
    }

    /// Lanes that have not read the newest marker; none before they are known.
    fn lacking(&self, rules: &LaneRules, newest: &InForce) -> Option<Vec<Lane>> {
        let lanes = self.lanes.lock().as_ref()?.lanes().into_iter().map(|(lane, _)| lane);
        let lacks =
            |lane: &Lane| rules.lanes().get(lane).is_none_or(|at| at.number < newest.number);
        Some(lanes.filter(|lane| *lane != CONTROL_LANE).filter(lacks).collect())
    }

    /// Those that the log was not founded with: nobody else is at it.
    fn added(&self, mut lanes: Vec<Lane>) -> Vec<Lane> {
        let founded = self.log.founding().map_or(u16::MAX, |founding| founding.lanes);
        lanes.retain(|lane| lane.0 >= founded);
        lanes
    }

    /// Into every lane that lacks it.
    async fn spread(&self, newest: &InForce, until: Instant) -> Result<(), AdoptError> {
        let lacking = self.lacking(&self.reader.rules(), newest).ok_or(AdoptError::NotFollowing)?;
        if lacking.is_empty() {
            return Ok(());
        }
        self.append(newest, &lacking, until).await
    }

    /// Appends a marker to these lanes and waits until it was read there.
    async fn append(
        &self,
        marker: &InForce,
        lanes: &[Lane],
        until: Instant,
    ) -> Result<(), AdoptError> {
        let founding = self.reader.rules().founding();
        let InForce { number, rules, principal, .. } = marker;
        let record =
            |lane: &Lane| marker_record(*lane, *number, founding, rules, principal.as_deref());
        let records = lanes.iter().map(record).collect();
        let unfinished = || AdoptError::Unfinished { number: *number, lacking: lanes.to_vec() };
        let acks = tokio::time::timeout_at(until.into(), self.log.append(records)).await;
        let acks = acks.map_err(|_elapsed| unfinished())??;
        let read = tokio::time::timeout_at(until.into(), self.until_read(&acks)).await;
        read.map_err(|_elapsed| unfinished())?
    }

    async fn until_read(&self, acks: &[Ack]) -> Result<(), AdoptError> {
        let next: BTreeMap<_, _> = acks.iter().map(|ack| (ack.lane, ack.offset.next())).collect();
        let position = Position { next, ..self.reader.position() };
        Ok(self.reader.wait_for(&position).await?)
    }
}

/// For how long the log keeps a record, asked again now and then.
#[derive(Default)]
struct Retention {
    asked: Option<Instant>,
    kept_for: Option<Duration>,
}

impl Retention {
    /// None: for ever, or as far as is known.
    async fn of(&mut self, log: &EventLog) -> Option<Duration> {
        if self.asked.is_none_or(|asked| asked.elapsed() >= RETENTION_LOOK) {
            self.asked = Some(Instant::now());
            let log = log.clone();
            match tokio::task::spawn_blocking(move || log.retention()).await {
                Ok(Ok(kept_for)) => self.kept_for = kept_for,
                Ok(Err(error)) => tracing::debug!(%error, "the log's retention is not known"),
                Err(_) => {}
            }
        }
        self.kept_for
    }
}

/// Lanes in which a marker stands since a fourth of the time that a record is kept: well before a
/// third of it has passed it is said again.
fn fading(rules: &LaneRules, newest: &InForce, kept_for: Duration) -> Vec<Lane> {
    let fourth = u64::try_from(kept_for.as_millis() / 4).unwrap_or(u64::MAX);
    let now = now_ms();
    let is_old = |at: &InForce| {
        let said = u64::try_from(at.record_time_ms).unwrap_or(0);
        at.number == newest.number && now.saturating_sub(said) >= fourth
    };
    rules.lanes().iter().filter(|(_, at)| is_old(at)).map(|(lane, _)| *lane).collect()
}

fn list(lanes: &[Lane]) -> String {
    let lanes: Vec<String> = lanes.iter().map(ToString::to_string).collect();
    lanes.join(", ")
}

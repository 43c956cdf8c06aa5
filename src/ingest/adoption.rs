//! New rules for the log: a marker into lane 0, whose order decides, then into every other lane.
//!
//! ```text
//! adopt ─► marker n+1 ─► lane 0: first of its number? ─► the other lanes ─► all of them read
//! run   ─► lanes without the newest marker, markers that are about to be dropped ─► said again
//! ```
//!
//! What is left to be done shows in the lanes themselves, so any instance ends what another began, and
//! a marker that is said twice changes nothing. One that was acknowledged is not said again before it
//! was read, and none is said while a lane stands before a marker that can't be passed: whether it
//! lacks anything shows only behind that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::domain::fingerprint::Fingerprint;
use crate::domain::position::{CONTROL_LANE, Lane, Offset, Position};
use crate::domain::rules::{InForce, LaneRules, NUMBER_MAX, RuleSet, next_number};
use crate::event_log::{Ack, ConsumerStatus, EventLog, LogError};
use crate::store::{Reader, StoreError};

use super::fading::Fading;
use super::{Retries, marker_record};

/// Whose order decides between two that adopt at once.
const DECIDES: Lane = Lane(0);
/// How often it is looked whether a lane lacks the newest marker.
const LOOK: Duration = Duration::from_secs(1);
/// How long who adopted has for the other lanes, before others help.
const OWN_TIME: Duration = Duration::from_secs(5);
/// The longest pause after what could not be appended.
const PAUSE_MAX: Duration = Duration::from_secs(60);
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
    /// Nothing is appended behind what can't be read.
    #[error("the log's rules are left as they are while not all of it can be read: {0}")]
    Stopped(String),
    /// There is no number for them.
    #[error("the log's rules have number {NUMBER_MAX}, the greatest that there is")]
    NoNumber,
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

/// Says why lanes are not read on, if some are not.
pub type Stopped = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// A marker that was acknowledged.
#[derive(Clone, Copy, PartialEq, Eq)]
struct OwnMarker {
    number: u64,
    rules: Fingerprint,
    offset: Offset,
}

/// The log's rules beside this instance's own.
pub struct Adoption {
    log: EventLog,
    reader: Reader,
    own: Arc<RuleSet>,
    following: Mutex<Option<(Arc<ConsumerStatus>, Stopped)>>,
    /// Each lane's last one, until it was read.
    appended: Mutex<BTreeMap<Lane, OwnMarker>>,
    /// How long others have before this instance ends what they began.
    own_time: Duration,
}

impl Adoption {
    /// With the rules that the instance was started with.
    pub fn new(log: EventLog, reader: Reader, own: Arc<RuleSet>) -> Self {
        let (following, appended) = (Mutex::default(), Mutex::default());
        Self { log, reader, own, following, appended, own_time: OWN_TIME }
    }

    /// From now on the lanes are known, or are not followed any more.
    pub fn following(&self, lanes: Option<(Arc<ConsumerStatus>, Stopped)>) {
        *self.following.lock() = lanes;
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
            number: next_number(newest.number).ok_or(AdoptError::NoNumber)?,
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
        let mut fading = Fading::default();
        let (mut retries, mut wait) = (Retries::between(LOOK, PAUSE_MAX), LOOK);
        while stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
            wait = LOOK;
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
            let late = since.is_some_and(|(_, since)| since.elapsed() >= self.own_time);
            let mut lanes = if late { lacking } else { self.added(lacking) };
            lanes.extend(fading.lanes(&self.log, &rules, newest).await);
            if lanes.is_empty() {
                continue;
            }
            let until = Instant::now() + APPEND_WAIT;
            let said = stop.run_until_cancelled(self.append(newest, &lanes, until)).await;
            let number = newest.number;
            match said {
                Some(Ok(())) => {
                    retries.reset();
                    tracing::info!(
                        number,
                        partitions = list(&lanes),
                        "the log's rules were said again"
                    );
                }
                Some(Err(error)) => {
                    let (pause, is_new) = retries.failed(&error);
                    wait = pause;
                    if is_new {
                        tracing::warn!(number, %error, "the log's rules could not be said again");
                    }
                }
                None => return,
            }
        }
    }

    /// Lanes that have not read the newest marker; none before they are known.
    fn lacking(&self, rules: &LaneRules, newest: &InForce) -> Option<Vec<Lane>> {
        let lanes = self.following.lock().as_ref()?.0.lanes().into_iter().map(|(lane, _)| lane);
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

    /// Appends a marker to these lanes, but for those where it stands unread, and waits until it was read.
    async fn append(
        &self,
        marker: &InForce,
        lanes: &[Lane],
        until: Instant,
    ) -> Result<(), AdoptError> {
        let stopped = self.following.lock().as_ref().and_then(|(_, stopped)| stopped());
        if let Some(why) = stopped {
            return Err(AdoptError::Stopped(why));
        }
        let founding = self.reader.rules().founding();
        let homes = self.log.founding()?;
        let InForce { number, rules, principal, .. } = marker;
        let principal = principal.as_deref();
        let record = |lane: &Lane| marker_record(*lane, *number, founding, homes, rules, principal);
        let mut awaited = self.unread(marker);
        awaited.retain(|lane, _| lanes.contains(lane));
        let records = lanes.iter().filter(|lane| !awaited.contains_key(*lane)).map(record);
        let records: Vec<_> = records.collect();
        let unfinished = || AdoptError::Unfinished { number: *number, lacking: lanes.to_vec() };
        if !records.is_empty() {
            let acks = tokio::time::timeout_at(until.into(), self.log.append(records)).await;
            let acks = acks.map_err(|_elapsed| unfinished())??;
            self.remember(marker, &acks);
            awaited.extend(acks.iter().map(|ack| (ack.lane, ack.offset)));
        }
        let read = tokio::time::timeout_at(until.into(), self.until_read(&awaited)).await;
        read.map_err(|_elapsed| unfinished())?
    }

    fn remember(&self, marker: &InForce, acks: &[Ack]) {
        let (number, rules) = (marker.number, marker.rules.fingerprint());
        let appended = acks.iter().map(|ack| {
            let Ack { lane, offset } = *ack;
            (lane, OwnMarker { number, rules, offset })
        });
        self.appended.lock().extend(appended);
    }

    /// Where this very marker stands and was not read yet.
    fn unread(&self, marker: &InForce) -> BTreeMap<Lane, Offset> {
        let (number, rules) = (marker.number, marker.rules.fingerprint());
        let mut appended = self.appended.lock();
        let here = self.reader.position().next;
        appended.retain(|lane, at| here.get(lane).is_none_or(|next| *next < at.offset.next()));
        let same = appended.iter().filter(|(_, at)| (at.number, at.rules) == (number, rules));
        same.map(|(lane, at)| (*lane, at.offset)).collect()
    }

    async fn until_read(&self, appended: &BTreeMap<Lane, Offset>) -> Result<(), AdoptError> {
        let next = appended.iter().map(|(lane, offset)| (*lane, offset.next())).collect();
        let position = Position { next, ..self.reader.position() };
        Ok(self.reader.wait_for(&position).await?)
    }
}

fn list(lanes: &[Lane]) -> String {
    let lanes: Vec<String> = lanes.iter().map(ToString::to_string).collect();
    lanes.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::position::NextOffset;
    use crate::domain::rules::RuleText;
    use crate::event_log::embedded::{EmbeddedLog, EmbeddedOptions};
    use crate::event_log::{ConsumeBounds, Consumer};
    use crate::store::{self, Opened, StoreConfig};

    struct World {
        adoption: Arc<Adoption>,
        log: EventLog,
        consumer: Consumer,
        writer: store::Writer,
        _dir: tempfile::TempDir,
    }

    /// An instance whose own rules differ from the log's, and which applies nothing.
    fn world(number: u64) -> World {
        let dir = tempfile::tempdir().unwrap();
        let options = EmbeddedOptions {
            path: dir.path().join("log"),
            topic: "contacts".into(),
            partitions: 2,
            segment_bytes_max: 1 << 20,
            retention_bytes: None,
            retention_age: None,
        };
        let log = EventLog::Embedded(Arc::new(EmbeddedLog::open(options).unwrap()));
        let options = StoreConfig::at(dir.path().join("store"));
        let opened = store::open(options, Some(&log.identity().unwrap()), &|_| {}).unwrap();
        let Opened { mut writer, reader, .. } = opened;
        let rules = Arc::new(RuleSet::built_in().unwrap());
        let beginning = InForce { number, ..InForce::at_founding(rules) };
        writer.begin_with(1, beginning.clone()).unwrap();
        for lane in [Lane(0), Lane(1)] {
            writer.marker(lane, beginning.clone()).unwrap();
        }
        writer.commit().unwrap();
        let bounds = ConsumeBounds { records_max: 16, bytes_max: 1 << 20 };
        let from = [0, 1].map(|lane| (Lane(lane), NextOffset(0)));
        let consumer = log.consume(&from.into(), bounds).unwrap();
        let own = RuleText { future_tolerance_ms: 7, ..RuleText::built_in() };
        let own = Arc::new(RuleSet::compile(own).unwrap());
        let adoption =
            Adoption { own_time: Duration::ZERO, ..Adoption::new(log.clone(), reader, own) };
        let adoption = Arc::new(adoption);
        World { adoption, log, consumer, writer, _dir: dir }
    }

    impl World {
        fn following(&self, stopped: Option<&str>) {
            let stopped = stopped.map(str::to_owned);
            let stopped: Stopped = Arc::new(move || stopped.clone());
            self.adoption.following(Some((self.consumer.status(), stopped)));
        }

        async fn adopt(&self) -> AdoptError {
            let until = Instant::now() + Duration::from_millis(50);
            self.adoption.adopt("ada", None, until).await.unwrap_err()
        }

        fn markers(&self) -> u64 {
            self.markers_in(DECIDES)
        }

        fn markers_in(&self, lane: Lane) -> u64 {
            self.log.watermarks(lane).unwrap().high.0
        }
    }

    #[tokio::test]
    async fn nothing_is_appended_while_a_lane_stands_before_a_marker_that_can_not_be_passed() {
        let world = world(0);
        world.following(Some("APPLY_VERSION 77"));
        let error = world.adopt().await;
        assert!(matches!(&error, AdoptError::Stopped(why) if why.contains("77")), "{error}");
        assert_eq!(world.markers(), 0);
    }

    #[tokio::test]
    async fn a_marker_that_was_acknowledged_and_not_read_is_not_appended_again() {
        let world = world(0);
        world.following(None);
        // How long an acknowledgement takes is the disk's matter.
        while world.adoption.appended.lock().is_empty() {
            assert!(matches!(world.adopt().await, AdoptError::Unfinished { number: 1, .. }));
        }
        let appended = world.markers();
        for _ in 0..3 {
            assert!(matches!(world.adopt().await, AdoptError::Unfinished { number: 1, .. }));
        }
        assert_eq!(world.markers(), appended);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_another_began_and_did_not_end_is_appended_to_the_lanes_that_lack_it() {
        let mut world = world(0);
        // Killed behind the first lane, or its other appends are lost.
        let begun = world.adoption.reader.rules().newest().unwrap().clone();
        world.writer.marker(DECIDES, InForce { number: 1, ..begun }).unwrap();
        world.writer.commit().unwrap();
        world.following(None);
        let stop = CancellationToken::new();
        let looking = async {
            let end = Instant::now() + Duration::from_secs(60);
            while world.markers_in(Lane(1)) == 0 {
                assert!(Instant::now() < end, "in vain");
                tokio::task::yield_now().await;
            }
            stop.cancel();
        };
        tokio::join!(Arc::clone(&world.adoption).run(stop.clone()), looking);
        assert_eq!((world.markers(), world.markers_in(Lane(1))), (0, 1));
    }

    #[tokio::test]
    async fn there_is_no_number_after_the_greatest() {
        let world = world(NUMBER_MAX);
        world.following(None);
        assert!(matches!(world.adopt().await, AdoptError::NoNumber));
        assert_eq!(world.markers(), 0);
    }
}

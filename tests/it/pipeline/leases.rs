//! What only one instance does at a time: who has it, and who takes it over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use contactd::domain::control::ControlRecord;
use contactd::domain::position::CONTROL_LANE;
use contactd::event_log::NewRecord;
use contactd::ingest::{Clocks, Control, Lease, now_ms};
use tokio_util::sync::CancellationToken;

use crate::support::follower::Follower;
use crate::support::logs::open_embedded;

/// Longer than a lease is believed.
const PATIENCE: Duration = Duration::from_secs(60);

struct Instances {
    follower: Follower,
    control: Arc<Control>,
}

/// Any number of instances' leases over one store: they differ in nothing else.
fn instances(dir: &tempfile::TempDir) -> Instances {
    let path = dir.path();
    let follower = Follower::start(&path.join("store"), open_embedded(&path.join("log")));
    let control = Control::new(follower.log.clone(), follower.reader.clone());
    Instances { follower, control: Arc::new(control) }
}

impl Instances {
    fn lease(&self, instance: u64) -> Arc<Lease> {
        Arc::new(Lease::new(Arc::clone(&self.control), instance))
    }

    fn lease_by(&self, time: &Time, instance: u64) -> Lease {
        Lease::by(time.clocks(), Arc::clone(&self.control), instance)
    }

    fn revision(&self, key: &str) -> u64 {
        self.follower.reader.control(key).map_or(0, |entry| entry.revision)
    }
}

async fn until(what: &str, mut look: impl AsyncFnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !look().await {
        assert!(began.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    began.elapsed()
}

#[tokio::test]
async fn one_instance_has_a_role_and_renews_one_lease_for_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let all = instances(&dir);
    let (one, other) = (all.lease(1), all.lease(2));
    let stop = CancellationToken::new();
    let mut running = tokio::task::JoinSet::new();
    running.spawn({
        let (one, stop) = (Arc::clone(&one), stop.clone());
        async move { one.run(&stop).await }
    });
    let roles: Vec<String> = (0..100).map(|number| format!("role/{number}")).collect();
    for role in &roles {
        assert!(one.take(role).await.unwrap());
        assert!(one.take(role).await.unwrap(), "it has it already");
    }
    assert!(!other.take("role/0").await.unwrap());
    assert!(other.take("role/another").await.unwrap());
    let lease = "lease/0000000000000001";
    let first = all.revision(lease);
    let waited = until("it is renewed", async || all.revision(lease) > first).await;
    assert!(waited > Duration::from_secs(3) && one.is_held(), "{waited:?}");
    assert!(roles.iter().all(|role| all.revision(role) == 1), "no role is written again");
    // An orderly end: nobody has to wait.
    stop.cancel();
    running.join_all().await;
    assert!(!one.is_held() && !other.is_taken("role/0"));
    assert!(other.take("role/0").await.unwrap());
}

/// Two clocks that stand still until they are moved.
#[derive(Clone)]
struct Time {
    began: (Instant, SystemTime),
    /// How far each is, in milliseconds.
    moved: Arc<[AtomicU64; 2]>,
}

impl Time {
    fn new() -> Self {
        Self { began: (Instant::now(), SystemTime::now()), moved: Arc::default() }
    }

    fn clocks(&self) -> Clocks {
        let Self { began: (monotonic, wall), moved } = self.clone();
        let at = move |clock: usize| Duration::from_millis(moved[clock].load(Ordering::SeqCst));
        Box::new(move || (monotonic + at(0), wall + at(1)))
    }

    fn pass(&self, ms: u64) {
        self.moved[0].fetch_add(ms, Ordering::SeqCst);
        self.sleep(ms);
    }

    /// The machine sleeps, and the clock that never steps with it.
    fn sleep(&self, ms: u64) {
        self.moved[1].fetch_add(ms, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_role_is_taken_over_only_when_its_owner_has_stopped_believing_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let (all, time) = (instances(&dir), Time::new());
    // It never renews, as an instance that is paused.
    let (paused, other) = (all.lease_by(&time, 1), all.lease_by(&time, 2));
    assert!(paused.take("role").await.unwrap());
    assert!(!other.take("role").await.unwrap());
    time.pass(9_999);
    assert!(paused.is_held() && !other.take("role").await.unwrap());
    time.pass(1);
    assert!(!paused.is_held(), "10 s after its last renewal");
    time.pass(4_999);
    assert!(!other.take("role").await.unwrap(), "it may be a moment late");
    time.pass(1);
    assert!(other.take("role").await.unwrap(), "nothing was heard of it for 15 s");
    assert!(!paused.take("role").await.unwrap(), "it sees that it is another's now");
}

#[tokio::test]
async fn a_renewal_is_due_after_five_seconds_and_holds_for_ten() {
    let dir = tempfile::tempdir().unwrap();
    let (all, time) = (instances(&dir), Time::new());
    let one = all.lease_by(&time, 1);
    assert!(one.take("role").await.unwrap());
    let mut due = one.next_due();
    time.pass(4_999);
    one.keep(&mut due).await;
    time.pass(5_000);
    assert!(one.is_held());
    time.pass(1);
    assert!(!one.is_held(), "nothing was due when it was looked at");
    assert!(one.take("role").await.unwrap());
    let mut due = one.next_due();
    for _ in 0..20 {
        time.pass(5_000);
        one.keep(&mut due).await;
        assert!(one.is_held());
    }
    time.pass(9_999);
    assert!(one.is_held());
    time.pass(1);
    assert!(!one.is_held());
}

#[tokio::test]
async fn a_machine_that_slept_has_no_lease_when_it_wakes() {
    let dir = tempfile::tempdir().unwrap();
    let (all, time) = (instances(&dir), Time::new());
    let one = all.lease_by(&time, 1);
    assert!(one.take("role").await.unwrap());
    time.sleep(9_999);
    assert!(one.is_held());
    time.sleep(1);
    assert!(!one.is_held());
}

#[tokio::test]
async fn a_copied_data_directory_has_no_second_lease() {
    let dir = tempfile::tempdir().unwrap();
    let all = instances(&dir);
    let (one, copy) = (all.lease(7), all.lease(7));
    assert!(one.take("role").await.unwrap());
    assert!(!copy.take("role").await.unwrap());
    assert!(one.is_held() && !copy.is_held());
}

/// An entry as another instance writes it, whose clock is so far ahead of this one.
async fn put(all: &Instances, key: &str, value: &str, ahead_ms: i64) {
    let before = all.revision(key);
    let record = ControlRecord {
        id: format!("{key}/{}", before + 1),
        key: key.to_owned(),
        value: Some(value.as_bytes().to_vec()),
        ..ControlRecord::default()
    };
    let record = NewRecord {
        key: key.as_bytes().to_vec(),
        value: Some(record.encode().unwrap()),
        timestamp_ms: i64::try_from(now_ms()).unwrap() + ahead_ms,
        lane: Some(CONTROL_LANE),
        ..NewRecord::default()
    };
    all.follower.log.append(vec![record]).await.unwrap();
    until("it is applied", async || all.revision(key) > before).await;
}

#[tokio::test]
async fn a_clock_that_is_off_from_all_others_is_told_by_their_leases() {
    let dir = tempfile::tempdir().unwrap();
    let all = instances(&dir);
    let one = all.lease(1);
    let [second, third] = ["lease/0000000000000002", "lease/0000000000000003"];
    put(&all, second, "1", 3_600_000).await;
    put(&all, "a role", r#"{"owner":"0000000000000002"}"#, 0).await;
    let look = || _ = one.is_taken("a role");
    look();
    assert_eq!(one.log_ahead_ms(), None, "how old the first lease is nobody knows");
    put(&all, second, "2", 3_600_000).await;
    look();
    let ahead = one.log_ahead_ms().unwrap();
    assert!((3_480_000..=3_600_000).contains(&ahead), "{ahead}");
    // A third one agrees with this one: the second is wrong, and says so itself.
    for value in ["1", "2"] {
        put(&all, third, value, 0).await;
        look();
    }
    assert!(one.log_ahead_ms().unwrap().abs() < 60_000);
}

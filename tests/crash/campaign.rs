//! One data directory, one log, and kill after kill.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::image::Image;
use crate::support::load::{ControlLoad, Load};
use crate::support::logs::TestLog;
use crate::support::node::Node;

/// Records that are put on the log whenever all of it is applied.
const PORTION: usize = 1_200;
/// Control records among them.
const CONTROLS: usize = 300;
/// Few, so that each changes often and snapshots are small.
const CONTACTS: u32 = 150;
/// Runs that may pass without a kill, for each kill that is asked for.
const IDLE_RUNS_MAX: u32 = 12;

/// A place where a process can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    pub name: &'static str,
    /// A kill comes at any hit from the first to this one.
    pub hit_max: u64,
    /// Passed only when there is something to redo.
    pub in_recovery: bool,
}

/// How often a process was killed at each point.
pub type Hits = BTreeMap<&'static str, u32>;

/// Kills contactd again and again over a growing log.
pub struct Campaign {
    pub log: TestLog,
    node: Node,
    dir: PathBuf,
    load: Load,
    controls: ControlLoad,
    random: fastrand::Rng,
    /// Something is on the log that was not applied when the last process ended.
    has_backlog: bool,
    /// The last process was killed.
    was_killed: bool,
    pub hits: Hits,
}

impl Campaign {
    /// In a directory of its own; nothing is started yet.
    pub fn new(dir: &Path, log: TestLog, seed: u64) -> Self {
        let node = log.followed_by(Node::new(&dir.join("store")));
        Self {
            log,
            node,
            dir: dir.to_owned(),
            load: Load::new(seed, CONTACTS),
            controls: ControlLoad::new(seed),
            random: fastrand::Rng::with_seed(seed),
            has_backlog: false,
            was_killed: false,
            hits: Hits::new(),
        }
    }

    /// Sets a key of the node's configuration.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.node = self.node.with(key, value);
        self
    }

    /// Runs until killed at each of these points, in an order that is drawn.
    pub fn kill_at(&mut self, points: &[Point]) {
        let mut left = points.to_vec();
        self.random.shuffle(&mut left);
        let mut idle = 0;
        while !left.is_empty() {
            let at = left.iter().position(|point| self.was_killed || !point.in_recovery);
            // Only points of a recovery are left, and the last process ended well: any kill will do.
            let point = at.map_or(EARLY, |at| left[at]);
            if !self.run(point) {
                idle += 1;
                let named: Vec<_> = left.iter().map(|point| point.name).collect();
                assert!(idle < IDLE_RUNS_MAX * points.len() as u32, "never passed: {named:?}");
                // Another one may be nearer.
                left.rotate_left(1);
                continue;
            }
            if let Some(at) = at {
                left.remove(at);
            }
        }
    }

    /// One process; true: it was killed at the point.
    fn run(&mut self, point: Point) -> bool {
        if !self.has_backlog {
            self.log.append(self.load.take(PORTION));
            self.log.append_control(self.controls.by_ref().take(CONTROLS));
            self.has_backlog = true;
        }
        let hit = self.random.u64(1..=point.hit_max);
        let exit = self.node.catch_up(&format!("kill:{}:{hit}", point.name));
        self.was_killed = exit.was_killed();
        if self.was_killed {
            *self.hits.entry(point.name).or_default() += 1;
            return true;
        }
        assert!(
            exit.status.success(),
            "kill:{}:{hit}: {}: {}",
            point.name,
            exit.status,
            exit.stderr
        );
        self.has_backlog = false;
        false
    }

    /// Lets it catch up, runs the same log without a kill in another directory, and reads both.
    #[track_caller]
    pub fn finish(self) -> (Image, Image) {
        self.node.catch_up_soundly_within(WHOLE_LOG_BY);
        let calm = self.node.clone().on(&self.dir.join("calm"));
        calm.catch_up_soundly_within(WHOLE_LOG_BY);
        (Image::read(&calm.store), Image::read(&self.node.store))
    }
}

/// All that a long campaign appended is applied by then, in the smallest of batches.
const WHOLE_LOG_BY: Duration = Duration::from_secs(1_800);
/// A kill that leaves something to redo.
const EARLY: Point = Point { name: "journalled", hit_max: 6, in_recovery: false };

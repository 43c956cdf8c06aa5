//! A store that follows a log within the test's own process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Control;
use crate::apply::{ApplyOptions, Pipeline, Progress, Terms};
use crate::domain::founding::Founding;
use crate::domain::partitioner::Partitioner;
use crate::domain::position::{CONTROL_LANE, Lane, NextOffset};
use crate::domain::rules::{InForce, RuleSet};
use crate::event_log::embedded::{EmbeddedLog, EmbeddedOptions};
use crate::event_log::{ConsumeBounds, EventLog, NewRecord};
use crate::store::{self, Opened, Reader, StoreConfig, Writer};
use crate::telemetry::Metrics;

pub(crate) const LANES: u16 = 4;
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store that follows a log until it is dropped.
pub(crate) struct World {
    pub(crate) log: EventLog,
    pub(crate) reader: Reader,
    pub(crate) control: Arc<Control>,
    stop: CancellationToken,
    applying: Option<JoinHandle<Writer>>,
}

pub(crate) fn open_log(path: &Path) -> EventLog {
    let options = EmbeddedOptions {
        path: path.to_owned(),
        topic: "contacts".to_owned(),
        partitions: LANES,
        segment_bytes_max: 32 << 20,
        retention_bytes: None,
        retention_age: None,
    };
    EventLog::Embedded(Arc::new(EmbeddedLog::open(options).unwrap()))
}

#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl World {
    pub(crate) fn follow(dir: &Path, log: EventLog) -> Self {
        Self::follow_under(1, dir, log)
    }

    /// Under that founding of the log.
    pub(crate) fn follow_under(founding: u64, dir: &Path, log: EventLog) -> Self {
        let options = StoreConfig::at(dir);
        let opened = store::open(options, Some(&log.identity().unwrap()), &|_| {});
        let Opened { mut writer, reader, .. } = opened.unwrap();
        if writer.rules().beginning().is_none() {
            let rules = InForce::at_founding(Arc::new(RuleSet::built_in().unwrap()));
            writer.begin_with(founding, rules).unwrap();
        }
        let control_lane = (!log.is_control_refused()).then_some(CONTROL_LANE);
        let lanes = (0..LANES).map(Lane).chain(control_lane);
        let next = writer.next_offsets();
        let from: BTreeMap<Lane, NextOffset> =
            lanes.map(|lane| (lane, next.get(&lane).copied().unwrap_or_default())).collect();
        let bounds = ConsumeBounds { records_max: 4_096, bytes_max: 4 << 20 };
        let mut consumer = log.consume(&from, bounds).unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let pipeline = Pipeline {
            terms: Terms::of(Founding::first(Partitioner::Murmur2, LANES)),
            options: ApplyOptions { batch_records_max: 512, batch_bytes_max: 1 << 20 },
            lanes: metrics.lanes("contacts", LANES),
            control_lane: metrics.lanes("control", 1),
            metrics,
            topic: "contacts".to_owned(),
            control_topic: "control".to_owned(),
            progress: Arc::new(Progress::default()),
            until_caught_up: false,
        };
        let stop = CancellationToken::new();
        let told = stop.clone();
        let applying = std::thread::spawn(move || {
            pipeline.run(&mut consumer, &mut writer, &told).unwrap();
            writer
        });
        let control = Arc::new(Control::new(log.clone(), reader.clone()));
        Self { log, reader, control, stop, applying: Some(applying) }
    }

    /// Appends, and waits until all of the log is applied.
    #[track_caller]
    pub(crate) fn append(&self, records: Vec<NewRecord>) {
        self.log.append_blocking(records).unwrap();
        self.log.flush().unwrap();
        self.catch_up();
    }

    #[track_caller]
    pub(crate) fn catch_up(&self) {
        for lane in (0..LANES).map(Lane) {
            let end = self.log.watermarks(lane).unwrap().high;
            wait_until("all is applied", || {
                self.reader.position().next.get(&lane).copied().unwrap_or_default() >= end
            });
        }
    }

    pub(crate) fn end(&mut self) -> Option<Writer> {
        self.stop.cancel();
        self.applying.take().map(|applying| applying.join().unwrap())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            drop(self.end());
        }
    }
}

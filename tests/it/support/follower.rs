//! A store that follows a log within the test's own process, as an instance does: for what needs
//! its reader and its ways in, not its HTTP.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use contactd::apply::{ApplyOptions, Pipeline, Progress, Terms};
use contactd::domain::position::{CONTROL_LANE, Lane, NextOffset};
use contactd::domain::rules::{InForce, RuleSet};
use contactd::event_log::{ConsumeBounds, ControlAccess, EventLog};
use contactd::ingest::Control;
use contactd::store::{self, Opened, Reader, StoreOptions, Writer};
use contactd::telemetry::Metrics;
use tokio_util::sync::CancellationToken;

/// Lets a new store begin with the built-in rules, without a marker.
pub fn begin(writer: &mut Writer) {
    if writer.rules().beginning().is_none() {
        let rules = RuleSet::built_in().expect("the built-in rules");
        writer.begin_with(1, InForce::at_founding(Arc::new(rules))).expect("a beginning");
    }
}

/// Applies until it is stopped or dropped.
pub struct Follower {
    pub log: EventLog,
    pub reader: Reader,
    pub control: Control,
    stop: CancellationToken,
    applying: Option<JoinHandle<Writer>>,
}

impl Follower {
    /// Opens the store, made if need be, and follows the log from where it stands.
    #[track_caller]
    pub fn start(dir: &Path, log: EventLog) -> Self {
        Self::start_by(StoreOptions::at(dir), log)
    }

    /// The same with other bounds.
    #[track_caller]
    pub fn start_by(options: StoreOptions, log: EventLog) -> Self {
        let identity = log.identity().expect("the log answers");
        let opened = store::open(options, Some(&identity), &|_| {});
        let Opened { mut writer, reader, .. } = opened.expect("the store opens");
        begin(&mut writer);
        let access = log.prepare_control().expect("the log answers");
        assert_eq!(access, ControlAccess::Ready);
        let lanes = (0..log.lanes().expect("lanes")).map(Lane).chain([CONTROL_LANE]);
        let next = writer.next_offsets();
        let from: BTreeMap<Lane, NextOffset> =
            lanes.map(|lane| (lane, next.get(&lane).copied().unwrap_or_default())).collect();
        let bounds = ConsumeBounds { records_max: 4_096, bytes_max: 4 << 20 };
        let mut consumer = log.consume(&from, bounds).expect("the log is read");
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let pipeline = Pipeline {
            terms: Terms::of(log.founding().expect("a founding")),
            options: ApplyOptions { batch_records_max: 512, batch_bytes_max: 1 << 20 },
            lanes: metrics.lanes("contacts", log.lanes().expect("lanes")),
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
            let ended = pipeline.run(&mut consumer, &mut writer, &told);
            ended.expect("nothing ends it before it is told");
            writer
        });
        let control = Control::new(log.clone(), reader.clone());
        Self { log, reader, control, stop, applying: Some(applying) }
    }

    /// Ends it as a stop does.
    #[track_caller]
    pub fn stop(mut self) {
        self.end();
    }

    #[track_caller]
    fn end(&mut self) {
        self.stop.cancel();
        if let Some(applying) = self.applying.take() {
            let writer = applying.join().expect("applying ends well");
            writer.close().expect("a last checkpoint");
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
    }
}

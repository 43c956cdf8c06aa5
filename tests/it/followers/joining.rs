//! Joining contacts that are one, as a follower: here each contact is looked at, and none is another.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use contactd::domain::headers::{CONTACT_ID, EXTERNAL_ID, SOURCE};
use contactd::domain::rules::RuleSet;
use contactd::effects::Joining;
use contactd::effects::follower::{Row, Start};
use contactd::event_log::NewRecord;
use contactd::ingest::{
    Commands, Control, Intake, IntakeOptions, Lease, Merging, PresentRules, Stamps,
};

use super::Counted;
use super::suite;
use super::world::{Subject, World};

struct Joined;

impl Subject for Joined {
    type Sink = Joining;

    fn row(&self) -> Row {
        Row { start: Start::Beginning, ..Joining::row() }
    }

    fn sink(&self, world: &World) -> Joining {
        let (log, reader) = (world.follower.log.clone(), world.follower.reader.clone());
        let (ack_timeout, path) = (Duration::from_secs(5), std::env::temp_dir());
        let options = IntakeOptions { ack_timeout, path, min_free_bytes: 0 };
        let intake = Intake::new(log.clone(), None, options);
        intake.log_settled(|_| None);
        let rules = PresentRules::new(Arc::new(RuleSet::built_in().unwrap()));
        let commands = Commands::new(Arc::new(intake), reader.clone(), rules, Stamps::in_memory());
        let control = Arc::new(Control::new(log.clone(), reader.clone()));
        let lease = Arc::new(Lease::alone(Arc::clone(&control), 1));
        let merging = Merging::new(log, commands, control, lease);
        Joining::new(reader, Arc::new(merging), BTreeSet::new())
    }

    /// An event of a source that has ids of its own, as intake keeps it.
    fn record(&self, number: usize) -> NewRecord {
        let ours = Counted.record(number);
        let header = |name: &str, value: String| (name.to_owned(), Some(value.into_bytes()));
        let headers = vec![
            header(SOURCE, "crm".to_owned()),
            header(CONTACT_ID, format!("c{number}")),
            header(EXTERNAL_ID, format!("c{number}")),
        ];
        NewRecord { headers, ..ours }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_keeps_all_promises() {
    suite::run(Joined).await;
}

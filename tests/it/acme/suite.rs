//! The sync keeps what every follower promises.

use std::sync::Arc;
use std::time::Duration;

use contactd::acme::{Acme, AcmeClient, AcmeSync};
use contactd::config::Secret;
use contactd::domain::rules::RuleSet;
use contactd::effects::follower::Row;
use contactd::ingest::{Intake, IntakeOptions, PresentRules};
use contactd::telemetry::Metrics;
use serde_json::json;

use crate::followers::suite;
use crate::followers::world::{Subject, World};
use crate::support::acme::{API_KEY, MockAcme};

/// One Acme for all worlds.
struct Synced(MockAcme);

impl Subject for Synced {
    type Sink = AcmeSync;

    fn row(&self) -> Row {
        Row { start: contactd::effects::follower::Start::Beginning, ..AcmeSync::row(None) }
    }

    fn sink(&self, world: &World) -> AcmeSync {
        let metrics = Metrics::new().unwrap().acme.clone();
        let timeout = Duration::from_secs(5);
        let client =
            AcmeClient::new(&self.0.url(), Secret::new(API_KEY), timeout, metrics.clone()).unwrap();
        let options =
            IntakeOptions { ack_timeout: timeout, path: std::env::temp_dir(), min_free_bytes: 0 };
        let (log, reader) = (world.follower.log.clone(), world.follower.reader.clone());
        let intake = Intake::new(log, None, options);
        intake.log_settled(|_| None);
        let rules = PresentRules::new(Arc::new(RuleSet::built_in().unwrap()));
        let (client, intake) = (Arc::new(client), Arc::new(intake));
        AcmeSync::new(Arc::new(Acme::new(client, reader, intake, rules, "acme", metrics)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sync_keeps_all_promises() {
    let acme = MockAcme::start();
    // The notice of a write would push on a journal that forgets.
    for number in 0..2_000 {
        acme.put(&format!("c{number}"), json!({ "acme_first_name": format!("name {number}") }));
    }
    suite::run(Synced(acme)).await;
}

//! Webhooks after writes, as a follower, to a target in this process.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use contactd::config::{Config, Mode, Secret, SignatureForm};
use contactd::domain::headers::{COMMAND, CONTENT_TYPE, PRINCIPAL};
use contactd::effects::follower::{Row, Start};
use contactd::effects::simulator::{AfterWrites, Simulator, SimulatorOptions};
use contactd::event_log::NewRecord;
use contactd::ingest::API_SOURCE;
use contactd::telemetry::Metrics;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::Counted;
use super::suite;
use super::world::{Subject, World};

/// Where the target is.
struct Told(SocketAddr);

impl Told {
    /// The target counts as this instance itself: nothing has to be allowed.
    fn simulator(&self) -> Arc<Simulator> {
        let options = SimulatorOptions {
            config: Config::built_in(Mode::Dev).unwrap().simulator,
            form: SignatureForm::named("acme").unwrap(),
            secret: Secret::new("a-secret-that-Acme-and-contactd-share"),
            own: self.0,
            speaks_tls: false,
        };
        Arc::new(Simulator::new(&options, Metrics::new().unwrap().simulator.clone()).unwrap())
    }
}

impl Subject for Told {
    type Sink = AfterWrites;

    fn row(&self) -> Row {
        Row { start: Start::Beginning, ..AfterWrites::row(&self.simulator()) }
    }

    fn sink(&self, world: &World) -> AfterWrites {
        AfterWrites::new(self.simulator(), world.follower.reader.clone())
    }

    /// A write of the API, as it stands on the log.
    fn record(&self, number: usize) -> NewRecord {
        let command = json!({
            "id": format!("cmd_{number}"), "eventType": "contact.created",
            "timestamp": "2026-11-21T10:00:00.000000Z", "source": API_SOURCE,
            "data": { "id": format!("c{number}"), "firstName": format!("name {number}") },
        });
        let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
        let headers = vec![
            header(COMMAND, "create"),
            header(CONTENT_TYPE, "application/json"),
            header(PRINCIPAL, "user:ada"),
        ];
        let value = Some(command.to_string().into_bytes());
        NewRecord { value, headers, ..Counted.record(number) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn telling_of_writes_keeps_all_promises() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut target = JoinSet::new();
    let taken = Router::new().fallback(async || "taken");
    target.spawn(async move { axum::serve(listener, taken).await.unwrap() });
    suite::run(Told(address)).await;
}

//! Followers: what the engine promises, for each of them.

mod counting;
mod faults;
mod rehoming;
pub(crate) mod suite;
pub(crate) mod world;

use contactd::event_log::NewRecord;
use contactd::ingest::now_ms;

use counting::Counting;
use world::{Subject, World};

struct Counted;

impl Subject for Counted {
    type Sink = Counting;

    fn row(&self) -> contactd::effects::follower::Row {
        Counting::row()
    }

    fn sink(&self, _world: &World) -> Counting {
        Counting::default()
    }

    fn record(&self, number: usize) -> NewRecord {
        let event = serde_json::json!({
            "id": format!("e{number}"), "eventType": "contact.created",
            "timestamp": "2026-11-21T10:00:00Z",
            "data": { "id": format!("c{number}"), "firstName": format!("name {number}") },
        });
        NewRecord {
            key: format!("c{number}").into_bytes(),
            value: Some(event.to_string().into_bytes()),
            timestamp_ms: i64::try_from(now_ms()).unwrap(),
            ..NewRecord::default()
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_of_sixty_lines_keeps_all_promises() {
    suite::run(Counted).await;
}

//! Followers: what the engine promises, for each of them.

mod counting;
mod dead_letters;
mod faults;
mod joining;
mod publishing;
mod rehoming;
mod simulator_writes;
mod subscriptions;
pub(crate) mod suite;
pub(crate) mod world;

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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_of_sixty_lines_keeps_all_promises() {
    suite::run(Counted).await;
}

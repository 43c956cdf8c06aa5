//! The one follower of all subscriptions keeps the promises of every follower.

use std::sync::Arc;

use contactd::config::{Config, Mode, Secret};
use contactd::effects::follower::{Row, Start};
use contactd::effects::subscriptions::{FanOut, Signer, SubscriptionOptions, Wish};
use contactd::telemetry::Metrics;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::suite;
use super::world::{Subject, World, by};
use crate::subscriptions::subscriber::Subscriber;

/// One subscription in each world, to somebody who takes everything.
struct Subscribed(Subscriber, Mutex<JoinSet<()>>);

impl Subject for Subscribed {
    type Sink = FanOut;

    fn row(&self) -> Row {
        Row { start: Start::Beginning, ..FanOut::row() }
    }

    fn sink(&self, world: &World) -> FanOut {
        let options = SubscriptionOptions {
            config: Config::built_in(Mode::Dev).unwrap().subscriptions,
            signer: Signer::new(vec![Secret::new("the secret of these instances")]),
        };
        let metrics = Metrics::new().unwrap().subscriptions.clone();
        let fan_out = FanOut::new(options, Arc::clone(&world.control), metrics);
        let desk = fan_out.desk();
        let wish = Wish { url: Some(self.0.url()), ..Wish::default() };
        tokio::task::block_in_place(|| {
            Handle::current().block_on(async {
                if desk.list(None, 1).is_empty() {
                    desk.add(wish, &by()).await.unwrap();
                }
            });
        });
        self.1.lock().spawn(fan_out.clone().run());
        fan_out
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_follower_of_subscriptions_keeps_all_promises() {
    suite::run(Subscribed(Subscriber::start().await, Mutex::default())).await;
}

//! When a request's head is too slow to come.
//!
//! hyper sets a timer before each head and drops it when that has come: with tokio's, each request
//! enters the timer's wheel and leaves it. Here a connection looks at its deadline now and then.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// How often a connection looks while a deadline may pass: so much later it is met at most.
const LOOKS: u32 = 8;

/// Until the next look at deadlines that lie so far ahead.
pub(crate) async fn next_look(timeout: Duration) {
    tokio::time::sleep((timeout / LOOKS).max(Duration::from_millis(1))).await;
}

/// A timer that wakes nobody: of use to what is polled at each look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LookedAt;

impl Timer for LookedAt {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Until(deadline))
    }
}

struct Until(Instant);

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Sleep for Until {}

//! What instances share: limits and revocations, in Redis where there is one. The only room that
//! knows redis.
//!
//! ```text
//! edge ─► Limiter ─► lease, or known refusal? ─no─► Link ─► one Lua script, on Redis's clock
//!            └─ Redis away or none ─► this instance's part of the limit
//! auth ─► Revocations ─► memory ◄─► a stream in Redis ◄─► the other instances' memory
//! ```
//!
//! Nothing in Redis is the truth: it may be stopped, slow or emptied at any time, and no answer
//! waits for it longer than `redis.timeout`.

mod bounded;
mod error;
mod gcra;
mod limiter;
mod link;
mod revocations;
mod subject;
mod table;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::telemetry::Metrics;

pub use error::SharedStateError;
pub use limiter::{AtOnce, Decision, Limiter, Question};
pub use revocations::Revocations;
pub use subject::{LimitClass, Subject};

use link::Link;

/// How often what says nothing any more is forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// Limits and revocations, and the connection that shares them.
#[derive(Default)]
pub struct SharedState {
    /// How often requests may come.
    pub limiter: Arc<Limiter>,
    /// Tokens that are revoked.
    pub revocations: Arc<Revocations>,
    link: Option<Arc<Link>>,
}

impl SharedState {
    /// Nothing is connected before [`Self::run`].
    ///
    /// # Errors
    /// When the address of Redis is none.
    pub fn new(config: &Config, metrics: &Arc<Metrics>) -> Result<Self, SharedStateError> {
        let link = if config.redis.is_configured() {
            Some(Arc::new(Link::new(&config.redis, Arc::clone(metrics))?))
        } else {
            None
        };
        Ok(Self {
            limiter: Arc::new(Limiter::new(&config.limits, link.clone())),
            revocations: Arc::new(Revocations::new(config.jwt.expiration, link.clone())),
            link,
        })
    }

    /// Whether Redis can be used, tried once: its time, in milliseconds since 1970; none: there is no Redis.
    ///
    /// # Errors
    /// Why it can't be.
    pub async fn try_once(&self) -> Result<Option<u64>, SharedStateError> {
        match &self.link {
            Some(link) => link.time_ms(&limiter::take_script()).await.map(Some),
            None => Ok(None),
        }
    }

    /// Connects, connects again, hears of revocations and forgets what is over, until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let probe = limiter::take_script();
        let sharing = async {
            match &self.link {
                Some(link) => {
                    tokio::join!(link.keep_up(&probe), self.revocations.follow(link));
                }
                None => std::future::pending().await,
            }
        };
        let sweeping = async {
            loop {
                tokio::time::sleep(SWEEP_EVERY).await;
                self.limiter.sweep();
                self.revocations.sweep();
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            ((), ()) = async { tokio::join!(sharing, sweeping) } => {}
        }
    }
}

#[cfg(test)]
mod tests;

//! Limits and revocations over a real Redis that is stopped, paused, slow and emptied.

mod limits;
mod outages;
mod revocations;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contactd::config::{Config, FileText, Mode, Sources, load};
use contactd::shared_state::{Decision, LimitClass, SharedState, Subject};
use contactd::telemetry::Metrics;
use tokio_util::sync::CancellationToken;

/// No condition takes longer.
const DEADLINE: Duration = Duration::from_secs(20);

/// One instance's part in what is shared, running.
pub(crate) struct Instance {
    pub(crate) shared: Arc<SharedState>,
    pub(crate) metrics: Arc<Metrics>,
    stop: CancellationToken,
}

/// With more time for Redis than a busy machine takes, unless the text says otherwise.
pub(crate) fn configured(redis: SocketAddr, text: &str) -> Config {
    let patient = if text.contains("redis.timeout") { "" } else { "redis.timeout = \"5s\"\n" };
    as_written(&format!(
        "redis.url = \"redis://{redis}/0\"\nredis.key_prefix = \"it:\"\n{patient}{text}"
    ))
}

fn as_written(text: &str) -> Config {
    let mut sources = Sources::new(Mode::Dev);
    sources.file = Some(FileText { name: "test.toml".to_owned(), text: text.to_owned() });
    load(&sources).unwrap()
}

impl Instance {
    /// Not connected yet.
    pub(crate) fn start(redis: SocketAddr, text: &str) -> Self {
        Self::start_with(&configured(redis, text))
    }

    fn start_with(config: &Config) -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        let shared = Arc::new(SharedState::new(config, &metrics).unwrap());
        let stop = CancellationToken::new();
        let running = Arc::clone(&shared).run(stop.clone());
        #[expect(clippy::disallowed_methods, reason = "ends with the instance")]
        tokio::spawn(running);
        Self { shared, metrics, stop }
    }

    pub(crate) async fn connected(redis: SocketAddr, text: &str) -> Self {
        let instance = Self::start(redis, text);
        instance.until_shared(true).await;
        instance
    }

    pub(crate) async fn until_shared(&self, is_shared: bool) {
        eventually("Redis counts, or not", async || self.shared.limiter.is_shared() == is_shared)
            .await;
        let metrics = String::from_utf8(self.metrics.render().unwrap()).unwrap();
        let up = u8::from(is_shared);
        for line in [
            format!("contactd_dependency_up{{dependency=\"redis\"}} {up}\n"),
            format!("contactd_rate_limit_backend{{backend=\"redis\"}} {up}\n"),
        ] {
            assert!(metrics.contains(&line), "{line} is missing");
        }
    }

    pub(crate) async fn check(&self, class: LimitClass, name: &str) -> Decision {
        self.shared.limiter.check(class, &Subject::Principal(name)).await.unwrap()
    }

    /// How many of so many are allowed, one after another.
    pub(crate) async fn allowed(&self, class: LimitClass, name: &str, tries: usize) -> usize {
        let mut allowed = 0;
        for _ in 0..tries {
            allowed += usize::from(self.check(class, name).await.is_allowed);
        }
        allowed
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) async fn eventually(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_true().await {
        assert!(Instant::now() < end, "waited {DEADLINE:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

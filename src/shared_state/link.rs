//! The connection to Redis: every call within its time, none while it is away.
//!
//! ```text
//! call ─► up? ─no─► Away, at once                    keep_up: connect ─► probe ─► up ─► a ping a second
//!           └yes─► within redis.timeout ─► answer        ▲                                │
//!                    └─► broken, or the third failure in a row ─► down ◄──────────────────┘
//!                                                        └── backoff with jitter
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, FromRedisValue, IntoConnectionInfo as _, Script,
};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::config::{RedisConfig, Secret};
use crate::telemetry::{Dependency, DependencyDown, DependencyUp, Metrics};

use super::bounded::Bounded;
use super::error::SharedStateError;

/// A single late answer is no outage.
const FAILURES_MAX: u32 = 3;
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
const PING_EVERY: Duration = Duration::from_secs(1);
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// One that broke sooner after it came up counts as the same outage.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// One Redis, for any number of callers at once.
pub(super) struct Link {
    client: Client,
    /// Every key begins with it.
    pub(super) prefix: String,
    timeout: Duration,
    connection: RwLock<Option<MultiplexedConnection>>,
    is_up: AtomicBool,
    /// Counts connections, so that a late failure of an old one does not take down the new one.
    generation: AtomicU64,
    failures: AtomicU32,
    down: Notify,
    metrics: Arc<Metrics>,
}

impl Link {
    pub(super) fn new(
        config: &RedisConfig,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SharedStateError> {
        let address = |error: redis::RedisError| SharedStateError::Address {
            problem: error.category().to_owned(),
        };
        let info = match &config.url {
            Some(url) => url.expose().into_connection_info().map_err(address)?,
            None => {
                let host = config.host.as_deref().unwrap_or("127.0.0.1");
                let info = (host, config.port).into_connection_info().map_err(address)?;
                match config.password.as_ref().map(Secret::expose) {
                    Some(password) => {
                        let settings = info.redis_settings().clone().set_password(password);
                        info.set_redis_settings(settings)
                    }
                    None => info,
                }
            }
        };
        metrics.set_dependency_up(Dependency::Redis, false);
        Ok(Self {
            client: Client::open(info).map_err(address)?,
            prefix: config.key_prefix.clone(),
            timeout: config.timeout,
            connection: RwLock::new(None),
            is_up: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            down: Notify::new(),
            metrics,
        })
    }

    /// Whether calls are worth making.
    pub(super) fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// How long one call may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Runs a script, within the time that a call may take.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        key: &str,
        arguments: &[&str],
    ) -> Result<T, SharedStateError> {
        let generation = self.generation.load(Ordering::Acquire);
        let Some(mut connection) = self.connection.read().clone() else {
            return Err(SharedStateError::Away);
        };
        let answer = self.run_on(&mut connection, script, key, arguments).await;
        match &answer {
            Ok(_) => self.failures.store(0, Ordering::Relaxed),
            Err(error) => self.failed(error, generation),
        }
        answer
    }

    async fn run_on<T: FromRedisValue>(
        &self,
        connection: &mut MultiplexedConnection,
        script: &Script,
        key: &str,
        arguments: &[&str],
    ) -> Result<T, SharedStateError> {
        let mut call = script.key(key);
        for argument in arguments {
            call.arg(*argument);
        }
        self.in_time(call.invoke_async(connection)).await
    }

    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, redis::RedisError>>,
    ) -> Result<T, SharedStateError> {
        match timeout(self.timeout, call).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(SharedStateError::TooSlow { timeout_ms: self.timeout.as_millis() }),
        }
    }

    fn failed(&self, error: &SharedStateError, generation: u64) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if error.is_broken() || failures >= FAILURES_MAX {
            self.go_down(&error.to_string(), generation);
        }
    }

    /// Only the first who notices says so.
    fn go_down(&self, why: &str, generation: u64) {
        let mut connection = self.connection.write();
        if self.generation.load(Ordering::Acquire) != generation || connection.take().is_none() {
            return;
        }
        self.is_up.store(false, Ordering::Relaxed);
        self.metrics.limits.set_shared(false);
        DependencyDown { dependency: Dependency::Redis, error: why }.emit(&self.metrics);
        self.down.notify_one();
    }

    fn go_up(&self, connection: MultiplexedConnection) {
        let mut place = self.connection.write();
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.failures.store(0, Ordering::Relaxed);
        *place = Some(connection);
        self.is_up.store(true, Ordering::Relaxed);
        self.metrics.limits.set_shared(true);
        DependencyUp(Dependency::Redis).emit(&self.metrics);
    }

    /// Connects, and connects again, for as long as it is polled.
    pub(super) async fn keep_up(&self, probe: &Script) {
        let mut pause = Pause::default();
        let mut is_told = false;
        loop {
            match self.probed(probe).await {
                Ok(connection) => {
                    let since = Instant::now();
                    self.go_up(connection);
                    self.ping_until_down().await;
                    is_told = true;
                    if since.elapsed() >= SETTLED_AFTER {
                        pause = Pause::default();
                    }
                }
                Err(error) => {
                    self.metrics.retried("redis_unavailable");
                    // Later tries say nothing new.
                    if !std::mem::replace(&mut is_told, true) {
                        let error = error.to_string();
                        DependencyDown { dependency: Dependency::Redis, error: &error }
                            .emit(&self.metrics);
                    }
                }
            }
            tokio::time::sleep(pause.next()).await;
        }
    }

    /// A connection over which a limit was really counted, in time: one that only connects is none.
    async fn probed(&self, probe: &Script) -> Result<MultiplexedConnection, SharedStateError> {
        let mut connection = self.connect(None).await?;
        let key = format!("{}probe", self.prefix);
        let _: (u64, u64, u64) =
            self.run_on(&mut connection, probe, &key, &["1000", "1000", "1"]).await?;
        Ok(connection)
    }

    /// Connects, counts a limit once, and asks for the time there, in milliseconds since 1970.
    pub(super) async fn time_ms(&self, probe: &Script) -> Result<u64, SharedStateError> {
        let mut connection = self.probed(probe).await?;
        let asked = redis::cmd("TIME");
        let (s, us): (u64, u64) = self.in_time(asked.query_async(&mut connection)).await?;
        Ok(s.saturating_mul(1000).saturating_add(us / 1000))
    }

    /// A connection of its own, for who blocks it.
    pub(super) async fn connect(
        &self,
        response_timeout: Option<Duration>,
    ) -> Result<MultiplexedConnection, SharedStateError> {
        match timeout(CONNECT_WITHIN, self.connect_at_last(response_timeout)).await {
            Ok(connection) => Ok(connection?),
            Err(_) => Err(SharedStateError::TooSlow { timeout_ms: CONNECT_WITHIN.as_millis() }),
        }
    }

    async fn connect_at_last(
        &self,
        response_timeout: Option<Duration>,
    ) -> Result<MultiplexedConnection, redis::RedisError> {
        let info = self.client.get_connection_info();
        let stream = match info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Bounded::new(stream)
            }
            ConnectionAddr::Unix(path) => Bounded::new(UnixStream::connect(path).await?),
            _ => return Err((redis::ErrorKind::InvalidClientConfig, "no such way to Redis").into()),
        };
        let config = AsyncConnectionConfig::new().set_response_timeout(response_timeout);
        let (connection, driver) =
            MultiplexedConnection::new_with_config(info.redis_settings(), stream, config).await?;
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends with the connection that it drives"
        )]
        tokio::spawn(driver);
        Ok(connection)
    }

    /// So that an outage shows while nobody asks.
    async fn ping_until_down(&self) {
        let pings = async {
            loop {
                tokio::time::sleep(PING_EVERY).await;
                let generation = self.generation.load(Ordering::Acquire);
                let Some(mut connection) = self.connection.read().clone() else {
                    return;
                };
                let ping = redis::cmd("PING");
                let answer: Result<String, _> =
                    self.in_time(ping.query_async(&mut connection)).await;
                match answer {
                    Ok(_) => self.failures.store(0, Ordering::Relaxed),
                    Err(error) => self.failed(&error, generation),
                }
            }
        };
        let mut pings = std::pin::pin!(pings);
        while self.is_up() {
            tokio::select! {
                () = &mut pings => return,
                () = self.down.notified() => {}
            }
        }
    }
}

/// Doubles up to a bound; jitter keeps instances from coming back all at once.
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(PAUSE_FIRST)
    }
}

impl Pause {
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (self.0 * 2).min(PAUSE_MAX);
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

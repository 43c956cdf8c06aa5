//! A Redis of one test's own, that it may stop, pause, slow down and empty.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::services::skip;
use super::wait::wait_until;

const UP_WITHIN: Duration = Duration::from_secs(20);

/// A redis-server; killed when it is dropped.
#[derive(Debug)]
pub struct OwnRedis {
    dir: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl OwnRedis {
    /// Starts one; none, said loudly, where there is no redis-server.
    pub fn start(test: &str) -> Option<Self> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            skip(test, "there is no redis-server (apt-get install redis-server)");
            return None;
        }
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut redis = Self { dir, port, child: None };
        redis.start_again();
        Some(redis)
    }

    /// After [`Self::stop`]: the same address, and nothing in it.
    #[track_caller]
    pub fn start_again(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.arg("--port").arg(self.port.to_string()).arg("--dir").arg(self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("redis-server starts"));
        wait_until(UP_WITHIN, "redis-server answers", || self.ask("PING").contains("PONG"));
    }

    /// Kills it: connections break.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Connections stay, and nothing is answered.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// After [`Self::pause`].
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("redis-server runs").id().to_string();
        let sent = Command::new("/bin/kill").args([signal, &id]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Forgets everything.
    pub fn flush(&self) {
        assert!(self.ask("FLUSHALL").contains("OK"));
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// One inline command, and the first of its answer.
    pub fn ask(&self, command: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(self.address()) else {
            return String::new();
        };
        let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
        let _ = stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Scripts that it has run since it was started.
    pub fn scripts_run(&self) -> u64 {
        let stats = self.ask("INFO commandstats");
        let calls = stats.split("cmdstat_evalsha:calls=").nth(1).unwrap_or("0");
        calls.split(',').next().unwrap_or("0").parse().expect("a number of calls")
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Something in front of Redis that delays every answer.
#[derive(Debug)]
pub struct SlowProxy {
    address: SocketAddr,
    delay_ms: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

impl SlowProxy {
    /// Without a delay at first; lives as long as the test's runtime.
    pub async fn before(redis: SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let delay_ms = Arc::new(AtomicU64::new(0));
        let delay = Arc::clone(&delay_ms);
        let connections = Arc::new(AtomicU64::new(0));
        let accepted = Arc::clone(&connections);
        spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                let delay = Arc::clone(&delay);
                spawn(async move {
                    let Ok(server) = tokio::net::TcpStream::connect(redis).await else {
                        return;
                    };
                    let (mut from_client, mut to_client) = client.into_split();
                    let (mut from_server, mut to_server) = server.into_split();
                    spawn(async move {
                        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
                    });
                    let mut answer = [0; 4096];
                    while let Ok(length @ 1..) = from_server.read(&mut answer).await {
                        let delay = Duration::from_millis(delay.load(Ordering::Relaxed));
                        tokio::time::sleep(delay).await;
                        if to_client.write_all(&answer[..length]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, delay_ms, connections }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Made so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// From now on, every answer.
    pub fn delay(&self, delay: Duration) {
        self.delay_ms.store(delay.as_millis() as u64, Ordering::Relaxed);
    }
}

#[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

//! The real Kafka of the tests: the shared one where it is named, one's own where it is to be
//! stopped and started.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names the shared broker.
pub const KAFKA: &str = "CONTACTD_TEST_KAFKA";
const REQUIRE: &str = "CONTACTD_TEST_REQUIRE_SERVICES";

/// What the variable names. Without it the test is skipped loudly, or failed where services are
/// required, as CI does.
pub fn service(variable: &str, test: &str) -> Option<String> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        skip(test, &format!("{variable} is not set (tests/services/up)"));
    }
    value
}

/// Says past the capture of passing tests' output that a test did not run, and why.
pub fn skip(test: &str, why: &str) {
    assert!(std::env::var(REQUIRE).as_deref() != Ok("1"), "{test}: {why}");
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
}

/// Names the shared RabbitMQ.
pub const RABBITMQ: &str = "CONTACTD_TEST_RABBITMQ";

/// A broker of this test's own, that it may stop; gone with it.
#[derive(Debug)]
pub struct OwnBroker {
    dir: tempfile::TempDir,
    port: u16,
}

/// The same of RabbitMQ.
#[derive(Debug)]
pub struct OwnRabbitmq {
    dir: tempfile::TempDir,
    port: u16,
}

impl OwnRabbitmq {
    /// Starts one; none where it can't be started here.
    pub fn start(test: &str) -> Option<Self> {
        service(RABBITMQ, test)?;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let own = Self { dir, port: free_ports() };
        own.run("start");
        Some(own)
    }

    /// `start`, `stop`, `kill`, `alarm`, `ease` or `cut`.
    #[track_caller]
    pub fn run(&self, action: &str) {
        let port = ("CONTACTD_TEST_RABBITMQ_PORT", self.port.to_string());
        up(self.dir.path(), &["rabbitmq", action], &[port]);
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for OwnRabbitmq {
    fn drop(&mut self) {
        self.run("kill");
    }
}

/// Runs `tests/services/up` on a directory.
#[track_caller]
fn up(directory: &Path, arguments: &[&str], variables: &[(&str, String)]) {
    let up = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/up");
    let said = directory.join("said");
    let file = std::fs::File::create(&said).expect("a file for what it says");
    let mut command = Command::new(up);
    command.arg(directory).args(arguments);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    // No pipe: a service would inherit it and keep it open.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    let status = command.status().expect("tests/services/up runs");
    assert!(status.success(), "{arguments:?}: {}", read(&said));
}

impl OwnBroker {
    /// Starts one; none where Kafka can't be started here.
    pub fn start(test: &str) -> Option<Self> {
        service(KAFKA, test)?;
        let broker = Self::prepare(test)?;
        broker.run("start");
        Some(broker)
    }

    /// A place for one that is not started yet.
    pub fn prepare(test: &str) -> Option<Self> {
        service(KAFKA, test)?;
        let dir = tempfile::tempdir().expect("a temporary directory");
        Some(Self { dir, port: free_ports() })
    }

    /// `start`, `stop` or `kill`.
    #[track_caller]
    pub fn run(&self, action: &str) {
        let mut variables = vec![("CONTACTD_TEST_KAFKA_PORT", self.port.to_string())];
        if let Ok(jars) = std::env::var("CONTACTD_TEST_KAFKA_JARS") {
            variables.push(("CONTACTD_TEST_JARS", jars));
        }
        up(self.dir.path(), &["broker", action], &variables);
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for OwnBroker {
    fn drop(&mut self) {
        if self.dir.path().join("kafka/pid").exists() {
            self.run("kill");
        }
    }
}

fn read(path: &PathBuf) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The first of four free ports in a row, none of which the system gives to a connection meanwhile.
pub fn free_ports() -> u16 {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (0..200)
        .map(|_| fastrand::u16(20_000..30_000))
        .find(|first| (*first..*first + 4).all(free))
        .expect("four free ports in a row")
}

//! The program as a shell sees it: exit codes, what goes to standard output, and what is left.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::access::JWT_SECRET;

/// In an empty directory, with nothing in the environment that could configure it.
pub(crate) fn contactd(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_contactd"));
    command.current_dir(directory).env_clear();
    for name in ["PATH", "HOME", "LLVM_PROFILE_FILE"] {
        if let Ok(value) = std::env::var(name) {
            command.env(name, value);
        }
    }
    // A test machine may be short of room; the checks on it have tests of their own.
    command.env("CONTACTD_STORE__MIN_FREE_BYTES", "0").env("CONTACTD_STORE__BALLAST_BYTES", "0");
    command.env("JWT_SECRET", JWT_SECRET).env("CONTACTD_SERVER__LAME_DUCK", "0");
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn run(directory: &Path, line: &str) -> Output {
    contactd(directory).args(line.split_whitespace()).output().unwrap()
}

#[track_caller]
pub(crate) fn expect_code(output: &Output, code: i32) {
    let shown = format!("stdout: {}\nstderr: {}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{shown}");
}

/// Runs it, expects the code and nothing on standard output; returns standard error.
#[track_caller]
fn fails(directory: &Path, line: &str, code: i32) -> String {
    let output = run(directory, line);
    expect_code(&output, code);
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    text(&output.stderr)
}

#[track_caller]
fn prints(directory: &Path, line: &str) -> String {
    let output = run(directory, line);
    expect_code(&output, 0);
    text(&output.stdout)
}

#[test]
fn help_teaches_and_goes_to_standard_output() {
    let directory = tempfile::tempdir().unwrap();
    let help = prints(directory.path(), "--help");
    for part in ["Examples:", "Exit codes:", "produce", "CONTACTD_CONFIG", "--set"] {
        assert!(help.contains(part), "{part} is not in\n{help}");
    }
    for command in [
        "dev",
        "serve",
        "produce",
        "get",
        "export",
        "status",
        "doctor",
        "support-bundle",
        "reload",
        "check-event",
        "simulate",
        "dlq list",
        "dlq show",
        "dlq redrive",
        "dlq discard",
        "dlq redrives",
        "dlq stop",
        "user add",
        "user passwd",
        "user disable",
        "user enable",
        "user remove",
        "user list",
        "key create",
        "key revoke",
        "key list",
        "backup",
        "backup verify",
        "restore",
        "store",
        "store verify",
        "store export",
        "store rebuild",
        "store snapshot",
        "topics ensure",
        "config print",
        "config check",
        "bench",
        "bench drain",
        "bench disk",
        "bench latency",
        "bench start",
        "bench webhooks",
        "schemas",
        "asyncapi",
        "completions",
        "dashboards",
        "man",
    ] {
        let help = prints(directory.path(), &format!("{command} --help"));
        assert!(help.contains("Usage: contactd"), "{command}: {help}");
    }
    assert!(std::fs::read_dir(directory.path()).unwrap().next().is_none(), "help left something");
}

#[test]
fn the_version_names_commit_and_features() {
    let directory = tempfile::tempdir().unwrap();
    let version = prints(directory.path(), "--version");
    assert!(version.starts_with(concat!("contactd ", env!("CARGO_PKG_VERSION"), " (commit ")));
    assert!(version.contains("features: "), "{version}");
}

#[test]
fn wrong_usage_is_2() {
    let directory = tempfile::tempdir().unwrap();
    assert!(fails(directory.path(), "serv", 2).contains("'serve'"));
    fails(directory.path(), "produce --events many", 2);
    fails(directory.path(), "dev --rate 0", 2);
    fails(directory.path(), "--set nonsense config print", 2);
    assert!(fails(directory.path(), "topics ensure", 2).contains("KAFKA_BROKERS"));
}

#[test]
fn wrong_configuration_is_3_and_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("my.toml");
    std::fs::write(&file, "[store]\ncach_bytes = 1\n[server]\nport = 99999\n").unwrap();
    for line in ["config check my.toml", "serve --config my.toml", "produce -c my.toml"] {
        let told = fails(directory.path(), line, 3);
        assert!(told.contains("2 problems"), "{told}");
        assert!(told.contains("my.toml:2: unknown key `store.cach_bytes`; did you mean"), "{told}");
        assert!(told.contains("my.toml:4: server.port"), "{told}");
    }
    fails(directory.path(), "config check nowhere.toml", 3);
    let lines = "[store]\ncach_bytes = 1\n[server]\ntls_certificate = \"gone.pem\"\ntls_key = \"gone.pem\"\n";
    std::fs::write(&file, lines).unwrap();
    let told = fails(directory.path(), "config check my.toml", 3);
    assert!(told.contains("2 problems"), "{told}");
    assert!(
        told.contains("server.tls_certificate can't be used") && told.contains("gone.pem"),
        "{told}"
    );
    let told = fails(directory.path(), "serve --listen nowhere", 3);
    assert!(told.contains("--listen: server.listen"), "{told}");
}

#[test]
fn the_configuration_is_printed_without_secrets() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(".env"), "PORT=4000\nNODE_ENV=production\n").unwrap();
    let output = contactd(directory.path())
        .args(["config", "print", "--path", "elsewhere"])
        .env("JWT_SECRET", "hunter2-hunter2-hunter2-hunter2-hunter2")
        .output()
        .unwrap();
    expect_code(&output, 0);
    let printed = text(&output.stdout);
    assert!(printed.contains("port = 4000  # .env:1 PORT"), "{printed}");
    assert!(printed.contains("path = \"elsewhere\"  # --path"), "{printed}");
    assert!(printed.contains("secret = \"***\""), "{printed}");
    assert!(!(printed.clone() + &text(&output.stderr)).contains("hunter2"));
    assert_eq!(text(&output.stderr).matches("NODE_ENV").count(), 1);
    // It can be used as a file again.
    std::fs::write(directory.path().join("again.toml"), printed).unwrap();
    expect_code(&run(directory.path(), "config check again.toml"), 0);
}

#[test]
fn the_built_in_configuration_can_be_printed_and_used() {
    let directory = tempfile::tempdir().unwrap();
    let printed = prints(directory.path(), "config print --default");
    assert!(printed.starts_with("# contactd's configuration"), "{printed}");
    std::fs::write(directory.path().join("all.toml"), printed).unwrap();
    expect_code(&run(directory.path(), "config check all.toml"), 0);
}

#[test]
fn what_serve_would_refuse_is_not_right() {
    let directory = tempfile::tempdir().unwrap();
    let output =
        contactd(directory.path()).args(["config", "check"]).env_remove("JWT_SECRET").output();
    let output = output.unwrap();
    expect_code(&output, 3);
    assert!(text(&output.stderr).contains("JWT_SECRET"), "{}", text(&output.stderr));
}

#[test]
fn completions_are_a_script() {
    let directory = tempfile::tempdir().unwrap();
    assert!(prints(directory.path(), "completions bash").contains("admin operator editor viewer"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(prints(directory.path(), &format!("completions {shell}")).contains("contactd"));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = contactd(directory.path())
        .args(["config", "print", "--default"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    expect_code(&output, 0);
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn what_is_not_there_is_5_and_what_does_not_answer_is_4() {
    let directory = tempfile::tempdir().unwrap();
    for line in ["store verify", "store export", "store snapshot", "store rebuild --yes"] {
        assert!(fails(directory.path(), line, 5).contains("no store"), "{line}");
    }
    fails(directory.path(), &format!("get x --url http://127.0.0.1:{}", free_port()), 4);
    fails(directory.path(), &format!("get x --set server.port={}", free_port()), 5);
    assert!(!directory.path().join(".contactd").exists(), "asking made a store");
    let told = fails(directory.path(), "produce --set kafka.brokers=127.0.0.1:1", 4);
    assert!(told.contains("contacts"), "{told}");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running `serve`, killed when a test fails.
struct Instance {
    child: Child,
    port: u16,
}

impl Instance {
    #[track_caller]
    fn start(directory: &Path) -> Self {
        Self::start_as("serve", contactd(directory).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    #[track_caller]
    fn start_as(command: &str, contactd: &mut Command) -> Self {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let child = contactd.args([command, "--listen", &listen]).spawn().unwrap();
        let instance = Self { child, port };
        let deadline = Instant::now() + Duration::from_secs(60);
        while instance.status("/readyz") != Some(200) {
            assert!(Instant::now() < deadline, "not ready after a minute");
            std::thread::yield_now();
        }
        instance
    }

    /// The status of a GET, once someone listens.
    fn status(&self, path: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }

    fn tell_to_end(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// What it says on standard error up to the end of its banner.
    fn banner(&mut self) -> String {
        let mut told = String::new();
        while !told.contains("Ctrl-C ends it.") {
            let mut byte = [0_u8; 1];
            self.child.stderr.as_mut().unwrap().read_exact(&mut byte).unwrap();
            told.push(char::from(byte[0]));
        }
        told
    }

    /// SIGTERM, and its clean end; returns what it wrote to standard output.
    #[track_caller]
    fn stop(mut self) -> String {
        self.tell_to_end();
        let mut written = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut written).unwrap();
        let mut told = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{told}");
        written
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ids(export: &str) -> Vec<String> {
    let id = |line: &str| {
        let contact: serde_json::Value = serde_json::from_str(line).unwrap();
        contact["id"].as_str().unwrap().to_owned()
    };
    export.lines().map(id).collect()
}

#[test]
fn what_is_produced_is_served_and_exported() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let produced = run(path, "produce --events 3000 --contacts 200 --seed 7 --malformed 0.01");
    expect_code(&produced, 0);
    assert!(produced.stdout.is_empty(), "{}", text(&produced.stdout));
    assert!(text(&produced.stderr).starts_with("3000 records"), "{}", text(&produced.stderr));

    let instance = Instance::start(path);
    let told = fails(path, "produce --events 1", 4);
    assert!(told.contains("running instance"), "{told}");
    assert!(fails(path, "store export", 4).contains("stop it first"));
    let url = format!("http://127.0.0.1:{}", instance.port);
    assert!(fails(path, &format!("get nobody --url {url}"), 5).contains("no contact nobody"));
    let served = instance.status("/api/contacts?limit=1");
    assert_eq!(served, Some(401), "nobody is let in without credentials");
    assert_eq!(instance.stop(), "", "serve wrote to standard output");

    let all = ids(&prints(path, "store export --include-deleted"));
    let active = ids(&prints(path, "store export"));
    assert!(all.len() > 150 && active.len() < all.len(), "{} of {}", active.len(), all.len());
    assert!(all.is_sorted() && active.is_sorted());
    let port = free_port();
    let one = prints(path, &format!("get {} --set server.port={port}", active[0]));
    let one: serde_json::Value = serde_json::from_str(&one).unwrap();
    assert_eq!(one["id"], active[0].as_str());
    expect_code(&run(path, "store verify"), 0);
    expect_code(&run(path, "store snapshot"), 0);
    fails(path, "store rebuild", 2);
    let before = prints(path, "store export --include-deleted");
    expect_code(&run(path, "store rebuild --yes"), 0);
    assert!(prints(path, "store export --include-deleted") == before, "a rebuild changed contacts");
}

#[test]
fn an_ephemeral_dev_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let output = contactd(directory.path())
        .args(["dev", "--ephemeral", "--listen", "127.0.0.1:0"])
        .env("TMPDIR", directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = output.unwrap();
    let mut instance = Instance { child, port: 0 };
    // Its banner is the sign that it runs.
    instance.banner();
    let written = instance.stop();
    assert_eq!(written, "", "dev wrote to standard output");
    let left: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_dev_that_nobody_hears_runs_and_ends_when_it_is_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = contactd(directory.path());
    let mut instance = Instance::start_as("dev", command.stdout(Stdio::null()).stderr(full));
    instance.tell_to_end();
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = loop {
        if let Some(status) = instance.child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::yield_now();
    };
    assert_eq!(status.code(), Some(0));
}

#[test]
fn commands_that_nobody_hears_do_what_they_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    for line in ["config check", "produce --events 5", "store verify"] {
        let mut command = contactd(directory.path());
        let command = command.args(line.split_whitespace()).stdout(Stdio::null());
        let status = command.stderr(full()).status().unwrap();
        // There is no store yet; 101 would be a panic.
        let code = if line == "store verify" { 5 } else { 0 };
        assert_eq!(status.code(), Some(code), "{line}");
    }
    // Data that did not arrive is another matter.
    let mut command = contactd(directory.path());
    let command = command.args(["config", "print"]).stdout(full());
    expect_code(&command.output().unwrap(), 1);
}

#[test]
fn dev_touches_no_topic_that_the_shell_happens_to_name() {
    let directory = tempfile::tempdir().unwrap();
    let dev = |more: &[&str]| {
        let child = contactd(directory.path())
            .args(["dev", "--ephemeral", "--listen", "127.0.0.1:0"])
            .args(more)
            .env("KAFKA_BROKERS", "127.0.0.1:1")
            .env("CONTACTD_LOG__KIND", "kafka")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut instance = Instance { child: child.unwrap(), port: 0 };
        let told = instance.banner();
        instance.stop();
        told
    };
    let told = dev(&[]);
    for part in
        ["single node, embedded log", "Log      embedded, in", "follows the embedded log all"]
    {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    // Asked for, it follows a topic, and makes nothing up there.
    let told = dev(&["--set", "log.kind=kafka"]);
    for part in ["Log      Kafka topic contacts", "Demo     no events"] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}

#[test]
fn schemas_and_topics_are_described_and_a_written_schema_can_be_configured() {
    let directory = tempfile::tempdir().unwrap();
    let all: serde_json::Value =
        serde_json::from_str(&prints(directory.path(), "schemas")).unwrap();
    assert!(all["contact-event"]["properties"]["eventType"].is_object(), "{all}");
    let one = prints(directory.path(), "schemas --event contact.deleted");
    let one: serde_json::Value = serde_json::from_str(&one).unwrap();
    assert_eq!(one, all["acme.contact.deleted"]);
    let told = fails(directory.path(), "schemas --event contact.erased", 5);
    assert!(told.contains("contact.created"), "{told}");
    assert_eq!(prints(directory.path(), "schemas out"), "");
    let event = directory.path().join("event.json");
    std::fs::write(&event, r#"{"eventType":"contact.updated","data":{"id":"c","acme_email":7}}"#)
        .unwrap();
    let check = "check-event event.json --source crm --set source.crm.schemas=out/acme";
    let told = text(&run(directory.path(), check).stdout);
    assert!(told.contains("schema: /data/acme_email"), "{told}");
    let asyncapi = prints(directory.path(), "asyncapi --set kafka.topic=crm");
    let asyncapi: serde_json::Value = serde_json::from_str(&asyncapi).unwrap();
    assert_eq!(asyncapi["channels"]["contacts"]["address"], "crm");
}

//! A reader's shell: the page's commands one after another, in an empty directory.
//!
//! What differs from the page are places only: ports 3000 and 3210, `localhost:9092`, `localhost:6379` and `localhost:5672` are this
//! test's own, and `contactd` is the binary under test. A command that serves runs beside the others, as in a
//! terminal of its own, until another one needs its port or its directory; the mock of Acme to the end.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use regex::Regex;

use super::blocks;
use crate::support::postgres::OwnPostgres;
use crate::support::redis::OwnRedis;
use crate::support::services::{OwnBroker, RABBITMQ, free_ports, service as address_of};
use crate::support::wait::wait_until;

/// Of a whole page; far longer than any takes.
const PAGE_SECONDS: &str = "600";
const READY_WITHIN: Duration = Duration::from_secs(90);
/// Kafka's own tools, which the jars of the tests have as classes.
const KAFKA_TOOLS: [(&str, &str); 2] =
    [("kafka-acls.sh", "AclCommand"), ("kafka-topics.sh", "TopicCommand")];
/// Every answer that is an error fails the page.
const START: &str = "set -o pipefail
curl() { command curl --fail-with-body --no-progress-meter --max-time 30 \"$@\"; }
";
const MARK: &str = "--- done:";

pub struct Session {
    page: String,
    dir: tempfile::TempDir,
    shell: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    port: u16,
    acme_port: u16,
    /// Process id of what serves now.
    server: Option<String>,
    /// That of the mock of Acme.
    acme: Option<String>,
    broker: Option<OwnBroker>,
    redis: Option<OwnRedis>,
    /// Where the one of all tests is.
    rabbitmq: Option<String>,
    postgres: Option<OwnPostgres>,
}

impl Session {
    pub fn new(page: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (bin, work) = (dir.path().join("bin"), dir.path().join("work"));
        fs::create_dir(&bin).unwrap();
        fs::create_dir(&work).unwrap();
        symlink(env!("CARGO_BIN_EXE_contactd"), bin.join("contactd")).unwrap();
        let jars = std::env::var("CONTACTD_TEST_KAFKA_JARS").unwrap_or_default();
        for (name, class) in KAFKA_TOOLS {
            let java = "java -Xmx128m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC";
            let text = format!(
                "#!/bin/sh\nexec {java} -cp '{jars}/*' org.apache.kafka.tools.{class} \"$@\"\n"
            );
            fs::write(bin.join(name), text).unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let port = free_ports();
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("timeout");
        shell.args([PAGE_SECONDS, "bash", "--noprofile", "--norc"]).env_clear();
        shell.envs([("PATH", path.as_str()), ("HOME", "/nonexistent"), ("LANG", "C.UTF-8")]);
        shell
            .env("PORT", port.to_string())
            .env("CONTACTD_SERVER__LAME_DUCK", "0")
            .current_dir(&work);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let input = shell.stdin.take();
        let output = BufReader::new(shell.stdout.take().unwrap());
        let page = page.to_owned();
        let mut session = Self {
            page,
            dir,
            shell,
            input,
            output,
            port,
            acme_port: free_ports(),
            server: None,
            acme: None,
            broker: None,
            redis: None,
            rabbitmq: None,
            postgres: None,
        };
        session.send(START);
        session
    }

    /// Whether the service is there, started where it is the first time.
    pub fn has(&mut self, service: Option<&str>) -> bool {
        match service {
            None => true,
            Some("kafka") => {
                self.broker = self.broker.take().or_else(|| OwnBroker::start(&self.page));
                self.broker.is_some()
            }
            Some("redis") => {
                self.redis = self.redis.take().or_else(|| OwnRedis::start(&self.page));
                self.redis.is_some()
            }
            Some("postgresql") => {
                if self.postgres.is_none()
                    && let Some(postgres) = OwnPostgres::start(&self.page)
                {
                    let host = postgres.host();
                    self.send(&format!(
                        "export PGHOST={host} PGUSER=postgres PGDATABASE=postgres\n"
                    ));
                    self.postgres = Some(postgres);
                }
                self.postgres.is_some()
            }
            Some("rabbitmq") => {
                self.rabbitmq = address_of(RABBITMQ, &self.page);
                self.rabbitmq.is_some()
            }
            Some(other) => panic!("{}: there is no service {other}", self.page),
        }
    }

    #[track_caller]
    pub fn run(&mut self, command: &blocks::Command) {
        let text = self.placed(&command.text);
        let at = format!("{}:{}: {}", self.page, command.line, command.text);
        let use_of_store = use_of_store(&command.text);
        if use_of_store != UseOfStore::None {
            self.stop_server();
        }
        if command.text.contains("contactd mock-acme") {
            let log = self.dir.path().join("acme.log");
            let (_, acme) =
                self.ask(&format!("{text} </dev/null >{} 2>&1 &\necho $!", log.display()));
            self.acme = Some(acme);
            let said = || fs::read_to_string(&log).unwrap_or_default();
            wait_until(READY_WITHIN, &at, || said().contains("Ctrl-C"));
            return;
        }
        if use_of_store == UseOfStore::Serves {
            self.serve(&text);
            let expected = format!("…\n{}…", command.expected);
            wait_until(READY_WITHIN, &at, || self.agrees(&expected, &self.server_log()));
            return;
        }
        let (status, printed) = self.ask(&text);
        assert_eq!(status, "0", "{at}\n{printed}");
        let expected = &command.expected;
        assert!(
            expected.is_empty() || self.agrees(expected, &printed),
            "{at}\nexpected:\n{expected}\nprinted:\n{printed}"
        );
    }

    /// Ends what serves, and the shell.
    #[track_caller]
    pub fn end(&mut self) {
        self.stop_server();
        if let Some(acme) = self.acme.take() {
            assert_eq!(
                self.ask(&format!("kill -TERM {acme}; wait {acme}")).0,
                "0",
                "{}",
                self.page
            );
        }
        drop(self.input.take());
        assert!(self.shell.wait().unwrap().success());
    }

    /// With this test's own places.
    fn placed(&self, text: &str) -> String {
        let text = text.replace(":3000", &format!(":{}", self.port));
        let beside = format!("--with-acme=127.0.0.1:{}", self.acme_port);
        let text = text.replace(":3210", &format!(":{}", self.acme_port));
        let mut text = text.replace("--with-acme", &beside);
        if let Some(broker) = &self.broker {
            text = text.replace("localhost:9092", &broker.address());
        }
        if let Some(rabbitmq) = &self.rabbitmq {
            text = text.replace("localhost:5672", rabbitmq);
        }
        if let Some(redis) = &self.redis {
            text = text.replace("localhost:6379", &redis.address().to_string());
        }
        text
    }

    fn send(&mut self, text: &str) {
        self.input.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Runs it to its end: its exit code, and what it printed on both outputs.
    fn ask(&mut self, text: &str) -> (String, String) {
        self.send(&format!("{{ {text}\n}} </dev/null 2>&1\nprintf '\\n{MARK}%s\\n' $?\n"));
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).unwrap();
            assert!(read > 0, "{}: the shell ended: {text}\n{printed}", self.page);
            match line.strip_prefix(MARK) {
                Some(status) => return (status.trim().to_owned(), printed.trim().to_owned()),
                None => printed.push_str(&line),
            }
        }
    }

    #[track_caller]
    fn serve(&mut self, text: &str) {
        let log = self.log_path().display().to_string();
        let (_, server) = self.ask(&format!("{text} </dev/null >{log} 2>&1 &\necho $!"));
        let process = Path::new("/proc").join(&server);
        self.server = Some(server);
        let what = format!("{}: {text}", self.page);
        wait_until(READY_WITHIN, &what, || self.is_ready() || !process.exists());
        assert!(process.exists(), "{what}: it ended");
    }

    fn is_ready(&self) -> bool {
        let ask = || {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
            write!(stream, "GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            answer.starts_with("HTTP/1.1 200").then_some(())
        };
        ask().is_some()
    }

    #[track_caller]
    fn stop_server(&mut self) {
        if let Some(server) = self.server.take() {
            let (status, _) = self.ask(&format!("kill -TERM {server}; wait {server}"));
            assert_eq!(status, "0", "{}: {}", self.page, self.server_log());
        }
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    fn server_log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Whether `printed` is what the page shows: `…` stands for anything, and so do times and random ids.
    fn agrees(&self, expected: &str, printed: &str) -> bool {
        let time = Regex::new(r"\d{4}-\d\d-\d\dT[\d:.]+Z").unwrap();
        let id = Regex::new(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").unwrap();
        let plain = |text: &str| {
            let text = text.trim().replace(&format!(":{}", self.port), ":3000");
            id.replace_all(&time.replace_all(&text, "TIME"), "ID").into_owned()
        };
        let pattern = regex::escape(&plain(expected)).replace('…', "(?s:.*)");
        Regex::new(&format!("^{pattern}$")).unwrap().is_match(&plain(printed))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for server in self.server.iter().chain(&self.acme) {
            eprintln!("{}: what serves said:\n{}", self.page, self.server_log());
            let _ = Command::new("kill").args(["-KILL", server]).status();
        }
    }
}

/// What a command wants of the data directory and the port.
#[derive(PartialEq, Eq)]
enum UseOfStore {
    None,
    /// Until it ends by itself.
    Needs,
    /// Until it is told to end.
    Serves,
}

fn use_of_store(text: &str) -> UseOfStore {
    let mut words = text.split_whitespace().skip_while(|word| word.contains('='));
    if words.next() != Some("contactd") {
        return UseOfStore::None;
    }
    let words: Vec<&str> = words.collect();
    let has = |word| words.contains(&word);
    if has("store") || has("--until-caught-up") {
        UseOfStore::Needs
    } else if words.is_empty() || has("dev") || has("serve") {
        UseOfStore::Serves
    } else {
        UseOfStore::None
    }
}

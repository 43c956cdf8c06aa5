//! `reload` and SIGHUP: what can change while the process runs does, and the rest is named.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::cli::{contactd, expect_code, text};
use crate::support::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "correct horse 42 battery";
const OLD: &str = "q3Jx0b+8v1Yy5wz2m1bUq8rW4pQ7n9Lk0TzVfX2cH6s";
const NEW: &str = "w7Kx1c+9u2Zz6vy3n2cVr9sX5qR8m0Mj1UaWgY3dI7t";

/// An instance whose configuration is a file.
struct Own {
    directory: tempfile::TempDir,
    address: String,
    child: Option<Child>,
}

impl Own {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = tempfile::tempdir().unwrap();
        let mut own = Self { directory, address: format!("127.0.0.1:{port}"), child: None };
        std::fs::write(own.path("secret"), OLD).unwrap();
        own.configure("warn", "100/1s", "");
        let mut add = own.command(&["user", "add", "ada", "--role", "viewer", "--password-stdin"]);
        let mut add = add.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        add.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
        assert!(add.wait().unwrap().success());
        let stderr = File::create(own.path("stderr")).unwrap();
        let child = own.command(&["serve"]).stdout(Stdio::null()).stderr(stderr).spawn();
        own.child = Some(child.unwrap());
        wait_until(PATIENCE, "it is ready", || {
            own.command(&["status"]).output().unwrap().status.success()
        });
        own
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn configure(&self, log: &str, limit: &str, more: &str) {
        let text = format!(
            "[server]\nlisten = \"{}\"\nlame_duck = \"0\"\n[log]\nkind = \"embedded\"\n[store]\npath = \"store\"\n\
             [limits]\nread = \"{limit}\"\n[telemetry]\nlog = \"{log}\"\n[jwt]\nsecret_file = \"secret\"\n{more}",
            self.address
        );
        std::fs::write(self.path("my.toml"), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = contactd(self.directory.path());
        command.env_remove("JWT_SECRET").env("CONTACTD_CONFIG", "my.toml").args(arguments);
        command
    }

    /// What `reload` prints.
    #[track_caller]
    fn reload(&self) -> Value {
        let output = self.command(&["reload", "--json"]).output().unwrap();
        expect_code(&output, 0);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn ask(&self, method: &str, path: &str, header: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: it\r\nconnection: close\r\n{header}\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn token(&self) -> String {
        let body = format!("{{\"username\":\"ada\",\"password\":\"{PASSWORD}\"}}");
        let answer = self.ask("POST", "/api/auth/login", "", &body);
        let json: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        json["accessToken"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    fn read_with(&self, token: &str) -> String {
        self.ask("GET", "/api/contacts", &format!("authorization: Bearer {token}\r\n"), "")
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.path("stderr")).unwrap()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn keys(reloaded: &Value, member: &str) -> Vec<String> {
    let keys = reloaded[member].as_array().unwrap().iter();
    keys.map(|key| key.as_str().unwrap().to_owned()).collect()
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

#[test]
fn limits_secrets_and_the_log_filter_change_while_it_runs() {
    let own = Own::start();
    let reloaded = own.reload();
    assert_eq!((keys(&reloaded, "taken"), keys(&reloaded, "needsRestart")), (vec![], vec![]));
    let token = own.token();
    let answer = own.read_with(&token);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("q=100;w=1\r\n"), "{answer}");
    // The secret is replaced in its file; the one before it still verifies.
    write(&own.path("secret"), NEW);
    write(&own.path("before"), OLD);
    own.configure("info", "50/1m", "secret_previous_file = \"before\"\n[feed]\nclients_max = 7\n");
    let reloaded = own.reload();
    let taken = ["jwt.secret_file", "jwt.secret_previous_file", "limits.read", "telemetry.log"];
    assert_eq!(keys(&reloaded, "taken"), taken);
    assert_eq!(keys(&reloaded, "needsRestart"), ["feed.clients_max"]);
    let answer = own.read_with(&token);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("q=50;w=60\r\n"), "{answer}");
    assert!(own.said().contains("configuration read again"), "{}", own.said());
    let newer = own.token();
    // Nothing verifies by the old one any more; what needs a restart still does.
    own.configure("info", "50/1m", "[feed]\nclients_max = 7\n");
    let reloaded = own.reload();
    assert_eq!(keys(&reloaded, "taken"), ["jwt.secret_previous_file"]);
    assert_eq!(keys(&reloaded, "needsRestart"), ["feed.clients_max"]);
    assert!(own.read_with(&token).starts_with("HTTP/1.1 401"));
    assert!(own.read_with(&newer).starts_with("HTTP/1.1 200"));
}

#[test]
fn what_is_wrong_is_named_and_nothing_is_taken() {
    let own = Own::start();
    own.configure("info", "50/1m", "[feed]\nclients_mx = 7\n");
    let output = own.command(&["reload"]).output().unwrap();
    // The command reads the same file, and refuses first.
    expect_code(&output, 3);
    let key = std::fs::read_to_string(own.path("store/local.key")).unwrap();
    let answer = own.ask("POST", "/api/reload", &format!("x-api-key: {}\r\n", key.trim()), "");
    assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
    for part in ["CONFIGURATION_INVALID", "feed.clients_mx", "did you mean"] {
        assert!(answer.contains(part), "no {part} in {answer}");
    }
    assert!(own.read_with(&own.token()).contains("q=100;w=1\r\n"));
}

#[test]
fn a_hangup_reads_it_again_and_ends_nothing() {
    let own = Own::start();
    own.configure("info", "50/1m", "");
    let process = own.child.as_ref().unwrap().id().to_string();
    assert!(Command::new("/bin/kill").args(["-HUP", &process]).status().unwrap().success());
    wait_until(PATIENCE, "it is read again", || own.said().contains("configuration read again"));
    assert!(own.read_with(&own.token()).contains("q=50;w=60\r\n"));
    own.configure("info", "many", "");
    assert!(Command::new("/bin/kill").args(["-HUP", &process]).status().unwrap().success());
    wait_until(PATIENCE, "it is refused", || own.said().contains("limits.read is "));
    assert!(own.read_with(&own.token()).contains("q=50;w=60\r\n"));
    // The command reads the same file.
    own.configure("info", "50/1m", "");
    let output = own.command(&["status", "--quiet"]).output().unwrap();
    expect_code(&output, 0);
    assert_eq!(text(&output.stdout), "");
}

//! `contactd mock-acme` as a shell sees it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use regex::Regex;

use crate::cli::contactd;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it on a free port; what it said up to the commands to try.
fn start(directory: &Path, line: &str) -> (Running, String) {
    let mut command = contactd(directory);
    command.args(["mock-acme", "--listen", "127.0.0.1:0"]).args(line.split_whitespace());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(child.stderr.take().unwrap()).lines();
    let running = Running(child);
    let said = said.map(Result::unwrap).take_while(|line| !line.starts_with("Ctrl-C"));
    (running, said.collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_banner_holds_commands_that_work() {
    let directory = tempfile::tempdir().unwrap();
    let (running, said) = start(directory.path(), "--state acme.json");
    let commands = Regex::new(r"(?m)^  (TOKEN=|curl).*$").unwrap();
    let commands: Vec<&str> = commands.find_iter(&said).map(|found| found.as_str()).collect();
    assert_eq!(commands.len(), 5, "{said}");
    let script = format!("set -e; {}", commands.join("\necho\n").replace("curl ", "curl --fail "));
    let output = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{printed}");
    assert_eq!(printed.matches("\"acme_first_name\":\"Ada\"").count(), 2, "{printed}");
    assert!(printed.contains("\"writes\":1") && printed.contains("\"failRate\":0.5"), "{printed}");
    // Killed: it goes on where it was.
    drop(running);
    let state = std::fs::read_to_string(directory.path().join("acme.json")).unwrap();
    assert!(state.contains("\"acme_first_name\":\"Ada\""), "{state}");
    let (_again, said) = start(directory.path(), "--state acme.json --contacts-max 1");
    assert!(said.contains("acme.json"), "{said}");
}

#[test]
fn what_can_not_be_is_refused_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("empty"), "\n").unwrap();
    std::fs::write(directory.path().join("bad.json"), "{}").unwrap();
    for (line, code, word) in [
        ("--listen nowhere", 2, "--listen"),
        ("--listen 203.0.113.1:1", 1, "can't listen on 203.0.113.1:1; --listen names another"),
        ("--webhook-url http://127.0.0.1:3000/", 2, "ACME_WEBHOOK_SECRET"),
        (
            "--webhook-secret-file empty --webhook-url http://a/",
            2,
            "--webhook-secret-file empty is empty",
        ),
        (
            "--webhook-secret-file bad.json --webhook-url ftp://a/",
            2,
            "--webhook-url: the target is neither http",
        ),
        ("--api-key-file gone", 1, "can't read --api-key-file gone"),
        ("--sign body", 2, "acme-body"),
        ("--fail-rate 1.5", 2, "failRate is 1.5, and must be from 0 to 1"),
        ("--token-seconds 0", 2, "1..=86400"),
        ("--state bad.json", 5, "bad.json is none that a mock has written"),
    ] {
        let mut command = contactd(directory.path());
        let output = command.arg("mock-acme").args(line.split_whitespace()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        assert!(said.contains(word), "{line}: {said}");
    }
}

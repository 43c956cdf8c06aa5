//! `contactd mock-acme` and `contactd dev --with-acme` as a shell sees them.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use regex::Regex;
use serde_json::json;

use crate::cli::contactd;
use crate::support::client::Client;
use crate::support::instance::until;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts it on free ports; what it said at the start.
fn start(directory: &Path, line: &str) -> (Running, String) {
    let mut command = contactd(directory);
    command.args(line.split_whitespace()).args(["--listen", "127.0.0.1:0"]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(child.stderr.take().unwrap()).lines();
    let running = Running(child);
    let said = said.map(Result::unwrap).take_while(|line| !line.starts_with("Ctrl-C"));
    (running, said.collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_banner_holds_commands_that_work() {
    let directory = tempfile::tempdir().unwrap();
    let (running, said) = start(directory.path(), "mock-acme --state acme.json");
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
    let (_again, said) = start(directory.path(), "mock-acme --state acme.json --contacts-max 1");
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
            "--webhook-url ftp://a/ must begin with http:// or https://",
        ),
        ("--webhook-url 127.0.0.1:3000/", 2, "--webhook-url 127.0.0.1:3000/ must begin with"),
        (
            "--webhook-secret-file bad.json --webhook-url http://u:p@a/",
            2,
            "--webhook-url: the target holds a user name",
        ),
        ("--api-key-file gone", 1, "can't read --api-key-file gone"),
        ("--sign body", 2, "acme-body"),
        ("--fail-rate 1.5", 2, "failRate is 1.5, and must be from 0 to 1"),
        ("--token-seconds 0", 2, "1..=86400"),
        ("--state bad.json", 5, "bad.json is none that a mock has written"),
    ]
    .map(|(line, code, word)| (format!("mock-acme {line}"), code, word))
    .into_iter()
    .chain([
        ("dev --with-acme=nowhere".to_owned(), 2, "--with-acme"),
        (
            "dev --with-acme --set acme.url=http://a --set acme.api_key=k".to_owned(),
            2,
            "acme.url names",
        ),
        (
            "dev --with-acme --set log.kind=kafka --set kafka.brokers=a:1".to_owned(),
            2,
            "a Kafka topic is somebody's",
        ),
    ]) {
        let mut command = contactd(directory.path());
        let output = command.args(line.split_whitespace()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        assert!(said.contains(word), "{line}: {said}");
    }
}

/// What is in the commands of a banner where the place is captured.
fn named(said: &str, pattern: &str) -> String {
    Regex::new(pattern).unwrap().captures(said).expect(said)[1].to_owned()
}

#[tokio::test]
async fn dev_with_acme_keeps_both_sides_alike() {
    let directory = tempfile::tempdir().unwrap();
    let (_running, said) = start(directory.path(), "dev --with-acme=127.0.0.1:0");
    let file = |name: &str| directory.path().join(".contactd").join(name);
    // The banner stands there before the data directory is locked and has its key.
    let key = async || std::fs::read_to_string(file("local.key")).ok();
    let key = until("the local key is there", key).await;
    let ours = Client::new(named(&said, "API +http://(.*)/api/contacts").parse().unwrap());
    let ours = ours.with("x-api-key", key.trim());
    let acme = Client::new(named(&said, "http://(.*)/acme/stats").parse().unwrap());
    let acme_key = std::fs::read_to_string(file("acme.key")).unwrap();
    let login = acme.post("/acme/login", &json!({"apiKey": acme_key.trim()})).await;
    let acme = acme.with_token(login.expect(200).json()["token"].as_str().unwrap());
    let here = async |id: &str, title: &str| {
        let path = format!("/api/contacts/{id}");
        until(&format!("{path} has the title {title}"), async || {
            let answer = ours.get(&path).await;
            (answer.status == 200 && answer.json()["title"] == title).then_some(())
        })
        .await;
    };
    acme.put("/acme/contacts/ada", &json!({"acme_title": "Countess"})).await.expect(200);
    here("ada", "Countess").await;
    ours.patch("/api/contacts/ada", &json!({"title": "Analyst"})).await.expect(200);
    ours.post("/api/contacts", &json!({"id": "bob", "title": "Buyer"})).await.expect(201);
    for (id, title) in [("ada", "Analyst"), ("bob", "Buyer")] {
        let path = format!("/acme/contacts/{id}");
        until(&format!("{path} has the title {title}"), async || {
            let answer = acme.get(&path).await;
            (answer.status == 200 && answer.json()["acme_title"] == title).then_some(())
        })
        .await;
    }
    within_a_second(&ours, &acme).await;
    ours.delete("/api/contacts/bob").await.expect(204);
    until("bob is gone there too", async || {
        (acme.get("/acme/contacts/bob").await.status == 404).then_some(())
    })
    .await;
    acme.delete("/acme/contacts/grace").await.expect(204);
    until("grace is gone here too", async || {
        (ours.get("/api/contacts/grace").await.status == 404).then_some(())
    })
    .await;
    let stats = acme.get("/acme/stats").await.expect(200).json();
    // Three at the start, then the two sides' own; nothing went round.
    assert_eq!(
        (&stats["writes"], &stats["writesWithoutChange"]),
        (&json!(8 + 2 * CHANGES), &json!(0)),
        "{stats}"
    );
}

/// Changes of either side whose way is watched.
const CHANGES: usize = 5;

/// Of some changes on either side, each after the one before has come, at least one is on the other within a
/// second: more is this machine's business.
async fn within_a_second(ours: &Client, acme: &Client) {
    let (here, there) = ("/api/contacts/ada", "/acme/contacts/ada");
    let mut quickest = [Duration::MAX; 2];
    for number in 0..CHANGES {
        let (phone, company) = (format!("1{number}"), format!("Company {number}"));
        let began = Instant::now();
        ours.patch(here, &json!({"phone": phone})).await.expect(200);
        until("the change is there", async || {
            (acme.get(there).await.json()["acme_phone"] == phone).then_some(())
        })
        .await;
        quickest[0] = quickest[0].min(began.elapsed());
        let began = Instant::now();
        acme.put(there, &json!({"acme_company": company})).await.expect(200);
        until("the change is here", async || {
            (ours.get(here).await.json()["company"] == company).then_some(())
        })
        .await;
        quickest[1] = quickest[1].min(began.elapsed());
    }
    assert!(quickest.into_iter().all(|took| took <= Duration::from_secs(1)), "{quickest:?}");
}

//! What the command line gives to whom, shows on a terminal, and leaves on the disk.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::support::access::write_users;
use crate::support::logs::{RawRecord, TestLog};
use crate::support::node::Node;
use crate::support::services::skip;
use crate::support::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(60);

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn run(node: &Node, arguments: &[&str]) -> (Output, String, String) {
    let output = node.command(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (printed, told) = (text(&output.stdout), text(&output.stderr));
    (output, printed, told)
}

fn record(key: &str, value: Vec<u8>) -> RawRecord {
    RawRecord {
        lane: None,
        key: Some(key.as_bytes().to_vec()),
        value: Some(value),
        headers: Vec::new(),
        timestamp_ms: 1_795_255_200_000,
    }
}

/// Everything below a directory that somebody else could reach.
fn open_to_others(directory: &Path) -> Vec<PathBuf> {
    let mut open = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(path) = waiting.pop() {
        let at = std::fs::metadata(&path).unwrap();
        if at.permissions().mode() & 0o077 != 0 {
            open.push(path.clone());
        }
        if at.is_dir() {
            waiting.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    open
}

#[test]
fn the_data_is_its_owners_alone_and_what_is_not_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let (store, log) = (directory.path().join("store"), directory.path().join("made/log"));
    let node = Node::new(&store)
        .with("log.kind", "embedded")
        .with("embedded_log.path", log.display())
        .with("telemetry.log", "info");
    let running = node.start("");
    wait_until(PATIENCE, "the store is open", || store.join("local.key").exists());
    assert!(running.stop().status.success());
    let (output, ..) = run(&node, &["produce", "--events", "500", "--contacts", "50"]);
    assert!(output.status.success(), "{output:?}");
    node.catch_up_soundly();
    for made in [&store, &log] {
        assert_eq!(open_to_others(made), Vec::<PathBuf>::new());
    }
    let file = store.join("checkpoint");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let told = node.catch_up("").stderr;
    let warnings: Vec<&str> = told.lines().filter(|line| line.contains("chmod -R go=")).collect();
    assert_eq!(warnings.len(), 1, "{told}");
    assert!(warnings[0].contains("checkpoint") && warnings[0].contains("files=1"), "{told}");
}

#[test]
fn no_way_of_writing_an_address_gets_the_key_of_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    std::fs::create_dir(&store).unwrap();
    std::fs::write(store.join("local.key"), "ck_local_of_this_machine\n").unwrap();
    let node = Node::new(&store);
    let port = free_address().port();
    for url in
        [format!("http://localhost:80@127.0.0.1:{port}"), format!("http://u@localhost:{port}")]
    {
        for command in ["get", "dlq list", "config adopt"] {
            let mut arguments: Vec<&str> = command.split(' ').collect();
            if command == "get" {
                arguments.push("c1");
            }
            arguments.extend(["--url", &url]);
            let (output, _, told) = run(&node, &arguments);
            assert_eq!(output.status.code(), Some(2), "{command} {url}: {told}");
            assert!(told.contains("user name or a password"), "{told}");
        }
    }
}

#[test]
fn a_redirect_takes_the_key_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    std::fs::create_dir(&store).unwrap();
    std::fs::write(store.join("local.key"), "ck_local_of_this_machine\n").unwrap();
    let elsewhere = TcpListener::bind("127.0.0.2:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let to = elsewhere.local_addr().unwrap();
    let here = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", here.local_addr().unwrap());
    let redirecting = std::thread::spawn(move || {
        let (mut client, _) = here.accept().unwrap();
        let mut head = [0; 4096];
        let read = client.read(&mut head).unwrap();
        let answer = format!(
            "HTTP/1.1 307 x\r\nlocation: http://{to}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        client.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&head[..read]).into_owned()
    });
    let (output, ..) = run(&Node::new(&store), &["get", "c1", "--url", &url]);
    assert!(!output.status.success());
    assert!(redirecting.join().unwrap().contains("ck_local_of_this_machine"), "it has the key");
    assert!(elsewhere.accept().is_err(), "nobody is asked elsewhere");
}

/// Clears the screen, by C0 and by C1, and turns the line around.
const HOSTILE: &str = "Ada\u{1b}[2J\u{9b}2J\u{202e}\u{2066}\u{7f}";

#[track_caller]
fn assert_harmless(text: &str) {
    let unsafe_char = text.chars().find(|c| {
        (c.is_control() && *c != '\n')
            || ('\u{202a}'..='\u{202e}').contains(c)
            || ('\u{2066}'..='\u{2069}').contains(c)
    });
    assert_eq!(unsafe_char, None, "{text:?}");
}

#[test]
fn what_others_wrote_moves_no_cursor() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    write_users(&store.join("users.toml"));
    let address = free_address();
    let log = TestLog::embedded(&directory.path().join("log"));
    let event = json!({ "id": "e1", "eventType": "contact.created", "timestamp": 1,
        "source": "s", "data": { "id": "c1", "firstName": "A\u{202e}\u{2066}", "lastName": "L" } });
    let letter = format!("{{\"{HOSTILE}\n\r");
    log.append(vec![record("c1", event.to_string().into_bytes()), record(HOSTILE, letter.into())]);
    let node = log.followed_by(Node::new(&store)).with("server.listen", address);
    let running = node.start("");
    wait_until(PATIENCE, "the letter is there", || {
        run(&node, &["dlq", "list"]).1.contains("malformed_json")
    });
    let listed = run(&node, &["dlq", "list", "--json"]).1;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let id = listed[0]["id"].as_str().unwrap();
    for arguments in [
        vec!["get", "c1"],
        vec!["dlq", "list"],
        vec!["dlq", "list", "--json"],
        vec!["dlq", "show", id],
        vec!["dlq", "show", id, "--json"],
        vec!["dlq", "show", HOSTILE],
        vec!["get", HOSTILE],
    ] {
        let (_, printed, told) = run(&node, &arguments);
        assert!(!(printed.is_empty() && told.is_empty()), "{arguments:?} says something");
        assert_harmless(&printed);
        assert_harmless(&told);
    }
    assert!(running.stop().status.success());
}

#[test]
fn with_tls_the_command_line_reaches_its_own_instance_and_another_by_its_certificate() {
    let test = "with_tls_the_command_line_reaches_its_own_instance_and_another_by_its_certificate";
    let directory = tempfile::tempdir().unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=contactd", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        skip(test, "there is no openssl command (apt-get install openssl)");
        return;
    }
    let store = directory.path().join("store");
    let log = TestLog::embedded(&directory.path().join("log"));
    let event = json!({ "id": "e1", "eventType": "contact.created", "timestamp": 1,
        "source": "s", "data": { "id": "c1", "firstName": "Ada" } });
    log.append(vec![record("c1", event.to_string().into_bytes())]);
    let address = free_address();
    let cert = directory.path().join("cert.pem");
    let node = log
        .followed_by(Node::new(&store))
        .with("server.listen", address)
        .with("server.tls_certificate", cert.display())
        .with("server.tls_key", directory.path().join("key.pem").display());
    let running = node.start("");
    // Nobody whom the system trusts has signed the certificate.
    wait_until(PATIENCE, "the contact is there", || {
        let (_, printed, _) = run(&node, &["get", "c1"]);
        printed.contains("\"Ada\"")
    });
    let (output, printed, told) = run(&node, &["dlq", "list"]);
    assert!(output.status.success(), "{told}");
    assert_eq!(printed, "no dead letters\n");
    let url = format!("https://{address}");
    let (_, printed, told) = run(&node, &["get", "c1", "--url", &url]);
    assert!(printed.contains("\"Ada\""), "it is the configured one all the same: {told}");
    // Whose configuration names no certificate goes by what the system trusts.
    let other = log.followed_by(Node::new(&store)).with("server.listen", address);
    let (output, _, told) = run(&other, &["get", "c1", "--url", &url]);
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.contains("--cacert FILE names"), "{told}");
    let (output, _, told) = run(&other, &["get", "c1", "--url", &url, "--cacert", "/nowhere.pem"]);
    assert_eq!(output.status.code(), Some(2), "{told}");
    let by_ca = ["get", "c1", "--url", &url, "--cacert", cert.to_str().unwrap()];
    let (_, printed, told) = run(&other, &by_ca);
    assert!(printed.contains("\"Ada\""), "{told}");
    wait_until(PATIENCE, "it is ready", || run(&node, &["status"]).0.status.success());
    let (_, printed, _) = run(&node, &["status"]);
    let first = format!("at https://{address}\nstate        ready\n");
    assert!(printed.contains(&first) && printed.contains("contacts     1 active"), "{printed}");
    assert_eq!(printed.lines().count(), 10, "{printed}");
    let (output, printed, told) = run(&node, &["status", "--quiet"]);
    assert_eq!((output.status.code(), printed.as_str(), told.as_str()), (Some(0), "", ""));
    assert!(running.stop().status.success());
}

//! `contactd dlq` against a running instance, and a kill in the middle of a redrive.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::logs::{RawRecord, TestLog};
use crate::support::node::Node;
use crate::support::wait::{wait_for, wait_until};

use super::event;

const PATIENCE: Duration = Duration::from_secs(60);
const CONTACTS: u64 = 30;

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What `contactd dlq` prints, and its exit code.
fn dlq(node: &Node, line: &str) -> (String, String, i32) {
    let arguments: Vec<&str> = ["dlq"].into_iter().chain(line.split_whitespace()).collect();
    let output = node.command(&arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code().unwrap_or(-1))
}

#[track_caller]
fn dlq_json(node: &Node, line: &str) -> Value {
    let (printed, told, code) = dlq(node, &format!("{line} --json"));
    assert_eq!(code, 0, "{line}: {told}");
    serde_json::from_str(&printed).unwrap()
}

fn record(event: &Value) -> RawRecord {
    let key = event["data"]["id"].as_str().unwrap();
    RawRecord {
        lane: None,
        key: Some(key.as_bytes().to_vec()),
        value: Some(event.to_string().into_bytes()),
        headers: Vec::new(),
        timestamp_ms: 1_795_255_200_000,
    }
}

/// Contacts of which each has one event more that is too large for it.
fn fill(log: &TestLog) {
    let events = (0..CONTACTS).flat_map(|number| {
        let id = format!("c{number}");
        let mut large = event(&id, 2, "Large");
        large["data"]["attributes"] = json!({ "notes": "x".repeat(2000) });
        [record(&event(&id, 1, "Small")), record(&large)]
    });
    log.append(events.collect::<Vec<_>>());
}

#[track_caller]
fn until_letters(node: &Node, count: u64) -> Vec<Value> {
    wait_for(PATIENCE, "the letters are archived", || {
        let (printed, _, code) = dlq(node, "list --limit 1000 --json");
        let letters: Vec<Value> = serde_json::from_str(&printed).ok().filter(|_| code == 0)?;
        (letters.len() as u64 == count).then_some(letters)
    })
}

#[track_caller]
fn contact(node: &Node, id: &str) -> Value {
    let output = node.command(&["get", id]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

#[track_caller]
fn assert_healed(node: &Node) {
    for number in 0..CONTACTS {
        let id = format!("c{number}");
        wait_until(PATIENCE, &format!("{id} is healed"), || {
            contact(node, &id)["firstName"] == "Large"
        });
        assert_eq!(contact(node, &id)["version"], 2, "one effect");
    }
}

fn is_ready(address: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let request = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    stream.write_all(request).and_then(|()| stream.read_to_string(&mut answer)).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

#[test]
fn a_redrive_goes_on_after_a_kill_and_three_of_them_have_one_effect() {
    let directory = tempfile::tempdir().unwrap();
    let log = TestLog::embedded(&directory.path().join("log"));
    fill(&log);
    let listen = format!("127.0.0.1:{}", free_port());
    let node = log.followed_by(Node::new(&directory.path().join("store")));
    let strict = node.with("server.listen", &listen).with("apply.contact_bytes_max", "1KiB");
    let running = strict.start("");
    let letters = until_letters(&strict, CONTACTS);
    assert!(letters.iter().all(|letter| letter["reason"] == "too_large"), "{letters:?}");
    running.stop();

    let mended = strict.clone().with("apply.contact_bytes_max", "64KiB");
    let running = mended.start("kill:redriven:2");
    // Before, the log's rules are the strict ones still.
    wait_until(PATIENCE, "the new limit holds", || is_ready(&listen));
    until_letters(&mended, CONTACTS);
    let (_, told, code) = dlq(&mended, "redrive --all --rate 20");
    assert_eq!(code, 4, "the instance was killed in the middle: {told}");
    assert!(running.wait().was_killed());

    let running = mended.start("");
    let job = wait_for(PATIENCE, "the redrive goes on by itself", || {
        let (printed, _, code) = dlq(&mended, "redrives --json");
        let jobs: Vec<Value> = serde_json::from_str(&printed).ok().filter(|_| code == 0)?;
        jobs.into_iter().find(|job| job["state"] == "done")
    });
    assert_eq!(job["by"], "key:local", "{job}");
    assert_eq!(job["counts"]["done"], CONTACTS);
    assert_healed(&mended);
    for _ in 0..2 {
        let job = dlq_json(&mended, "redrive --reason too_large --again");
        assert_eq!(job["counts"]["done"], CONTACTS);
    }
    assert_healed(&mended);
    running.stop();
}

#[test]
fn the_commands_list_show_redrive_and_discard() {
    let directory = tempfile::tempdir().unwrap();
    let log = TestLog::embedded(&directory.path().join("log"));
    fill(&log);
    log.append([RawRecord {
        value: Some(b"{\"a\": \x1b]0;".to_vec()),
        ..record(&event("bad", 1, ""))
    }]);
    let listen = format!("127.0.0.1:{}", free_port());
    let node = log.followed_by(Node::new(&directory.path().join("store")));
    let node = node.with("server.listen", listen).with("apply.contact_bytes_max", "1KiB");
    let (_, told, code) = dlq(&node, "list");
    assert_eq!(code, 4, "nobody answers: {told}");
    let running = node.start("");
    let letters = until_letters(&node, CONTACTS + 1);
    let bad = letters.iter().find(|letter| letter["reason"] == "malformed_json").unwrap();
    let id = bad["id"].as_str().unwrap();
    let (printed, _, _) = dlq(&node, &format!("show {id}"));
    assert!(printed.contains("\\u{1b}]0;") && !printed.contains('\u{1b}'), "{printed}");
    let some = dlq_json(&node, "list --reason too_large --limit 7");
    assert_eq!(some.as_array().unwrap().len(), 7);
    let dry = dlq_json(&node, "redrive --reason too_large --dry-run --limit 3");
    assert_eq!((&dry["dryRun"], &dry["counts"]["done"]), (&json!(true), &json!(3)));
    let (_, told, code) = dlq(&node, "redrive");
    assert_eq!(code, 2, "{told}");
    let (_, told, code) = dlq(&node, "redrive --reason nonsense");
    assert_eq!(code, 5, "{told}");
    let limited = dlq_json(&node, "redrive --reason too_large --limit 3");
    assert_eq!(limited["counts"]["done"], 3);
    // They are as large as before, and so come back with a hop.
    until_letters(&node, CONTACTS + 4);
    assert_eq!(dlq_json(&node, "list --status redriven").as_array().unwrap().len(), 3);
    let (_, _, code) = dlq(&node, &format!("discard {id}"));
    assert_eq!(code, 0);
    let (_, told, code) = dlq(&node, &format!("redrive {id}"));
    assert_eq!(code, 5, "{told}");
    let discarded = dlq_json(&node, "discard --all");
    assert_eq!(discarded["counts"]["done"], CONTACTS + 3);
    assert_eq!(dlq_json(&node, "list"), json!([]));
    let all = dlq_json(&node, "list --status discarded --limit 1000");
    assert_eq!(all.as_array().unwrap().len() as u64, CONTACTS + 4);
    running.stop();
}

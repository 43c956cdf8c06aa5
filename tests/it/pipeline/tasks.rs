//! Whatever task panics: the process ends with its name, and does not stand there half alive.

use std::collections::BTreeSet;

use regex::Regex;

use crate::support::logs::TestLog;
use crate::support::node::Node;
use crate::tidy::rust_files;

/// Those of an instance on the embedded log; see the table in ARCHITECTURE.md.
const TASKS: [&str; 16] = [
    "reload",
    "supervisor",
    "http",
    "samples",
    "feed",
    "backups",
    "imports",
    "simulator",
    "users",
    "shared_state",
    "bridge",
    "dead_letters",
    "apply",
    "commits",
    "retention",
    "rules",
];

/// Those with a setting, then those of `dev` and of Kafka.
const ELSEWHERE: [&str; 5] = ["purging", "telemetry", "access_log", "demo", "outbox"];

#[test]
fn every_task_that_is_started_is_listed_here_and_in_the_architecture() {
    let started =
        Regex::new(r#"\.start(?:_thread|_within)?\(\s*(?:"(\w+)"|worker::NAME)"#).unwrap();
    let files = rust_files("src/app");
    let found = files.iter().flat_map(|(_, text)| started.captures_iter(text));
    let found: BTreeSet<&str> =
        found.map(|names| names.get(1).map_or("apply", |name| name.as_str())).collect();
    let listed: BTreeSet<&str> = TASKS.into_iter().chain(ELSEWHERE).collect();
    assert_eq!(found, listed);
    let page = include_str!("../../../ARCHITECTURE.md");
    let table = page.split("\n## Tasks\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let gone = listed.iter().filter(|name| !table.unwrap().contains(&format!("`{name}`")));
    assert_eq!(gone.count(), 0, "the table in ARCHITECTURE.md lacks one");
}

fn assert_ends_with(node: &Node, command: &str, task: &str) {
    let exit = node.start_command(&[command], &format!("panic:{task}")).wait();
    assert!(!exit.status.success(), "{task}: {}", exit.stderr);
    let said = format!("the task {task} failed");
    assert!(exit.stderr.contains(&said), "{task}: {}: {}", exit.status, exit.stderr);
}

#[test]
fn a_task_that_panics_ends_the_process_by_its_name() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = TestLog::embedded(&dir.path().join("log"));
    let node = super::node(dir.path(), &log)
        .with("simulator.enabled", true)
        .with("acme.webhook_secret", "a secret of this test alone, and long enough")
        .with("store.purge_deleted_after", "1d")
        .with("telemetry.listen", "127.0.0.1:0")
        .with("telemetry.access_log", dir.path().join("access.log").display());
    let [purging, telemetry, access_log, demo, outbox] = ELSEWHERE;
    for task in TASKS.into_iter().chain([purging, telemetry, access_log]) {
        assert_ends_with(&node, "serve", task);
    }
    assert_ends_with(&Node::new(&dir.path().join("dev")), "dev", demo);
    let kafka = super::node(dir.path(), &TestLog::mock());
    assert_ends_with(&kafka, "serve", outbox);
}

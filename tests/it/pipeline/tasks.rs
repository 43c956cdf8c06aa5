//! Whatever task panics: the process ends with its name, and does not stand there half alive.

use crate::support::logs::TestLog;
use crate::support::node::Node;

/// Those of an instance on the embedded log; see the table in ARCHITECTURE.md.
const TASKS: [&str; 12] = [
    "http",
    "feed",
    "backups",
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
        .with("telemetry.listen", "127.0.0.1:0");
    for task in TASKS.into_iter().chain(["purging", "telemetry"]) {
        assert_ends_with(&node, "serve", task);
    }
    assert_ends_with(&Node::new(&dir.path().join("dev")), "dev", "demo");
    let kafka = super::node(dir.path(), &TestLog::mock());
    assert_ends_with(&kafka, "serve", "outbox");
}

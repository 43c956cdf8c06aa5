//! `contactd check-event`, as a shell sees it.

use std::io::Write as _;
use std::process::Stdio;

use crate::cli::{contactd, expect_code, text};

#[test]
fn an_event_is_checked_as_applying_would_and_nothing_is_left() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let good = r#"{"id":"e1","eventType":"contact.updated","timestamp":"2026-11-21T10:00:00Z",
        "version":7,"source":"acme","data":{"id":"ada","acme_first_name":"Ada","acme_note":1}}"#;
    let sent = |arguments: &str, input: &str| {
        let mut command = contactd(path);
        command.args(arguments.split_whitespace()).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = sent("check-event -", good);
    expect_code(&output, 0);
    let told = text(&output.stdout);
    for part in ["e1: accepted", "contact    ada", "firstName  \"Ada\"", "acme_note"] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    let no_clock = r#"{"eventType":"contact.deleted","data":{"id":"ada"}}"#;
    let output = sent("check-event - --json", &format!("[{good},{no_clock},{{\"id\":1}}]"));
    expect_code(&output, 5);
    assert!(text(&output.stderr).contains("1 of 3 events"), "{}", text(&output.stderr));
    let reports: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(reports[0]["contact"]["firstName"], "Ada");
    assert_eq!(reports[0]["contact"]["sourceVersion"], 7);
    assert_eq!(reports[1]["status"], "accepted");
    assert_eq!(reports[1]["notes"].as_array().unwrap().len(), 3);
    assert_eq!(reports[2]["status"], "refused");
    assert_eq!(reports[2]["reason"], "unknown_event_type");
    let future = good.replace("2026-11-21", "2199-01-01");
    let output = sent("check-event -", &format!("{good}\n{future}"));
    expect_code(&output, 5);
    assert!(text(&output.stdout).contains("refused, timestamp_in_future"));
    let file = path.join("event.json");
    std::fs::write(&file, good.replace("\"Ada\"", "{}")).unwrap();
    let refused = sent("check-event event.json --source acme", "");
    expect_code(&refused, 5);
    expect_code(&sent("check-event none.json", ""), 5);
    expect_code(&sent("check-event -", "{\"half"), 5);
    std::fs::remove_file(file).unwrap();
    assert!(std::fs::read_dir(path).unwrap().next().is_none(), "checking left something");
}

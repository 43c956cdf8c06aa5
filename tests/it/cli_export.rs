//! `export` and `get --as-of` as a shell sees them, from the directory and from a running instance.

use std::fs;
use std::path::Path;
use std::process::Output;

use contactd::auth::Role;
use serde_json::json;

use crate::cli::contactd;
use crate::support::access;
use crate::support::instance::Instance;

fn run(directory: &Path, arguments: &[&str]) -> Output {
    contactd(directory).args(arguments).output().unwrap()
}

#[track_caller]
fn prints(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn fails(directory: &Path, arguments: &[&str], code: i32) -> String {
    let output = run(directory, arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    told
}

/// What is told on the way is no data.
const NOWHERE: [&str; 2] = ["--set", "server.port=1"];

fn with<'a>(arguments: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [arguments, more].concat()
}

#[test]
fn a_stopped_instance_is_exported_from_its_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let told = fails(path, &with(&["export"], &NOWHERE), 5);
    assert!(told.contains("no store"), "{told}");
    prints(path, &["produce", "--events", "600", "--contacts", "60", "--seed", "7"]);
    prints(path, &["serve", "--until-caught-up", "--listen", "127.0.0.1:0"]);
    let all = prints(path, &with(&["export", "--include-deleted"], &NOWHERE));
    assert_eq!(all, prints(path, &["store", "export", "--include-deleted"]));
    let active = prints(path, &with(&["export"], &NOWHERE)).lines().count();
    let deleted = prints(path, &with(&["export", "--status", "deleted"], &NOWHERE));
    assert_eq!(active + deleted.lines().count(), all.lines().count());
    prints(path, &with(&["export", "contacts.csv"], &NOWHERE));
    let csv = fs::read_to_string(path.join("contacts.csv")).unwrap();
    assert_eq!(csv.lines().count(), active + 1);
    assert!(csv.starts_with("id,firstName,") && !path.join("contacts.csv.part").exists());
    prints(path, &with(&["export", "contacts.vcf"], &NOWHERE));
    let cards = fs::read_to_string(path.join("contacts.vcf")).unwrap();
    assert_eq!(cards.matches("BEGIN:VCARD\r\n").count(), active);
    let two = prints(path, &with(&["export", "--columns", "id,status", "-"], &NOWHERE));
    assert_eq!(two.lines().next(), Some("id,status"));
    for wrong in [
        &["export", "contacts.xlsx"][..],
        &["export", "--format", "vcard", "--columns", "id"],
        &["export", "--columns", "firstname"],
        &["export", "--updated-since", "yesterday"],
    ] {
        fails(path, &with(wrong, &NOWHERE), 2);
    }
    let told = fails(path, &with(&["export", "nowhere/contacts.csv"], &NOWHERE), 1);
    assert!(told.contains("nowhere/contacts.csv.part"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_instance_is_asked() {
    let instance = Instance::builder().start().await;
    let client = instance.client();
    client.post("/api/contacts", &json!({ "id": "ada", "firstName": "Ada" })).await.expect(201);
    client.patch("/api/contacts/ada", &json!({ "firstName": "Augusta" })).await.expect(200);
    let (url, key) = (format!("http://{}", instance.address), access::key(Role::Viewer));
    let asked = tokio::task::spawn_blocking(move || {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let there = ["--url", url.as_str(), "--key", key.as_str()];
        let csv = prints(path, &with(&["export", "--columns", "id,firstName"], &there));
        assert_eq!(csv, "id,firstName\r\nada,Augusta\r\n");
        prints(path, &with(&["export", "--company", "nobody's", "none.csv"], &there));
        let none = fs::read_to_string(path.join("none.csv")).unwrap();
        assert_eq!(none.lines().count(), 1);
        let first = prints(path, &with(&["get", "ada", "--as-of", "version:1"], &there));
        assert!(first.contains("\"Ada\""), "{first}");
        let told =
            fails(path, &with(&["get", "ada", "--as-of", "2020-01-01T00:00:00Z"], &there), 5);
        assert!(told.contains("no such contact then"), "{told}");
        fails(path, &with(&["get", "ada", "--as-of", "then"], &there), 2);
        fails(path, &["export", "--url", url.as_str(), "--key", "wrong"], 1);
        assert!(!path.join(".contactd").exists());
    });
    asked.await.unwrap();
}

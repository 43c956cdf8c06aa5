//! `support-bundle`: it says how a setup is, and nothing of whoever is in it; neither does any log line.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::text;
use crate::support::node::Node;
use crate::support::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "q3Jx0b+8v1Yy5wz2m1bUq8rW4pQ7n9Lk0TzVfX2cH6s";
/// Of the contact that must be nowhere.
const PERSONAL: [&str; 4] = ["Zaphodina", "Beeblebroxova", "heartofgold", "5550815"];

/// What curl prints.
fn curl(arguments: &[&str]) -> String {
    let output = Command::new("curl").args(["-sS", "--max-time", "20"]).args(arguments).output();
    text(&output.expect("curl runs").stdout)
}

/// Its data is sent in every way in, and refused in many.
fn be_hostile(node: &Node, address: &str) {
    let key = std::fs::read_to_string(node.store.join("local.key")).unwrap();
    let key = format!("X-API-Key: {}", key.trim());
    let contact = json!({
        "id": "c-hostile", "firstName": "Zaphodina", "lastName": "Beeblebroxova",
        "email": "zaphodina@heartofgold.example", "phone": "+4930 5550815",
    });
    let json_type = "Content-Type: application/json";
    let url = |path: &str| format!("http://{address}{path}");
    let send = |method: &str, path: &str, body: &Value| {
        curl(&["-X", method, "-H", &key, "-H", json_type, "-d", &body.to_string(), &url(path)])
    };
    assert!(send("POST", "/api/contacts", &contact).contains("Zaphodina"));
    let change = json!({ "phone": "+4930 5550815-2" });
    send("PATCH", "/api/contacts/c-hostile", &change);
    // Refused ones, in many ways.
    send("POST", "/api/contacts", &contact);
    send(
        "POST",
        "/api/contacts",
        &json!({ "email": "zaphodina@heartofgold", "x": "Beeblebroxova" }),
    );
    send("POST", "/api/webhooks", &json!([{ "data": contact }]));
    send("POST", "/api/webhooks/Zaphodina", &json!({ "data": contact }));
    send(
        "POST",
        "/api/auth/login",
        &json!({ "username": "Zaphodina", "password": "Beeblebroxova" }),
    );
    for path in [
        "/api/contacts?q=Zaphodina",
        "/api/contacts?email=zaphodina@heartofgold.example",
        "/api/contacts/Beeblebroxova",
        "/api/contacts?Zaphodina=1",
        "/Zaphodina/Beeblebroxova",
        "/api/events/Zaphodina",
        "/api/contacts/c-hostile/history",
        "/api/export",
    ] {
        curl(&["-H", &key, &url(path)]);
    }
    let bad = node.store.with_file_name("bad.csv");
    std::fs::write(&bad, "firstName,email\nZaphodina,heartofgold\n").unwrap();
    let bad = bad.display().to_string();
    node.command(&["import", &bad]).output().unwrap();
}

#[test]
fn nothing_of_a_contact_is_in_the_bundle_or_in_any_log_line() {
    let directory = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let node = Node::new(&directory.path().join("store"))
        .with("log.kind", "embedded")
        .with("server.listen", &address)
        .with("telemetry.log", "trace")
        .with("telemetry.access_log", directory.path().join("access.log").display())
        .with("acme.webhook_secret", SECRET);
    let running = node.start("");
    wait_until(PATIENCE, "it is ready", || {
        node.command(&["status"]).output().unwrap().status.success()
    });
    be_hostile(&node, &address);
    let output = node.command(&["support-bundle", "bundle.json"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let path = directory.path().join("bundle.json");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let bundle = std::fs::read_to_string(&path).unwrap();
    let json: Value = serde_json::from_str(&bundle).unwrap();
    assert_eq!(json["instance"]["status"]["contactsActive"], 1);
    assert!(json["instance"]["metrics"].as_str().unwrap().contains("contactd_build_info"));
    assert!(json["configuration"].as_str().unwrap().contains("[server]"));
    assert!(json["doctor"]["checks"].as_array().unwrap().len() > 20);
    let again = node.command(&["support-bundle", "bundle.json"]).output().unwrap();
    assert!(!again.status.success(), "it wrote over a file");
    let lines = running.stop().stderr;
    let access = std::fs::read_to_string(directory.path().join("access.log")).unwrap();
    assert!(lines.contains("TRACE") || lines.contains("DEBUG"), "no lines below info");
    assert!(access.contains("/api/contacts/{id}"), "{access}");
    for (what, told) in
        [("the bundle", &bundle), ("a log line", &lines), ("the access log", &access)]
    {
        for personal in PERSONAL {
            let line = told.lines().find(|line| line.contains(personal));
            assert!(line.is_none(), "{personal} is in {what}: {line:?}");
        }
        assert!(!told.contains(SECRET), "a secret is in {what}");
    }
}

#[test]
fn without_an_instance_it_says_so_and_tells_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::new(&directory.path().join("store"))
        .with("log.kind", "embedded")
        .with("server.listen", "127.0.0.1:1");
    let output = node.command(&["support-bundle", "bundle.json"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let bundle = std::fs::read(directory.path().join("bundle.json")).unwrap();
    let json: Value = serde_json::from_slice(&bundle).unwrap();
    assert!(json["instance"]["notAsked"].as_str().unwrap().contains("does not answer"), "{json:#}");
    assert!(json["version"].is_string() && json["doctor"]["severity"].is_string());
}

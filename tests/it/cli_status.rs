//! `status` and `config check`: how an instance is, and whether one could be.

use std::net::TcpListener;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use crate::cli::contactd;
use crate::support::node::Node;
use crate::support::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(60);

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn run(directory: &Path, line: &str, code: i32) -> Output {
    let output = contactd(directory).args(line.split_whitespace()).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{line}: {}", text(&output.stderr));
    output
}

#[test]
fn config_check_names_what_serve_could_not_use_and_makes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let file = "[server]\ntls_certificate = \"none.pem\"\ntls_key = \"none.key\"\n[auth]\n\
        users_file = \"broken.toml\"\n[store]\npath = \"a-file/store\"\n[kafka]\n\
        brokers = \"127.0.0.1:1\"\nssl_ca_location = \"nowhere.pem\"\n[kafka.properties]\n\
        \"no.such.setting\" = \"1\"\n[source.crm]\nsignature = \"standard\"\nschemas = \"nowhere\"\n";
    std::fs::write(path.join("my.toml"), file).unwrap();
    std::fs::write(path.join("broken.toml"), "[[user]]\nname = 5\n").unwrap();
    std::fs::write(path.join("a-file"), "").unwrap();
    let names = || {
        let entries = std::fs::read_dir(path).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let told = text(&run(path, "config check my.toml", 3).stderr);
    for part in [
        "6 problems in the configuration",
        "my.toml:2: server.tls_certificate can't be used: ",
        "my.toml:5: auth.users_file can't be used: ",
        "my.toml:7: store.path ",
        "a-file is no directory",
        "my.toml:10: kafka.ssl_ca_location ",
        "no.such.setting",
        "source.crm.schemas",
    ] {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
    let at_kafka = "[server]\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(path.join("my.toml"), at_kafka).unwrap();
    run(path, "config check my.toml", 0);
    assert_eq!(names(), before, "nothing was made");
}

#[test]
fn the_exit_code_of_status_says_how_the_instance_is() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    // Its log can't be reached.
    let node = Node::new(&directory.path().join("store"))
        .with("server.listen", address)
        .with("kafka.brokers", "127.0.0.1:1");
    let status = |arguments: &[&str]| {
        let output = node.command(arguments).output().unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, printed, told) = status(&["status"]);
    assert_eq!((code, printed.as_str()), (Some(4), ""), "{told}");
    assert!(told.contains("does not answer") && told.contains("--url"), "{told}");
    assert_eq!(status(&["status", "--quiet"]).0, Some(4));
    let running = node.start("");
    wait_until(PATIENCE, "it is live", || status(&["status", "--quiet"]).0 == Some(0));
    let (code, printed, told) = status(&["status"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(printed.contains("\nstate        not ready: "), "{printed}");
    assert!(printed.contains("\ncontacts     unknown\n"), "{printed}");
    let (code, printed, _) = status(&["status", "--json"]);
    let report: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((code, &report["ready"]), (Some(1), &Value::Bool(false)));
    assert!(report["waiting"]["log"].is_string(), "{report}");
    assert!(report["connectionsMax"].as_u64().is_some_and(|max| max > 0), "{report}");
    drop(running);
}

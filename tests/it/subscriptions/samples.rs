//! The subscribers in `docs/subscriptions.md`, each run by its own language, and what the standard's own libraries say.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::subscriber::{Received, Subscriber};
use super::{PATH, builder, create, subscribe};
use crate::support::instance::until;
use crate::support::services::{free_ports, skip};

/// One in the page: how its block begins, its file, how it is run, and what says that it can be.
struct Sample {
    info: &'static str,
    file: &'static str,
    run: &'static [&'static str],
    probe: &'static [&'static str],
}

const SAMPLES: [Sample; 4] = [
    Sample { info: "js", file: "subscriber.mjs", run: &["node"], probe: &["node", "--version"] },
    Sample {
        info: "python",
        file: "subscriber.py",
        run: &["python3"],
        probe: &["python3", "--version"],
    },
    Sample { info: "go", file: "main.go", run: &["go", "run"], probe: &["go", "version"] },
    Sample {
        info: "java",
        file: "Subscriber.java",
        run: &["java"],
        probe: &["sh", "-c", "java --list-modules | grep -q jdk.compiler"],
    },
];

/// Ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Go and Java may run the program in a process of its own.
        let group = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.0.wait();
    }
}

fn can_run(command: &[&str]) -> bool {
    let mut probe = Command::new(command[0]);
    let probed = probe.args(&command[1..]).stdin(Stdio::null()).output();
    probed.is_ok_and(|output| output.status.success())
}

fn block(page: &str, info: &str) -> String {
    let (_, rest) = page.split_once(&format!("```{info}\n")).expect("the page has such a block");
    rest.split("```").next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_subscriber_in_the_page_verifies_what_it_is_told() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/subscriptions.md")).unwrap();
    let instance = builder().start().await;
    let client = instance.client();
    for Sample { info, file, run, probe } in SAMPLES {
        if !can_run(probe) {
            skip(&format!("the subscriber {file}"), &format!("{} can't be run here", probe[0]));
            continue;
        }
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(file), block(&page, info)).unwrap();
        let port = free_ports();
        let wish =
            json!({"url": format!("http://127.0.0.1:{port}/"), "events": ["contact.created"]});
        let made = client.post(PATH, &wish).await.expect(201).json();
        let mut command = Command::new(run[0]);
        command.args(&run[1..]).arg(file).current_dir(directory.path());
        command.env("WEBHOOK_SECRET", made["secret"].as_str().unwrap());
        command.env("PORT", port.to_string()).env("HOME", directory.path());
        command.env("GOCACHE", std::env::temp_dir().join("contactd-go"));
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
        let _running = Running(child);
        until("the subscriber listens", async || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        })
        .await;
        create(&client, &format!("of-{info}")).await;
        let line = tokio::task::spawn_blocking(move || printed.next()).await.unwrap();
        let line = line.expect("a line").unwrap();
        assert!(line.starts_with("msg_") && line.contains(&format!("of-{info}")), "{file}: {line}");
        let path = format!("{PATH}/{}", made["id"].as_str().unwrap());
        client.delete(&path).await.expect(204);
    }
}

/// What a library of the standard is given: a secret, three headers and a body.
fn given(told: &Received, secret: &str) -> String {
    let header = |name: &str| told.header(name).to_owned();
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: serde_json::Map<_, _> =
        names.into_iter().map(|name| (name.to_owned(), json!(header(name)))).collect();
    json!({"secret": secret, "headers": headers, "body": told.text()}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_libraries_of_the_standard_believe_what_is_sent() {
    let instance = builder().start().await;
    let (client, subscriber) = (instance.client(), Subscriber::start().await);
    let (_, secret) = subscribe(&client, &subscriber, json!({})).await;
    create(&client, "ada").await;
    let told = subscriber.has(1).await;
    let python = "import json, sys; from standardwebhooks import Webhook; it = json.load(sys.stdin); \
                  print(Webhook(it['secret']).verify(it['body'], it['headers'])['type'])";
    let script = "const {Webhook} = require('standardwebhooks'); \
                  const it = JSON.parse(require('fs').readFileSync(0)); \
                  console.log(new Webhook(it.secret).verify(it.body, it.headers).type)";
    for (library, command) in [
        ("standardwebhooks for Python", ["python3", "-c", python]),
        ("standardwebhooks for JavaScript", ["node", "-e", script]),
    ] {
        let there = match command[0] {
            "node" => ["node", "-e", "require('standardwebhooks')"],
            _ => ["python3", "-c", "import standardwebhooks"],
        };
        if !can_run(&there) {
            skip(library, "it is not installed (.ci/run installs it)");
            continue;
        }
        let mut child = Command::new(command[0]);
        child.args(&command[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let input = given(&told[0], &secret);
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{library} does not believe it");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "contact.created");
    }
}

//! Everything that keeps others out, at once, against a contactd of 1,024 open files: idle, silent and
//! half-open connections, bodies without end, reads that wait for what never comes, snapshots that
//! nobody takes. Who is signed in reads and writes meanwhile.
//!
//! `CONTACTD_STORM_CROWD` has so many of them from one address (700) and half as many from the others
//! together, `CONTACTD_STORM_OPEN_FILES` is the process's limit, `CONTACTD_STORM_SECONDS` is how long it
//! takes at least; with `CONTACTD_TEST_BINARY` it is another build's.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contactd::auth::Role;
use contactd::domain::position::Position;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::support::access;
use crate::support::client::Client;
use crate::support::node::{Node, Running};

const OPEN_FILES: u64 = 1024;
const MEMORY_KIB_MAX: u64 = 256 << 10;
/// Of the one address that crowds most; the others together have about half of that.
const CROWD: u64 = 700;
const ADDRESSES: u8 = 51;
/// Of the reads of who is signed in: of a build that is named, and of one with debug assertions, whose
/// machine has tests beside it.
const P99_MAX: Duration = Duration::from_millis(100);
const P99_DEBUG_MAX: Duration = Duration::from_secs(1);
/// How long an attacker keeps a connection, of which it reads nothing.
const HELD: Duration = Duration::from_secs(3);
const ROUNDS: usize = 60;
const PATIENCE: Duration = Duration::from_secs(60);

fn given(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

/// A line of the process's status, in KiB.
fn memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}

/// What one attacker's connection says before it falls silent.
fn opening(number: u64, far: &str) -> Vec<u8> {
    let viewer = access::key(Role::Viewer);
    let half = [b' '; 200 << 10];
    let post = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n").into_bytes()
    };
    match number % 8 {
        0 | 1 => Vec::new(),
        2 => b"GET /livez HTTP/1.1\r\nhost: x\r\n".to_vec(),
        3 => [post("/nope"), b"x".to_vec()].concat(),
        4 => [post("/api/webhooks"), half.to_vec()].concat(),
        5 => [post("/api/auth/login"), half.to_vec()].concat(),
        6 => format!(
            "GET /api/contacts/first HTTP/1.1\r\nhost: x\r\nx-api-key: {viewer}\r\n\
             position: {far}\r\n\r\n"
        )
        .into_bytes(),
        _ => format!(
            "GET /api/feed?snapshot=true HTTP/1.1\r\nhost: x\r\nx-api-key: {viewer}\r\n\r\n"
        )
        .into_bytes(),
    }
}

async fn connect(from: u8, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 1, from], 0).into())?;
    socket.connect(to).await
}

/// Holds a connection for a while, whatever becomes of it, and then another one.
async fn attack(number: u64, from: u8, to: SocketAddr, far: Arc<str>) {
    loop {
        let mut held = connect(from, to).await.ok();
        if let Some(stream) = &mut held {
            let _ = stream.write_all(&opening(number, &far)).await;
        }
        tokio::time::sleep(HELD).await;
    }
}

fn start(directory: &Path) -> (Node, Running) {
    let node = Node::new(&directory.join("node"))
        .with("telemetry.log", "info")
        .with("log.kind", "embedded")
        .with("embedded_log.segment_bytes", "64KiB")
        .with_open_files(given("CONTACTD_STORM_OPEN_FILES", OPEN_FILES));
    access::write_users(&node.store.join("users.toml"));
    let running = node.start("");
    (node, running)
}

/// Reads and writes while the others attack; how long each took.
async fn signed_in(client: &Client, to: SocketAddr, process: u32) -> (Vec<Duration>, u64) {
    let (mut took, mut memory) = (Vec::new(), 0);
    let (begun, least) = (Instant::now(), Duration::from_secs(given("CONTACTD_STORM_SECONDS", 0)));
    for round in (0..).take_while(|round| *round < ROUNDS || begun.elapsed() < least) {
        let contact = json!({ "id": format!("c{round}"), "firstName": "Ada", "attributes": { "n": "x".repeat(2000) } });
        client.post("/api/contacts", &contact).await.expect(201);
        for _ in 0..4 {
            let started = Instant::now();
            client.get(&format!("/api/contacts/c{}", round / 2)).await.expect(200);
            took.push(started.elapsed());
        }
        // A probe, on a connection of its own.
        let mut probe = connect(250, to).await.expect("a connection");
        probe
            .write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .expect("sent");
        let mut answer = String::new();
        let read = tokio::time::timeout(PATIENCE, probe.read_to_string(&mut answer)).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "round {round}: {read:?} {answer}");
        memory = memory.max(memory_kib(process));
    }
    took.sort_unstable();
    (took, memory)
}

/// What is taken of the pool of connections.
async fn connections(client: &Client) -> u64 {
    let metrics = client.get("/metrics").await.expect(200);
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    let sample = "contactd_pool_taken{pool=\"connections\"} ";
    let taken = text.lines().find_map(|line| line.strip_prefix(sample));
    taken.expect("the pool").parse().expect("a number")
}

/// The crowd has left: everything is as before, without a restart.
async fn all_is_as_before(client: &Client, held: u64) {
    crate::support::instance::until("their connections are given back", async || {
        (connections(client).await <= held).then_some(())
    })
    .await;
    client.get("/readyz").await.expect(200);
    client.post("/api/contacts", &json!({ "id": "after", "firstName": "Ada" })).await.expect(201);
    let read = client.get("/api/contacts/after").await.expect(200);
    assert_eq!(read.json()["firstName"], "Ada");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_signed_in_reads_and_writes_whatever_the_others_do() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).expect("more open files");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (_node, mut running) = start(directory.path());
    let to = running.address(PATIENCE);
    let client = Client::new(to).with_role(Role::Editor);
    crate::support::instance::until("it is ready", async || {
        client.get("/readyz").await.status.is_success().then_some(())
    })
    .await;
    let idle = memory_kib(running.process());
    let first = client.post("/api/contacts", &json!({ "id": "first" })).await.expect(201);
    let held = connections(&client).await;
    let mut far = Position::decode(first.header("position")).expect("a position");
    far.next.values_mut().for_each(|next| next.0 += 1_000_000);
    let far: Arc<str> = far.encode().as_str().into();
    let mut attackers = JoinSet::new();
    let crowd = given("CONTACTD_STORM_CROWD", CROWD);
    for number in 0..crowd {
        attackers.spawn(attack(number, 1, to, Arc::clone(&far)));
    }
    for from in 2..ADDRESSES {
        for number in 0..crowd / (2 * u64::from(ADDRESSES - 2)) {
            attackers.spawn(attack(number, from, to, Arc::clone(&far)));
        }
    }
    let (took, most) = signed_in(&client, to, running.process()).await;
    attackers.shutdown().await;
    let p99 = took[took.len() * 99 / 100];
    eprintln!(
        "{} reads, p99 {p99:?}, the longest {:?}; memory {idle} -> {most} KiB",
        took.len(),
        took[took.len() - 1]
    );
    assert!(most < idle + MEMORY_KIB_MAX, "memory {idle} -> {most} KiB");
    let is_named = std::env::var_os("CONTACTD_TEST_BINARY").is_some();
    let p99_max = if is_named { P99_MAX } else { P99_DEBUG_MAX };
    assert!(p99 <= p99_max, "p99 {p99:?}, more than {p99_max:?}");
    all_is_as_before(&client, held).await;
    let exit = running.stop();
    let told = &exit.stderr;
    assert!(exit.status.success(), "{}: {told}", exit.status);
    let crowds = told.matches("connections that one may have").count();
    let crowds = crowds + told.matches("all connections are taken").count();
    assert!((1..=4).contains(&crowds), "it says {crowds} times who crowds: {told}");
    let is_short = given("CONTACTD_STORM_OPEN_FILES", OPEN_FILES) == OPEN_FILES;
    let says_so = told.contains("fewer connections than server.connections_max");
    assert_eq!(says_so, is_short, "{told}");
}

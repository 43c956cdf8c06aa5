//! What an instance that was told to stop still does.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::node::{Node, Running};
use crate::support::wait::wait_until;

const PATIENCE: Duration = Duration::from_secs(60);

/// Over a connection of its own.
fn ask(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn says(address: SocketAddr, path: &str, part: &str) -> bool {
    ask(address, path).is_some_and(|answer| answer.contains(part))
}

fn terminate(running: &Running) {
    let told = Command::new("/bin/kill").arg(running.process().to_string()).status();
    assert!(told.expect("kill runs").success());
}

fn ready(directory: &Path, lame_duck: &str) -> (Running, SocketAddr) {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
    let node = Node::new(&directory.join("store"))
        .with("server.listen", free)
        .with("server.lame_duck", lame_duck)
        .with("telemetry.log", "info");
    let running = node.start("");
    wait_until(PATIENCE, "it is ready", || says(free, "/readyz", "200 OK"));
    (running, free)
}

#[test]
fn told_to_stop_it_is_not_ready_first_and_answers_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let (running, address) = ready(directory.path(), "10m");
    terminate(&running);
    let told = "told to end; requests are answered for 600 s";
    wait_until(PATIENCE, "/readyz says why", || says(address, "/readyz", told));
    assert!(says(address, "/readyz", "HTTP/1.1 503 "));
    assert!(says(address, "/livez", "HTTP/1.1 200 "));
    assert!(says(address, "/api/contacts", "HTTP/1.1 401 "), "the API answers");
    // Whoever says it twice does not want to wait.
    terminate(&running);
    let exit = running.wait();
    assert_eq!(exit.status.code(), Some(1), "{}", exit.stderr);
}

#[test]
fn when_that_is_over_the_listener_closes_and_it_ends_well() {
    let directory = tempfile::tempdir().unwrap();
    let (running, address) = ready(directory.path(), "50ms");
    terminate(&running);
    let exit = running.wait();
    assert!(exit.status.success(), "{}", exit.stderr);
    let lines = [exit.stderr.find("told to end: not ready"), exit.stderr.find("ending")];
    assert!(lines.iter().all(Option::is_some) && lines.is_sorted(), "{}", exit.stderr);
    assert!(TcpStream::connect(address).is_err());
}

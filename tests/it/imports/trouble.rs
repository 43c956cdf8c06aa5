//! Files and disks that do not do: told, and nothing is lost.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use contactd::auth::Role;
use serde_json::json;

use super::import;
use crate::support::access;
use crate::support::instance::Instance;
use crate::support::node::Node;

const PATIENCE: Duration = Duration::from_secs(30);

/// `contactd import`, asking who is there.
fn command(home: &Path, address: SocketAddr, file: &Path) -> std::process::Command {
    let file = file.display().to_string();
    let mut command = Node::new(&home.join("unused")).command(&["import", &file, "--yes"]);
    command.env("CONTACTD_URL", format!("http://{address}"));
    command.env("CONTACTD_API_KEY", access::key(Role::Editor));
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_full_disk_refuses_a_file_or_lets_its_import_wait() {
    let home = tempfile::tempdir().unwrap();
    let users = home.path().join("users.toml");
    access::write_users(&users);
    let node = Node::new(&home.path().join("store"))
        .with("log.kind", "embedded")
        .with("auth.users_file", users.display())
        .with("telemetry.log", "info");
    let file = home.path().join("contacts.csv");
    std::fs::write(&file, "id,title\na,x\nb,y\n").unwrap();
    let mut running = node.start("enospc:import_write:1,enospc:import_progress:1");
    let address = running.address(PATIENCE);
    let refused = command(home.path(), address, &file).output().unwrap();
    assert!(!refused.status.success(), "{}", said(&refused));
    assert!(said(&refused).contains("can't be written down now"), "{}", said(&refused));
    running.wait_until_it_says(PATIENCE, "No space left on device");
    let spools = node.store.join("imports");
    assert_eq!(std::fs::read_dir(&spools).unwrap().count(), 0, "what had come has gone");
    let done = command(home.path(), address, &file).output().unwrap();
    assert!(done.status.success(), "{}", said(&done));
    running.wait_until_it_says(PATIENCE, "an import waits and goes on");
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(told.contains('2') && told.contains("new contacts"), "{told}");
    let exit = running.stop();
    assert!(exit.status.success(), "{}: {}", exit.status, exit.stderr);
}

/// Reads a request to its end, and answers it.
fn answer(stream: &mut TcpStream, begun: &mut Vec<u8>, status: &str, body: &str) {
    let mut buffer = vec![0; 64 << 10];
    let is_whole = |begun: &[u8]| {
        let head = begun.windows(4).position(|at| at == b"\r\n\r\n");
        let is_chunked =
            |head: &[u8]| String::from_utf8_lossy(head).to_ascii_lowercase().contains("chunked");
        head.is_some_and(|at| !is_chunked(&begun[..at]) || begun.ends_with(b"0\r\n\r\n"))
    };
    while !is_whole(begun) {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "the request ends early");
        begun.extend_from_slice(&buffer[..read]);
    }
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n");
    let length = body.len();
    write!(stream, "{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}").unwrap();
}

#[test]
fn a_file_that_changes_while_it_is_read_is_not_imported() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("contacts.csv");
    // More than is on its way at once.
    let row = format!("c,{}\n", "x".repeat(1 << 16));
    let mut file = File::create(&path).unwrap();
    file.write_all(b"id,title\n").unwrap();
    for _ in 0..512 {
        file.write_all(row.as_bytes()).unwrap();
    }
    drop(file);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut importing = command(home.path(), listener.local_addr().unwrap(), &path);
    importing.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let importing = importing.spawn().unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut begun = vec![0; 1];
    stream.read_exact(&mut begun).unwrap();
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"d,late\n").unwrap();
    let job = json!({ "id": "an-import", "state": "ready", "columns": [], "samples": [] });
    answer(&mut stream, &mut begun, "202 Accepted", &job.to_string());
    drop(stream);
    // What was given is given up.
    let (mut stream, _) = listener.accept().unwrap();
    let mut begun = Vec::new();
    answer(&mut stream, &mut begun, "202 Accepted", &job.to_string());
    let request = String::from_utf8_lossy(&begun).into_owned();
    assert!(request.starts_with("POST /api/imports/an-import/cancel "), "{request}");
    let output = importing.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert!(said(&output).contains("contacts.csv changed while it was read"), "{}", said(&output));
}

#[tokio::test]
async fn zero_bytes_refuse_their_row_and_formulas_are_texts() {
    let instance = Instance::start().await;
    let client = instance.client();
    let file = "id,title,phone\na,x\0y,1\nb,=1+1,'+44 20\nc,@SUM(A1),-1\n";
    let job = import(&client, "", file).await;
    let counts = &job["counts"];
    assert_eq!((&counts["created"], &counts["refused"]), (&json!(2), &json!(1)), "{job}");
    let id = job["id"].as_str().unwrap();
    let rows = client.get(&format!("/api/imports/{id}/rows?verdict=refused")).await.expect(200);
    let row = rows.json()["data"][0].clone();
    assert_eq!(row["row"], 1, "{row}");
    assert!(row["detail"].as_str().unwrap().contains("control characters"), "{row}");
    let contact = client.get("/api/contacts/b").await.expect(200).json();
    assert_eq!((&contact["title"], &contact["phone"]), (&json!("=1+1"), &json!("+44 20")));
    let contact = client.get("/api/contacts/c").await.expect(200).json();
    assert_eq!((&contact["title"], &contact["phone"]), (&json!("@SUM(A1)"), &json!("-1")));
}

//! Users, keys and secrets as a shell sees them, and what `dev` prints, typed as it is printed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::cli::contactd;
use crate::support::services::skip;

fn run(directory: &Path, line: &str, input: &str) -> Output {
    let mut command = contactd(directory);
    command.args(line.split_whitespace()).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may end without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[track_caller]
fn ends(directory: &Path, line: &str, input: &str, code: i32) -> (String, String) {
    let output = run(directory, line, input);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{line}\nstdout: {out}\nstderr: {err}");
    (out, err)
}

#[test]
fn users_and_keys_are_kept_without_their_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let password = "seven paper cranes\n";
    let add = "user add ada --role admin --email ada@example.com --password-stdin";
    let (_, told) = ends(path, add, password, 0);
    assert!(told.contains("users.toml is made new"), "{told}");
    ends(path, "user add ada --role admin --password-stdin", password, 5);
    ends(path, "user add bob --role emperor --password-stdin", password, 2);
    ends(path, "user add bob --role viewer --password-stdin", "password1\n", 2);
    ends(path, "user add bob --role viewer", password, 2);
    let (list, _) = ends(path, "user list", "", 0);
    assert!(list.contains("ada") && list.contains("admin") && list.contains("ada@example.com"));
    ends(path, "user passwd ada --password-stdin", "another long one", 0);
    let (key, told) = ends(path, "key create ci --role ingest --role viewer --expires 90d", "", 0);
    let key = key.trim();
    assert!(key.starts_with("ck_") && !told.contains(key), "{told}");
    assert!(!told.contains("made new"), "{told}");
    // Days or seconds: a number alone does not say.
    let (_, told) = ends(path, "key create cd --role viewer --expires 90", "", 2);
    assert!(told.contains("with its unit, like 90d"), "{told}");
    let (list, _) = ends(path, "key list", "", 0);
    assert!(list.contains("ci") && list.contains("ingest") && !list.contains(key), "{list}");
    let file = std::fs::read_to_string(path.join(".contactd/users.toml")).unwrap();
    assert!(!file.contains(key) && !file.contains("another long one"), "{file}");
    ends(path, "key revoke ci", "", 0);
    ends(path, "key revoke ci", "", 5);
    ends(path, "user remove ada", "", 0);
    ends(path, "user remove ada", "", 5);
}

#[test]
fn serve_refuses_a_missing_short_or_example_secret_before_it_listens() {
    let directory = tempfile::tempdir().unwrap();
    for (secret, word) in [
        ("", "is not set"),
        ("short", "32"),
        ("your-secret-key-your-secret-key-your", "placeholder"),
    ] {
        let mut command = contactd(directory.path());
        let output = command.args(["serve", "--listen", "127.0.0.1:0"]).env("JWT_SECRET", secret);
        let output = output.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains("jwt.secret") && told.contains(word), "{told}");
        assert!(secret.len() < 10 || !told.contains(secret), "{told}");
    }
    assert!(!directory.path().join(".contactd").exists(), "a refused start left something");
    std::fs::create_dir(directory.path().join(".contactd")).unwrap();
    std::fs::write(directory.path().join(".contactd/users.toml"), "[[user]]\nname = 1\n").unwrap();
    let (_, told) = ends(directory.path(), "serve --listen 127.0.0.1:0", "", 3);
    assert!(told.contains("users.toml: line 2"), "{told}");
}

struct Dev(Child);

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `dev`, and returns what it prints up to `Ctrl-C`.
fn dev(directory: &Path) -> (Dev, Vec<String>) {
    let mut child = contactd(directory)
        .args(["dev", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut printed = Vec::new();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    for line in lines.by_ref() {
        let line = line.unwrap();
        if line.starts_with("Ctrl-C") {
            break;
        }
        printed.push(line);
    }
    // Whoever prints must find a reader.
    std::thread::spawn(move || lines.for_each(drop));
    (Dev(child), printed)
}

#[test]
fn what_dev_prints_works_as_it_is_printed() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        return skip("what_dev_prints_works_as_it_is_printed", "there is no curl");
    }
    let directory = tempfile::tempdir().unwrap();
    let (running, printed) = dev(directory.path());
    let commands: Vec<&str> = printed
        .iter()
        .map(|line| line.trim())
        .filter(|line| ["KEY=", "TOKEN=", "curl "].iter().any(|start| line.starts_with(start)))
        .collect();
    assert!(commands.len() >= 6, "{printed:?}");
    let url = printed.iter().find_map(|line| line.trim().strip_prefix("Metrics")).unwrap();
    let ready = url.trim().replace("/metrics", "/readyz");
    let began = Instant::now();
    while !Command::new("curl").args(["-sf", &ready]).output().unwrap().status.success() {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not get ready");
    }
    let script = commands.join("\n").replace("curl -s ", "curl -sf ");
    let output = Command::new("sh").args(["-ec", &script]).current_dir(directory.path()).output();
    let output = output.unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{script}\n{told}");
    assert!(told.contains("firstName") && told.contains("\"verdicts\""), "{told}");
    drop(running);
    let (_running, printed) = dev(directory.path());
    let printed = printed.join("\n");
    assert!(printed.contains("contactd user passwd admin") && !printed.contains("TOKEN="));
}

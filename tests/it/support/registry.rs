//! A small schema registry that speaks the HTTP API of Confluent's: schemas by id, versions of subjects,
//! a login, and whatever a registry should not answer.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Who does not go on is not waited for.
const STALL: Duration = Duration::from_secs(5);

#[derive(Default)]
struct World {
    /// By path: status, media type and body.
    answers: BTreeMap<String, (u16, String, String)>,
    /// `user:password`; none: anybody is let in.
    login: Option<String>,
    is_away: bool,
    /// Paths that were asked for.
    asked: Vec<String>,
}

/// One that runs until it is dropped.
pub struct TestRegistry {
    address: SocketAddr,
    world: Arc<Mutex<World>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TestRegistry {
    /// Without a schema.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (world, is_over) = (Arc::<Mutex<World>>::default(), Arc::<AtomicBool>::default());
        let (shared, ends) = (Arc::clone(&world), Arc::clone(&is_over));
        let serve = move || {
            for stream in listener.incoming().flatten() {
                if ends.load(Ordering::Relaxed) {
                    return;
                }
                // Who asks may be gone again.
                let _ = answer(&stream, &shared);
            }
        };
        let thread = Some(std::thread::spawn(serve));
        Self { address, world, is_over, thread }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An Avro schema under an id.
    pub fn add(&self, id: u32, schema: &Value) {
        self.add_answer(id, &json!({ "schema": schema.to_string() }));
    }

    /// All that is said of an id.
    pub fn add_answer(&self, id: u32, answer: &Value) {
        self.set(&format!("/schemas/ids/{id}"), 200, "application/json", &answer.to_string());
    }

    /// What others refer to.
    pub fn add_version(&self, subject: &str, version: u32, answer: &Value) {
        let path = format!("/subjects/{subject}/versions/{version}");
        self.set(&path, 200, "application/json", &answer.to_string());
    }

    /// Whatever is answered to a path.
    pub fn set(&self, path: &str, status: u16, kind: &str, body: &str) {
        let answer = (status, kind.to_owned(), body.to_owned());
        self.world.lock().answers.insert(path.to_owned(), answer);
    }

    /// Who is let in, `user:password`.
    pub fn let_in(&self, login: &str) {
        self.world.lock().login = Some(login.to_owned());
    }

    /// Whether connections are closed without an answer.
    pub fn set_away(&self, is_away: bool) {
        self.world.lock().is_away = is_away;
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.world.lock().asked.iter().filter(|asked| *asked == path).count()
    }
}

fn answer(stream: &TcpStream, world: &Mutex<World>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(STALL))?;
    let mut head = Vec::new();
    for line in BufReader::new(stream).lines() {
        match line? {
            line if line.is_empty() => break,
            line => head.push(line),
        }
    }
    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    let mut world = world.lock();
    world.asked.push(path.clone());
    if world.is_away {
        return Ok(());
    }
    let is_let_in = world.login.as_ref().is_none_or(|login| {
        let expected = format!("authorization: Basic {}", STANDARD.encode(login));
        head.iter().any(|line| line.eq_ignore_ascii_case(&expected))
    });
    let not_found = || {
        let code = if path.starts_with("/schemas") { 40_403 } else { 40_401 };
        let body = json!({ "error_code": code, "message": "not found" });
        (404, "application/json".to_owned(), body.to_string())
    };
    let (status, kind, body) = if is_let_in {
        world.answers.get(&path).cloned().unwrap_or_else(not_found)
    } else {
        (401, "application/json".to_owned(), json!({ "error_code": 401 }).to_string())
    };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

impl Drop for TestRegistry {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // So that it looks.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A value as serializers frame it.
pub fn framed(id: u32, value: &[u8]) -> Vec<u8> {
    [&[0], id.to_be_bytes().as_slice(), value].concat()
}

//! `contactd simulate` against a whole instance, and against targets that lie.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use contactd::auth::Role;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::cli::contactd;
use crate::support::access;
use crate::support::instance::Instance;

const SECRET: &str = "a-secret-that-Acme-and-contactd-share";
const BAD_DAY: &str = "--events 600 --contacts 40 --duplicate 20% --reorder 20% --late 10% --forge 5% \
                       --truncate 5% --seed 11";

async fn simulate(target: &str, line: &str) -> Output {
    let (target, line) = (target.to_owned(), line.to_owned());
    let run = move || {
        let directory = tempfile::tempdir().unwrap();
        let mut command = contactd(directory.path());
        command.arg("simulate").args(["--target", &target]).args(line.split_whitespace());
        command.env("CONTACTD_WEBHOOK_SECRET", SECRET);
        command.env("CONTACTD_API_KEY", access::key(Role::Viewer));
        command.output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[track_caller]
fn text(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
    assert!(!out.contains(SECRET) && !err.contains(SECRET));
    (out, err)
}

#[track_caller]
fn report(output: &Output, code: i32) -> Value {
    serde_json::from_str(&text(output, code).0).expect("a report in JSON")
}

async fn instance() -> Instance {
    Instance::builder().with("acme.webhook_secret", SECRET).start().await
}

fn url(instance: &Instance) -> String {
    format!("http://{}", instance.address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_day_changes_nothing_and_one_seed_sends_the_same_bytes() {
    let instance = instance().await;
    let first = simulate(&url(&instance), &format!("{BAD_DAY} --json")).await;
    let first = report(&first, 0);
    for manner in ["as_is", "duplicate", "reordered", "late", "forged", "truncated"] {
        assert!(first["sent"][manner].as_u64().unwrap() > 5, "{manner}: {first}");
    }
    let requests = &first["requests"];
    let must_fail =
        first["sent"]["forged"].as_u64().unwrap() + first["sent"]["truncated"].as_u64().unwrap();
    assert_eq!(requests["refusedAsExpected"], must_fail);
    assert_eq!(
        requests["accepted"].as_u64().unwrap() + must_fail,
        requests["sent"].as_u64().unwrap()
    );
    assert!(first["contacts"]["equal"].as_u64().unwrap() > 30, "{first}");
    // Again to the same target, which holds all of it already; then at another pace.
    let again = simulate(&url(&instance), &format!("{BAD_DAY} --json --rate 3000")).await;
    let again = report(&again, 0);
    assert_eq!((&again["hash"], &again["contacts"]), (&first["hash"], &first["contacts"]));
    assert_eq!(first["hash"].as_str().unwrap().len(), 64);
    let other = simulate(&url(&instance), "--events 50 --contacts 5 --seed 12").await;
    let (table, said) = text(&other, 0);
    for row in ["requests sent", "refused, as expected", "contacts equal", "sha256 of all bodies"] {
        assert!(table.contains(row), "{row} is not in {table}");
    }
    assert!(!table.contains(first["hash"].as_str().unwrap()));
    // In a pipe there is no progress.
    assert_eq!(said, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_finds_what_it_needs_of_a_dev_on_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("webhook.secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let instance = Instance::builder().dev().with("acme.webhook_secret", SECRET).begin(directory);
    instance.until_ready().await;
    let (port, path) = (instance.address.port(), instance.path().to_owned());
    let run = move |path: &Path| {
        let directory = tempfile::tempdir().unwrap();
        let mut command = contactd(directory.path());
        command.args(["simulate", "--events", "40", "--contacts", "4", "--path"]).arg(path);
        command.env("PORT", port.to_string()).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(move || run(&path)).await.unwrap();
    let (table, _) = text(&output, 0);
    assert!(table.contains(&format!("http://127.0.0.1:{port}, seed 7, 40 events")), "{table}");
}

/// Passes everything on to an instance, but for what it lies about.
struct Liar {
    address: SocketAddr,
    _task: JoinSet<()>,
}

/// What is done instead of passing the request on, by its number; none: it is passed on.
type Lie = Arc<dyn Fn(u64, &Method, &str, StatusCode) -> Option<Response> + Send + Sync>;

#[derive(Clone)]
struct Passing {
    to: String,
    http: reqwest::Client,
    count: Arc<AtomicU64>,
    /// Asked before the request is passed on, and after it.
    before: Lie,
    after: Lie,
}

impl Liar {
    async fn before(instance: &Instance, before: Lie, after: Lie) -> Self {
        let (to, http) = (url(instance), reqwest::Client::new());
        let passing = Passing { to, http, count: Arc::default(), before, after };
        let router = Router::new().fallback(pass).with_state(passing);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, _task: task }
    }

    async fn simulated(&self) -> Value {
        let line = format!("{BAD_DAY} --json --wait 300ms");
        report(&simulate(&format!("http://{}", self.address), &line).await, 5)
    }
}

async fn pass(State(passing): State<Passing>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let number = passing.count.fetch_add(1, Ordering::SeqCst);
    let path = head.uri.to_string();
    if let Some(lie) = (passing.before)(number, &head.method, &path, StatusCode::OK) {
        return lie;
    }
    let body: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let url = format!("{}{path}", passing.to);
    let mut passed = passing.http.request(head.method.clone(), url).body(body);
    for (name, value) in &head.headers {
        if name != "host" && name != "content-length" {
            passed = passed.header(name, value);
        }
    }
    let answer = passed.send().await.unwrap();
    let status = answer.status();
    if let Some(lie) = (passing.after)(number, &head.method, &path, status) {
        return lie;
    }
    (status, answer.bytes().await.unwrap()).into_response()
}

fn honest() -> Lie {
    Arc::new(|_, _, _, _| None)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_says_yes_and_forgets_is_noticed() {
    let instance = instance().await;
    // A third, since what was forgotten shows only where nothing newer of its contact came after it.
    let forgets: Lie = Arc::new(|number, method, _, _| {
        (method == Method::POST && number % 3 == 0).then(|| StatusCode::OK.into_response())
    });
    let report = Liar::before(&instance, forgets, honest()).await.simulated().await;
    let contacts = &report["contacts"];
    let wrong = contacts["different"].as_u64().unwrap() + contacts["missing"].as_u64().unwrap();
    assert!(wrong > 0 && contacts["equal"].as_u64().unwrap() > 0, "{report}");
    let difference = &report["differences"][0];
    assert!(difference["contactId"].is_string() && difference["fields"].is_array(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_that_is_lost_afterwards_is_noticed() {
    let instance = instance().await;
    let first = simulate(&url(&instance), &format!("{BAD_DAY} --json")).await;
    report(&first, 0);
    let client = instance.client();
    let list = client.get("/api/contacts?limit=1").await.expect(200).json();
    let id = list["data"][0]["id"].as_str().unwrap().to_owned();
    let lost = id.clone();
    let loses: Lie = Arc::new(move |_, method, path, _| {
        let is_asked = method == Method::GET && path.contains(&lost);
        is_asked.then(|| StatusCode::NOT_FOUND.into_response())
    });
    let told = Liar::before(&instance, loses, honest()).await.simulated().await;
    assert_eq!(
        (&told["contacts"]["missing"], &told["contacts"]["different"]),
        (&1.into(), &0.into())
    );
    assert_eq!(told["differences"][0]["contactId"], id.as_str());
    // Really deleted: by a newer event than all of those that were sent.
    client.delete(&format!("/api/contacts/{id}")).await.expect(204);
    let told = simulate(&url(&instance), &format!("{BAD_DAY} --json --wait 300ms")).await;
    let told = report(&told, 5);
    assert_eq!(told["contacts"]["different"], 1, "{told}");
    let fields = told["differences"][0]["fields"].to_string();
    assert!(fields.contains("status: \\\"DELETED\\\", expected \\\"ACTIVE\\\""), "{fields}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_believes_anybody_is_noticed() {
    let instance = instance().await;
    let believes: Lie = Arc::new(|_, method, _, status| {
        (method == Method::POST && status.is_client_error()).then(|| StatusCode::OK.into_response())
    });
    let report = Liar::before(&instance, honest(), believes).await.simulated().await;
    let forged = report["sent"]["forged"].as_u64().unwrap();
    let truncated = report["sent"]["truncated"].as_u64().unwrap();
    assert_eq!(report["requests"]["acceptedUnexpectedly"], forged + truncated);
    assert_eq!(report["contacts"]["different"], 0);
    assert!(report["wrongAnswers"][0].as_str().unwrap().contains("200"), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_busy_at_times_is_asked_again() {
    let instance = instance().await;
    let busy: Lie = Arc::new(|number, _, _, _| {
        (number % 40 == 3)
            .then(|| (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]).into_response())
    });
    let liar = Liar::before(&instance, busy, honest()).await;
    let line = format!("{BAD_DAY} --json");
    let report = report(&simulate(&format!("http://{}", liar.address), &line).await, 0);
    assert!(report["requests"]["retries"].as_u64().unwrap() > 5, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_done_is_said() {
    let run = |line: &'static str| async move {
        let run = move || {
            let directory = tempfile::tempdir().unwrap();
            contactd(directory.path()).args(line.split_whitespace()).output().unwrap()
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    };
    for (line, code, part) in [
        ("simulate", 2, "CONTACTD_WEBHOOK_SECRET"),
        ("simulate --duplicate 5", 2, "like 5%"),
        ("simulate --forge 200%", 2, "like 5%"),
        ("simulate --contacts 0", 2, "0 is not in"),
        ("simulate --target example.com", 2, "http://127.0.0.1:3000"),
        ("simulate --target http://localhost:1/api/webhooks", 2, "webhooks"),
        ("simulate --start-time yesterday", 2, "2026-01-01T00:00:00Z"),
        ("simulate --secret x --start-time 2998-01-01T00:00:00Z", 2, "--start-time"),
        ("simulate --secret x --target http://127.0.0.1:1 --key k", 4, "does not answer"),
    ] {
        let (_, said) = text(&run(line).await, code);
        assert!(said.contains(part), "{line}: {said}");
    }
    let instance = instance().await;
    let refused = {
        let target = url(&instance);
        let run = move || {
            let directory = tempfile::tempdir().unwrap();
            let mut command = contactd(directory.path());
            command.args(["simulate", "--secret", SECRET, "--target", &target]).output().unwrap()
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    };
    assert!(text(&refused, 1).1.contains("API key"));
}

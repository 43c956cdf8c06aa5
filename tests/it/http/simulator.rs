//! The simulator over HTTP: what it sends, what it remembers, where it does not send to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use contactd::auth::Role;
use contactd::ingest::sign_acme;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::instance::{Builder, Instance, until};

const SECRET: &str = "a-secret-that-Acme-and-contactd-share";
const SEND: &str = "/api/simulator/webhooks";
const HISTORY: &str = "/api/simulator/webhooks/history";

fn on() -> Builder {
    Instance::builder().with("simulator.enabled", "true").with("acme.webhook_secret", SECRET)
}

fn ada() -> Value {
    json!({
        "eventType": "contact.created", "version": 3,
        "data": {"id": "ada", "acme_first_name": "Ada", "acme_email": "ada@example.com"},
    })
}

/// The delivery once it has ended.
async fn ended(client: &Client, id: &str) -> Value {
    until("the delivery has ended", async || {
        let delivery = client.get(&format!("{HISTORY}/{id}")).await.expect(200).json();
        (delivery["status"] != "pending").then_some(delivery)
    })
    .await
}

fn first_id(answer: &Answer) -> String {
    answer.json()["data"][0]["id"].as_str().unwrap().to_owned()
}

/// A target that answers as it is told to, and remembers what came.
struct Receiver {
    address: SocketAddr,
    came: Came,
    _task: JoinSet<()>,
}

type Came = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;
type Answering = Arc<dyn Fn(usize) -> Response + Send + Sync>;

impl Receiver {
    async fn start(answer: impl Fn(usize) -> Response + Send + Sync + 'static) -> Self {
        let came = Came::default();
        let answer: Answering = Arc::new(answer);
        let router = Router::new().fallback(receive).with_state((Arc::clone(&came), answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, came, _task: task }
    }

    /// An instance that may send here.
    fn allowed(&self, builder: Builder) -> Builder {
        builder
            .with("simulator.targets", "127.0.0.1")
            .with("simulator.target", format!("http://{}/in", self.address))
            .with("simulator.retry_pause", "5ms")
            .with("simulator.retry_pause_max", "50ms")
    }
}

async fn receive(
    State((came, answer)): State<(Came, Answering)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let number = {
        let mut came = came.lock();
        came.push((headers, body));
        came.len()
    };
    answer(number)
}

#[tokio::test]
async fn it_is_off_where_nobody_has_switched_it_on() {
    let off = Instance::builder().with("acme.webhook_secret", SECRET).start().await;
    let no_secret = Instance::builder().with("simulator.enabled", "true").start().await;
    for instance in [off, no_secret] {
        let client = instance.client();
        client.post(SEND, &ada()).await.expect_error(404, "ROUTE_NOT_FOUND");
        client.get(HISTORY).await.expect_error(404, "ROUTE_NOT_FOUND");
        let off = client.get(&format!("{HISTORY}/x")).await.expect_error(404, "ROUTE_NOT_FOUND");
        assert!(String::from_utf8_lossy(&off.body).contains("simulator.enabled"));
        let described = client.get("/openapi.json").await.expect(200);
        assert!(!String::from_utf8_lossy(&described.body).contains("/api/simulator"));
    }
}

#[tokio::test]
async fn in_dev_a_webhook_goes_to_the_instance_itself_and_is_applied() {
    let instance = Instance::builder().dev().with("acme.webhook_secret", SECRET).start().await;
    let client = instance.client();
    let localhost = format!("http://localhost:{}/api/webhooks", instance.address.port());
    for target in [None, Some(localhost)] {
        let mut order = ada();
        if let Some(target) = &target {
            order["targetUrl"] = json!(target);
        }
        let sent = client.post(SEND, &order).await.expect(202);
        let id = first_id(&sent);
        assert_eq!(sent.header("location"), format!("{HISTORY}/{id}"));
        let delivery = ended(&client, &id).await;
        assert_eq!(delivery["status"], "delivered", "{delivery}");
        let attempt = &delivery["attempts"][0];
        assert_eq!((&attempt["status"], &attempt["error"]), (&json!(200), &Value::Null));
        assert!(attempt["latencyMs"].as_f64().unwrap() > 0.0);
        assert!(attempt["response"].as_str().unwrap().contains("\"accepted\":1"), "{attempt}");
    }
    let contact = instance.until_contact("ada", |answer| answer.status == 200).await.json();
    assert_eq!((&contact["firstName"], &contact["sourceVersion"]), (&json!("Ada"), &json!(3)));
    assert_eq!(contact["source"], "acme");
}

#[tokio::test]
async fn only_admins_may_send() {
    let instance = on().start().await;
    for role in [Role::Editor, Role::Viewer, Role::Ingest, Role::Metrics] {
        let client = instance.client().with_role(role);
        client.post(SEND, &ada()).await.expect_error(403, "FORBIDDEN");
        client.get(HISTORY).await.expect_error(403, "FORBIDDEN");
    }
    instance.client().anonymous().post(SEND, &ada()).await.expect(401);
}

#[tokio::test]
async fn everything_that_is_wrong_with_an_order_is_named() {
    let instance = on().start().await;
    let client = instance.client();
    let order = json!({
        "eventType": "contact.erased", "data": [], "targetUrl": 1, "count": 0, "id": "",
        "version": -1, "chaos": {"duplicate": 2, "forge": "1%", "seed": 1.5, "rain": 1},
        "secret": "x",
    });
    let refused = client.post(SEND, &order).await.expect_error(422, "VALIDATION_FAILED");
    let details = refused.json()["error"]["details"]["fields"].clone();
    let mut named: Vec<&str> =
        details.as_array().unwrap().iter().map(|it| it["field"].as_str().unwrap()).collect();
    named.sort_unstable();
    let expected = [
        "chaos.duplicate",
        "chaos.forge",
        "chaos.rain",
        "chaos.seed",
        "count",
        "data",
        "eventType",
        "id",
        "secret",
        "targetUrl",
        "version",
    ];
    assert_eq!(named, expected);
    let refused = client.post(SEND, &json!({})).await.expect_error(422, "VALIDATION_FAILED");
    assert_eq!(refused.json()["error"]["details"]["fields"].as_array().unwrap().len(), 2);
    let large = json!({"eventType": "contact.updated", "data": {"id": "x".repeat(200_000)}});
    client.post(SEND, &large).await.expect_error(413, "BODY_TOO_LARGE");
    assert_eq!(client.get(HISTORY).await.json()["meta"]["total"], 0);
}

#[tokio::test]
async fn nothing_is_sent_where_nobody_has_allowed_it() {
    // Any host, so that addresses alone decide.
    let instance = on().with("simulator.targets", "*").start().await;
    let client = instance.client();
    let own = instance.address;
    for target in [
        "http://127.0.0.1:1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://2130706433/",
        "http://localhost:1/",
        "file:///etc/passwd",
        "http://user@example.com/",
        &format!("http://{own}/api/contacts"),
        &format!("http://{own}/metrics"),
    ] {
        let mut order = ada();
        order["targetUrl"] = json!(target);
        let refused = client.post(SEND, &order).await;
        refused.expect_error(422, "TARGET_NOT_ALLOWED");
    }
    assert_eq!(client.get(HISTORY).await.json()["meta"]["total"], 0);
    let narrow = on().with("simulator.targets", "hooks.example.com").start().await;
    let mut order = ada();
    order["targetUrl"] = json!("http://example.com/");
    narrow.client().post(SEND, &order).await.expect_error(422, "TARGET_NOT_ALLOWED");
}

#[tokio::test]
async fn it_signs_as_acme_does_and_each_try_anew() {
    let receiver = Receiver::start(|number| match number {
        1 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        2 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "3600")]).into_response(),
        3 => StatusCode::TOO_MANY_REQUESTS.into_response(),
        _ => "taken".into_response(),
    })
    .await;
    let instance = receiver.allowed(on()).start().await;
    let client = instance.client();
    let id = first_id(&client.post(SEND, &ada()).await.expect(202));
    let delivery = ended(&client, &id).await;
    assert_eq!(delivery["status"], "delivered", "{delivery}");
    let attempts = delivery["attempts"].as_array().unwrap();
    let statuses: Vec<u64> = attempts.iter().map(|it| it["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [500, 503, 429, 200]);
    let pauses: Vec<Option<u64>> = attempts.iter().map(|it| it["retryInMs"].as_u64()).collect();
    assert!(pauses[0].is_some_and(|ms| ms <= 5), "{pauses:?}");
    // An hour was asked for: as long as it is allowed to.
    assert_eq!((pauses[1], pauses[3]), (Some(50), None));
    assert_eq!(attempts[3]["response"], "taken");
    let came = receiver.came.lock();
    assert_eq!(came.len(), 4);
    for (headers, body) in came.iter() {
        let header = |name: &str| headers.get(name).unwrap().to_str().unwrap();
        let signature = sign_acme(SECRET, header("x-acme-timestamp"), body);
        assert_eq!(header("x-acme-signature"), signature);
        assert_eq!(body, &came[0].1);
    }
    let event: Value = serde_json::from_slice(&came[0].1).unwrap();
    assert_eq!((&event["eventType"], &event["version"]), (&json!("contact.created"), &json!(3)));
    assert_eq!(event["id"], delivery["eventId"]);
}

#[tokio::test]
async fn what_is_refused_or_redirected_is_not_tried_again_and_the_rest_not_for_ever() {
    for (status, said, tries) in [
        (StatusCode::BAD_REQUEST, "rejected", 1),
        (StatusCode::TEMPORARY_REDIRECT, "rejected", 1),
        (StatusCode::BAD_GATEWAY, "failed", 3),
    ] {
        let place = "http://127.0.0.1:1/elsewhere";
        let receiver =
            Receiver::start(move |_| (status, [("location", place)]).into_response()).await;
        let builder = receiver.allowed(on()).with("simulator.attempts_max", 3);
        let instance = builder.start().await;
        let client = instance.client();
        let id = first_id(&client.post(SEND, &ada()).await.expect(202));
        let delivery = ended(&client, &id).await;
        assert_eq!(delivery["status"], said, "{delivery}");
        assert_eq!(delivery["attempts"].as_array().unwrap().len(), tries, "{delivery}");
        assert_eq!(receiver.came.lock().len(), tries);
        let metrics = String::from_utf8(client.get("/metrics").await.body).unwrap();
        let line = format!("contactd_simulator_deliveries_total{{outcome=\"{said}\"}} 1\n");
        assert!(metrics.contains(&line), "{line}");
    }
}

#[tokio::test]
async fn the_history_is_paged_and_forgets_the_oldest() {
    let instance = on().with("simulator.history_max", 5).start().await;
    let client = instance.client();
    let mut order = ada();
    order["count"] = json!(7);
    let sent = client.post(SEND, &order).await.expect(202).json();
    let mut ids: Vec<&str> =
        sent["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 7);
    ids.reverse();
    let (mut seen, mut path) = (Vec::new(), format!("{HISTORY}?limit=2"));
    loop {
        let page = client.get(&path).await.expect(200).json();
        assert_eq!((&page["meta"]["total"], &page["meta"]["limit"]), (&json!(5), &json!(2)));
        let data = page["data"].as_array().unwrap();
        seen.extend(data.iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        match page["meta"]["nextCursor"].as_str() {
            Some(cursor) => path = format!("{HISTORY}?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, ids[..5]);
    let forgotten = client.get(&format!("{HISTORY}/{}", ids[6])).await;
    forgotten.expect_error(404, "SIMULATED_WEBHOOK_NOT_FOUND");
    client.get(&format!("{HISTORY}?cursor=x")).await.expect_error(400, "INVALID_CURSOR");
    client.get(&format!("{HISTORY}?limit=0")).await.expect_error(400, "INVALID_PARAMETER");
    client.get(&format!("{HISTORY}?page=1")).await.expect_error(400, "UNKNOWN_PARAMETER");
}

#[tokio::test]
async fn chaos_by_request_changes_nothing_of_what_is_held_in_the_end() {
    let instance = on().start().await;
    let client = instance.client();
    let order = json!({
        "eventType": "contact.updated", "version": 1, "count": 200, "id": "bad_day",
        "data": {"id": "ada", "acme_title": "Countess"},
        "chaos": {
            "duplicate": 0.3, "reorder": 0.3, "late": 0.1, "forge": 0.2, "truncate": 0.2, "seed": 7,
        },
    });
    let sent = client.post(SEND, &order).await.expect(202).json();
    let sent = sent["data"].as_array().unwrap();
    let mut seen: BTreeMap<(String, String), u32> = BTreeMap::new();
    for delivery in sent {
        let delivery = ended(&client, delivery["id"].as_str().unwrap()).await;
        let text = |name: &str| delivery[name].as_str().unwrap().to_owned();
        *seen.entry((text("manner"), text("status"))).or_default() += 1;
    }
    let kinds: Vec<(&str, &str)> =
        seen.keys().map(|(manner, status)| (manner.as_str(), status.as_str())).collect();
    let expected = [
        ("as_is", "delivered"),
        ("duplicate", "delivered"),
        ("forged", "rejected"),
        ("late", "delivered"),
        ("reordered", "delivered"),
        ("truncated", "rejected"),
    ];
    assert_eq!(kinds, expected);
    // The last version, nothing forged.
    let contact =
        instance.until_contact("ada", |it| it.json()["sourceVersion"] == 200).await.json();
    assert_eq!((&contact["title"], &contact["firstName"]), (&json!("Countess"), &Value::Null));
    let again = client.post(SEND, &order).await.expect(202).json();
    let manners = |sent: &[Value]| {
        sent.iter().map(|it| it["manner"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(manners(sent), manners(again["data"].as_array().unwrap()));
}

#[tokio::test]
async fn a_full_queue_is_said_so() {
    let instance = on().with("simulator.queue_max", 5).start().await;
    let client = instance.client();
    let mut order = ada();
    order["count"] = json!(6);
    let refused = client.post(SEND, &order).await.expect_error(503, "SIMULATOR_BUSY");
    refused.header("retry-after");
    assert_eq!(client.get(HISTORY).await.json()["meta"]["total"], 0);
}

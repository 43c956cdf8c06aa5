//! What a sender that means harm, or is just slow, can try with webhooks. How signatures are made and
//! compared stands beside the code (`ingest/webhooks`).

use std::time::{Duration, Instant};

use axum::http::Method;
use contactd::domain::position::{Lane, NextOffset};
use contactd::event_log::{ConsumeBounds, Delivery};
use contactd::ingest::{now_ms, sign_acme};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::instance::Instance;

use super::sockets::read_to_end;

const SECRET: &str = "a-webhook-secret-of-at-least-32-bytes";
const NEW_SECRET: &str = "the-next-webhook-secret-of-32-bytes";
/// No wait in here may be longer.
const DEADLINE: Duration = Duration::from_secs(20);

fn event(contact: &str) -> Value {
    json!({
        "id": format!("evt-{contact}"), "eventType": "contact.updated", "version": 1,
        "timestamp": 1_790_000_000, "data": { "id": contact, "firstName": "Ada" },
    })
}

struct World {
    instance: Instance,
    client: Client,
}

impl World {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(settings: &[(&str, &str)]) -> Self {
        let mut builder = Instance::builder().with("source.acme.secret", SECRET);
        for (key, value) in settings {
            builder = builder.with(key, value);
        }
        let instance = builder.start().await;
        let client = instance.client().anonymous();
        Self { instance, client }
    }

    /// Signed `away` seconds from now.
    async fn post_at(&self, body: &[u8], away: i64) -> Answer {
        let time = (now_ms() / 1000).checked_add_signed(away).unwrap().to_string();
        self.send(&signed(&self.client, SECRET, &time, body), body).await
    }

    async fn post(&self, body: impl AsRef<[u8]>) -> Answer {
        self.post_at(body.as_ref(), 0).await
    }

    async fn send(&self, client: &Client, body: &[u8]) -> Answer {
        client.send_bytes(Method::POST, "/api/webhooks", Some(body.to_vec())).await
    }

    /// Records that were ever appended.
    fn kept(&self) -> u64 {
        let log = self.instance.log();
        let lanes = log.lanes().unwrap();
        let high = |lane| log.watermarks(Lane(lane)).unwrap().high;
        let records: u64 = (0..lanes).map(high).map(|NextOffset(next)| next).sum();
        // Each lane begins with a marker of the log's rules.
        records - u64::from(lanes)
    }

    /// The time, in µs, that the contact's last record was given when it came in.
    fn last_time(&self, contact: &str) -> u64 {
        let log = self.instance.log();
        let lane = log.founding().unwrap().home(contact.as_bytes());
        let NextOffset(next) = log.watermarks(lane).unwrap().high;
        let bounds = ConsumeBounds { records_max: 1, bytes_max: 1 << 20 };
        let mut consumer = log.consume(&[(lane, NextOffset(next - 1))].into(), bounds).unwrap();
        let Some(Delivery::Batch(batch)) = consumer.next(DEADLINE).unwrap() else {
            panic!("there is no last record");
        };
        let mut headers = batch.headers(&batch.records[0]);
        let (_, time) = headers.find(|(name, _)| *name == "contactd_time").unwrap();
        std::str::from_utf8(time.unwrap()).unwrap().parse().unwrap()
    }

    /// A request as it goes over the wire, but for its body.
    fn head(&self, body: &[u8], framing: &str) -> String {
        let time = (now_ms() / 1000).to_string();
        let signature = sign_acme(SECRET, &time, body);
        format!(
            "POST /api/webhooks HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             x-acme-timestamp: {time}\r\nx-acme-signature: {signature}\r\n{framing}\r\n\r\n"
        )
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.instance.address).await.unwrap()
    }
}

fn signed(client: &Client, secret: &str, time: &str, body: &[u8]) -> Client {
    let signature = sign_acme(secret, time, body);
    client.clone().with("x-acme-timestamp", time).with("x-acme-signature", &signature)
}

#[tokio::test]
async fn nothing_that_is_not_believed_is_kept() {
    let world = World::new().await;
    let body = event("c1").to_string().into_bytes();
    let time = (now_ms() / 1000).to_string();
    let good = signed(&world.client, SECRET, &time, &body);
    let refused = [
        (world.client.clone(), 401, "INVALID_SIGNATURE"),
        (signed(&world.client, NEW_SECRET, &time, &body), 401, "INVALID_SIGNATURE"),
        (good.clone().with("x-acme-signature", "sha256=zz"), 401, "INVALID_SIGNATURE"),
        (
            good.clone().with("x-acme-timestamp", &(now_ms() / 1000 + 1).to_string()),
            401,
            "INVALID_SIGNATURE",
        ),
        (signed(&world.client, SECRET, "soon", &body), 400, "INVALID_HEADER"),
        (signed(&world.client, SECRET, "-1", &body), 400, "INVALID_HEADER"),
        (signed(&world.client, SECRET, "99999999999999999999999", &body), 400, "INVALID_HEADER"),
    ];
    for (client, status, code) in refused {
        world.send(&client, &body).await.expect_error(status, code);
    }
    // The same JSON in other bytes.
    let spaced = [body.as_slice(), b" "].concat();
    world.send(&good, &spaced).await.expect_error(401, "INVALID_SIGNATURE");
    let path = "/api/webhooks/nobody";
    good.send_bytes(Method::POST, path, Some(body.clone()))
        .await
        .expect_error(404, "UNKNOWN_SOURCE");
    assert_eq!(world.kept(), 0);
    world.send(&good, &body).await.expect(200);
    assert_eq!(world.kept(), 1);
}

#[tokio::test]
async fn the_time_that_was_signed_must_be_within_five_minutes_either_way() {
    let world = World::new().await;
    let body = event("c1").to_string().into_bytes();
    for away in [-302, 302, -86_400, 86_400 * 365] {
        world.post_at(&body, away).await.expect_error(401, "TIMESTAMP_OUT_OF_WINDOW");
    }
    assert_eq!(world.kept(), 0);
    for away in [-297, 297] {
        world.post_at(&body, away).await.expect(200);
    }
}

#[tokio::test]
async fn a_replay_within_the_window_has_no_effect() {
    let world = World::new().await;
    let body = event("c1").to_string().into_bytes();
    let time = (now_ms() / 1000).to_string();
    let good = signed(&world.client, SECRET, &time, &body);
    for _ in 0..3 {
        world.send(&good, &body).await.expect(200);
    }
    // Behind the replays in the same lane.
    let mut last = event("c1");
    last["id"] = json!("evt-last");
    last["timestamp"] = json!(1_790_000_001);
    last["data"]["lastName"] = json!("King");
    world.post(last.to_string()).await.expect(200);
    let is_last = |answer: &Answer| answer.status == 200 && answer.json()["lastName"] == "King";
    let contact = world.instance.until_contact("c1", is_last).await.json();
    assert_eq!((world.kept(), &contact["version"]), (4, &json!(2)), "{contact}");
    let history = world.instance.client().get("/api/contacts/c1/history").await.expect(200).json();
    assert_eq!(history["data"].as_array().unwrap().len(), 2, "{history}");
}

/// An event without a time of its own.
fn untimed(id: &str, title: &str) -> Value {
    let mut event = event("c1");
    event.as_object_mut().unwrap().remove("timestamp");
    event["id"] = json!(id);
    event["data"]["title"] = json!(title);
    event
}

/// Acme's retries, and Standard Webhooks', carry a new time over the same event.
#[tokio::test]
async fn a_retry_signed_later_undoes_nothing_that_came_since() {
    let world = World::new().await;
    let untimed = |id, title| untimed(id, title).to_string().into_bytes();
    let (old, new) = (untimed("evt-a", "old"), untimed("evt-b", "new"));
    let title = |title: &'static str| {
        move |answer: &Answer| answer.status == 200 && answer.json()["title"] == title
    };
    world.post_at(&old, -120).await.expect(200);
    world.instance.until_contact("c1", title("old")).await;
    world.post_at(&new, -90).await.expect(200);
    world.instance.until_contact("c1", title("new")).await;
    world.post_at(&old, -60).await.expect(200);
    let mut last = event("c1");
    last["id"] = json!("evt-last");
    last["data"]["lastName"] = json!("King");
    world.post(last.to_string()).await.expect(200);
    let is_last = |answer: &Answer| answer.status == 200 && answer.json()["lastName"] == "King";
    let contact = world.instance.until_contact("c1", is_last).await.json();
    assert_eq!((&contact["title"], &contact["version"]), (&json!("new"), &json!(3)), "{contact}");
}

/// The contact remembers 256 of them; the journal knows the others.
#[tokio::test]
async fn a_retry_signed_later_carries_its_first_time_however_many_came_between() {
    let world = World::new().await;
    let title = |title: &'static str| {
        move |answer: &Answer| answer.status == 200 && answer.json()["title"] == title
    };
    let first = untimed("evt-a", "first").to_string().into_bytes();
    world.post_at(&first, -120).await.expect(200);
    world.instance.until_contact("c1", title("first")).await;
    let signed_first = world.last_time("c1");
    world.post_at(&first, -90).await.expect(200);
    assert_eq!(world.last_time("c1"), signed_first, "the contact knows it");

    let mut many: Vec<_> = (0..300).map(|no| untimed(&format!("evt-b{no}"), "between")).collect();
    many.push(untimed("evt-c", "last"));
    world.post_at(json!(many).to_string().as_bytes(), -60).await.expect(200);
    let version = world.instance.until_contact("c1", title("last")).await.json()["version"].clone();
    world.post(&first).await.expect(200);
    assert_eq!(world.last_time("c1"), signed_first, "the journal knows it");
    let other = untimed("evt-a", "another body").to_string();
    world.post_at(other.as_bytes(), -30).await.expect(200);
    assert!(world.last_time("c1") > signed_first, "another body is another event");
    let contact = world.instance.until_contact("c1", title("another body")).await.json();
    assert_eq!(contact["version"], json!(version.as_u64().unwrap() + 1), "{contact}");
}

#[tokio::test]
async fn two_secrets_are_live_while_one_replaces_the_other() {
    let world =
        World::with(&[("source.acme.secret", NEW_SECRET), ("source.acme.secret_previous", SECRET)])
            .await;
    let body = event("c1").to_string().into_bytes();
    let time = (now_ms() / 1000).to_string();
    for secret in [SECRET, NEW_SECRET] {
        world.send(&signed(&world.client, secret, &time, &body), &body).await.expect(200);
    }
    let other = signed(&world.client, "neither-of-the-two-secrets-that-are-live", &time, &body);
    world.send(&other, &body).await.expect_error(401, "INVALID_SIGNATURE");
}

#[tokio::test]
async fn events_nesting_and_bytes_are_bounded() {
    let world =
        World::with(&[("webhooks.events_max", "3"), ("server.body_bytes_max", "64KiB")]).await;
    let three = json!([event("c1"), event("c2"), event("c3")]);
    assert_eq!(world.post(three.to_string()).await.expect(200).json()["accepted"], 3);
    let four = json!([event("c1"), event("c2"), event("c3"), event("c4")]);
    let answer = world.post(four.to_string()).await.expect_error(413, "TOO_MANY_EVENTS");
    assert_eq!(answer.json()["error"]["details"]["maxEvents"], 3);
    world.post("[]").await.expect_error(400, "INVALID_BODY");
    // The event and its data are two of 64.
    let nested = |depth: usize| {
        let value = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        event("c5").to_string().replacen("\"Ada\"", &format!("\"Ada\",\"deep\":{value}"), 1)
    };
    world.post(nested(62)).await.expect(200);
    for depth in [63, 10_000] {
        let answer = world.post(nested(depth)).await.expect_error(422, "EVENT_REJECTED");
        assert!(answer.json().to_string().contains("nesting_too_deep"), "{}", answer.json());
    }
    let in_an_array = format!("[{}]", nested(10_000));
    world.post(in_an_array).await.expect_error(422, "EVENT_REJECTED");
    world.post(vec![b' '; 65 << 10]).await.expect_error(413, "BODY_TOO_LARGE");
    assert_eq!(world.kept(), 4);
}

#[tokio::test]
async fn a_body_without_a_length_is_bounded_while_it_comes() {
    let world = World::with(&[("server.body_bytes_max", "64KiB")]).await;
    let body = event("c1").to_string().into_bytes();
    let mut stream = world.connect().await;
    let head = world.head(&body, "transfer-encoding: chunked\r\nconnection: close");
    stream.write_all(head.as_bytes()).await.unwrap();
    for part in body.chunks(7) {
        let chunk = [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
        stream.write_all(&chunk).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // No end is ever sent: the answer comes as soon as there is too much.
    let mut stream = world.connect().await;
    let head = world.head(b"", "transfer-encoding: chunked");
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"1000\r\n".as_slice(), &[b' '; 4096], b"\r\n"].concat();
    for _ in 0..17 {
        // The server may have closed already.
        let _ = stream.write_all(&chunk).await;
    }
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("BODY_TOO_LARGE"), "{answer}");
    let mut stream = world.connect().await;
    let head = world.head(b"", "transfer-encoding: chunked");
    stream.write_all(format!("{head}zz\r\n").as_bytes()).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(world.kept(), 1);
}

#[tokio::test]
async fn a_slow_sender_is_cut_off_and_holds_up_nobody() {
    let world = World::with(&[("server.request_timeout", "1s")]).await;
    let body = event("slow").to_string().into_bytes();
    let mut stream = world.connect().await;
    let head = world.head(&body, &format!("content-length: {}", body.len()));
    stream.write_all(head.as_bytes()).await.unwrap();
    let started = Instant::now();
    let (mut reading, mut writing) = stream.into_split();
    // A byte now and then, so that the connection is never idle.
    let dripping = async {
        for byte in &body {
            if writing.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        std::future::pending::<()>().await;
    };
    let answered = async {
        let mut bytes = Vec::new();
        let _ = reading.read_to_end(&mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let answer = tokio::select! {
        () = dripping => unreachable!("it never ends"),
        answer = answered => answer,
        () = tokio::time::sleep(DEADLINE) => panic!("the server does not close"),
    };
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("REQUEST_TIMEOUT"), "{answer}");
    assert!(started.elapsed() >= Duration::from_millis(900), "{:?}", started.elapsed());
    world.post(event("quick").to_string()).await.expect(200);
    assert_eq!(world.kept(), 1);
}

#[tokio::test]
async fn packed_bodies_are_refused_and_never_unpacked() {
    let world = World::new().await;
    // The head of a gzip stream: what follows does not matter.
    let bomb = [b"\x1f\x8b\x08\0\0\0\0\0\0\x03".as_slice(), &[0; 1000]].concat();
    for encoding in ["gzip", "deflate", "br", "zstd", "identity, gzip", "GZIP"] {
        let time = (now_ms() / 1000).to_string();
        let client = signed(&world.client, SECRET, &time, &bomb).with("content-encoding", encoding);
        world.send(&client, &bomb).await.expect_error(415, "UNSUPPORTED_MEDIA_TYPE");
    }
    let body = event("c1").to_string().into_bytes();
    let time = (now_ms() / 1000).to_string();
    let client = signed(&world.client, SECRET, &time, &body).with("content-encoding", "identity");
    world.send(&client, &body).await.expect(200);
    assert_eq!(world.kept(), 1);
}

/// The signature vouches for the bytes; what they are called is not signed, and not looked at.
#[tokio::test]
async fn what_a_body_is_called_changes_nothing() {
    let world = World::new().await;
    for (number, media) in
        ["text/plain", "application/x-www-form-urlencoded", "image/png", "x"].iter().enumerate()
    {
        let body = event(&format!("c{number}")).to_string().into_bytes();
        let time = (now_ms() / 1000).to_string();
        let client = signed(&world.client, SECRET, &time, &body).with("content-type", media);
        world.send(&client, &body).await.expect(200);
        let form = b"payload=%7B%7D";
        let client = signed(&world.client, SECRET, &time, form).with("content-type", media);
        world.send(&client, form).await.expect_error(422, "EVENT_REJECTED");
    }
    assert_eq!(world.kept(), 4);
}

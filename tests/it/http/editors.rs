//! Many editors of one contact: of each round one wins, nothing is lost, nobody is ignored.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::instance::Instance;
use crate::support::logs::KafkaTopic;
use crate::support::services::{KAFKA, service};

const EDITORS: usize = 64;
const ROUNDS: usize = 8;
const PATH: &str = "/api/contacts/shared";

/// All editors change what one of them has read; each by the next of the instances.
async fn round(clients: &[Client], round: usize, etag: &str) -> Vec<(usize, Answer)> {
    let mut edits = JoinSet::new();
    for editor in 0..EDITORS {
        let client = clients[editor % clients.len()].clone().with("if-match", etag);
        let patch = json!({"attributes": {format!("round{round}"): editor}});
        edits.spawn(async move { (editor, client.patch(PATH, &patch).await) });
    }
    edits.join_all().await
}

async fn one_of_each_round_wins(clients: &[Client]) {
    let made = clients[0].post("/api/contacts", &json!({"id": "shared"})).await.expect(201);
    let (mut etag, mut position) =
        (made.header("etag").to_owned(), made.header("position").to_owned());
    let mut winners = Vec::new();
    for number in 0..ROUNDS {
        let clients: Vec<Client> =
            clients.iter().map(|client| client.clone().with("position", &position)).collect();
        let mut won = Vec::new();
        for (editor, answer) in round(&clients, number, &etag).await {
            match answer.status.as_u16() {
                200 => won.push((editor, answer)),
                _ => drop(answer.expect_error(412, "PRECONDITION_FAILED")),
            }
        }
        assert_eq!(won.len(), 1, "round {number}");
        let (editor, answer) = won.remove(0);
        (etag, position) = (answer.header("etag").to_owned(), answer.header("position").to_owned());
        winners.push(editor);
    }
    for client in clients {
        let read = client.clone().with("position", &position).get(PATH).await.expect(200);
        assert_eq!(read.header("etag"), etag);
        let contact = read.json();
        assert_eq!(contact["version"], ROUNDS + 1);
        for (number, winner) in winners.iter().enumerate() {
            assert_eq!(contact["attributes"][format!("round{number}")], *winner);
        }
    }
}

/// Reads a counter, adds one, tries again where another was faster; returns its Position.
async fn count_one(client: Client) -> String {
    loop {
        let read = client.get("/api/contacts/counter").await.expect(200);
        let count = read.json()["attributes"]["count"].as_u64().unwrap();
        let patch = json!({"attributes": {"count": count + 1}});
        let writer = client.clone().with("if-match", read.header("etag"));
        let answer = writer.patch("/api/contacts/counter", &patch).await;
        match answer.status.as_u16() {
            200 => return answer.header("position").to_owned(),
            _ => drop(answer.expect_error(412, "PRECONDITION_FAILED")),
        }
    }
}

async fn no_update_is_lost(clients: &[Client]) {
    let body = json!({"id": "counter", "attributes": {"count": 0}});
    let made = clients[0].post("/api/contacts", &body).await.expect(201);
    let mut editors = JoinSet::new();
    for editor in 0..EDITORS {
        let client = clients[editor % clients.len()].clone();
        editors.spawn(count_one(client.with("position", made.header("position"))));
    }
    for position in editors.join_all().await {
        let reader = clients[0].clone().with("position", &position);
        reader.get("/api/contacts/counter").await.expect(200);
    }
    let history =
        clients[0].get("/api/contacts/counter/history?limit=200").await.expect(200).json();
    let counts: Vec<u64> = history["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| change["contact"]["attributes"]["count"].as_u64().unwrap())
        .collect();
    let expected: Vec<u64> = (0..=EDITORS as u64).rev().collect();
    assert_eq!(counts, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_editors_one_wins_each_round() {
    let instance = Instance::start().await;
    one_of_each_round_wins(&[instance.client()]).await;
    no_update_is_lost(&[instance.client()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_editors_of_two_instances_one_wins_each_round() {
    let test = "of_64_editors_of_two_instances_one_wins_each_round";
    let Some(brokers) = service(KAFKA, test) else {
        return;
    };
    let topic = KafkaTopic::unused(&brokers);
    let made = topic.clone();
    tokio::task::spawn_blocking(move || made.create(&[])).await.unwrap();
    let one = Instance::builder().following(&topic).start().await;
    let other = Instance::builder().following(&topic).start().await;
    let clients = [one.client(), other.client()];
    one_of_each_round_wins(&clients).await;
    no_update_is_lost(&clients).await;
    // A repeat through the other instance has the first answer.
    let body = json!({"firstName": "Ada"});
    let first = clients[0].clone().with("idempotency-key", "k").post("/api/contacts", &body).await;
    let first = first.expect(201);
    let again = clients[1].clone().with("idempotency-key", "k").post("/api/contacts", &body).await;
    let again = again.expect(201);
    assert_eq!((again.json(), again.header("etag")), (first.json(), first.header("etag")));
    let other_body = json!({"firstName": "Grace"});
    let reused = clients[1].clone().with("idempotency-key", "k");
    reused.post("/api/contacts", &other_body).await.expect_error(422, "IDEMPOTENCY_KEY_REUSED");
}

fn event(number: u64, ahead_ms: u64) -> Value {
    json!({
        "id": format!("e{number}"), "eventType": "contact.updated", "source": "acme",
        "timestamp": contactd::app::now_ms() + ahead_ms,
        "data": {"id": "late", "title": format!("event {number}")},
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_that_newer_events_overtake_is_given_again_and_wins() {
    let instance = Instance::start().await;
    let client = instance.client();
    client.post("/api/contacts", &json!({"id": "late"})).await.expect(201);
    let mut superseded = 0;
    for number in 0..200 {
        // The event's clock is ahead of ours, and of what is known when the edit is stamped.
        let event = event(number, 1_000 * (number + 1));
        let title = format!("edit {number}");
        let patch = json!({"title": title});
        let edit = client.patch("/api/contacts/late", &patch);
        let (_, answer) = tokio::join!(instance.append(&event), edit);
        assert_eq!(answer.expect(200).json()["title"], title);
        let stats = client.get("/api/stats").await.expect(200);
        superseded = stats.json()["events"]["verdicts"]["superseded"].as_u64().expect("a number");
        if superseded >= 3 {
            break;
        }
    }
    assert!(superseded >= 1, "no event overtook an edit");
    // Whoever has seen the event edits what it said, whatever the clocks.
    let seen = client.get("/api/contacts/late").await.expect(200);
    let editor = client.clone().with("if-match", seen.header("etag"));
    let done = editor.patch("/api/contacts/late", &json!({"title": "mine"})).await.expect(200);
    assert_eq!(done.json()["title"], "mine");
}

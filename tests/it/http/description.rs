//! The API's description: what it says is what is answered.

use std::collections::BTreeMap;

use axum::http::Method;
use contactd::http::{Optional, openapi_json, postman_json};
use contactd::ingest::{now_ms, sign_acme};
use serde_json::{Value, json};

use super::client::{get, get_with};
use super::fixture::Fixture;
use crate::support::access::PASSWORD;
use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::instance::{Instance, until};

/// Of an instance with the simulator.
const SIMULATED: Optional = Optional { acme: false, payments: true, simulator: true };

fn document() -> Value {
    serde_json::from_str(&openapi_json(SIMULATED)).unwrap()
}

#[test]
fn the_description_changes_on_purpose_only() {
    insta::assert_snapshot!("openapi", openapi_json(Optional::ALL));
}

#[tokio::test]
async fn the_description_is_served_as_it_is_printed_and_not_sent_twice() {
    let fixture = Fixture::not_open();
    let router = fixture.router();
    let answer = get(&router, "/openapi.json").await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(String::from_utf8_lossy(&answer.body), openapi_json(Optional::default()));
    let etag = answer.header("etag");
    let again = get_with(&router, "/openapi.json", &[("if-none-match", etag)]).await.expect(304);
    assert!(again.body.is_empty());
}

#[tokio::test]
async fn the_page_for_people_is_whole_and_asks_no_other_server() {
    let fixture = Fixture::not_open();
    let router = fixture.router();
    let page = get(&router, "/docs").await.expect(200);
    let policy = page.header("content-security-policy").to_owned();
    assert!(policy.contains("script-src 'self'") && !policy.contains("http"), "{policy}");
    let html = String::from_utf8(page.body).unwrap();
    let mut files = 0;
    for attribute in ["src=\"", "href=\""] {
        for rest in html.split(attribute).skip(1) {
            let file = rest.split('"').next().unwrap();
            let answer = get(&router, &format!("/{file}")).await.expect(200);
            assert!(!answer.body.is_empty(), "{file}");
            files += 1;
        }
    }
    assert!(files >= 6, "{html}");
    // Nothing in the page that the policy forbids.
    assert!(!html.contains("://") && !html.contains("<script>"), "{html}");
    let start = get(&router, "/docs/swagger-initializer.js").await.expect(200);
    let start = String::from_utf8(start.body).unwrap();
    assert!(start.contains("openapi.json") && !start.contains("://"), "{start}");
    get(&router, "/docs/none.js").await.expect(404);
    let api = get(&router, "/readyz").await;
    assert!(!api.header("content-security-policy").contains("script-src"));
}

/// The collection's requests in their order, with its variables.
struct Collection {
    items: Vec<Value>,
    variables: BTreeMap<String, String>,
}

impl Collection {
    fn new() -> Self {
        let collection: Value = serde_json::from_str(&postman_json()).unwrap();
        let folders = collection["item"].as_array().unwrap();
        let items = folders.iter().flat_map(|folder| folder["item"].as_array().unwrap().clone());
        let variables = collection["variable"].as_array().unwrap().iter().map(|variable| {
            let text = |name: &str| variable[name].as_str().unwrap().to_owned();
            (text("key"), text("value"))
        });
        Self { items: items.collect(), variables: variables.collect() }
    }

    fn filled(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.variables {
            text = text.replace(&format!("{{{{{name}}}}}"), value);
        }
        assert!(!text.contains("{{"), "an unknown variable in {text}");
        text
    }

    /// What the script before a webhook does.
    fn sign(&mut self, item: &Value) {
        let is_webhook = item["request"]["url"]["raw"].as_str().unwrap().contains("/webhooks");
        if item["event"][1]["listen"] == "prerequest" && is_webhook {
            let body = self.filled(item["request"]["body"]["raw"].as_str().unwrap());
            let time = (now_ms() / 1000).to_string();
            let signature = sign_acme(&self.variables["webhookSecret"], &time, body.as_bytes());
            self.variables.insert("webhookTimestamp".to_owned(), time);
            let hex = signature.trim_start_matches("sha256=").to_owned();
            self.variables.insert("webhookSignature".to_owned(), hex);
        }
    }

    /// What Postman does after an answer: the expected status, then the variables.
    #[track_caller]
    fn look_at(&mut self, item: &Value, answer: &Answer) {
        let what = item["name"].as_str().unwrap();
        for line in item["event"][0]["script"]["exec"].as_array().unwrap() {
            let line = line.as_str().unwrap();
            let arguments = line.split(['(', ',', ')']).map(|part| part.trim().trim_matches('"'));
            let arguments: Vec<&str> = arguments.collect();
            if let Some(status) = line.split("have.status(").nth(1) {
                let status: u16 = status.split(')').next().unwrap().parse().unwrap();
                let body = String::from_utf8_lossy(&answer.body);
                assert_eq!(answer.status.as_u16(), status, "{what}: {body}");
            } else if line.contains("headers.get(") {
                let value = answer.header(arguments[3]).to_owned();
                self.variables.insert(arguments[1].to_owned(), value);
            } else {
                let path = line.split("json()").nth(1).unwrap().trim_end_matches(");");
                let pointer = path.replace(['.', '['], "/").replace(']', "");
                let json = answer.json();
                let value = json.pointer(&pointer).unwrap_or_else(|| panic!("{what}: {pointer}"));
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                self.variables.insert(arguments[1].to_owned(), value);
            }
        }
    }
}

/// What is said of one status, here or among what operations share.
fn response<'d>(document: &'d Value, operation: &'d Value, status: &str) -> &'d Value {
    let response = &operation["responses"][status];
    match response["$ref"].as_str() {
        Some(place) => document.pointer(place.trim_start_matches('#')).expect("a shared answer"),
        None => response,
    }
}

/// Holds an answer against what the description says of its operation.
#[track_caller]
fn assert_as_described(document: &Value, operation: &Value, answer: &Answer, what: &str) {
    let status = answer.status.as_u16().to_string();
    let response = response(document, operation, &status);
    assert!(response.is_object(), "{what}: {status} is not described");
    for (name, _) in response["headers"].as_object().into_iter().flatten() {
        // Those that an answer has only at times.
        if !["Link", "Retry-After", "RateLimit", "RateLimit-Policy", "WWW-Authenticate"]
            .contains(&name.as_str())
        {
            answer.header(name);
        }
    }
    if answer.body.is_empty() {
        assert!(response["content"].is_null(), "{what}: an empty body");
        return;
    }
    let media = answer.header("content-type").split(';').next().unwrap();
    let contents = response["content"].as_object().unwrap();
    let described = contents.iter().find(|(known, _)| known.split(';').next() == Some(media));
    let (_, content) = described.unwrap_or_else(|| panic!("{what}: {media} is not described"));
    if media != "application/json" {
        return;
    }
    let mut schema = content["schema"].clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let json = answer.json();
    let problems: Vec<String> = validator.iter_errors(&json).map(|it| it.to_string()).collect();
    assert!(problems.is_empty(), "{what}: {}\n{json}", problems.join("; "));
}

/// The operation of a request, as the description knows it.
fn operation<'d>(document: &'d Value, item: &Value) -> &'d Value {
    let method = item["request"]["method"].as_str().unwrap().to_lowercase();
    let operations = document["paths"].as_object().unwrap().values();
    let named = |operation: &&Value| operation["summary"] == item["name"];
    operations.map(|path| &path[&method]).find(named).expect("the collection's operation")
}

async fn sent(client: &Client, collection: &Collection, item: &Value) -> Answer {
    let request = &item["request"];
    let method = Method::from_bytes(request["method"].as_str().unwrap().as_bytes()).unwrap();
    let url = collection.filled(request["url"]["raw"].as_str().unwrap());
    let path = url.strip_prefix(&collection.variables["baseUrl"]).unwrap();
    let mut client = match request["auth"]["type"].as_str() {
        Some("noauth") => client.clone().anonymous(),
        _ => client.clone().with_token(&collection.variables["token"]),
    };
    for header in request["header"].as_array().unwrap() {
        if header["disabled"] != true {
            let value = collection.filled(header["value"].as_str().unwrap());
            client = client.with(&header["key"].as_str().unwrap().to_lowercase(), &value);
        }
    }
    let body = request["body"]["raw"].as_str().map(|body| collection.filled(body).into_bytes());
    client.send_bytes(method, path, body).await
}

#[tokio::test]
async fn every_operation_answers_its_example_as_described() {
    let document = document();
    let mut collection = Collection::new();
    let secret = &collection.variables["webhookSecret"];
    let instance = Instance::builder()
        .with("acme.webhook_secret", secret)
        .with("simulator.enabled", "true")
        .with("simulator.fire_on_writes", "true")
        .with("payments.enabled", "true")
        .start()
        .await;
    let event = json!({
        "id": "e1", "eventType": "contact.created", "timestamp": "2026-11-21T10:00:00Z",
        "source": "acme", "data": { "id": "ada", "firstName": "Ada" },
    });
    instance.append(&event).await;
    instance.until_contact("ada", |answer| answer.status == 200).await;
    let client = instance.client();
    instance.append_bytes("ada", b"{\"id\": \"a").await;
    until("the dead letter is archived", async || {
        let page = client.get("/api/dead-letters").await.json();
        (page["data"][0]["key"] == "ada").then_some(())
    })
    .await;
    for (name, value) in [("username", "admin"), ("password", PASSWORD)] {
        collection.variables.insert(name.to_owned(), value.to_owned());
    }
    let items = collection.items.clone();
    // No request makes a parked change, so what is done to one is not sent; nor is a cookie, and no
    // backups are made here; what steers an import is not sent either, as a dry run ends by itself; nor is
    // what makes or ends keys, changes users, or reads the configuration again; and no subscriber was sent
    // anything that could be sent once more.
    let expected = openapi_json(SIMULATED).matches("\"operationId\"").count() - 13;
    assert_eq!(items.len(), expected);
    for item in &items {
        collection.sign(item);
        if item["event"][1]["listen"] == "prerequest" && item["request"]["method"] == "DELETE" {
            let body = json!({ "username": "admin", "password": PASSWORD });
            client.clone().anonymous().post("/api/auth/login", &body).await.expect(200);
            let token = collection.variables["token"].clone();
            let all = client.clone().with_token(&token).get("/api/auth/tokens").await.json();
            let all = all["data"].as_array().unwrap().clone();
            let other = all.iter().find(|session| session["current"] == false).unwrap();
            let id = other["id"].as_str().unwrap().to_owned();
            collection.variables.insert("sessionId".to_owned(), id);
        }
        let answer = sent(&client, &collection, item).await;
        collection.look_at(item, &answer);
        let what = item["name"].as_str().unwrap();
        assert_as_described(&document, operation(&document, item), &answer, what);
    }
}

#[tokio::test]
async fn errors_are_described_in_both_forms() {
    let document = document();
    let fixture = Fixture::with_contacts(1);
    let router = fixture.router();
    let operation = &document["paths"]["/api/contacts/{id}"]["get"];
    let answer = get(&router, "/api/contacts/none").await.expect(404);
    assert_as_described(&document, operation, &answer, "ours");
    let accept = [("accept", "application/json, application/problem+json")];
    let answer = get_with(&router, "/api/contacts/none", &accept).await.expect(404);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let mut schema =
        operation["responses"]["404"]["content"]["application/problem+json"]["schema"].clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&answer.json()), "{}", answer.json());
}

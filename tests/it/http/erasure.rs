//! What is left of a contact that was erased, and who brings it back.

use contactd::domain::external_ids::erased_form;
use contactd::domain::headers::{CONTACT_ID, EXTERNAL_ID, SOURCE};
use contactd::event_log::{Ack, NewRecord};
use contactd::ingest::now_ms;
use serde_json::{Value, json};

use super::external_ids::{crms, link, tell, told};
use crate::support::answer::Answer;
use crate::support::instance::{Instance, until};
use crate::support::sse::SseClient;

/// A record that can't be read, of which only a header says whose it is.
async fn of_another_key(instance: &Instance) -> Ack {
    let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    let headers = vec![header(SOURCE, "crm"), header(CONTACT_ID, "ada"), header(EXTERNAL_ID, "7")];
    let (key, value) = (b"other".to_vec(), Some(br#"{"title":"Lady""#.to_vec()));
    let record = NewRecord { key, value, headers, timestamp_ms: now_ms() as i64, lane: None };
    instance.log().append(vec![record]).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_contact_that_was_erased_is_not_filled_again_by_its_crm() {
    let instance = crms().start().await;
    let client = instance.client();
    let beginning = client.get("/api/contacts").await.expect(200);
    client.post("/api/contacts", &json!({ "id": "ada", "title": "Countess" })).await.expect(201);
    link(&client, "ada", "crm", "7").await.expect(200);
    told(&client, "crm", "7", "Lady").await;
    let Ack { lane, offset } = instance.append_bytes("ada", br#"{"title":"Lady""#).await;
    let letter = format!("/api/dead-letters/contacts:{lane}:{offset}");
    let has_value = |answer: &Answer| !answer.json()["value"].is_null();
    until("it is a dead letter", async || {
        let answer = client.get(&letter).await;
        (answer.status == 200 && has_value(&answer)).then_some(())
    })
    .await;
    let Ack { lane, offset } = of_another_key(&instance).await;
    let by_header = format!("/api/dead-letters/contacts:{lane}:{offset}");
    until("it is a dead letter", async || {
        let answer = client.get(&by_header).await;
        (answer.status == 200 && has_value(&answer)).then_some(())
    })
    .await;
    let erased = client.delete("/api/contacts/ada?erase=true").await.expect(204);
    let reader = client.clone().with("position", erased.header("position"));
    let hidden = reader.get(&by_header).await.expect(200);
    assert!(!has_value(&hidden), "{:?}", hidden.json());
    assert_eq!(hidden.json()["detail"], "");
    assert!(!hidden.json()["headers"].to_string().contains(EXTERNAL_ID));
    // At once no history shows what was said before.
    let history = reader.get("/api/contacts/ada/history").await.expect(200).json();
    let titles = history["data"].as_array().unwrap().iter();
    let titles: Vec<_> = titles.map(|change| &change["contact"]["title"]).collect();
    assert_eq!(titles, [&Value::Null; 4]);
    assert!(!has_value(&reader.get(&letter).await.expect(200)));
    let data = json!({ "title": "Lady", "vip": true });
    let answer = tell(&reader, "crm", "contact.updated", "7", data).await.expect(200).json();
    let result = &answer["results"][0];
    assert_eq!(result["contactId"], "ada");
    let event = format!("/api/events/{}", result["eventId"].as_str().unwrap());
    until("the event is judged", async || {
        (client.get(&event).await.json()["status"] == "stale").then_some(())
    })
    .await;
    let shown = client.get("/api/contacts/ada?includeDeleted=true").await.expect(200).json();
    assert_eq!((&shown["title"], &shown["attributes"]), (&Value::Null, &json!({})));
    assert_eq!(shown["externalIds"], json!({ "crm": erased_form(b"crm", b"7") }));
    let taken = link(&client, "none", "crm", "7").await.expect_error(409, "EXTERNAL_ID_TAKEN");
    assert_eq!(taken.json()["error"]["details"], json!({ "contactId": "ada" }));
    link(&client, "ada", "crm", "8").await.expect_error(404, "CONTACT_NOT_FOUND");
    // The CRM has it anew.
    tell(&client, "crm", "contact.created", "7", json!({ "title": "Dame" })).await.expect(200);
    let is_back = |answer: &Answer| answer.status == 200 && answer.json()["title"] == "Dame";
    let back = instance.until_contact("ada", is_back).await.json();
    assert_eq!(back["externalIds"], json!({ "crm": "7" }));
    let history = client.get("/api/contacts/ada/history").await.expect(200);
    assert!(!String::from_utf8_lossy(&history.body).contains("Lady"));
    let everything = client.get("/api/contacts/ada/everything").await.expect(200);
    assert!(!String::from_utf8_lossy(&everything.body).contains("Lady"));
    let everything = everything.json();
    assert_eq!(everything["contact"]["title"], "Dame");
    assert_eq!(everything["history"].as_array().unwrap().len(), 5);
    // Nor does the feed from before all of it.
    let after = beginning.header("position");
    let url = format!("http://{}/api/feed?after={after}", instance.address);
    let mut feed = SseClient::connect(&url, &[]).await.expect("a feed");
    let changes = feed.changes(5).await;
    assert!(!changes.iter().any(|change| change.data.contains("Lady")), "{changes:?}");
    assert!(changes.last().unwrap().data.contains("Dame"));
}

//! An import whose instance ends in the middle goes on with the next start.

use std::fmt::Write as _;

use serde_json::json;

use super::{ended, give};
use crate::support::instance::{Instance, until};

const ROWS: usize = 20_000;

#[tokio::test]
async fn an_import_that_was_interrupted_goes_on_and_doubles_and_undoes_nothing() {
    let mut file = "id,title,phone\n".to_owned();
    for number in 0..ROWS {
        writeln!(file, "c{number},imported,{number}").unwrap();
    }
    let instance = Instance::start().await;
    let client = instance.client();
    let given = give(&client, "", file.as_bytes()).await;
    let id = given["id"].as_str().unwrap().to_owned();
    until("some rows are applied", async || {
        let job = client.get(&format!("/api/imports/{id}")).await.expect(200).json();
        (job["counts"]["rows"].as_u64().unwrap() > 0).then_some(())
    })
    .await;
    client.patch("/api/contacts/c0", &json!({ "title": "edited" })).await.expect(200);
    let directory = instance.stop().await;
    // As after a kill: nothing says how far it was.
    let progress = directory.path().join("imports").join(&id).join("progress");
    let _ = std::fs::remove_file(progress);
    let instance = Instance::builder().start_on(directory).await;
    let client = instance.client();
    let job = ended(&client, &id).await;
    assert_eq!(job["state"], "done", "{job}");
    let counts = &job["counts"];
    assert_eq!((&counts["rows"], &counts["created"]), (&json!(ROWS), &json!(ROWS)), "{job}");
    let edited = client.get("/api/contacts/c0").await.expect(200).json();
    assert_eq!((&edited["title"], &edited["phone"]), (&json!("edited"), &json!("0")));
    let last = client.get(&format!("/api/contacts/c{}", ROWS - 1)).await.expect(200).json();
    assert_eq!((&last["title"], &last["version"]), (&json!("imported"), &json!(1)));
    assert_eq!(edited["version"], 2);
}

//! What becomes of rows, and of the import as a whole.

use axum::http::Method;
use contactd::auth::Role;
use serde_json::json;

use super::{ended, give, import};
use crate::support::instance::Instance;

const FILE: &str = "Customer no,E-mail,Given name,Tier,emptied\n\
    1,ada@example.com,Ada,gold,\n\
    2,grace@example.com,Grace,7,\n\
    2,grace@example.com,Grace,7,\n\
    3,\"jean@example.com,Jean,,\n\
    4,kay@example.com,Kay,,,,extra\n\
    2,other@example.com,Grace,,\n";
const COLUMNS: &str = "columns=Customer%20no%3DexternalId:erp";

#[tokio::test]
async fn rows_become_contacts_and_what_is_wrong_with_one_is_told() {
    let instance = Instance::start().await;
    let client = instance.client();
    let job = import(&client, COLUMNS, FILE).await;
    assert_eq!(job["state"], "done", "{job}");
    let counts = json!({
        "rows": 6, "created": 2, "changed": 0, "unchanged": 0, "stale": 0, "duplicate": 1, "refused": 3,
        "refusedBy": { "broken_quote": 1, "too_many_cells": 1, "different_twice": 1 },
    });
    assert_eq!(job["counts"], counts);
    let found = client.get("/api/contacts?externalId=erp:1").await.expect(200).json();
    let ada = &found["data"][0];
    assert_eq!((&ada["firstName"], &ada["email"]), (&json!("Ada"), &json!("ada@example.com")));
    assert_eq!(ada["attributes"], json!({ "Tier": "gold" }));
    assert_eq!(ada["externalIds"], json!({ "erp": "1" }));
    let id = job["id"].as_str().unwrap();
    let rows = client.get(&format!("/api/imports/{id}/rows?verdict=refused")).await.expect(200);
    let rows = rows.json();
    assert_eq!(rows["data"][0]["row"], 4, "{rows}");
    assert!(rows["data"][0]["detail"].as_str().unwrap().contains("line 5, column 3"), "{rows}");
    let viewer = client.clone().with_role(Role::Viewer).with("accept", "text/csv");
    let file = viewer.get(&format!("/api/imports/{id}/rows")).await.expect(200);
    let file = String::from_utf8(file.body).unwrap();
    let mut lines = file.lines();
    assert_eq!(lines.next(), Some("Customer no,E-mail,Given name,Tier,emptied,contactd_reason"));
    assert!(lines.next().unwrap().starts_with("3,jean@example.com,Jean,,,"), "{file}");
}

#[tokio::test]
async fn refused_rows_that_are_mended_and_the_same_file_again_do_what_is_said() {
    let instance = Instance::start().await;
    let client = instance.client();
    let job = import(&client, COLUMNS, FILE).await;
    let id = job["id"].as_str().unwrap();
    let csv = client.clone().with("accept", "text/csv");
    let refused = csv.get(&format!("/api/imports/{id}/rows")).await.expect(200);
    let refused = String::from_utf8(refused.body).unwrap();
    let mended: Vec<String> = refused
        .lines()
        .filter(|line| line.starts_with("Customer") || line.starts_with("3,"))
        .map(|line| format!("{line}\n"))
        .collect();
    let again = import(&client, COLUMNS, &mended.concat()).await;
    assert_eq!(again["counts"]["created"], 1, "{again}");
    assert_eq!(again["counts"]["refused"], 0, "{again}");
    let same = import(&client, COLUMNS, FILE).await;
    assert_eq!((&same["id"], &same["endedAt"]), (&job["id"], &job["endedAt"]));
    // Another import of the same rows, which says what is there.
    let once_more = import(&client, &format!("{COLUMNS}&again=true"), FILE).await;
    assert_ne!(once_more["id"], job["id"]);
    assert_eq!(once_more["counts"]["unchanged"], 2, "{once_more}");
}

#[tokio::test]
async fn an_edit_made_meanwhile_stands() {
    let instance = Instance::start().await;
    let client = instance.client();
    import(&client, "", "id,title,phone\nada,Countess,1\n").await;
    let edit = json!({ "title": "Programmer" });
    client.patch("/api/contacts/ada", &edit).await.expect(200);
    let same = import(&client, "", "id,title,phone\nada,Countess,1\n").await;
    assert_eq!(same["counts"]["rows"], 1);
    let ada = client.get("/api/contacts/ada").await.expect(200).json();
    assert_eq!((&ada["title"], &ada["version"]), (&json!("Programmer"), &json!(2)));
}

#[tokio::test]
async fn what_was_said_since_a_file_was_written_stands_whichever_comes_first() {
    let instance = Instance::start().await;
    let client = instance.client();
    let event = |id: &str, at: &str, title: &str| {
        let data = json!({ "id": id, "title": title });
        json!({ "id": format!("{id}-{at}"), "eventType": "contact.updated", "source": "shop",
            "timestamp": format!("2026-11-21T{at}Z"), "data": data })
    };
    instance.append(&event("ada", "09:00:00", "before")).await;
    instance.append(&event("ada", "10:00:00", "after")).await;
    instance.append(&event("bob", "09:00:00", "before")).await;
    instance.until_contact("bob", |answer| answer.status.is_success()).await;
    let file = "id,title,phone\nada,file,1\nbob,file,2\ncid,file,3\n";
    let job = import(&client, "asOf=2026-11-21T10:00:00Z", file).await;
    assert_eq!(job["counts"]["refused"], 0, "{job}");
    instance.append(&event("cid", "10:00:00.001", "after")).await;
    let titled = async |id: &str, title: &str| {
        let found = instance.until_contact(id, |answer| answer.json()["title"] == title).await;
        found.json()["phone"].clone()
    };
    assert_eq!(titled("ada", "after").await, "1");
    assert_eq!(titled("bob", "file").await, "2");
    assert_eq!(titled("cid", "after").await, "3");
    let ahead = "/api/imports?asOf=2999-01-01T00:00:00Z";
    let answer = client.send_bytes(Method::POST, ahead, Some(b"id\n1\n".to_vec())).await;
    answer.expect_error(400, "INVALID_PARAMETER");
}

#[tokio::test]
async fn an_import_is_undone_where_nobody_has_changed_anything_since() {
    let instance = Instance::start().await;
    let client = instance.client();
    client.post("/api/contacts", &json!({ "id": "old", "title": "before" })).await.expect(201);
    let file = "id,title,phone\nold,after,7\nnew,x,\nedited,y,\n";
    let job = import(&client, "", file).await;
    assert_eq!((&job["counts"]["created"], &job["counts"]["changed"]), (&json!(2), &json!(1)));
    client.patch("/api/contacts/edited", &json!({ "phone": "1" })).await.expect(200);
    let id = job["id"].as_str().unwrap();
    let viewer = client.clone().with_role(Role::Viewer);
    let undo = format!("/api/imports/{id}/undo");
    viewer.send(Method::POST, &undo, None).await.expect_error(403, "FORBIDDEN");
    client.send(Method::POST, &undo, None).await.expect(202);
    let undone = ended(&client, id).await;
    assert_eq!(undone["state"], "undone", "{undone}");
    assert_eq!(undone["undo"], json!({ "reverted": 1, "deleted": 1, "kept": 1, "unknown": 0 }));
    let old = client.get("/api/contacts/old").await.expect(200).json();
    assert_eq!((&old["title"], &old["phone"]), (&json!("before"), &json!(null)));
    client.get("/api/contacts/new").await.expect(404);
    let edited = client.get("/api/contacts/edited").await.expect(200).json();
    assert_eq!((&edited["title"], &edited["phone"]), (&json!("y"), &json!("1")));
    // The same file is another import from now on.
    let again = import(&client, "", file).await;
    assert_ne!(again["id"], job["id"]);
    assert_eq!(client.get("/api/contacts/old").await.expect(200).json()["title"], "after");
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_shows_before_and_after() {
    let instance = Instance::start().await;
    let client = instance.client();
    client.post("/api/contacts", &json!({ "id": "ada", "title": "before" })).await.expect(201);
    let file = "id,title\nada,after\nnew,x\nada,else\n";
    let job = import(&client, "dryRun=true", file).await;
    let counts = &job["counts"];
    assert_eq!((&counts["created"], &counts["changed"]), (&json!(1), &json!(1)), "{job}");
    assert_eq!(counts["refusedBy"], json!({ "different_twice": 1 }));
    let change = json!({
        "row": 1, "contactId": "ada", "field": "title", "before": "before", "after": "after",
    });
    assert_eq!(job["changes"][0], change);
    client.get("/api/contacts/new").await.expect(404);
    let ada = client.get("/api/contacts/ada").await.expect(200).json();
    assert_eq!((&ada["title"], &ada["version"]), (&json!("before"), &json!(1)));
}

#[tokio::test]
async fn modes_and_matches_say_which_contacts_rows_may_be_of() {
    let instance = Instance::start().await;
    let client = instance.client();
    for (id, email) in
        [("a", "one@example.com"), ("b", "two@example.com"), ("c", "two@example.com")]
    {
        client.post("/api/contacts", &json!({ "id": id, "email": email })).await.expect(201);
    }
    let by_email = "email,title\nOne@Example.com,t\ntwo@example.com,t\nnew@example.com,t\n,t\n";
    let job = import(&client, "match=email", by_email).await;
    assert_eq!(job["counts"]["refusedBy"], json!({ "ambiguous_email": 1, "no_match": 1 }), "{job}");
    assert_eq!((&job["counts"]["created"], &job["counts"]["changed"]), (&json!(1), &json!(1)));
    assert_eq!(client.get("/api/contacts/a").await.expect(200).json()["title"], "t");
    let id = job["id"].as_str().unwrap();
    let rows = client.get(&format!("/api/imports/{id}/rows")).await.expect(200).json();
    assert!(rows["data"][0]["detail"].as_str().unwrap().contains("b and c"), "{rows}");
    let job = import(&client, "mode=create", "id,title\na,x\nd,x\n").await;
    assert_eq!(
        (&job["counts"]["created"], &job["counts"]["refusedBy"]),
        (&json!(1), &json!({ "exists": 1 }))
    );
    let job = import(&client, "mode=update", "id,title\na,y\ne,y\n").await;
    assert_eq!(
        (&job["counts"]["changed"], &job["counts"]["refusedBy"]),
        (&json!(1), &json!({ "not_found": 1 }))
    );
    client.delete("/api/contacts/d").await.expect(204);
    let job = import(&client, "", "id,title\nd,z\n").await;
    assert_eq!(job["counts"]["refusedBy"], json!({ "deleted": 1 }));
}

#[tokio::test]
async fn ndjson_and_vcards_are_imported_as_well() {
    let instance = Instance::start().await;
    let client = instance.client();
    let lines = "{\"id\":\"n1\",\"firstName\":\"Ada\",\"attributes\":{\"tier\":1}}\n[]\n\
        {\"id\":\"n2\",\"lastName\":\"Hopper\",\"externalIds\":{\"erp\":\"9\"}}\n";
    let job = import(&client, "", lines).await;
    assert_eq!((&job["format"], &job["counts"]["created"]), (&json!("ndjson"), &json!(2)), "{job}");
    assert_eq!(job["counts"]["refusedBy"], json!({ "invalid_json": 1 }));
    let found = client.get("/api/contacts?externalId=erp:9").await.expect(200).json();
    assert_eq!(found["data"][0]["id"], "n2");
    let card =
        "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Lovelace;Ada;;;\r\nEMAIL:ada@example.com\r\nEND:VCARD\r\n";
    let job = import(&client, "", card).await;
    assert_eq!((&job["format"], &job["counts"]["created"]), (&json!("vcard"), &json!(1)), "{job}");
    let found = client.get("/api/contacts?email=ada@example.com").await.expect(200).json();
    assert_eq!(found["data"][0]["lastName"], "Lovelace");
}

#[tokio::test]
async fn what_can_not_be_imported_is_refused_with_the_reason() {
    let instance = Instance::builder()
        .with("imports.file_bytes_max", "4KiB")
        .with("imports.bytes_max", "16KiB")
        .start()
        .await;
    let client = instance.client();
    let refused = async |query: &str, file: &[u8], status: u16, code: &str| {
        let path = format!("/api/imports?{query}");
        let answer = client.send_bytes(Method::POST, &path, Some(file.to_vec())).await;
        answer.expect_error(status, code).json()["error"]["message"].to_string()
    };
    let told = refused("", b"PK\x03\x04", 422, "IMPORT_UNREADABLE").await;
    assert!(told.contains("save the sheet as CSV"), "{told}");
    let told = refused("", b"", 422, "IMPORT_UNREADABLE").await;
    assert!(told.contains("is empty"), "{told}");
    let told = refused("", b"Ada,ada@example.com\n", 422, "IMPORT_UNREADABLE").await;
    assert!(told.contains("has no header"), "{told}");
    let told = refused("columns=x%3Demial", b"x,id\n1,2\n", 422, "IMPORT_UNREADABLE").await;
    assert!(told.contains("means email"), "{told}");
    refused("mode=all", b"id\n1\n", 400, "INVALID_PARAMETER").await;
    refused("", "id,a\n".repeat(2000).as_bytes(), 413, "BODY_TOO_LARGE").await;
    let viewer = client.clone().with_role(Role::Viewer);
    let answer = viewer.send_bytes(Method::POST, "/api/imports", Some(b"id\n1\n".to_vec())).await;
    answer.expect_error(403, "FORBIDDEN");
    client.get("/api/imports/x").await.expect_error(404, "IMPORT_NOT_FOUND");
    let directory = instance.path().join("imports");
    assert_eq!(std::fs::read_dir(directory).unwrap().count(), 0, "nothing is left of them");
}

#[tokio::test]
async fn an_import_waits_to_be_started_and_is_cancelled() {
    let instance = Instance::start().await;
    let client = instance.client();
    let given = give(&client, "start=false&name=a.csv", b"id,title\na,x\n").await;
    assert_eq!((&given["state"], &given["file"]), (&json!("ready"), &json!("a.csv")));
    assert_eq!(given["samples"], json!([{ "id": "a", "title": "x" }]));
    let id = given["id"].as_str().unwrap();
    let order = |what: &str| format!("/api/imports/{id}/{what}");
    client.send(Method::POST, &order("undo"), None).await.expect_error(409, "IMPORT_CONFLICT");
    client.send(Method::POST, &order("cancel"), None).await.expect(202);
    assert_eq!(ended(&client, id).await["state"], "cancelled");
    client.get("/api/contacts/a").await.expect(404);
    client.send(Method::POST, &order("start"), None).await.expect(202);
    assert_eq!(ended(&client, id).await["state"], "done");
    client.get("/api/contacts/a").await.expect(200);
    let listed = client.get("/api/imports").await.expect(200).json();
    assert_eq!(listed["data"][0]["id"], given["id"]);
    let events = client.clone().with("accept", "text/event-stream");
    let events = events.get(&format!("/api/imports/{id}")).await.expect(200);
    let text = String::from_utf8(events.body).unwrap();
    assert!(text.starts_with("event: import\ndata: {") && text.contains("\"done\""), "{text}");
}

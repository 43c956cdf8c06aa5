//! Upserts: what is missing is made, what is there is changed, what is deleted stays so.

use serde_json::{Value, json};

use crate::support::instance::Instance;

const PATH: &str = "/api/contacts/crm-7?upsert=true";

#[tokio::test]
async fn an_upsert_makes_a_contact_once_and_changes_it_from_then_on() {
    let instance = Instance::start().await;
    let client = instance.client();
    let new = json!({"firstName": "Ada", "phone": null, "attributes": {"o": {"x": 1, "y": null}}});
    let made = client.patch(PATH, &new).await.expect(201);
    assert_eq!(made.header("location"), "/api/contacts/crm-7");
    let contact = made.json();
    assert_eq!((&contact["version"], &contact["status"]), (&json!(1), &json!("ACTIVE")));
    assert_eq!(contact["attributes"], json!({"o": {"x": 1}}));
    assert_eq!(contact["createdAt"], contact["updatedAt"]);
    let patch = json!({"title": "Countess", "attributes": {"o": {"z": 2}}});
    let changed = client.patch(PATH, &patch).await.expect(200).json();
    assert_eq!((&changed["firstName"], &changed["version"]), (&json!("Ada"), &json!(2)));
    assert_eq!(changed["attributes"], json!({"o": {"x": 1, "z": 2}}));
    assert_eq!(changed["createdAt"], contact["createdAt"]);
    let same = client.patch(PATH, &json!({})).await.expect(200).json();
    assert_eq!(same["version"], 2, "nothing was said");
    let empty = client.patch("/api/contacts/empty?upsert=true", &json!({})).await.expect(201);
    assert_eq!(empty.json()["firstName"], Value::Null);
    client.patch("/api/contacts/x?upsert=false", &json!({})).await.expect(404);
    let wrong = client.patch("/api/contacts/a%01?upsert=true", &json!({})).await;
    wrong.expect_error(422, "VALIDATION_FAILED");
}

#[tokio::test]
async fn an_upsert_heeds_conditions() {
    let instance = Instance::start().await;
    let client = instance.client();
    let on = |name: &str, value: &str| client.clone().with(name, value);
    let title = |title: &str| json!({ "title": title });
    // What must match something, or anything, has to be there.
    for tag in ["*", "\"1-0000000000000000\""] {
        let answer = on("if-match", tag).patch(PATH, &title("a")).await;
        answer.expect_error(412, "PRECONDITION_FAILED");
    }
    let made = on("if-none-match", "*").patch(PATH, &title("b")).await.expect(201);
    let again = on("if-none-match", "*").patch(PATH, &title("c")).await;
    let again = again.expect_error(412, "PRECONDITION_FAILED");
    assert_eq!(again.header("etag"), made.header("etag"));
    on("if-none-match", made.header("etag")).patch(PATH, &title("d")).await.expect(412);
    on("if-match", "*").patch(PATH, &title("e")).await.expect(200);
    on("if-match", made.header("etag")).patch(PATH, &title("f")).await.expect(412);
    let strict = Instance::builder().with("server.require_if_match", "true").start().await;
    let client = strict.client();
    client.patch(PATH, &title("g")).await.expect_error(428, "PRECONDITION_REQUIRED");
    client.with("if-none-match", "*").patch(PATH, &title("h")).await.expect(201);
}

#[tokio::test]
async fn a_deleted_contact_is_not_taken_back_by_who_did_not_know_of_it() {
    let instance = Instance::start().await;
    let client = instance.client();
    let title = json!({ "title": "x" });
    client.patch(PATH, &json!({"attributes": {"o": {"old": 1}}})).await.expect(201);
    client.patch("/api/contacts/survivor?upsert=true", &title).await.expect(201);
    client.delete("/api/contacts/crm-7").await.expect(204);
    let refused = client.patch(PATH, &title).await.expect_error(409, "CONTACT_DELETED");
    let error = refused.json()["error"].clone();
    assert_eq!(error["details"], json!({"version": 2, "mergedInto": null}));
    assert!(error["message"].as_str().unwrap().contains("/restore"), "{error}");
    let gone = client.get("/api/contacts/crm-7?includeDeleted=true").await.expect(200);
    assert_eq!(
        (refused.header("etag"), &gone.json()["title"]),
        (gone.header("etag"), &Value::Null)
    );
    // Anew, with nothing of before in what is merged.
    let anew = json!({"attributes": {"o": {"new": 2}}});
    let made = client.clone().with("if-none-match", "*").patch(PATH, &anew).await.expect(201);
    assert_eq!(made.json()["attributes"], json!({"o": {"new": 2}}));
    let merge = json!({ "from": "crm-7" });
    client.post("/api/contacts/survivor/merge", &merge).await.expect(200);
    let merged = client.patch(PATH, &title).await.expect_error(409, "CONTACT_DELETED");
    assert_eq!(merged.json()["error"]["details"]["mergedInto"], "survivor");
    client.delete("/api/contacts/survivor?erase=true").await.expect(204);
    let erased = client.patch("/api/contacts/survivor?upsert=true", &title).await;
    erased.expect_error(409, "CONTACT_DELETED");
}

#[tokio::test]
async fn an_upsert_is_repeated_accepted_and_batched_as_other_writes() {
    let instance = Instance::start().await;
    let client = instance.client();
    let keyed = client.clone().with("idempotency-key", "k1");
    let made = keyed.patch(PATH, &json!({"title": "a"})).await.expect(201);
    client.patch(PATH, &json!({"title": "b"})).await.expect(200);
    let again = keyed.patch(PATH, &json!({"title": "a"})).await.expect(201);
    assert_eq!(again.json(), made.json());
    let other = keyed.patch("/api/contacts/crm-7", &json!({"title": "a"})).await;
    other.expect_error(422, "IDEMPOTENCY_KEY_REUSED");
    let hasty = client.clone().with("prefer", "respond-async");
    hasty.patch("/api/contacts/later?upsert=true", &json!({"title": "c"})).await.expect(202);
    instance.until_contact("later", |answer| answer.status == 200).await;
    client.delete("/api/contacts/later").await.expect(204);
    let upsert = |id: &str| json!({"op": "upsert", "id": id, "contact": {"firstName": "Ada"}});
    let mut strict = upsert("none");
    strict["ifMatch"] = json!("*");
    let operations = json!([
        upsert("b"), upsert("b"), upsert("crm-7"), upsert("later"), strict, upsert("batch"),
        {"op": "upsert", "contact": {}},
    ]);
    let answer = client.post("/api/contacts/batch", &operations).await.expect(200).json();
    let items = answer["data"].as_array().unwrap();
    let statuses: Vec<u64> = items.iter().map(|item| item["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 200, 200, 409, 412, 422, 422], "{answer}");
    assert_eq!(items[2]["contact"]["title"], "b");
}

#[tokio::test]
async fn who_finds_nothing_to_change_is_told_how_to_make_it() {
    let instance = Instance::start().await;
    let client = instance.client();
    let message = |answer: crate::support::answer::Answer| {
        let answer = answer.expect_error(404, "CONTACT_NOT_FOUND").json();
        answer["error"]["message"].as_str().unwrap().to_owned()
    };
    let put = message(client.put("/api/contacts/none", &json!({})).await);
    assert!(put.contains("If-None-Match: *"), "{put}");
    let patch = message(client.patch("/api/contacts/none", &json!({})).await);
    assert!(patch.contains("?upsert=true"), "{patch}");
}

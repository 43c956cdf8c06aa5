//! Writes over the API: every status, what history says, and what stays when it is not said.

use axum::http::Method;
use contactd::auth::Role;
use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::client::Client;
use crate::support::instance::Instance;

fn ada() -> Value {
    json!({
        "firstName": "Ada", "lastName": "Lovelace", "email": "ada@example.com", "phone": "+44",
        "attributes": {"plan": "gold", "seats": 1.10, "address": {"city": "London", "zip": "N1"}},
    })
}

/// Creates a contact and returns its path.
async fn created(client: &Client) -> (String, Answer) {
    let answer = client.post("/api/contacts", &ada()).await.expect(201);
    (answer.header("location").to_owned(), answer)
}

#[tokio::test]
async fn a_contact_is_made_read_and_found_under_its_position() {
    let instance = Instance::start().await;
    let client = instance.client();
    let (path, made) = created(&client).await;
    let contact = made.json();
    assert_eq!(path, format!("/api/contacts/{}", contact["id"].as_str().unwrap()));
    assert_eq!((&contact["version"], &contact["status"]), (&json!(1), &json!("ACTIVE")));
    assert_eq!((&contact["source"], &contact["email"]), (&json!("api"), &json!("ada@example.com")));
    assert!(made.header("etag").starts_with("\"1-"));
    let read = client.clone().with("position", made.header("position"));
    let read = read.get(&path).await.expect(200);
    assert_eq!(read.json(), contact);
    assert_eq!(read.header("etag"), made.header("etag"));
}

#[tokio::test]
async fn numbers_stay_as_they_were_written() {
    let instance = Instance::start().await;
    let client = instance.client();
    let bytes = |body: &str| Some(body.as_bytes().to_vec());
    let body = r#"{"id":"n","attributes":{"price":1.10,"deep":{"large":123456789012345678901}}}"#;
    client.send_bytes(Method::POST, "/api/contacts", bytes(body)).await.expect(201);
    let patch = bytes(r#"{"attributes":{"deep":{"small":1e-7}}}"#);
    let patched = client.send_bytes(Method::PATCH, "/api/contacts/n", patch).await.expect(200);
    let text = String::from_utf8(patched.body).unwrap();
    let expected =
        r#""attributes":{"deep":{"large":123456789012345678901,"small":1e-7},"price":1.10}"#;
    assert!(text.contains(expected), "{text}");
}

#[tokio::test]
async fn an_id_may_be_given_and_is_taken_once() {
    let instance = Instance::start().await;
    let client = instance.client();
    let named = json!({"id": "crm/7 ü", "firstName": "Ada"});
    let made = client.post("/api/contacts", &named).await.expect(201);
    assert_eq!(made.header("location"), "/api/contacts/crm%2F7%20%C3%BC");
    client.get("/api/contacts/crm%2F7%20%C3%BC").await.expect(200);
    let again = client.post("/api/contacts", &named).await.expect_error(409, "CONTACT_EXISTS");
    assert_eq!(again.header("etag"), made.header("etag"));
}

#[tokio::test]
async fn put_clears_what_it_leaves_out_and_patch_does_not() {
    let instance = Instance::start().await;
    let client = instance.client();
    let (path, _) = created(&client).await;
    let patched = client.patch(&path, &json!({"title": "Countess", "phone": null})).await;
    let patched = patched.expect(200).json();
    assert_eq!((&patched["title"], &patched["phone"]), (&json!("Countess"), &Value::Null));
    assert_eq!((&patched["firstName"], &patched["version"]), (&json!("Ada"), &json!(2)));
    let replaced = client.put(&path, &json!({"firstName": "Augusta"})).await.expect(200).json();
    assert_eq!((&replaced["firstName"], &replaced["version"]), (&json!("Augusta"), &json!(3)));
    for gone in ["lastName", "email", "title"] {
        assert_eq!(replaced[gone], Value::Null, "{gone}");
    }
    assert_eq!(replaced["attributes"], json!({}));
}

#[tokio::test]
async fn attributes_are_merged_as_rfc_7396_says() {
    let instance = Instance::start().await;
    let client = instance.client();
    let (path, _) = created(&client).await;
    let patch = json!({"attributes": {
        "plan": null, "address": {"zip": null, "street": "St James", "geo": {"lat": 1, "lon": null}},
        "tags": ["a", null],
    }});
    let patched = client.patch(&path, &patch).await.expect(200).json();
    let expected = json!({
        "seats": 1.1, "tags": ["a", null],
        "address": {"city": "London", "street": "St James", "geo": {"lat": 1}},
    });
    assert_eq!(patched["attributes"], expected);
    let cleared = client.patch(&path, &json!({"attributes": null})).await.expect(200).json();
    assert_eq!(cleared["attributes"], json!({}));
    // Nothing to do is nothing done.
    let same = client.patch(&path, &json!({})).await.expect(200).json();
    assert_eq!(same["version"], cleared["version"]);
}

#[tokio::test]
async fn a_deleted_contact_is_gone_and_comes_back() {
    let instance = Instance::start().await;
    let client = instance.client();
    let (path, made) = created(&client).await;
    let deleted = client.delete(&path).await.expect(204);
    assert!(deleted.body.is_empty() && !deleted.header("position").is_empty());
    client.get(&path).await.expect_error(404, "CONTACT_NOT_FOUND");
    client.delete(&path).await.expect_error(404, "CONTACT_NOT_FOUND");
    client.put(&path, &json!({})).await.expect_error(404, "CONTACT_NOT_FOUND");
    client.patch(&path, &json!({"title": "x"})).await.expect_error(404, "CONTACT_NOT_FOUND");
    let back = client.send(Method::POST, &format!("{path}/restore"), None).await.expect(200).json();
    assert_eq!((&back["status"], &back["email"]), (&json!("ACTIVE"), &made.json()["email"]));
    let again = client.send(Method::POST, &format!("{path}/restore"), None).await.expect(200);
    assert_eq!(again.json()["version"], back["version"], "what is there needs no restoring");
    client.delete(&format!("{path}?erase=true")).await.expect(204);
    let erased = client.get(&format!("{path}?includeDeleted=true")).await.expect(200).json();
    assert_eq!((&erased["email"], &erased["attributes"]), (&Value::Null, &json!({})));
    // Nothing of before shows in one that is made anew.
    let id = made.json()["id"].clone();
    let anew = client.post("/api/contacts", &json!({"id": id, "title": "new"})).await.expect(201);
    assert_eq!((&anew.json()["title"], &anew.json()["firstName"]), (&json!("new"), &Value::Null));
}

#[tokio::test]
async fn conditions_hold_or_say_what_is_there() {
    let instance = Instance::start().await;
    let client = instance.client();
    let (path, made) = created(&client).await;
    let etag = made.header("etag").to_owned();
    let on = |etag: &str| client.clone().with("if-match", etag);
    let second = on(&etag).patch(&path, &json!({"title": "one"})).await.expect(200);
    for stale in [etag.as_str(), "\"x\"", "W/\"2-0000000000000000\"", "\"2-0000000000000000\""] {
        for answer in [
            on(stale).patch(&path, &json!({"title": "two"})).await,
            on(stale).put(&path, &json!({})).await,
            on(stale).delete(&path).await,
        ] {
            let answer = answer.expect_error(412, "PRECONDITION_FAILED");
            assert_eq!(answer.header("etag"), second.header("etag"), "{stale}");
        }
    }
    on(&format!("\"x\", {}", second.header("etag"))).put(&path, &ada()).await.expect(200);
    on("*").patch(&path, &json!({"title": "three"})).await.expect(200);
    // A version that is still to come is not there.
    on("\"99-0000000000000000\"").delete(&path).await.expect_error(412, "PRECONDITION_FAILED");
    let new = client.clone().with("if-none-match", "*");
    new.put(&path, &ada()).await.expect_error(412, "PRECONDITION_FAILED");
    let made = new.put("/api/contacts/brand-new", &ada()).await.expect(201);
    assert_eq!(made.header("location"), "/api/contacts/brand-new");
    client.put("/api/contacts/unknown", &ada()).await.expect_error(404, "CONTACT_NOT_FOUND");
    on("*").delete("/api/contacts/unknown").await.expect_error(404, "CONTACT_NOT_FOUND");
    new.with("if-match", "*").put(&path, &ada()).await.expect_error(400, "INVALID_HEADER");
    let tagged = client.clone().with("if-none-match", &etag);
    tagged.put(&path, &ada()).await.expect_error(400, "INVALID_HEADER");
}

#[tokio::test]
async fn a_server_may_require_conditions() {
    let instance = Instance::builder().with("server.require_if_match", "true").start().await;
    let client = instance.client();
    let (path, made) = created(&client).await;
    for answer in [
        client.put(&path, &ada()).await,
        client.patch(&path, &json!({"title": "x"})).await,
        client.delete(&path).await,
    ] {
        answer.expect_error(428, "PRECONDITION_REQUIRED");
    }
    client.with("if-match", made.header("etag")).delete(&path).await.expect(204);
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_named_at_once() {
    let instance = Instance::start().await;
    let client = instance.client();
    let (path, _) = created(&client).await;
    let wrong = json!({"firstName": 1, "email": "ada", "nick": "A", "version": 2, "id": "other"});
    let answer = client.put(&path, &wrong).await.expect_error(422, "VALIDATION_FAILED");
    let error = answer.json();
    let fields = error["error"]["details"]["fields"].as_array().unwrap().clone();
    let mut names: Vec<&str> =
        fields.iter().map(|field| field["field"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["email", "firstName", "id", "nick", "version"]);
    let bytes = |body: &str| Some(body.as_bytes().to_vec());
    for (body, status, code) in [
        ("{", 400, "INVALID_BODY"),
        ("", 400, "INVALID_BODY"),
        ("[]", 422, "VALIDATION_FAILED"),
        (r#"{"title":"a","title":"b"}"#, 422, "VALIDATION_FAILED"),
        (r#"{"title":"\ud800"}"#, 422, "VALIDATION_FAILED"),
        (r#"{"attributes":{"a":"\ud800"}}"#, 422, "VALIDATION_FAILED"),
        (r#"{"attributes":{"a":{"b":1,"b":2}}}"#, 422, "VALIDATION_FAILED"),
    ] {
        let answer = client.send_bytes(Method::PUT, &path, bytes(body)).await.expect(status);
        assert_eq!(answer.code(), code, "{body}");
    }
    let plain = client.clone().with("content-type", "text/plain");
    plain.post("/api/contacts", &ada()).await.expect_error(415, "UNSUPPORTED_MEDIA_TYPE");
    let deep = format!(r#"{{"attributes":{{"a":{}{}}}}}"#, "[".repeat(33), "]".repeat(33));
    let deep = client.send_bytes(Method::POST, "/api/contacts", bytes(&deep)).await;
    deep.expect_error(422, "VALIDATION_FAILED");
    client.put(&format!("{path}?x=1"), &ada()).await.expect_error(400, "UNKNOWN_PARAMETER");
    let batch = json!({"id": "batch"});
    client.post("/api/contacts", &batch).await.expect_error(422, "VALIDATION_FAILED");
}

#[tokio::test]
async fn a_contact_that_would_grow_too_large_is_refused_and_stays() {
    let instance = Instance::builder().with("apply.contact_bytes_max", "2KiB").start().await;
    let client = instance.client();
    let (path, made) = created(&client).await;
    let large = json!({"attributes": {"note": "x".repeat(4000)}});
    client.patch(&path, &large).await.expect_error(422, "CONTACT_TOO_LARGE");
    assert_eq!(client.get(&path).await.json(), made.json());
    let dead = async || {
        let stats = client.get("/api/stats").await.expect(200).json();
        stats["events"]["verdicts"]["dead_lettered"].as_u64().expect("a number")
    };
    let later = client.clone().with("prefer", "respond-async");
    later.patch(&path, &large).await.expect_error(422, "CONTACT_TOO_LARGE");
    assert_eq!(dead().await, 0, "who was answered needs no dead letter");
    // Whether there is room is found out at its place on the log.
    let half = |name: &str| json!({"attributes": {name: "x".repeat(1200)}});
    client.patch(&path, &half("one")).await.expect(200);
    client.patch(&path, &half("other")).await.expect_error(422, "CONTACT_TOO_LARGE");
    assert_eq!(dead().await, 1);
}

#[tokio::test]
async fn history_names_who_did_it_and_by_which_request() {
    let instance = Instance::start().await;
    let client = instance.client().with("x-request-id", "req-17");
    let (path, _) = created(&client).await;
    let history = client.get(&format!("{path}/history")).await.expect(200).json();
    let change = &history["data"][0];
    assert_eq!(change["eventType"], "contact.created");
    assert_eq!(change["requestId"], "req-17");
    assert!(change["principal"].is_string(), "{change}");
}

#[tokio::test]
async fn an_answer_may_be_asked_for_at_once() {
    let instance = Instance::start().await;
    let client = instance.client();
    let (path, _) = created(&client).await;
    let hasty = client.clone().with("prefer", "respond-async, wait=10");
    let answer = hasty.patch(&path, &json!({"title": "Countess"})).await.expect(202);
    let body = answer.json();
    let event = body["eventId"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("/api/events/{event}"));
    assert_eq!(answer.header("preference-applied"), "respond-async");
    let id = path.rsplit('/').next().unwrap();
    instance.until_contact(id, |answer| answer.json()["title"] == "Countess").await;
}

#[tokio::test]
async fn a_batch_answers_each_operation_for_itself() {
    let instance = Instance::start().await;
    let client = instance.client();
    let (path, made) = created(&client).await;
    let id = path.rsplit('/').next().unwrap();
    let operations = json!([
        {"op": "create", "contact": {"id": "b1", "firstName": "Grace"}},
        {"op": "update", "id": "b1", "contact": {"title": "Admiral"}},
        {"op": "replace", "id": "none", "contact": {}},
        {"op": "update", "id": id, "ifMatch": "\"9-0000000000000000\"", "contact": {"title": "x"}},
        {"op": "update", "id": id, "ifMatch": made.header("etag"), "contact": {"title": "y"}},
        {"op": "frobnicate", "id": id},
        {"op": "create", "contact": {"email": "nope", "nick": 1}},
        {"op": "delete", "id": "b1"},
        {"op": "restore", "id": "b1"},
        17,
    ]);
    let answer = client.post("/api/contacts/batch", &operations).await.expect(200).json();
    let items = answer["data"].as_array().unwrap();
    let statuses: Vec<u64> = items.iter().map(|item| item["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [201, 200, 404, 412, 200, 422, 422, 204, 200, 422]);
    assert_eq!(answer["meta"], json!({"succeeded": 5, "failed": 5}));
    assert_eq!(items[1]["contact"]["title"], "Admiral");
    assert_eq!(items[1]["contact"]["firstName"], "Grace");
    assert_eq!(items[6]["error"]["details"]["fields"].as_array().unwrap().len(), 2);
    assert_eq!(items[8]["contact"]["status"], "ACTIVE");
    let read = client.get("/api/contacts/b1").await.expect(200);
    assert_eq!(items[8]["etag"], read.header("etag"));
    for wrong in [json!([]), json!(vec![json!({}); 201])] {
        client.post("/api/contacts/batch", &wrong).await.expect(422);
    }
    client.post("/api/contacts/batch", &json!({})).await.expect_error(400, "INVALID_BODY");
}

#[tokio::test]
async fn many_of_one_batch_are_written_in_their_order() {
    let instance = Instance::start().await;
    let client = instance.client();
    client.post("/api/contacts", &json!({"id": "one"})).await.expect(201);
    let operations: Vec<Value> = (0..60)
        .map(|at| json!({"op": "update", "id": "one", "contact": {"title": format!("t{at}")}}))
        .collect();
    let answer = client.post("/api/contacts/batch", &json!(operations)).await.expect(200).json();
    for (at, item) in answer["data"].as_array().unwrap().iter().enumerate() {
        assert_eq!(item["contact"]["title"], format!("t{at}"));
        assert_eq!(item["contact"]["version"], at + 2);
    }
}

#[tokio::test]
async fn only_an_admin_erases_and_only_an_editor_writes() {
    let instance = Instance::start().await;
    let (path, _) = created(&instance.client()).await;
    let as_role = |role| Client::new(instance.address).with_role(role);
    let erase = format!("{path}?erase=true");
    as_role(Role::Editor).delete(&erase).await.expect_error(403, "FORBIDDEN");
    for role in [Role::Viewer, Role::Ingest, Role::Metrics] {
        as_role(role).delete(&path).await.expect_error(403, "FORBIDDEN");
        as_role(role).post("/api/contacts/batch", &json!([])).await.expect_error(403, "FORBIDDEN");
    }
    as_role(Role::Editor).patch(&path, &json!({"title": "x"})).await.expect(200);
    as_role(Role::Admin).delete(&erase).await.expect(204);
}

#[tokio::test]
async fn patch_and_delete_heed_if_none_match() {
    let instance = Instance::start().await;
    let client = instance.client();
    let (path, made) = created(&client).await;
    let etag = made.header("etag").to_owned();
    let patch = json!({ "lastName": "Byron" });
    for unmet in ["*", etag.as_str(), &format!("W/{etag}"), &format!("\"x\", {etag}")] {
        let unless = client.clone().with("if-none-match", unmet);
        let answer = unless.patch(&path, &patch).await.expect(412);
        assert_eq!(answer.code(), "PRECONDITION_FAILED", "{unmet}");
        unless.delete(&path).await.expect(412);
        let both = unless.with("if-match", &etag);
        both.delete(&path).await.expect(412);
    }
    client.clone().with("if-none-match", "*").delete("/api/contacts/none").await.expect(404);
    let other = client.clone().with("if-none-match", "\"9-0000000000000001\"");
    other.patch(&path, &patch).await.expect(200);
    client.clone().with("if-none-match", &etag).delete(&path).await.expect(204);
}

#[tokio::test]
async fn a_key_that_stands_twice_at_any_depth_is_refused_by_every_write_and_named() {
    let instance = Instance::start().await;
    let client = instance.client();
    let (path, _) = created(&client).await;
    let id = path.rsplit('/').next().unwrap();
    let twice = r#"{"attributes":{"address":{"lines":[{"a":1,"a":2}]}}}"#;
    let batch = |op: &str| format!(r#"[{{"op":"{op}","id":"{id}","contact":{twice}}}]"#);
    let named = "attributes.address.lines[0].a";
    for method in [Method::PUT, Method::PATCH] {
        let body = Some(twice.as_bytes().to_vec());
        let answer = client.send_bytes(method.clone(), &path, body).await.expect(422);
        assert_eq!(answer.json()["error"]["details"]["fields"][0]["field"], named, "{method}");
    }
    for op in ["create", "replace", "update"] {
        let body = Some(batch(op).into_bytes());
        let answer = client.send_bytes(Method::POST, "/api/contacts/batch", body).await.expect(200);
        let answer = answer.json();
        let error = &answer["data"][0]["error"];
        let field = error["details"]["fields"][0]["field"].clone();
        assert_eq!(field, format!("contact.{named}"), "{op}: {error}");
    }
    let login = br#"{"username":"admin","password":"a","password":"b"}"#.to_vec();
    let answer = client.send_bytes(Method::POST, "/api/auth/login", Some(login)).await.expect(422);
    assert_eq!(answer.json()["error"]["details"]["fields"][0]["field"], "password");
}

//! API keys over HTTP, who may make them, and users as admins see them; and the list of sources.

use contactd::auth::Role;
use serde_json::json;

use crate::support::answer::Answer;
use crate::support::instance::Instance;

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[tokio::test]
async fn a_key_is_made_shown_once_used_and_revoked() {
    let instance = Instance::start().await;
    let admin = instance.client();
    let body = json!({ "name": "ci", "roles": ["viewer"] });
    let made = admin.post("/api/keys", &body).await.expect(201);
    assert_eq!(made.header("cache-control"), "no-store");
    let made = made.json();
    let key = made["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("ck_ci~") && key.len() > 40, "{key}");
    let by_key = admin.clone().anonymous().with("x-api-key", &key);
    assert_eq!(by_key.get("/api/auth/me").await.expect(200).json()["principal"], "key:ci");
    by_key.get("/api/contacts").await.expect(200);
    by_key.post("/api/contacts", &json!({ "firstName": "A" })).await.expect_error(403, "FORBIDDEN");
    let other = format!("{}x", &key[..key.len() - 1]);
    let wrong = admin.clone().anonymous().with("x-api-key", &other).get("/api/contacts").await;
    wrong.expect_error(401, "INVALID_API_KEY");
    let listed = admin.get("/api/keys").await.expect(200);
    assert!(!text(&listed).contains(&key), "a list shows a key");
    let listed = listed.json();
    let ci = listed["data"].as_array().unwrap().iter().find(|key| key["name"] == "ci").unwrap();
    assert_eq!((&ci["keptIn"], &ci["roles"]), (&json!("log"), &json!(["viewer"])));
    assert!(ci["lastUsedAt"].is_string() && ci["createdBy"].is_string(), "{ci}");
    // Those of the file stand beside it, and can't be revoked here.
    let in_file = listed["data"].as_array().unwrap().iter().find(|key| key["keptIn"] == "file");
    let in_file = in_file.expect("the fixture's own keys")["name"].as_str().unwrap().to_owned();
    let path = format!("/api/keys/{in_file}");
    admin.delete(&path).await.expect_error(409, "KEY_CONFLICT");
    admin.post("/api/keys", &body).await.expect_error(409, "KEY_CONFLICT");
    admin.delete("/api/keys/ci").await.expect(204);
    by_key.get("/api/contacts").await.expect_error(401, "INVALID_API_KEY");
    admin.delete("/api/keys/ci").await.expect_error(404, "KEY_NOT_FOUND");
    // Its name is free again.
    admin.post("/api/keys", &body).await.expect(201);
    by_key.get("/api/contacts").await.expect_error(401, "INVALID_API_KEY");
    instance.stop().await;
}

#[tokio::test]
async fn keys_are_made_by_admins_alone_and_last_over_a_restart() {
    let instance = Instance::start().await;
    let admin = instance.client();
    let operator = admin.clone().with_role(Role::Operator);
    operator.get("/api/keys").await.expect(200);
    operator.get("/api/users").await.expect(200);
    let body = json!({ "name": "ci", "roles": ["admin"] });
    operator.post("/api/keys", &body).await.expect_error(403, "FORBIDDEN");
    for (body, field) in [
        (json!({ "name": "Not So", "roles": ["viewer"] }), "name"),
        (json!({ "name": "ci", "roles": ["king"] }), "roles"),
        (json!({ "name": "ci", "roles": [] }), "roles"),
        (
            json!({ "name": "ci", "roles": ["viewer"], "expiresAt": "2001-01-01T00:00:00Z" }),
            "expiresAt",
        ),
        (json!({ "name": "ci", "roles": ["viewer"], "more": 1 }), "more"),
    ] {
        let refused = admin.post("/api/keys", &body).await.expect_error(422, "VALIDATION_FAILED");
        let text = text(&refused);
        assert!(text.contains(field) || text.contains("a name has"), "{text}");
    }
    let body = json!({ "name": "ci", "roles": ["viewer"], "expiresAt": "2090-01-01T00:00:00Z" });
    let key = admin.post("/api/keys", &body).await.expect(201).json()["key"].clone();
    let directory = instance.stop().await;
    let instance = Instance::builder().start_on(directory).await;
    let by_key = instance.client().anonymous().with("x-api-key", key.as_str().unwrap());
    by_key.get("/api/contacts").await.expect(200);
    instance.stop().await;
}

#[tokio::test]
async fn users_are_listed_and_kept_out() {
    let instance = Instance::start().await;
    let admin = instance.client();
    let users = admin.get("/api/users").await.expect(200).json();
    let viewer = users["data"].as_array().unwrap().iter().find(|user| user["username"] == "viewer");
    let viewer = viewer.unwrap();
    assert_eq!((&viewer["disabled"], &viewer["roles"]), (&json!(false), &json!(["viewer"])));
    assert!(!users.to_string().contains("argon2"), "a list shows a hash");
    let change = |disabled: bool| json!({ "disabled": disabled });
    let out = admin.patch("/api/users/viewer", &change(true)).await.expect(200).json();
    assert_eq!(out["disabled"], true);
    let login = json!({ "username": "viewer", "password": crate::support::access::PASSWORD });
    let refused = admin.clone().anonymous().post("/api/auth/login", &login).await;
    refused.expect_error(401, "INVALID_CREDENTIALS");
    admin.patch("/api/users/viewer", &change(false)).await.expect(200);
    admin.clone().anonymous().post("/api/auth/login", &login).await.expect(200);
    admin.patch("/api/users/nobody", &change(true)).await.expect_error(404, "USER_NOT_FOUND");
    instance.stop().await;
}

#[tokio::test]
async fn sources_are_listed_with_how_they_sign_and_what_they_say() {
    let secret = "w2Jx0b+8v1Yy5wz2m1bUq8rW4pQ7n9Lk0TzVfX2cH6s";
    let builder = Instance::builder()
        .with("acme.webhook_secret", secret)
        .with("source.crm.preset", "hubspot");
    let instance = builder.start().await;
    let client = instance.client();
    let listed = client.get("/api/sources").await.expect(200);
    assert!(!text(&listed).contains(secret), "a list shows a secret");
    let names: Vec<String> = listed.json()["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| source["name"].as_str().unwrap().to_owned())
        .collect();
    assert!(names.contains(&"acme".to_owned()) && names.contains(&"crm".to_owned()), "{names:?}");
    let acme = client.get("/api/sources/acme").await.expect(200).json();
    assert_eq!(acme["webhooks"], json!({ "signature": "acme", "secrets": 1, "default": true }));
    assert!(acme["table"]["fields"].is_object(), "{acme}");
    let crm = client.get("/api/sources/crm").await.expect(200).json();
    assert_eq!((&crm["inRules"], &crm["webhooks"]["signature"]), (&json!(true), &json!(null)));
    client.get("/api/sources/nobody").await.expect_error(404, "UNKNOWN_SOURCE");
    instance.stop().await;
}

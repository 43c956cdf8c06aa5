//! One contact brought into agreement now, and all of them, page by page.

use contactd::telemetry::AcmeCall;
use serde_json::{Value, json};

use super::world::{builder, ours, theirs};
use crate::support::acme::MockAcme;
use crate::support::answer::Answer;
use crate::support::instance::{Instance, until};

/// Nobody is told of changes by itself.
async fn quiet() -> (MockAcme, Instance) {
    let acme = MockAcme::start();
    let instance = builder(&acme).with("acme.sync", "false").start().await;
    (acme, instance)
}

async fn sync(instance: &Instance, id: &str, direction: &str) -> Answer {
    let path = format!("/api/contacts/{id}/sync");
    instance.client().post(&path, &json!({ "direction": direction })).await
}

#[tokio::test]
async fn one_contact_is_pushed_and_pulled_when_asked_for() {
    let (acme, instance) = quiet().await;
    let client = instance.client();
    let ada = json!({ "id": "ada", "firstName": "Ada", "phone": "1" });
    client.post("/api/contacts", &ada).await.expect(201);
    let made = sync(&instance, "ada", "push").await.expect(200).json();
    assert_eq!(
        (&made["there"], &made["sent"]),
        (&json!("created"), &json!(["firstName", "phone"]))
    );
    let again = client.send_bytes(axum::http::Method::POST, "/api/contacts/ada/sync", None).await;
    let again = again.expect(200).json();
    assert_eq!((&again["there"], &again["sent"]), (&json!("unchanged"), &json!([])));
    acme.put("ada", json!({ "acme_phone": "2", "acme_title": "Countess" }));
    let pulled = sync(&instance, "ada", "pull").await.expect(200).json();
    assert_eq!(pulled["taken"], json!(["phone", "title"]), "{pulled}");
    let contact = client.get("/api/contacts/ada").await.expect(200).json();
    assert_eq!((&contact["phone"], &contact["source"]), (&json!("2"), &json!("acme")));
    client.patch("/api/contacts/ada", &json!({ "phone": "3" })).await.expect(200);
    let newer = sync(&instance, "ada", "pull").await.expect(200).json();
    let kept = json!([{ "field": "phone", "why": "it is newer here" }]);
    assert_eq!((&newer["taken"], &newer["kept"]), (&json!([]), &kept));
    client.delete("/api/contacts/ada").await.expect(204);
    sync(&instance, "ada", "pull").await.expect_error(409, "CONTACT_DELETED");
    let gone = sync(&instance, "ada", "push").await.expect(200).json();
    assert_eq!((gone["there"].as_str(), acme.contact("ada")), (Some("deleted"), None));
    acme.put("bob", json!({ "acme_first_name": "Bob" }));
    sync(&instance, "bob", "push").await.expect_error(404, "CONTACT_NOT_FOUND");
    sync(&instance, "bob", "pull").await.expect(200);
    let bob = client.get("/api/contacts/bob").await.expect(200).json();
    let created = acme.contact("bob").unwrap().acme_created_at;
    assert_eq!((&bob["firstName"], &bob["createdAt"]), (&json!("Bob"), &json!(created)));
    for direction in ["push", "pull"] {
        sync(&instance, "nobody", direction).await.expect_error(404, "CONTACT_NOT_FOUND");
    }
    sync(&instance, "ada", "sideways").await.expect_error(422, "VALIDATION_FAILED");
    assert_eq!(acme.stats().counts.writes_without_change, 0);
}

#[tokio::test]
async fn what_acme_answers_instead_is_named() {
    let acme = MockAcme::start();
    let instance = builder(&acme).with("acme.timeout", "300ms").start().await;
    instance.client().post("/api/contacts", &json!({ "id": "ada" })).await.expect(201);
    for (faults, status, code, acme_status, acme_code) in [
        (
            json!({ "failRate": 1, "failStatus": 400 }),
            502,
            "ACME_FAILED",
            json!(400),
            json!("injected"),
        ),
        (
            json!({ "failRate": 1, "failStatus": 503 }),
            502,
            "ACME_FAILED",
            json!(503),
            json!("injected"),
        ),
        (
            json!({ "failRate": 1, "failStatus": 200, "html": true }),
            502,
            "ACME_FAILED",
            json!(200),
            Value::Null,
        ),
        (json!({ "cutRate": 1 }), 502, "ACME_FAILED", Value::Null, Value::Null),
        (json!({ "noAnswerRate": 1 }), 504, "ACME_TIMEOUT", Value::Null, Value::Null),
    ] {
        acme.set_faults(faults.clone());
        let answer = sync(&instance, "ada", "pull").await.expect_error(status, code);
        let details = &answer.json()["error"]["details"];
        assert_eq!(
            (&details["acmeStatus"], &details["acmeCode"]),
            (&acme_status, &acme_code),
            "{faults}"
        );
    }
    // It says that the contact is there, and has none.
    acme.set_faults(json!({ "failRate": 1, "failStatus": 409, "kinds": ["create"] }));
    drop(acme.delete("ada"));
    let answer = sync(&instance, "ada", "push").await.expect_error(502, "ACME_FAILED");
    assert_eq!(answer.json()["error"]["details"]["acmeStatus"], 409);
    drop(acme);
    sync(&instance, "ada", "pull").await.expect_error(502, "ACME_FAILED");
}

#[tokio::test]
async fn a_limit_that_ends_soon_is_waited_for() {
    let (acme, instance) = quiet().await;
    acme.put("ada", json!({ "acme_first_name": "Ada" }));
    acme.set_faults(json!({ "failRate": 1, "failStatus": 429, "retryAfter": 1, "times": 1 }));
    sync(&instance, "ada", "pull").await.expect(200);
    assert_eq!(acme.stats().requests[&AcmeCall::Login]["429"], 1);
    acme.set_faults(json!({ "failRate": 1, "failStatus": 429, "retryAfter": 50, "times": 1 }));
    let limited = sync(&instance, "ada", "pull").await.expect_error(502, "ACME_FAILED");
    assert_eq!(limited.header("retry-after"), "50");
}

#[tokio::test]
async fn nothing_of_acme_is_there_where_none_is_configured() {
    let instance = Instance::start().await;
    let answer = sync(&instance, "ada", "push").await;
    let said = answer.json()["error"]["message"].clone();
    assert_eq!(said, "Acme is not configured here: set acme.url");
    answer.expect_error(404, "ROUTE_NOT_FOUND");
    let described = |answer: Answer| answer.json()["paths"].get("/api/acme/pull").is_some();
    assert!(!described(instance.client().get("/openapi.json").await.expect(200)));
    let (_acme, instance) = quiet().await;
    assert!(described(instance.client().get("/openapi.json").await.expect(200)));
    let viewer = instance.client().with_role(contactd::auth::Role::Viewer);
    viewer.post("/api/contacts/ada/sync", &json!({})).await.expect_error(403, "FORBIDDEN");
    let editor = instance.client().with_role(contactd::auth::Role::Editor);
    editor.post("/api/acme/pull", &json!({})).await.expect_error(403, "FORBIDDEN");
    editor.post("/api/contacts/ada/sync", &json!({})).await.expect_error(404, "CONTACT_NOT_FOUND");
}

/// Asks for page after page; their members, joined or added up.
async fn pages(instance: &Instance, path: &str, order: Value) -> Value {
    let mut all = json!({});
    let mut order = order;
    loop {
        let page = instance.client().post(path, &order).await.expect(200).json();
        for (name, value) in page.as_object().unwrap() {
            let known = &mut all[name];
            match value {
                Value::Number(number) => {
                    *known = json!(known.as_u64().unwrap_or(0) + number.as_u64().unwrap());
                }
                Value::Array(more) => {
                    let mut joined = known.as_array().cloned().unwrap_or_default();
                    joined.extend(more.iter().cloned());
                    *known = json!(joined);
                }
                _ => {}
            }
        }
        if page["nextCursor"].is_null() {
            return all;
        }
        order["cursor"] = page["nextCursor"].clone();
    }
}

#[tokio::test]
async fn all_contacts_are_pulled_page_by_page_and_once() {
    let (acme, instance) = quiet().await;
    for number in 0..450 {
        acme.put(&format!("c{number}"), json!({ "acme_first_name": format!("Ada {number}") }));
    }
    acme.put("c7", json!({ "acme_title": "Countess" }));
    let pulled = pages(&instance, "/api/acme/pull", json!({})).await;
    assert_eq!((&pulled["seen"], &pulled["created"]), (&json!(450), &json!(450)), "{pulled}");
    assert_eq!(theirs(&acme), ours(&instance).await);
    let contact = instance.client().get("/api/contacts/c7").await.expect(200).json();
    let there = acme.contact("c7").unwrap();
    let times = (&contact["createdAt"], &contact["updatedAt"]);
    assert_eq!(times, (&json!(there.acme_created_at), &json!(there.acme_updated_at)));
    acme.put("c9", json!({ "acme_first_name": "Eve" }));
    let again = pages(&instance, "/api/acme/pull", json!({})).await;
    assert_eq!((&again["updated"], &again["unchanged"]), (&json!(1), &json!(449)), "{again}");
    assert_eq!(theirs(&acme), ours(&instance).await);
    instance
        .client()
        .post("/api/acme/pull", &json!({ "cursor": "x" }))
        .await
        .expect_error(400, "INVALID_CURSOR");
}

#[tokio::test]
async fn a_contact_whose_id_can_not_be_one_here_is_named_in_every_way() {
    let (acme, instance) = quiet().await;
    acme.put("batch", json!({ "acme_first_name": "Ada" }));
    let pulled = pages(&instance, "/api/acme/pull", json!({})).await;
    let refused = &pulled["refused"][0];
    assert_eq!(refused["id"], "batch", "{pulled}");
    let why = "the contact id is a word that paths need for something else";
    assert_eq!(refused["why"], why, "{pulled}");
    let answer = sync(&instance, "batch", "pull").await;
    assert!(answer.json()["error"]["message"].to_string().contains("its id is a word"));
    answer.expect_error(422, "EVENT_REJECTED");
    let mended = pages(&instance, "/api/acme/reconcile", json!({ "apply": true })).await;
    let drift = &mended["drift"][0];
    assert_eq!((&drift["kind"], &drift["why"]), (&json!("missing_here"), &json!(why)));
}

#[tokio::test]
async fn a_contact_that_was_made_says_in_which_fields_it_still_differs() {
    let acme = MockAcme::start();
    let owned = builder(&acme)
        .with("source.acme.fields.company.owner", "acme")
        .with("source.acme.fields.title.owner", "us");
    let instance = owned.with("acme.sync", "false").start().await;
    let ours = json!({ "id": "ours", "firstName": "Ada", "company": "ours" });
    instance.client().post("/api/contacts", &ours).await.expect(201);
    instance.client().post("/api/contacts", &json!({ "id": "plain" })).await.expect(201);
    acme.put("theirs", json!({ "acme_first_name": "Eve", "acme_title": "theirs" }));
    let mended = pages(&instance, "/api/acme/reconcile", json!({ "apply": true })).await;
    let told = |at: usize| {
        let drift = &mended["drift"][at];
        (drift["id"].clone(), drift["mended"].clone(), drift["fields"].clone())
    };
    assert_eq!(told(0), (json!("ours"), json!(false), json!(["company"])), "{mended}");
    assert_eq!(told(1), (json!("plain"), json!(true), json!([])), "{mended}");
    assert_eq!(told(2), (json!("theirs"), json!(false), json!(["title"])), "{mended}");
    assert!(acme.contact("ours").is_some(), "it is there all the same");
    instance.until_contact("theirs", |answer| answer.status == 200).await;
}

#[tokio::test]
async fn drift_is_shown_by_its_kind_and_mended() {
    let (acme, instance) = quiet().await;
    let client = instance.client();
    for number in 0..210 {
        acme.put(&format!("c{number}"), json!({ "acme_first_name": "Ada", "acme_phone": "1" }));
    }
    pages(&instance, "/api/acme/pull", json!({})).await;
    let drift = pages(&instance, "/api/acme/reconcile", json!({})).await;
    assert_eq!((&drift["compared"], &drift["drift"]), (&json!(210), &json!([])));
    // Behind the last of Acme's, between them, and before the first.
    for id in ["a", "c100x", "z"] {
        client.post("/api/contacts", &json!({ "id": id, "firstName": "Eve" })).await.expect(201);
    }
    acme.put("d", json!({ "acme_first_name": "Dan" }));
    client.patch("/api/contacts/c1", &json!({ "phone": "2" })).await.expect(200);
    acme.put("c1", json!({ "acme_title": "Countess" }));
    client.delete("/api/contacts/c2").await.expect(204);
    let drift = pages(&instance, "/api/acme/reconcile", json!({})).await;
    let shown: Vec<(&str, &str)> = drift["drift"]
        .as_array()
        .unwrap()
        .iter()
        .map(|drift| (drift["id"].as_str().unwrap(), drift["kind"].as_str().unwrap()))
        .collect();
    let expected = [
        ("a", "missing_there"),
        ("c1", "differs"),
        ("c100x", "missing_there"),
        ("c2", "deleted_here"),
        ("d", "missing_here"),
        ("z", "missing_there"),
    ];
    assert_eq!(shown, expected);
    assert!(drift["drift"][1]["mended"].is_null(), "nobody asked for that");
    let gauge = "contactd_acme_drift_contacts{kind=\"missing_there\"}";
    let metrics = client.get("/metrics").await.expect(200);
    assert!(String::from_utf8_lossy(&metrics.body).contains(&format!("{gauge} 3\n")));
    let mended = pages(&instance, "/api/acme/reconcile", json!({ "apply": true })).await;
    let all = mended["drift"].as_array().unwrap();
    assert!(all.len() == 6 && all.iter().all(|drift| drift["mended"] == true), "{mended}");
    let left = pages(&instance, "/api/acme/reconcile", json!({})).await;
    assert_eq!(left["drift"], json!([]));
    assert_eq!(theirs(&acme), ours(&instance).await);
    let c1 = &theirs(&acme)["c1"];
    assert_eq!((&c1["title"], &c1["phone"]), (&json!("Countess"), &json!("2")));
    assert_eq!(acme.stats().counts.writes_without_change, 0);
    let metrics = client.get("/metrics").await.expect(200);
    assert!(String::from_utf8_lossy(&metrics.body).contains(&format!("{gauge} 0\n")));
}

#[tokio::test]
async fn what_acme_has_not_heard_of_outlasts_what_it_says_of_other_fields() {
    let (acme, instance) = quiet().await;
    let client = instance.client();
    acme.put("ada", json!({ "acme_phone": "old" }));
    sync(&instance, "ada", "pull").await.expect(200);
    acme.send_webhooks(&instance);
    for phone in ["newer", "new"] {
        client.patch("/api/contacts/ada", &json!({ "phone": phone })).await.expect(200);
    }
    acme.put("ada", json!({ "acme_title": "Countess" }));
    instance.until_contact("ada", |answer| answer.json()["title"] == "Countess").await;
    let pulled = sync(&instance, "ada", "pull").await.expect(200).json();
    assert_eq!(pulled["taken"], json!([]), "{pulled}");
    pages(&instance, "/api/acme/reconcile", json!({ "apply": true })).await;
    assert_eq!(theirs(&acme)["ada"]["phone"], "new");
    // Acme has said so itself, and then somebody there has taken it back.
    let is_told = |answer: &Answer| {
        let told = acme.contact("ada").unwrap().acme_version;
        answer.json()["sourceVersion"] == json!(told)
    };
    instance.until_contact("ada", is_told).await;
    acme.send_webhooks_to("http://127.0.0.1:1/", "acme");
    acme.put("ada", json!({ "acme_phone": "old" }));
    let pulled = sync(&instance, "ada", "pull").await.expect(200).json();
    assert_eq!(pulled["taken"], json!(["phone"]), "{pulled}");
}

#[tokio::test]
async fn what_acme_makes_anew_after_our_delete_is_taken() {
    let (acme, instance) = quiet().await;
    acme.put("ada", json!({ "acme_phone": "1" }));
    sync(&instance, "ada", "pull").await.expect(200);
    instance.client().delete("/api/contacts/ada").await.expect(204);
    acme.delete("ada").unwrap();
    acme.put("ada", json!({ "acme_phone": "2" }));
    // It came to be there, and that was lost; what is said of it since undoes no delete.
    acme.send_webhooks(&instance);
    let told = json!(acme.put("ada", json!({ "acme_title": "Countess" })).acme_updated_at);
    until("that is here", async || {
        let answer = instance.client().get("/api/contacts/ada?includeDeleted=true").await;
        (answer.json()["updatedAt"] == told).then_some(())
    })
    .await;
    sync(&instance, "ada", "pull").await.expect(200);
    assert_eq!(theirs(&acme), ours(&instance).await);
}

#[tokio::test]
async fn what_is_mended_is_as_it_is_by_then() {
    let (acme, instance) = quiet().await;
    let client = instance.client();
    acme.put("bob", json!({ "acme_phone": "1" }));
    sync(&instance, "bob", "pull").await.expect(200);
    client.post("/api/contacts", &json!({ "id": "ada" })).await.expect(201);
    client.delete("/api/contacts/bob").await.expect(204);
    acme.set_faults(json!({ "delayMs": 500 }));
    let asked = |kind| acme.stats().requests.get(&kind).map_or(0, |it| it.values().sum::<u64>());
    let before = asked(AcmeCall::Get);
    let order = json!({ "apply": true });
    let mend = client.post("/api/acme/reconcile", &order);
    let restore = async {
        until("ada is looked at", async || (asked(AcmeCall::Get) > before).then_some(())).await;
        client.post("/api/contacts/bob/restore", &json!({})).await.expect(200);
    };
    let (mended, ()) = tokio::join!(mend, restore);
    mended.expect(200);
    assert_eq!(theirs(&acme), ours(&instance).await);
}

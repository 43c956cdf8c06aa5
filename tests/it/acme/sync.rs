//! Changes on both sides, and both sides alike.

use contactd::acme::Contact;
use contactd::telemetry::AcmeCall;
use serde_json::{Value, json};

use super::world::{builder, follower, ours, pair, theirs, until_alike, until_running};
use crate::support::acme::MockAcme;
use crate::support::instance::{Instance, until};

async fn write(instance: &Instance, id: &str, patch: &Value) {
    let path = format!("/api/contacts/{id}?upsert=true");
    let answer = instance.client().patch(&path, patch).await;
    // It may be deleted, or changed there a moment later.
    assert!(answer.status.is_success() || answer.status == 409, "{}", answer.status);
}

#[tokio::test]
async fn a_change_on_either_side_is_on_the_other_and_goes_no_further() {
    let (acme, instance) = pair().await;
    let client = instance.client();
    let ada = json!({ "id": "ada", "firstName": "Ada", "phone": "1" });
    client.post("/api/contacts", &ada).await.expect(201);
    until("Acme has it", async || acme.contact("ada")).await;
    acme.put("ada", json!({ "acme_title": "Countess", "acme_phone": null }));
    let is_countess =
        |contact: &Value| contact["title"] == "Countess" && contact["phone"].is_null();
    instance.until_contact("ada", |answer| is_countess(&answer.json())).await;
    client.patch("/api/contacts/ada", &json!({ "email": "ada@example.com" })).await.expect(200);
    acme.put("bob", json!({ "acme_first_name": "Bob" }));
    instance.until_contact("bob", |answer| answer.status == 200).await;
    until_alike(&acme, &instance).await;
    // Three changes, of which the echoes made none more.
    let contact = client.get("/api/contacts/ada").await.expect(200).json();
    assert_eq!(contact["version"], 3, "{contact}");
    client.delete("/api/contacts/ada").await.expect(204);
    acme.delete("bob").unwrap();
    instance.until_contact("bob", |answer| answer.status == 404).await;
    until("Acme has deleted it", async || acme.contact("ada").is_none().then_some(())).await;
    client.post("/api/contacts/ada/restore", &json!({})).await.expect(200);
    until("Acme has it again", async || acme.contact("ada")).await;
    until_alike(&acme, &instance).await;
    assert_eq!(acme.stats().counts.writes_without_change, 0);
}

#[tokio::test]
async fn after_mixed_changes_and_trouble_both_sides_are_alike() {
    let (acme, instance) = pair().await;
    let contact = |number: usize| format!("contact-{}", number % 25);
    let fields = ["firstName", "phone", "title"];
    let acme_fields = ["acme_first_name", "acme_phone", "acme_title"];
    for number in 0..400 {
        match number {
            100 => acme.set_faults(json!({ "failRate": 0.3, "failStatus": 500, "times": 10 })),
            200 => acme.set_faults(
                json!({ "failRate": 1, "failStatus": 429, "retryAfter": 1, "times": 2 }),
            ),
            250 => acme.set_faults(json!({ "cutRate": 0.5, "times": 5 })),
            300 => acme.set_faults(json!({ "noAnswerRate": 1, "times": 1 })),
            350 => acme.mock.revoke_tokens().unwrap(),
            _ => {}
        }
        let (id, value) = (contact(number * 7), format!("value {number}"));
        let field = number * 11 % 3;
        match number % 10 {
            0..=4 => write(&instance, &id, &json!({ fields[field]: value })).await,
            5..=7 => drop(acme.put(&id, json!({ acme_fields[field]: value }))),
            8 => drop(instance.client().delete(&format!("/api/contacts/{id}")).await),
            _ => drop(acme.delete(&id)),
        }
    }
    until_alike(&acme, &instance).await;
    assert_eq!(acme.stats().counts.writes_without_change, 0);
    assert!(theirs(&acme).len() > 5, "something is left");
}

#[tokio::test]
async fn what_was_owed_at_the_end_is_told_after_it() {
    let acme = MockAcme::start();
    let instance = builder(&acme).start().await;
    until_running(&instance).await;
    acme.set_faults(json!({ "failRate": 1 }));
    for number in 0..20 {
        write(&instance, &format!("c{number}"), &json!({ "firstName": "Ada" })).await;
    }
    until("it says why", async || {
        let shown = follower(&instance).await;
        (shown["trouble"]["why"] == "Acme answered 503 injected").then_some(())
    })
    .await;
    let directory = instance.stop().await;
    acme.set_faults(json!({}));
    let instance = builder(&acme).start_on(directory).await;
    acme.send_webhooks(&instance);
    until_alike(&acme, &instance).await;
    assert_eq!(theirs(&acme).len(), 20);
    let counts = acme.stats().counts;
    assert_eq!((counts.writes, counts.writes_without_change), (20, 0));
}

#[tokio::test]
async fn a_change_that_acme_refuses_holds_up_no_other() {
    let (acme, instance) = pair().await;
    acme.put("bob", json!({ "acme_first_name": "Bob" }));
    instance.until_contact("bob", |answer| answer.status == 200).await;
    acme.set_faults(json!({ "failRate": 1, "failStatus": 400, "kinds": ["create"] }));
    write(&instance, "ada", &json!({ "title": "Countess" })).await;
    until("it is refused", async || {
        let refused = acme.stats().requests.get(&AcmeCall::Create).cloned().unwrap_or_default();
        refused.get("400").copied()
    })
    .await;
    write(&instance, "bob", &json!({ "title": "Builder" })).await;
    let is_builder = |contact: &Contact| contact.fields["acme_title"] == "Builder";
    until("Acme has the other", async || acme.contact("bob").filter(is_builder)).await;
    let shown = follower(&instance).await;
    assert_eq!((&shown["waiting"], &shown["state"]), (&json!(1), &json!("running")), "{shown}");
    acme.set_faults(json!({}));
    until_alike(&acme, &instance).await;
}

#[tokio::test]
async fn fields_go_the_way_that_their_owner_allows() {
    let acme = MockAcme::start();
    let instance = builder(&acme)
        .with("source.acme.fields.company.owner", "acme")
        .with("source.acme.fields.title.owner", "us")
        .start()
        .await;
    acme.send_webhooks(&instance);
    until_running(&instance).await;
    let ada = json!({ "firstName": "Ada", "company": "ours", "title": "ours" });
    write(&instance, "ada", &ada).await;
    let made = until("Acme has it", async || acme.contact("ada")).await;
    assert_eq!(
        (&made.fields["acme_company"], &made.fields["acme_title"]),
        (&json!(null), &json!("ours"))
    );
    acme.put("ada", json!({ "acme_company": "theirs", "acme_title": "theirs" }));
    let taken = |contact: &Value| contact["company"] == "theirs" && contact["title"] == "ours";
    instance.until_contact("ada", |answer| taken(&answer.json())).await;
    write(&instance, "ada", &json!({ "phone": "1" })).await;
    let is_ours = |contact: &Contact| contact.fields["acme_title"] == "ours";
    until("Acme has our title again", async || acme.contact("ada").filter(is_ours)).await;
    until_alike(&acme, &instance).await;
}

#[tokio::test]
async fn a_clock_of_acme_that_is_wrong_loses_no_change_of_ours() {
    for offset_ms in [-120_000, 120_000] {
        let (acme, instance) = pair().await;
        acme.set_faults(json!({ "clockOffsetMs": offset_ms }));
        write(&instance, "ada", &json!({ "firstName": "Ada", "phone": "1" })).await;
        until("Acme has it", async || acme.contact("ada")).await;
        until_alike(&acme, &instance).await;
        // Its echo may still be on its way, and is dated later than a change without a condition.
        let etag = instance.client().get("/api/contacts/ada").await.expect(200);
        let client = instance.client().with("if-match", etag.header("etag"));
        client.patch("/api/contacts/ada", &json!({ "phone": "2" })).await.expect(200);
        let has_phone = |contact: &Contact| contact.fields["acme_phone"] == "2";
        until("Acme has that too", async || acme.contact("ada").filter(has_phone)).await;
        until_alike(&acme, &instance).await;
        acme.put("ada", json!({ "acme_title": "Countess" }));
        acme.until_told().await;
        if offset_ms > 0 {
            let is_countess = |contact: &Value| contact["title"] == "Countess";
            instance.until_contact("ada", |answer| is_countess(&answer.json())).await;
        }
        // A change that is dated before the contact was made here is none: the follower or this says so.
        let mended = instance.client().post("/api/acme/reconcile", &json!({ "apply": true })).await;
        let drift = mended.expect(200).json()["drift"].as_array().unwrap().len();
        assert!(drift <= usize::from(offset_ms < 0), "{offset_ms}: {drift}");
        until_alike(&acme, &instance).await;
        assert_eq!(ours(&instance).await["ada"]["phone"], "2");
        assert_eq!(acme.stats().counts.writes_without_change, 0);
    }
}

#[tokio::test]
async fn a_clock_of_acme_that_is_far_ahead_parks_no_change_of_ours() {
    let (acme, instance) = pair().await;
    acme.set_faults(json!({ "clockOffsetMs": 3_600_000 }));
    write(&instance, "ada", &json!({ "firstName": "Ada", "phone": "1" })).await;
    until("Acme has it", async || acme.contact("ada")).await;
    // What is newer there can't be taken.
    acme.put("ada", json!({ "acme_title": "Countess" }));
    write(&instance, "ada", &json!({ "phone": "2" })).await;
    let has_phone = |contact: &Contact| contact.fields["acme_phone"] == "2";
    until("Acme has that too", async || acme.contact("ada").filter(has_phone)).await;
}

/// Acme answers nothing while these changes are made.
async fn while_acme_is_away(acme: &MockAcme, changes: impl AsyncFnOnce()) {
    acme.set_faults(json!({ "failRate": 1 }));
    changes().await;
    acme.set_faults(json!({}));
}

#[tokio::test]
async fn the_echo_of_one_change_does_not_undo_the_next() {
    let (acme, instance) = pair().await;
    write(&instance, "ada", &json!({ "phone": "0" })).await;
    until_alike(&acme, &instance).await;
    while_acme_is_away(&acme, async || {
        write(&instance, "ada", &json!({ "phone": "1" })).await;
        write(&instance, "ada", &json!({ "phone": "2" })).await;
    })
    .await;
    until_alike(&acme, &instance).await;
    let ada = instance.client().get("/api/contacts/ada").await.expect(200).json();
    assert_eq!((&ada["phone"], &ada["version"]), (&json!("2"), &json!(3)));
    assert_eq!(acme.stats().counts.writes, 2);
}

#[tokio::test]
async fn what_was_said_before_an_erase_goes_nowhere_after_it() {
    let (acme, instance) = pair().await;
    let client = instance.client();
    write(&instance, "ada", &json!({ "phone": "0" })).await;
    until_alike(&acme, &instance).await;
    while_acme_is_away(&acme, async || {
        write(&instance, "ada", &json!({ "phone": "secret" })).await;
        client.delete("/api/contacts/ada?erase=true").await.expect(204);
        let anew = json!({ "id": "ada", "title": "new" });
        client.post("/api/contacts", &anew).await.expect(201);
    })
    .await;
    until_alike(&acme, &instance).await;
    assert_eq!(json!(theirs(&acme)["ada"]), json!({ "title": "new" }));
    assert_eq!(acme.stats().counts.writes, 2, "made, and made what it is now");
}

//! An instance that keeps its contacts alike with a mock's.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::acme::{API_KEY, MockAcme, WEBHOOK_SECRET};
use crate::support::instance::{Builder, Instance, until};

/// Our names and Acme's.
const NAMES: [(&str, &str); 6] = [
    ("firstName", "acme_first_name"),
    ("lastName", "acme_last_name"),
    ("email", "acme_email"),
    ("phone", "acme_phone"),
    ("company", "acme_company"),
    ("title", "acme_title"),
];

/// An instance of this Acme, to be started.
pub fn builder(acme: &MockAcme) -> Builder {
    Instance::builder()
        .with("acme.url", acme.url())
        .with("acme.api_key", API_KEY)
        .with("acme.webhook_secret", WEBHOOK_SECRET)
        .with("acme.rate", "off")
        .with("limits.write", "off")
        .with("limits.read", "off")
        .with("limits.webhook", "off")
}

/// Each tells the other of its changes from now on.
pub async fn pair() -> (MockAcme, Instance) {
    let acme = MockAcme::start();
    let instance = builder(&acme).start().await;
    acme.send_webhooks(&instance);
    until_running(&instance).await;
    (acme, instance)
}

pub async fn follower(instance: &Instance) -> Value {
    instance.client().get("/api/followers/acme").await.expect(200).json()
}

pub async fn until_running(instance: &Instance) {
    until("the follower runs", async || {
        (follower(instance).await["state"] == "running").then_some(())
    })
    .await;
}

/// Fields that have a value, by contact, as Acme has them.
pub fn theirs(acme: &MockAcme) -> BTreeMap<String, BTreeMap<String, Value>> {
    let fields = |contact: contactd::acme::Contact| {
        let named = NAMES.iter().filter_map(|(ours, theirs)| {
            let value = contact.fields.get(*theirs).filter(|value| !value.is_null())?;
            Some(((*ours).to_owned(), value.clone()))
        });
        (contact.id.clone(), named.collect())
    };
    acme.contacts().into_iter().map(fields).collect()
}

/// The same of ours.
pub async fn ours(instance: &Instance) -> BTreeMap<String, BTreeMap<String, Value>> {
    let mut found = BTreeMap::new();
    let mut path = "/api/contacts?limit=200".to_owned();
    loop {
        let page = instance.client().get(&path).await.expect(200).json();
        for contact in page["data"].as_array().unwrap() {
            let named = NAMES.iter().filter_map(|(name, _)| {
                let value = contact.get(*name).filter(|value| !value.is_null())?;
                Some(((*name).to_owned(), value.clone()))
            });
            found.insert(contact["id"].as_str().unwrap().to_owned(), named.collect());
        }
        let Some(cursor) = page["meta"]["nextCursor"].as_str() else {
            return found;
        };
        path = format!("/api/contacts?limit=200&cursor={cursor}");
    }
}

/// Until nothing is owed to either side, and both have the same.
pub async fn until_alike(acme: &MockAcme, instance: &Instance) {
    let mut last = json!(null);
    let alike = until("both sides are alike", async || {
        let shown = follower(instance).await;
        let is_quiet = shown["waiting"] == 0 && shown["lagRecords"] == 0;
        let is_told = acme.stats().webhooks_waiting == 0;
        last = shown;
        (is_quiet && is_told && theirs(acme) == ours(instance).await).then_some(())
    });
    alike.await;
    assert_eq!(last["parked"], 0, "{last}");
}

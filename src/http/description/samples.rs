//! What stands for the collection's variables where an example is shown.

use serde_json::Value;

/// Variables, each with a value for readers. Those without a `$` are kept by the collection.
pub(crate) const SAMPLES: &[(&str, &str)] = &[
    ("baseUrl", "http://127.0.0.1:3000"),
    ("username", "admin"),
    ("password", "the password that was set"),
    ("token", "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"),
    ("refreshToken", "rt1.YWRtaW4.0a1b2c3d4e5f60718293a4b5c6d7e8f9.1.c2VjcmV0.cHJvb2Y"),
    ("sessionId", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
    ("contactId", "b29ed950-786f-4ae3-b692-6feea3f9467e"),
    ("eventId", "evt_f63e0a725bfd333f"),
    ("etag", "\"3-9f86d081884c7d65\""),
    ("webhookSecret", "a-secret-that-Acme-and-contactd-share"),
    ("webhookSignature", "97f99362dc39e6f50958807ed57f3d16a496361e63a6f8ca6cb97696a11be7cd"),
    ("webhookTimestamp", "1792230000"),
    ("otherId", "57e1faba-6510-4204-9f5c-d89530def433"),
    ("simulatedId", "sim_019aa5c20e2e7b13a4c5d6e7f8091a2b"),
    ("deadLetterId", "contacts:1:16"),
    ("redriveId", "019aa5e0-7a55-7c3e-9d51-6a1d3a0b4f10"),
    ("followerName", "rehoming"),
    ("parkedId", "1:16"),
    ("subscriptionId", "sub_019aa5e07a557c3e9d516a1d3a0b4f10"),
    ("deliveryId", "msg_22d1ef5228eb9c01_1_16"),
    ("importId", "9d1c0f4f6b1a4d0f8e6a2b7c5d3e1f00"),
    ("paymentId", "pay_5d3f1e0c9b8a79685746352413021f0e"),
    ("mergeId", "cmd_01971e5c7a557c3e9d516a1d3a0b4f10"),
    ("position", "p1-22d1ef5228eb9c01-0.8-1.11"),
];

/// Variables whose values are right in a fresh `dev`: the demo's first events are about them, or it runs
/// such a follower.
const OF_DEMO: [&str; 4] = ["contactId", "otherId", "eventId", "followerName"];

/// Whether what an example shows can be sent as it is to a fresh `dev`.
pub(crate) fn is_known(example: &Value) -> bool {
    let text = example.to_string();
    let mut names = text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
    names.all(|name| OF_DEMO.contains(&name))
}

/// The value of a variable.
pub(crate) fn sample(name: &str) -> &'static str {
    SAMPLES.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
}

/// The example without variables.
pub(crate) fn shown(example: &Value) -> Value {
    match example {
        Value::String(text) => Value::String(shown_text(text)),
        Value::Array(items) => items.iter().map(shown).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), shown(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => example.clone(),
    }
}

fn shown_text(text: &str) -> String {
    SAMPLES.iter().fold(text.to_owned(), |text, (name, value)| {
        if text.contains("{{") { text.replace(&format!("{{{{{name}}}}}"), value) } else { text }
    })
}

//! From operations to a Postman collection (v2.1): a folder an area, each request with the example,
//! its expected status, and the variables that its answer sets.

use serde_json::{Value, json};

use super::Row;
use super::operation::{Kept, Operation, Param, Place, Tag, Turn};
use super::samples::SAMPLES;
use crate::http::exchange::endpoint::Access;

const SCHEMA: &str = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json";

pub(crate) fn collection(operations: &[Row]) -> Value {
    let mut folders: Vec<Value> = Tag::ALL
        .iter()
        .map(|tag| {
            let own = operations
                .iter()
                .filter(|(_, operation)| operation.tag == *tag && operation.turn == Turn::InOrder);
            json!({
                "name": tag.name(), "description": tag.about(),
                "item": own.map(item).collect::<Vec<_>>(),
            })
        })
        .collect();
    let last = operations.iter().filter(|(_, operation)| operation.turn == Turn::Last);
    let last: Vec<Value> = last.map(item).collect();
    if !last.is_empty() {
        folders.push(json!({ "name": "At the end", "item": last }));
    }
    let variables: Vec<Value> = SAMPLES
        .iter()
        .filter(|(name, _)| !name.starts_with('$'))
        .map(|(name, value)| json!({ "key": name, "value": value }))
        .collect();
    json!({
        "info": {
            "name": "contactd", "version": env!("CARGO_PKG_VERSION"), "schema": SCHEMA,
            "description": "Every operation with its example, in an order that runs green. Set \
                            baseUrl and the credentials.",
        },
        "auth": { "type": "bearer", "bearer": [{ "key": "token", "value": "{{token}}" }] },
        "variable": variables,
        "item": folders,
    })
}

fn item((endpoint, operation): &Row) -> Value {
    let mut request = json!({
        "method": endpoint.method.as_str(),
        "description": operation.about,
        "url": url(endpoint.path, operation),
        "header": headers(operation),
    });
    if let Value::Object(request) = &mut request {
        if endpoint.access == Access::Public {
            request.insert("auth".to_owned(), json!({ "type": "noauth" }));
        }
        if let Some(example) = operation.body.as_ref().and_then(|body| body.example.as_ref()) {
            let raw = match example {
                Value::String(text) => text.clone(),
                json => serde_json::to_string_pretty(json).unwrap_or_default(),
            };
            let language = if example.is_string() { "text" } else { "json" };
            let options = json!({ "raw": { "language": language } });
            let body = json!({ "mode": "raw", "raw": raw, "options": options });
            request.insert("body".to_owned(), body);
        }
    }
    let mut events = vec![event("test", script(operation))];
    if operation.tag == Tag::Webhooks && operation.body.is_some() {
        events.push(event("prerequest", SIGN.iter().map(|line| (*line).to_owned()).collect()));
    }
    if operation.id == "endSession" {
        let lines = SIGN_IN_AGAIN.iter().map(|line| (*line).to_owned());
        events.push(event("prerequest", lines.collect()));
    }
    json!({ "name": operation.summary, "request": request, "event": events })
}

fn event(listen: &str, lines: Vec<String>) -> Value {
    json!({ "listen": listen, "script": { "type": "text/javascript", "exec": lines } })
}

/// A second sign-in, to be ended in place of the one that the requests after it need.
const SIGN_IN_AGAIN: [&str; 13] = [
    "const base = pm.variables.get(\"baseUrl\") + \"/api/auth/\";",
    "const who = {username: pm.variables.get(\"username\"), password: pm.variables.get(\"password\")};",
    "const login = {",
    "  url: base + \"login\", method: \"POST\", header: {\"Content-Type\": \"application/json\"},",
    "  body: {mode: \"raw\", raw: JSON.stringify(who)},",
    "};",
    "const bearer = {Authorization: \"Bearer \" + pm.variables.get(\"token\")};",
    "pm.sendRequest(login, () => {",
    "  pm.sendRequest({url: base + \"tokens\", method: \"GET\", header: bearer}, (error, answer) => {",
    "    const other = answer.json().data.find((session) => !session.current);",
    "    pm.collectionVariables.set(\"sessionId\", other.id);",
    "  });",
    "});",
];

/// Signs a webhook as Acme does.
const SIGN: [&str; 5] = [
    "const time = Math.floor(Date.now() / 1000).toString();",
    "const signed = time + \".\" + pm.variables.replaceIn(pm.request.body.raw);",
    "const secret = pm.variables.get(\"webhookSecret\");",
    "pm.collectionVariables.set(\"webhookTimestamp\", time);",
    "pm.collectionVariables.set(\"webhookSignature\", CryptoJS.HmacSHA256(signed, secret).toString());",
];

fn url(path: &str, operation: &Operation) -> Value {
    let in_path = |name: &str| {
        let named = |param: &&Param| param.place == Place::Path && param.name == name;
        operation.params.iter().find(named).map(|param| as_text(&param.example))
    };
    let path: Vec<String> = path
        .trim_start_matches('/')
        .split('/')
        .map(|segment| {
            let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            name.and_then(in_path).unwrap_or_else(|| segment.to_owned())
        })
        .collect();
    let query: Vec<&Param> =
        operation.params.iter().filter(|param| param.place == Place::Query).collect();
    let sent: Vec<String> = query
        .iter()
        .filter(|param| param.is_sent)
        .flat_map(|param| texts(&param.example).map(|text| format!("{}={text}", param.name)))
        .collect();
    let mut raw = format!("{{{{baseUrl}}}}/{}", path.join("/"));
    if !sent.is_empty() {
        raw = format!("{raw}?{}", sent.join("&"));
    }
    json!({
        "raw": raw, "host": ["{{baseUrl}}"], "path": path,
        "query": query.into_iter().flat_map(pairs).collect::<Vec<_>>(),
    })
}

fn headers(operation: &Operation) -> Vec<Value> {
    let named =
        operation.params.iter().filter(|param| param.place == Place::Header).flat_map(pairs);
    let media =
        operation.body.iter().map(|body| json!({ "key": "Content-Type", "value": body.media }));
    media.chain(named).collect()
}

fn pairs(param: &Param) -> impl Iterator<Item = Value> {
    texts(&param.example).map(|text| {
        json!({
            "key": param.name, "value": text, "description": param.about,
            "disabled": !param.is_sent,
        })
    })
}

/// A parameter of several comes once for each.
fn texts(example: &Value) -> impl Iterator<Item = String> {
    let several = match example {
        Value::Array(several) => several.as_slice(),
        one => std::slice::from_ref(one),
    };
    several.iter().map(as_text)
}

fn as_text(example: &Value) -> String {
    example.as_str().map_or_else(|| example.to_string(), str::to_owned)
}

/// Lines of JavaScript that Postman and newman run on the answer.
fn script(operation: &Operation) -> Vec<String> {
    let status = operation.answers.first().map_or(200, |answer| answer.status);
    let mut lines =
        vec![format!("pm.test(\"answers {status}\", () => pm.response.to.have.status({status}));")];
    for (variable, kept) in &operation.keeps {
        let value = match kept {
            Kept::Body(path) => {
                let members: String = path
                    .split('.')
                    .map(|name| match name.parse::<usize>() {
                        Ok(place) => format!("[{place}]"),
                        Err(_) => format!(".{name}"),
                    })
                    .collect();
                format!("pm.response.json(){members}")
            }
            Kept::Header(name) => format!("pm.response.headers.get(\"{name}\")"),
        };
        lines.push(format!("pm.collectionVariables.set(\"{variable}\", {value});"));
    }
    lines
}

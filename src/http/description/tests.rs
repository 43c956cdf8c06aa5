//! That the description lists every endpoint, and that examples fit their schemas.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::operation::Place;
use super::operations;
use super::samples::shown;
use crate::http::router::endpoints;
use crate::http::services::Optional;

fn document() -> Value {
    serde_json::from_str(&super::openapi_json(Optional::ALL)).unwrap()
}

#[test]
fn every_endpoint_is_described_once() {
    let rows: Vec<String> = endpoints(Optional::ALL)
        .map(|endpoint| format!("{} {}", endpoint.method, endpoint.path))
        .collect();
    let once: BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(once.len(), rows.len(), "an endpoint has two rows");
    let document = document();
    let mut listed = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            listed.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    assert_eq!(listed, once);
}

#[test]
fn names_are_unique_and_parameters_are_those_of_the_path() {
    let mut ids = BTreeSet::new();
    for (endpoint, operation) in operations(Optional::ALL) {
        assert!(ids.insert(operation.id), "{} twice", operation.id);
        assert!(!operation.answers.is_empty(), "{} answers nothing", operation.id);
        let in_path: BTreeSet<&str> =
            endpoint.path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        let described: BTreeSet<&str> = operation
            .params
            .iter()
            .filter(|param| matches!(param.place, Place::Path))
            .map(|param| param.name)
            .collect();
        assert_eq!(in_path, described, "{}", operation.id);
    }
}

#[test]
fn operations_whose_path_may_be_anothers_tell_of_405() {
    let document = document();
    let has_405 = |path: &str, method: &str| {
        document["paths"][path][method]["responses"].as_object().unwrap().contains_key("405")
    };
    for (path, method, expected) in [
        ("/api/contacts/{id}", "get", true),
        ("/api/contacts/{id}", "delete", true),
        ("/api/contacts/{id}/history", "get", false),
        ("/api/contacts/batch", "post", false),
        ("/api/dead-letters/{id}", "delete", true),
        ("/api/contacts", "get", false),
    ] {
        assert_eq!(has_405(path, method), expected, "{method} {path}");
    }
}

/// Fails unless the value fits a schema of the document.
#[track_caller]
fn assert_fits(document: &Value, schema: &Value, value: &Value, what: &str) {
    let mut schema = schema.clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let problems: Vec<String> =
        validator.iter_errors(value).map(|problem| problem.to_string()).collect();
    assert!(problems.is_empty(), "{what}: {}\n{value}", problems.join("; "));
}

/// How many examples a body has; each must fit.
fn assert_examples_fit(document: &Value, body: &Value, what: &str) -> usize {
    let mut seen = 0;
    for content in body["content"].as_object().into_iter().flat_map(|all| all.values()) {
        let one = content.get("example").into_iter();
        let many = content["examples"].as_object().into_iter();
        let many = many.flat_map(|many| many.values().map(|example| &example["value"]));
        for example in one.chain(many) {
            seen += 1;
            assert_fits(document, &content["schema"], example, what);
        }
    }
    seen
}

#[test]
fn every_example_fits_its_schema() {
    let document = document();
    let mut seen = 0;
    for (name, shared) in document["components"]["responses"].as_object().unwrap() {
        seen += assert_examples_fit(&document, shared, name);
    }
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let what = format!("{method} {path}");
            for param in operation["parameters"].as_array().into_iter().flatten() {
                let example = param.get("example").unwrap_or(&param["schema"]["examples"][0]);
                assert_fits(&document, &param["schema"], example, &what);
            }
            let bodies = operation["responses"].as_object().unwrap().values();
            for body in bodies.chain([&operation["requestBody"]]) {
                seen += assert_examples_fit(&document, body, &what);
            }
        }
    }
    assert!(seen > 100, "only {seen} examples found: the search is broken");
}

#[test]
fn variables_are_shown_as_what_they_stand_for() {
    let example = json!({ "ids": ["{{contactId}}"], "about": "{{etag}} of {{contactId}}" });
    let shown = shown(&example).to_string();
    assert!(!shown.contains("{{"), "{shown}");
    let document = super::openapi_json(Optional::ALL);
    assert!(!document.contains("{{"), "a variable has no sample");
}

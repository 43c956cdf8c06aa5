//! Contacts: one, pages, history, and waiting for a position.

use std::collections::BTreeSet;

use axum::http::Method;
use contactd::domain::position::Position;
use contactd::http::Api;
use serde_json::{Value, json};

use super::client::{Answer, ask, get, get_with};
use super::fixture::Fixture;

#[tokio::test]
async fn a_contact_comes_with_its_tag_and_position() {
    let fixture = Fixture::with_contacts(3);
    let router = fixture.router();
    let answer = get(&router, "/api/contacts/c000001").await.expect(200);
    let contact = answer.json();
    assert_eq!(contact["id"], "c000001");
    assert_eq!(contact["firstName"], "Ada 1");
    assert_eq!(contact["status"], "ACTIVE");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let version = contact["version"].as_u64().unwrap();
    let tag = answer.header("etag");
    assert!(tag.starts_with(&format!("\"{version}-")) && tag.len() == 20, "{tag}");
    assert_eq!(Position::decode(answer.header("position")).unwrap(), fixture.position());
}

#[tokio::test]
async fn an_unchanged_contact_is_not_sent_again() {
    let fixture = Fixture::with_contacts(2);
    let router = fixture.router();
    let path = "/api/contacts/c000000";
    let tag = get(&router, path).await.header("etag").to_owned();
    for fits in [tag.clone(), format!("W/{tag}"), format!("\"x\" , {tag}"), "*".to_owned()] {
        let answer = get_with(&router, path, &[("if-none-match", &fits)]).await.expect(304);
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("etag"), tag);
        assert!(answer.headers.contains_key("position"));
    }
    get_with(&router, path, &[("if-none-match", "\"1-0\"")]).await.expect(200);
    fixture.rename("c000000", "Grace");
    let answer = get_with(&router, path, &[("if-none-match", &tag)]).await.expect(200);
    assert_ne!(answer.header("etag"), tag);
    assert_eq!(answer.json()["firstName"], "Grace");
}

#[tokio::test]
async fn head_says_what_get_would_and_sends_nothing() {
    let fixture = Fixture::with_contacts(1);
    let router = fixture.router();
    let whole = get(&router, "/api/contacts/c000000").await.expect(200);
    let head = ask(&router, Method::HEAD, "/api/contacts/c000000", &[]).await.expect(200);
    assert!(head.body.is_empty());
    assert_eq!(head.header("etag"), whole.header("etag"));
    assert_eq!(head.header("content-length"), whole.body.len().to_string());
    ask(&router, Method::HEAD, "/api/contacts/none", &[]).await.expect(404);
}

#[tokio::test]
async fn a_deleted_contact_is_shown_only_to_who_asks_for_it() {
    let fixture = Fixture::with_contacts(10);
    let router = fixture.router();
    let answer = get(&router, "/api/contacts/c000009").await.expect(404);
    assert_eq!(answer.code(), "CONTACT_NOT_FOUND");
    let answer = get(&router, "/api/contacts/c000009?includeDeleted=true").await.expect(200);
    assert_eq!(answer.json()["status"], "DELETED");
    get(&router, "/api/contacts/c000009?includeDeleted=false").await.expect(404);
    for value in ["=yes", "=", ""] {
        let path = format!("/api/contacts/c000009?includeDeleted{value}");
        assert_eq!(get(&router, &path).await.expect(400).code(), "INVALID_PARAMETER");
    }
}

/// An id that is written plainly goes past the router.
#[tokio::test]
async fn an_id_is_answered_alike_however_it_is_written() {
    let fixture = Fixture::with_contacts(10);
    let router = fixture.router();
    let tag = get(&router, "/api/contacts/c000001").await.header("etag").to_owned();
    let nowhere = "p1-0-0.ff";
    for (id, query, header, status) in [
        ("000001", "", ("accept", "*/*"), 200),
        ("000001", "?includeDeleted=true", ("accept", "application/json"), 200),
        ("000001", "", ("if-none-match", tag.as_str()), 304),
        ("000001", "?page=1", ("accept", "*/*"), 400),
        ("000001", "", ("position", nowhere), 400),
        ("000001", "", ("authorization", "Bearer x"), 401),
        ("000009", "", ("accept", "*/*"), 404),
        ("none", "", ("accept", "application/problem+json, application/json"), 404),
        ("000001", "", ("accept", "text/html"), 406),
    ] {
        let headers = [header, ("x-request-id", "same")];
        let plain = get_with(&router, &format!("/api/contacts/c{id}{query}"), &headers).await;
        let encoded = get_with(&router, &format!("/api/contacts/%63{id}{query}"), &headers).await;
        let (plain, encoded) = (plain.expect(status), encoded.expect(status));
        assert_eq!(shown(&plain), shown(&encoded), "{id}{query} {header:?}");
        assert_eq!(body_text(&plain), body_text(&encoded), "{id}{query} {header:?}");
    }
    // Nor is it taken for an id what is a path of its own.
    get(&router, "/api/contacts/batch").await.expect(405);
}

/// Headers but the length, which is written with the answer, and what is left of the limit.
fn shown(answer: &Answer) -> BTreeSet<(String, String)> {
    let other = ["content-length", "ratelimit"];
    let headers = answer.headers.iter().filter(|(name, _)| !other.contains(&name.as_str()));
    let shown = headers.map(|(name, value)| (name.to_string(), format!("{value:?}")));
    shown.collect()
}

/// The body but the time of an error.
fn body_text(answer: &Answer) -> String {
    let text = String::from_utf8(answer.body.clone()).unwrap();
    match text.split_once("\"timestamp\":\"") {
        None => text,
        Some((before, after)) => format!("{before}{}", after.split_once('"').unwrap().1),
    }
}

#[tokio::test]
async fn ids_in_paths_are_decoded() {
    let fixture = Fixture::with_contacts(0);
    fixture.create("a/ä b", "Ångström");
    let router = fixture.router();
    let answer = get(&router, "/api/contacts/a%2F%C3%A4%20b").await.expect(200);
    assert_eq!(answer.json()["id"], "a/ä b");
    let answer = get(&router, "/api/contacts/%ff").await.expect(400);
    assert_eq!(answer.code(), "INVALID_PATH");
}

/// Follows a cursor of `meta` until there is none; every page's ids in order.
async fn walk(router: &Api, path: &str, first: &Answer, which: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut next = first.json()["meta"][which].as_str().map(str::to_owned);
    while let Some(cursor) = next {
        assert!(pages.len() < 100, "the pages do not end");
        let answer = get(router, &format!("{path}&cursor={cursor}")).await.expect(200);
        pages.push(ids(&answer.json()));
        next = answer.json()["meta"][which].as_str().map(str::to_owned);
        if next.is_none() && which == "nextCursor" {
            // Back again, from the last page to the first.
            let mut back = Box::pin(walk(router, path, &answer, "prevCursor")).await;
            back.reverse();
            let mut forth = vec![ids(&first.json())];
            forth.extend(pages.iter().take(pages.len() - 1).cloned());
            assert_eq!(back, forth);
        }
    }
    pages
}

fn ids(page: &Value) -> Vec<String> {
    let contacts = page["data"].as_array().unwrap();
    contacts.iter().map(|contact| contact["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_show_every_contact_once_forth_and_back() {
    let fixture = Fixture::with_contacts(40);
    let router = fixture.router();
    for (query, total) in [
        ("sort=id", 36),
        ("sort=id&order=desc", 36),
        ("sort=updatedAt", 36),
        ("sort=createdAt&order=asc", 36),
        ("sort=name", 36),
        ("sort=company&order=desc", 36),
        ("status=DELETED", 4),
        ("status=active", 36),
        ("includeDeleted=true&sort=name&order=desc", 40),
    ] {
        let path = format!("/api/contacts?limit=7&{query}");
        let first = get(&router, &path).await.expect(200);
        assert_eq!(first.json()["meta"]["limit"], 7);
        assert_eq!(first.json()["meta"]["total"], total, "{query}");
        assert_eq!(first.json()["meta"]["prevCursor"], Value::Null);
        let mut seen = ids(&first.json());
        seen.extend(walk(&router, &path, &first, "nextCursor").await.into_iter().flatten());
        assert_eq!(seen.len(), total, "{query}");
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), total, "{query}");
    }
}

#[tokio::test]
async fn links_lead_to_the_next_page_with_the_same_question() {
    let fixture = Fixture::with_contacts(10);
    let router = fixture.router();
    let first = get(&router, "/api/contacts?sort=id&limit=4").await.expect(200);
    let link = first.header("link").to_owned();
    let (target, relation) = link.split_once(">; ").unwrap();
    assert_eq!(relation, "rel=\"next\"");
    let second = get(&router, target.strip_prefix('<').unwrap()).await.expect(200);
    assert_eq!(ids(&second.json()), ["c000004", "c000005", "c000006", "c000007"]);
    assert!(second.header("link").contains("limit=4&cursor="));
    assert!(second.header("link").contains("rel=\"prev\""));
}

#[tokio::test]
async fn a_page_holds_50_unless_asked_and_200_at_most() {
    let fixture = Fixture::with_contacts(60);
    let router = fixture.router();
    assert_eq!(ids(&get(&router, "/api/contacts").await.expect(200).json()).len(), 50);
    get(&router, "/api/contacts?limit=200").await.expect(200);
    for limit in ["0", "201", "-1", "+5", "5.0", "ten", ""] {
        let answer = get(&router, &format!("/api/contacts?limit={limit}")).await.expect(400);
        assert_eq!(answer.code(), "INVALID_PARAMETER", "{limit}");
    }
}

#[tokio::test]
async fn a_cursor_serves_only_the_question_it_was_made_for() {
    let fixture = Fixture::with_contacts(10);
    let router = fixture.router();
    let first = get(&router, "/api/contacts?sort=id&limit=4").await.expect(200);
    let cursor = first.json()["meta"]["nextCursor"].as_str().unwrap().to_owned();
    get(&router, &format!("/api/contacts?sort=id&limit=9&cursor={cursor}")).await.expect(200);
    let cut = cursor.get(1..).unwrap();
    for path in [
        format!("/api/contacts?sort=name&cursor={cursor}"),
        format!("/api/contacts?sort=id&order=desc&cursor={cursor}"),
        format!("/api/contacts?sort=id&status=DELETED&cursor={cursor}"),
        format!("/api/contacts/c000001/history?cursor={cursor}"),
        format!("/api/contacts?sort=id&cursor={cut}"),
        "/api/contacts?cursor=".to_owned(),
        "/api/contacts?cursor=%00".to_owned(),
    ] {
        let answer = get(&router, &path).await.expect(400);
        assert_eq!(answer.code(), "INVALID_CURSOR", "{path}");
    }
}

#[tokio::test]
async fn history_goes_back_to_the_first_change() {
    let fixture = Fixture::with_contacts(1);
    for name in ["Bea", "Cid", "Dot", "Eve"] {
        fixture.rename("c000000", name);
    }
    let router = fixture.router();
    let path = "/api/contacts/c000000/history?limit=2";
    let first = get(&router, path).await.expect(200);
    let contact = get(&router, "/api/contacts/c000000").await.json();
    assert_eq!(first.json()["data"][0]["version"], contact["version"]);
    assert_eq!(first.json()["data"][0]["contact"], contact);
    let mut versions = Vec::new();
    let mut page = first;
    loop {
        let json = page.json();
        for change in json["data"].as_array().unwrap() {
            versions.push(change["version"].as_u64().unwrap());
        }
        let Some(cursor) = json["meta"]["nextCursor"].as_str() else {
            break;
        };
        assert!(page.header("link").contains(cursor));
        page = get(&router, &format!("{path}&cursor={cursor}")).await.expect(200);
    }
    let newest = contact["version"].as_u64().unwrap();
    assert_eq!(versions, (1..=newest).rev().collect::<Vec<_>>());
    let answer = get(&router, "/api/contacts/none/history").await.expect(404);
    assert_eq!(answer.code(), "CONTACT_NOT_FOUND");
}

#[tokio::test]
async fn a_read_waits_until_its_position_is_applied() {
    let fixture = Fixture::with_contacts(1);
    let router = fixture.router();
    let ahead = fixture.position_ahead();
    let text = ahead.encode();
    let headers = [("position", text.as_str())];
    let waiting = get_with(&router, "/api/contacts/c000000", &headers);
    let (answer, ()) = tokio::join!(waiting, async {
        // The read is under way when this runs: join polls in order.
        fixture.rename("c000000", "Later");
    });
    assert_eq!(answer.expect(200).json()["firstName"], "Later");
}

#[tokio::test]
async fn a_position_that_is_not_reached_is_503_and_a_foreign_one_410() {
    let fixture = Fixture::with_contacts(1);
    let router = fixture.router();
    let ahead = fixture.position_ahead().encode();
    let path = "/api/contacts?limit=1";
    let answer = get_with(&router, path, &[("position", &ahead)]).await.expect(503);
    assert_eq!(answer.code(), "POSITION_NOT_REACHED");
    assert_eq!(answer.header("retry-after"), "1");
    let mut foreign = fixture.position();
    foreign.log ^= 1;
    let answer = get_with(&router, path, &[("position", &foreign.encode())]).await.expect(410);
    assert_eq!(answer.code(), "POSITION_GONE");
    let answer = get_with(&router, path, &[("position", "what?")]).await.expect(400);
    assert_eq!(answer.code(), "INVALID_HEADER");
}

#[tokio::test]
async fn an_event_that_the_log_did_not_take_is_said_to_be_refused() {
    let fixture = Fixture::with_contacts(1);
    let why = "a record of 2097152 bytes is larger than the log takes";
    fixture.refuse("evt-large", why);
    let event = get(&fixture.router(), "/api/events/evt-large").await.expect(200).json();
    assert_eq!((&event["status"], &event["detail"]), (&json!("refused"), &json!(why)));
}

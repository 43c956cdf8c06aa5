//! Contacts out as files, and how contacts are spread.

use std::io::Read as _;
use std::net::Ipv4Addr;

use axum::body::Body;
use axum::http::{Method, Request};
use contactd::auth::Role;
use contactd::http::Api;
use flate2::read::GzDecoder;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::client::{Answer, ask, get, get_with};
use super::fixture::Fixture;
use crate::support::access;

fn people() -> Fixture {
    let fixture = Fixture::with_contacts(0);
    for (id, data) in [
        (
            "1",
            json!({ "firstName": "Ada", "phone": "+44 20", "company": "Engines, Ltd", "tier": 3 }),
        ),
        ("2", json!({ "firstName": "Grace", "company": "Navy", "note": "a \"b\"\nc" })),
        ("3", json!({ "firstName": "=1+1", "company": "NAVY", "tier": "3" })),
        ("4", json!({ "firstName": "Cid" })),
    ] {
        let mut data = data;
        data["id"] = id.into();
        fixture.apply("contact.created", data);
    }
    fixture.apply("contact.deleted", json!({ "id": "3" }));
    fixture
}

async fn text(router: &Api, query: &str) -> String {
    let answer = get(router, &format!("/api/export?{query}")).await.expect(200);
    String::from_utf8(answer.body).unwrap()
}

#[tokio::test]
async fn an_export_has_what_the_list_has_at_the_position_that_it_names() {
    let fixture = people();
    let router = fixture.router();
    let answer = get(&router, "/api/export").await.expect(200);
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    assert_eq!(answer.header("position"), fixture.position().encode());
    let lines = String::from_utf8(answer.body).unwrap();
    let exported: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let listed = get(&router, "/api/contacts?sort=id").await.expect(200).json();
    assert_eq!(Value::from(exported), listed["data"]);
    for (query, ids) in [
        ("includeDeleted=true", vec!["1", "2", "3", "4"]),
        ("status=DELETED", vec!["3"]),
        ("company=navy", vec!["2"]),
        ("q=gra", vec!["2"]),
        ("source=nobody", vec![]),
        ("changedSince=2030-01-01T00:00:00Z", vec![]),
        ("externalId=crm:1", vec![]),
    ] {
        let csv = text(&router, &format!("format=csv&columns=id&{query}")).await;
        assert_eq!(csv.lines().skip(1).collect::<Vec<_>>(), ids, "{query}");
    }
}

#[tokio::test]
async fn a_table_has_the_columns_that_were_asked_for_and_no_formula() {
    let router = people().router();
    let columns = "format=csv&includeDeleted=true&columns=id,firstName,phone,tier,note";
    assert_eq!(
        text(&router, columns).await,
        "id,firstName,phone,tier,note\r\n1,Ada,'+44 20,3,\r\n2,Grace,,,\"a \"\"b\"\"\nc\"\r\n\
         3,'=1+1,,\"\"\"3\"\"\",\r\n4,Cid,,,\r\n"
    );
    let kept = text(&router, &format!("{columns}&formulas=keep")).await;
    assert!(kept.contains("1,Ada,+44 20,") && kept.contains("3,=1+1,"), "{kept}");
    let all = text(&router, "format=csv").await;
    assert_eq!(
        all.lines().next(),
        Some(
            "id,firstName,lastName,email,phone,company,title,status,createdAt,updatedAt,version,note,tier"
        )
    );
    let cards = get(&router, "/api/export?format=vcard&q=ada").await.expect(200);
    assert_eq!(cards.header("content-type"), "text/vcard; charset=utf-8");
    assert_eq!(cards.header("content-disposition"), "attachment; filename=\"contacts.vcf\"");
    let cards = String::from_utf8(cards.body).unwrap();
    assert!(
        cards.starts_with("BEGIN:VCARD\r\n") && cards.contains("\r\nORG:Engines\\, Ltd\r\n"),
        "{cards}"
    );
}

#[tokio::test]
async fn what_can_not_be_exported_is_said_before_anything_is() {
    let router = people().router();
    for (query, what) in [
        ("format=xlsx", "format must be one of csv, ndjson, vcard"),
        ("columns=id", "columns goes with format=csv only"),
        ("formulas=keep&format=vcard", "formulas goes with format=csv only"),
        ("format=csv&columns=firstname", "firstName is"),
        ("format=csv&columns=id,id", "names id twice"),
        ("format=csv&columns=", "a column has no name"),
        ("externalId=crm:1&q=a", "externalId can't stand beside q"),
        ("updatedSince=now", "RFC 3339"),
    ] {
        let answer = get(&router, &format!("/api/export?{query}")).await;
        let answer = answer.expect_error(400, "INVALID_PARAMETER");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains(what), "{query}");
    }
    let answer = get(&router, "/api/export?sort=name").await;
    answer.expect_error(400, "UNKNOWN_PARAMETER");
    let json = get_with(&router, "/api/export?format=csv", &[("accept", "application/json")]).await;
    json.expect_error(406, "NOT_ACCEPTABLE");
    let head = ask(&router, Method::HEAD, "/api/export?format=csv", &[]).await.expect(200);
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn an_export_is_smaller_for_who_takes_gzip() {
    let fixture = Fixture::with_contacts(2_000);
    let router = fixture.router();
    let plain = text(&router, "format=csv").await;
    let gzip = get_with(&router, "/api/export?format=csv", &[("accept-encoding", "gzip")]).await;
    assert_eq!(gzip.header("content-encoding"), "gzip");
    let mut unpacked = String::new();
    GzDecoder::new(gzip.body.as_slice()).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
    assert!(gzip.body.len() < plain.len() / 4);
    assert_eq!(plain.lines().count(), 1_801);
    assert_eq!(fixture.metric("contactd_pool_taken{pool=\"requests\"}"), Some(0));
}

/// The answer's head, and its body as it comes.
async fn begin(router: &Api, role: Role) -> axum::response::Response {
    let request = Request::get("/api/export?includeDeleted=true");
    let request = request.header("x-api-key", access::key(role)).body(Body::empty()).unwrap();
    router.answer(Ipv4Addr::UNSPECIFIED.into(), request).await
}

#[tokio::test]
async fn one_client_has_one_export_at_a_time_and_gives_it_back_when_it_goes() {
    let fixture = Fixture::with_contacts(5_000);
    let router = fixture.router();
    let first = begin(&router, Role::Viewer).await;
    assert_eq!(first.status(), 200);
    let refused = begin(&router, Role::Viewer).await;
    assert_eq!(refused.status(), 503);
    let other = begin(&router, Role::Editor).await;
    assert_eq!(other.status(), 200);
    drop(first);
    let started = std::time::Instant::now();
    while begin(&router, Role::Viewer).await.status() != 200 {
        assert!(started.elapsed().as_secs() < 20, "its place was not given back");
        tokio::task::yield_now().await;
    }
    // Nothing of what is written meanwhile is in it.
    fixture.rename("c000001", "Later");
    let body = other.into_body().collect().await.expect("all of it").to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.lines().count() == 5_000 && !text.contains("Later"));
}

async fn stats(router: &Api, query: &str) -> Value {
    get(router, &format!("/api/stats?{query}")).await.expect(200).json()
}

#[tokio::test]
async fn contacts_are_counted_by_source_and_company() {
    let fixture = people();
    let router = fixture.router();
    let found = stats(&router, "by=company,source&top=1").await;
    let navy = json!({ "name": "Engines, Ltd", "active": 1, "deleted": 0 });
    assert_eq!(found["byCompany"]["top"], json!([navy]));
    assert_eq!(found["byCompany"]["other"], json!({ "active": 1, "deleted": 1 }));
    assert_eq!(found["byCompany"]["none"], json!({ "active": 1, "deleted": 0 }));
    let test = json!({ "name": "test", "active": 3, "deleted": 1 });
    assert_eq!(found["bySource"]["top"], json!([test]));
    assert_eq!(found["byHour"], Value::Null);
    fixture.apply("contact.updated", json!({ "id": "4", "company": "navy " }));
    // Whoever names a position is told what holds there.
    let position = fixture.position().encode();
    let answer = get_with(&router, "/api/stats?by=company", &[("position", &position)]).await;
    let top = answer.expect(200).json()["byCompany"]["top"].clone();
    assert_eq!(top[0]["active"], 2);
    assert!(top[0]["name"].as_str().unwrap().eq_ignore_ascii_case("navy"), "{top}");
    get(&router, "/api/stats?by=week").await.expect_error(400, "INVALID_PARAMETER");
    get(&router, "/api/stats?top=0").await.expect_error(400, "INVALID_PARAMETER");
}

#[tokio::test]
async fn events_are_counted_by_source_and_what_became_of_them() {
    let fixture = people();
    fixture.apply("contact.updated", json!({ "id": "4", "firstName": "Cyd" }));
    let events = stats(&fixture.router(), "").await["events"].clone();
    let test = json!({ "name": "test", "received": 6, "verdicts": { "applied": 6 } });
    assert_eq!(events["bySource"]["named"], json!([test]), "{events}");
    let nothing = json!({ "received": 0, "verdicts": {} });
    assert_eq!((&events["bySource"]["other"], &events["bySource"]["none"]), (&nothing, &nothing));
    assert_eq!(events["received"], 6);
}

#[tokio::test]
async fn contacts_are_counted_by_hour_and_day_of_their_events() {
    let fixture = people();
    let now_ms = contactd::ingest::now_ms();
    // Events of the fixture are of 2026-11-21.
    let start_ms = 1_795_255_200_000;
    let found = stats(&fixture.router(), "by=hour,day").await;
    let (hours, days) = (found["byHour"].as_array().unwrap(), found["byDay"].as_array().unwrap());
    assert_eq!((hours.len(), days.len()), (72, 400));
    let sum = |rows: &[Value], what: &str| {
        rows.iter().map(|row| row[what].as_u64().unwrap()).sum::<u64>()
    };
    let is_within = |ms: u64| now_ms > start_ms && now_ms - start_ms < ms;
    let expected = |ms| if is_within(ms) { 4 } else { 0 };
    let day_ms = 24 * 3_600 * 1_000;
    assert_eq!(sum(days, "created"), expected(399 * day_ms));
    assert_eq!(sum(days, "changed"), expected(399 * day_ms));
    if !is_within(4 * day_ms) {
        assert_eq!(sum(hours, "created"), 0);
    }
    let last = days.last().unwrap()["from"].as_str().unwrap();
    assert!(last.ends_with("T00:00:00.000Z"), "{last}");
}

fn version_of(answer: &Answer) -> u64 {
    answer.json()["version"].as_u64().unwrap()
}

#[tokio::test]
async fn a_contact_is_shown_as_it_was() {
    let fixture = people();
    fixture.rename("1", "Augusta");
    let router = fixture.router();
    let now = get(&router, "/api/contacts/1").await.expect(200);
    assert_eq!((version_of(&now), now.json()["firstName"].as_str()), (2, Some("Augusta")));
    let first = get(&router, "/api/contacts/1?asOf=version:1").await.expect(200);
    assert_eq!((version_of(&first), first.json()["firstName"].as_str()), (1, Some("Ada")));
    // The fixture's records are a millisecond apart, from ten o'clock on.
    for (time, version) in [
        ("2026-11-21T10:00:00Z", 1),
        ("2026-11-21T10:00:00.004Z", 1),
        ("2026-11-21T10:00:00.005Z", 2),
        ("2030-01-01T01:00:00%2B01:00", 2),
    ] {
        let found = get(&router, &format!("/api/contacts/1?asOf={time}")).await.expect(200);
        assert_eq!(version_of(&found), version, "{time}");
    }
    let before = get(&router, "/api/contacts/1?asOf=2026-11-21T09:00:00Z").await;
    before.expect_error(404, "CONTACT_NOT_FOUND");
    let none = get(&router, "/api/contacts/1?asOf=version:3").await;
    none.expect_error(404, "VERSION_NOT_FOUND");
    let deleted = get(&router, "/api/contacts/3?asOf=version:2").await;
    deleted.expect_error(404, "CONTACT_NOT_FOUND");
    get(&router, "/api/contacts/3?asOf=version:1").await.expect(200);
    for wrong in ["asOf=yesterday", "asOf=version:x", "asOf="] {
        let answer = get(&router, &format!("/api/contacts/1?{wrong}")).await;
        answer.expect_error(400, "INVALID_PARAMETER");
    }
}

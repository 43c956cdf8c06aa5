//! `GET /api/contacts`: filters, orders, offsets, totals, duplicates, and pages while writes go on.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::Method;
use contactd::http::Api;
use serde_json::{Value, json};

use super::client::{ask, get};
use super::fixture::Fixture;

fn people() -> Fixture {
    let fixture = Fixture::with_contacts(0);
    for (id, first, last, email, company) in [
        ("1", "Ada", "Lovelace", "ada@engines.example", "Analytical Engines"),
        ("2", "Grace", "Hopper", "Grace@Navy.example", "Navy"),
        ("3", "Alan", "Turing", "alan@park.example", "Bletchley Park"),
        ("4", "Adam", "Ashe", "ada@engines.example", "analytical engines"),
        ("5", "Bea", "Adair", "bea@adair.example", "Navy"),
        ("6", "Cid", "Zoll", "cid@zoll.example", "Adamant"),
        ("7", "Dot", "Young", "ADA@engines.example", "Young & Co"),
    ] {
        let data = json!({
            "id": id, "firstName": first, "lastName": last, "email": email, "company": company,
        });
        fixture.apply("contact.created", data);
    }
    fixture.apply("contact.deleted", json!({ "id": "7" }));
    fixture
}

async fn ids(router: &Api, query: &str) -> Vec<String> {
    let page = get(router, &format!("/api/contacts?{query}")).await.expect(200).json();
    let contacts = page["data"].as_array().unwrap().iter();
    contacts.map(|contact| contact["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn who_polls_by_changed_at_misses_no_event_that_came_late() {
    let fixture = people();
    fixture.apply_late("contact.updated", json!({ "id": "2", "phone": "+44 1" }), 3_600_000);
    let router = fixture.router();
    let before = "2026-11-21T10:00:00.008Z";
    assert_eq!(ids(&router, &format!("changedSince={before}")).await, ["2"]);
    assert_eq!(ids(&router, &format!("updatedSince={before}")).await, [""; 0]);
    let contact = get(&router, "/api/contacts/2").await.expect(200).json();
    assert_eq!(contact["changedAt"], "2026-11-21T10:00:00.008Z");
    assert!(contact["updatedAt"].as_str() < Some(before), "{contact}");
}

#[tokio::test]
async fn each_filter_lists_what_passes_in_its_own_order() {
    let fixture = people();
    let router = fixture.router();
    for (query, expected) in [
        ("email=ADA@Engines.example", vec!["1", "4"]),
        ("email=ada@engines", vec![]),
        ("company=ANALYTICAL%20engines", vec!["1", "4"]),
        ("company=navy&sort=name", vec!["5", "2"]),
        ("source=test&limit=2", vec!["1", "2"]),
        ("source=acme", vec![]),
        // By what matched: "ada lovelace", "ada@…" or "adam …", "adair …", "adamant".
        ("q=ada", vec!["1", "4", "5", "6"]),
        ("q=lovelace%20a", vec!["1"]),
        ("q=ADA%20L", vec!["1"]),
        ("q=turing", vec!["3"]),
        ("q=navy", vec!["2", "5"]),
        ("q=ada&sort=-name", vec!["6", "1", "4", "5"]),
        ("q=ada&company=navy", vec!["5"]),
        ("q=young", vec![]),
        ("q=young&includeDeleted=true", vec!["7"]),
        ("status=DELETED&q=young", vec!["7"]),
        ("email=ada@engines.example&includeDeleted=true", vec!["1", "4", "7"]),
        ("updatedSince=2026-11-21T10:00:00.004Z", vec!["6", "5"]),
        ("updatedSince=2026-11-21T11:00:00.004%2B01:00&order=asc", vec!["5", "6"]),
        ("updatedSince=2026-11-21T11:00:00.004+01:00&order=asc", vec!["5", "6"]),
        ("updatedSince=1812-06-01T00:00:00Z&limit=1", vec!["6"]),
        ("sort=-createdAt&limit=2", vec!["6", "5"]),
        ("sort=createdAt&order=asc&limit=2", vec!["1", "2"]),
        ("changedSince=2026-11-21T10:00:00.004Z", vec!["6", "5"]),
        ("changedSince=2026-11-21T10:00:00.004Z&sort=changedAt&order=asc", vec!["5", "6"]),
        ("sort=-changedAt&limit=2", vec!["6", "5"]),
        ("duplicates=true", vec!["1", "4"]),
        ("duplicates=true&includeDeleted=true", vec!["1", "4", "7"]),
    ] {
        assert_eq!(ids(&router, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn totals_are_exact_or_said_not_to_be() {
    let fixture = people();
    let router = fixture.router();
    for (query, total, is_exact) in [
        ("", json!(6), true),
        ("includeDeleted=true", json!(7), true),
        ("status=DELETED", json!(1), true),
        ("company=navy", json!(2), true),
        ("source=test", json!(6), true),
        ("email=ada@engines.example", json!(2), true),
        ("q=ada", Value::Null, false),
        ("q=ada&count=true", json!(4), true),
        ("company=navy&source=test", Value::Null, false),
        ("company=navy&source=test&count=true", json!(2), true),
        ("duplicates=true", Value::Null, false),
        ("duplicates=true&count=true", json!(2), true),
    ] {
        let page = get(&router, &format!("/api/contacts?limit=1&{query}")).await.expect(200).json();
        assert_eq!(page["meta"]["total"], total, "{query}");
        assert_eq!(page["meta"]["totalIsExact"], is_exact, "{query}");
    }
}

#[tokio::test]
async fn offsets_lead_to_10_000_and_cursors_further() {
    let fixture = Fixture::with_contacts(40);
    let router = fixture.router();
    let page = get(&router, "/api/contacts?sort=id&limit=10&offset=20").await.expect(200);
    let json = page.json();
    assert_eq!((&json["meta"]["offset"], &json["meta"]["total"]), (&json!(20), &json!(36)));
    assert_eq!(json["data"][0]["id"], "c000022");
    let link = page.header("link");
    assert_eq!(
        link,
        "</api/contacts?sort=id&limit=10&offset=30>; rel=\"next\", \
         </api/contacts?sort=id&limit=10&offset=10>; rel=\"prev\", \
         </api/contacts?sort=id&limit=10>; rel=\"first\""
    );
    let last = get(&router, "/api/contacts?sort=id&limit=10&offset=30").await.expect(200);
    assert_eq!(last.json()["meta"]["nextCursor"], Value::Null);
    assert!(!last.header("link").contains("next"));
    // From an offset a cursor leads on, and back.
    let cursor = json["meta"]["nextCursor"].as_str().unwrap();
    let path = format!("/api/contacts?sort=id&limit=10&cursor={cursor}");
    let next = get(&router, &path).await.expect(200).json();
    assert_eq!(next["data"], last.json()["data"]);
    assert_eq!(next["meta"]["offset"], Value::Null);
    let cursor = next["meta"]["prevCursor"].as_str().unwrap();
    let path = format!("/api/contacts?sort=id&limit=10&cursor={cursor}");
    assert_eq!(get(&router, &path).await.expect(200).json()["data"], json["data"]);
    assert_eq!(ids(&router, "offset=10000").await, Vec::<String>::new());
    for (offset, hint) in [("10001", "nextCursor"), ("-1", "whole"), ("x", "whole"), ("", "whole")]
    {
        let answer = get(&router, &format!("/api/contacts?offset={offset}")).await.expect(400);
        assert_eq!(answer.code(), "INVALID_PARAMETER");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains(hint), "{offset}");
    }
    get(&router, "/api/contacts?offset=1&cursor=x").await.expect(400);
}

#[tokio::test]
async fn what_makes_no_sense_is_400_and_named() {
    let fixture = people();
    let router = fixture.router();
    for (query, code) in [
        ("email=", "INVALID_PARAMETER"),
        ("q=%20", "INVALID_PARAMETER"),
        ("q=%E2%80%8B", "INVALID_PARAMETER"),
        ("q=%ff", "INVALID_PARAMETER"),
        ("email=a%C3@b", "INVALID_PARAMETER"),
        ("%ff=a", "INVALID_PARAMETER"),
        ("updatedSince=yesterday", "INVALID_PARAMETER"),
        ("updatedSince=2026-11-21", "INVALID_PARAMETER"),
        ("changedSince=2026-11-21", "INVALID_PARAMETER"),
        ("sort=email", "INVALID_PARAMETER"),
        ("sort=-email", "INVALID_PARAMETER"),
        ("sort=-name&order=asc", "INVALID_PARAMETER"),
        ("status=GONE", "INVALID_PARAMETER"),
        ("duplicates=true&q=a", "INVALID_PARAMETER"),
        ("duplicates=true&sort=name", "INVALID_PARAMETER"),
        ("duplicates=true&offset=0", "INVALID_PARAMETER"),
        ("count=perhaps", "INVALID_PARAMETER"),
        ("firstName=Ada", "UNKNOWN_PARAMETER"),
        ("q=a&q=b", "INVALID_PARAMETER"),
    ] {
        let answer = get(&router, &format!("/api/contacts?{query}")).await.expect(400);
        assert_eq!(answer.code(), code, "{query}");
    }
}

/// What looks the same is found by the same words; what was sent is what is shown.
#[tokio::test]
async fn texts_are_found_in_every_form_and_kept_as_they_were_sent() {
    let fixture = Fixture::with_contacts(0);
    let sent = [
        ("1", "Jos\u{e9}", "jos\u{e9}@caf\u{e9}.example", "Caf\u{e9} Stra\u{df}e"),
        (
            "2",
            "Jose\u{301}\u{a0}",
            " JOSE\u{301}@cafe\u{301}.example\u{a0}",
            "\u{3000}CAFE\u{301} STRASSE ",
        ),
        ("3", "Jose", "jose@cafe.example", "Cafe"),
    ];
    for (id, first, email, company) in sent {
        let data = json!({ "id": id, "firstName": first, "lastName": "Sá", "email": email, "company": company });
        fixture.apply("contact.created", data);
    }
    let router = fixture.router();
    for query in [
        "email=jos%C3%A9@caf%C3%A9.example",
        "email=Jose%CC%81@CAFE%CC%81.example%C2%A0",
        "company=caf%C3%A9%20strasse",
        "company=Cafe%CC%81%C2%A0Stra%C3%9Fe",
        "q=jos%C3%A9",
        "q=JOSE%CC%81%20s%C3%A1",
        "q=s%C3%A1%20jose%CC%81",
        "q=jos%C3%A9@",
        "q=caf%C3%A9",
        "q=caf%C3%A9&source=test",
        "duplicates=true",
    ] {
        assert_eq!(ids(&router, query).await, ["1", "2"], "{query}");
    }
    let kept = get(&router, "/api/contacts/2").await.expect(200).json();
    assert_eq!((&kept["firstName"], &kept["email"]), (&json!(sent[1].1), &json!(sent[1].2)));
}

#[tokio::test]
async fn a_cursor_is_bound_to_the_filters() {
    let fixture = people();
    let router = fixture.router();
    let page = get(&router, "/api/contacts?q=ada&limit=1").await.expect(200).json();
    let cursor = page["meta"]["nextCursor"].as_str().unwrap();
    get(&router, &format!("/api/contacts?q=ada&limit=2&cursor={cursor}")).await.expect(200);
    for query in ["q=a", "q=ada&source=test", "company=navy", "q=ada&sort=name", "duplicates=true"]
    {
        let path = format!("/api/contacts?{query}&cursor={cursor}");
        assert_eq!(get(&router, &path).await.expect(400).code(), "INVALID_CURSOR", "{query}");
    }
}

#[tokio::test]
async fn head_says_what_get_would_and_sends_nothing() {
    let fixture = people();
    let router = fixture.router();
    let path = "/api/contacts?company=navy&limit=1";
    let whole = get(&router, path).await.expect(200);
    let head = ask(&router, Method::HEAD, path, &[]).await.expect(200);
    assert!(head.body.is_empty());
    assert_eq!(head.header("link"), whole.header("link"));
    assert_eq!(head.header("content-length"), whole.body.len().to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_while_writes_go_on_show_what_stays_put_once() {
    let fixture = Fixture::with_contacts(0);
    for number in 0..150 {
        let id = format!("still-{number:03}");
        let data = json!({ "id": id, "firstName": "Ada", "company": format!("C{}", number % 5),
            "email": format!("ada{}@example.com", number / 2) });
        fixture.apply("contact.created", data);
    }
    let router = fixture.router();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = fastrand::Rng::with_seed(3);
            while !stop.load(Ordering::Acquire) {
                let id = format!("moves-{:02}", random.u8(0..60));
                let kind = if random.u8(0..8) == 0 { "contact.deleted" } else { "contact.created" };
                let name = format!("Ada {}", random.u8(..));
                let email = format!("ada{}@example.com", 500 + random.u16(0..500));
                let data = json!({ "id": id, "firstName": name, "email": email, "company": "C1" });
                fixture.apply(kind, data);
            }
        });
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                for query in [
                    "sort=name",
                    "sort=-updatedAt",
                    "sort=createdAt&order=asc",
                    "sort=company",
                    "sort=id&includeDeleted=true",
                    "q=ada",
                    "source=test",
                    "source=test&sort=-name",
                    "q=ada&source=test",
                    "duplicates=true",
                ] {
                    shows_each_once(&router, query).await;
                }
            });
        });
        stop.store(true, Ordering::Release);
    });
}

async fn shows_each_once(router: &Api, query: &str) {
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/contacts?limit=9&{query}{cursor}");
        let page = get(router, &path).await.expect(200).json();
        let contacts = page["data"].as_array().unwrap().iter();
        seen.extend(contacts.map(|contact| contact["id"].as_str().unwrap().to_owned()));
        match page["meta"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    seen.retain(|id| id.starts_with("still-"));
    assert_eq!(seen.len(), 150, "{query}");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), 150, "{query}");
}

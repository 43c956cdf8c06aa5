//! The page for people at `/`, and sign-ins by cookie.

use axum::http::Method;
use contactd::http::Api;
use serde_json::json;

use super::client::{Answer, ask, get, get_with};
use super::fixture::Fixture;
use super::limits::configured;
use crate::support::access::PASSWORD;
use crate::support::client::Client;
use crate::support::instance::Instance;

const BROWSER: (&str, &str) =
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
const COOKIE: &str = "/api/auth/cookie";
const REFRESH: &str = "/api/auth/cookie/refresh";

fn router(fixture: &Fixture) -> Api {
    configured(fixture, "page.enabled = true")
}

fn varies_by(answer: &Answer, name: &str) -> bool {
    answer.headers.get_all("vary").iter().any(|value| value.to_str().unwrap().contains(name))
}

#[tokio::test]
async fn browsers_get_the_page_and_programs_get_the_paths() {
    let fixture = Fixture::with_contacts(1);
    let router = router(&fixture);
    for path in ["/", "/?utm_source=mail"] {
        let page = get_with(&router, path, &[BROWSER]).await.expect(200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert!(varies_by(&page, "accept"));
        assert_eq!(page.header("cache-control"), "no-cache");
    }
    for accept in [&[][..], &[("accept", "*/*")], &[("accept", "application/json")]] {
        let index = get_with(&router, "/", accept).await.expect(200);
        assert_eq!(index.json()["name"], "contactd");
        assert!(varies_by(&index, "accept"));
    }
    get(&router, "/?utm_source=mail").await.expect_error(400, "UNKNOWN_PARAMETER");
}

#[tokio::test]
async fn the_page_runs_nothing_but_its_own_files() {
    let fixture = Fixture::not_open();
    let router = router(&fixture);
    let page = get_with(&router, "/", &[BROWSER]).await.expect(200);
    let policy = page.header("content-security-policy").to_owned();
    for part in
        ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("cross-origin-opener-policy"), "same-origin");
    let html = String::from_utf8(page.body).unwrap();
    assert!(!html.contains("://") && !html.contains("style=") && !html.contains("<script>"));
    let mut files = 0;
    for attribute in ["src=\"", "href=\"page/"] {
        for rest in html.split(attribute).skip(1) {
            let file = rest.split('"').next().unwrap();
            let file = format!("/page/{}", file.trim_start_matches("page/"));
            let answer = get(&router, &file).await.expect(200);
            assert!(answer.header("cache-control").contains("immutable"), "{file}");
            files += 1;
        }
    }
    assert!(files >= 8, "{html}");
}

#[tokio::test]
async fn what_the_browser_has_is_not_sent_again() {
    let fixture = Fixture::not_open();
    let router = router(&fixture);
    for (path, accept) in [("/", BROWSER), ("/page/current/app.js", ("accept", "*/*"))] {
        let first = get_with(&router, path, &[accept]).await.expect(200);
        let etag = first.header("etag").to_owned();
        let again = get_with(&router, path, &[accept, ("if-none-match", &etag)]).await.expect(304);
        assert!(again.body.is_empty());
    }
    let packed = [("accept-encoding", "gzip")];
    let packed = get_with(&router, "/page/current/app.js", &packed).await.expect(200);
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert_eq!(packed.header("cache-control"), "no-cache");
    assert!(varies_by(&packed, "accept-encoding"));
    for path in ["/page/0123456789abcdef/app.js", "/page/current/none.js", "/page/current/%2e%2e"] {
        get(&router, path).await.expect_error(404, "ROUTE_NOT_FOUND");
    }
}

#[tokio::test]
async fn the_page_can_be_switched_off() {
    let fixture = Fixture::with_contacts(1);
    let router = configured(&fixture, "page.enabled = false");
    let index = get_with(&router, "/", &[BROWSER]).await.expect(200);
    assert_eq!(index.json()["name"], "contactd");
    get(&router, "/page/current/app.js").await.expect_error(404, "ROUTE_NOT_FOUND");
    let of_page = [("x-contactd-page", "1")];
    ask(&router, Method::POST, REFRESH, &of_page).await.expect_error(403, "FORBIDDEN");
}

/// Of the page, as a browser sends it.
fn of_page(client: &Client) -> Client {
    client.clone().anonymous().with("x-contactd-page", "1").with("sec-fetch-site", "same-origin")
}

async fn signed_in(client: &Client) -> Answer {
    client.post(COOKIE, &json!({ "username": "editor", "password": PASSWORD })).await
}

/// What the browser sends back, of what it was told to keep.
fn kept(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_page_stays_signed_in_by_a_cookie_that_no_script_reads() {
    let instance = Instance::start().await;
    let client = of_page(&instance.client());
    let first = signed_in(&client).await.expect(200);
    let json = first.json();
    assert!(json["accessToken"].is_string() && json.get("refreshToken").is_none(), "{json}");
    assert_eq!(first.header("cache-control"), "no-store");
    let cookie = first.header("set-cookie").to_owned();
    for part in ["; Path=/api/auth;", "; HttpOnly", "; SameSite=Strict", "; Max-Age="] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");
    let secure = signed_in(&client.clone().with("origin", "https://contacts.example")).await;
    assert!(secure.expect(200).header("set-cookie").ends_with("; Secure"));

    let next = client.clone().with("cookie", &kept(&first)).post(REFRESH, &json!({})).await;
    let next = next.expect(200);
    assert_ne!(kept(&next), kept(&first));
    let token = next.json()["accessToken"].as_str().unwrap().to_owned();
    let signed = instance.client().anonymous().with_token(&token);
    assert_eq!(signed.get("/api/auth/me").await.expect(200).json()["username"], "editor");
    // The cookie lets nobody in by itself.
    let alone = instance.client().anonymous().with("cookie", &kept(&next));
    alone.get("/api/contacts").await.expect_error(401, "AUTHENTICATION_REQUIRED");

    let out = signed.with("cookie", &kept(&next)).post("/api/auth/logout", &json!({})).await;
    assert!(out.expect(204).header("set-cookie").contains("Max-Age=0"));
    let late = client.with("cookie", &kept(&next)).post(REFRESH, &json!({})).await;
    late.expect_error(401, "INVALID_REFRESH_TOKEN");
}

#[tokio::test]
async fn no_other_page_makes_use_of_the_cookie() {
    let instance = Instance::start().await;
    let first = signed_in(&of_page(&instance.client())).await.expect(200);
    let anybody = instance.client().anonymous().with("cookie", &kept(&first));
    // A form or a link can't have the header.
    anybody.post(REFRESH, &json!({})).await.expect_error(403, "FORBIDDEN");
    let marked = anybody.with("x-contactd-page", "1");
    for site in ["same-site", "cross-site", "none"] {
        let other = marked.clone().with("sec-fetch-site", site);
        other.post(REFRESH, &json!({})).await.expect_error(403, "FORBIDDEN");
        signed_in(&other).await.expect_error(403, "FORBIDDEN");
    }
    let none = of_page(&instance.client()).post(REFRESH, &json!({})).await;
    none.expect_error(401, "INVALID_REFRESH_TOKEN");
    marked.post(REFRESH, &json!({})).await.expect(200);
}

#[tokio::test]
async fn a_preflight_does_not_allow_the_header_of_the_page() {
    let fixture = Fixture::with_contacts(1);
    let router = configured(&fixture, "server.cors_origins = \"*\"");
    let asks = [
        ("origin", "https://evil.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "x-contactd-page"),
    ];
    let answer = ask(&router, Method::OPTIONS, REFRESH, &asks).await.expect(204);
    assert!(!answer.header("access-control-allow-headers").contains("x-contactd-page"));
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
}

#[tokio::test]
async fn the_overview_says_how_it_goes() {
    let instance = Instance::start().await;
    let client = instance.client();
    instance.append_bytes("ada", b"no json").await;
    let seen = crate::support::instance::until("the letter in the overview", async || {
        let overview = client.get("/api/overview?window=15m").await.expect(200).json();
        (overview["letters"]["kept"] == 1).then_some(overview)
    });
    let overview = seen.await;
    assert_eq!(overview["letters"]["reasons"][0]["reason"], "malformed_json");
    let hours = overview["letters"]["reasons"][0]["hours"].as_array().unwrap();
    assert_eq!((hours.len(), hours.last().unwrap().as_u64()), (24, Some(1)));
    assert_eq!(overview["health"]["state"], "keeping_up");
    let lanes = overview["lanes"].as_array().unwrap();
    let partitions: std::collections::BTreeSet<_> =
        lanes.iter().map(|lane| lane["partition"].as_str().unwrap()).collect();
    assert!(!lanes.is_empty() && partitions.len() == lanes.len(), "{lanes:?}");
    assert!(overview["diskFreeBytes"].as_u64().unwrap() > 0);
    assert_eq!(client.get("/api/overview?window=24h").await.expect(200).json()["stepSeconds"], 300);
    client.get("/api/overview?window=1y").await.expect_error(400, "INVALID_PARAMETER");
}

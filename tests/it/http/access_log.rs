//! One line a request, with nothing personal in it but who asked.

use serde_json::Value;

use crate::support::instance::{Instance, until};

#[tokio::test]
async fn each_request_has_its_line_and_nothing_of_what_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let builder = Instance::builder().with("telemetry.access_log", path.display());
    let instance = builder.start().await;
    let client = instance.client().with("x-request-id", "an-id");
    client.get("/api/contacts?q=Lovelace").await.expect(200);
    client.get("/api/contacts/ada-lovelace").await.expect(404);
    client.anonymous().get("/api/contacts?email=ada@example.com").await.expect(401);
    let lines = until("three lines are written", async || {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let lines: Vec<Value> = lines.filter(|line| line["id"] == "an-id").collect();
        (lines.len() == 3).then_some((lines, text))
    });
    let (lines, text) = lines.await;
    for (line, route, status) in [
        (&lines[0], "/api/contacts", 200),
        (&lines[1], "/api/contacts/{id}", 404),
        (&lines[2], "/api/contacts", 401),
    ] {
        assert_eq!((&line["route"], &line["status"]), (&route.into(), &status.into()), "{line}");
        assert!(line["ms"].is_f64() && line["bytes"].is_u64() && line["at"].is_string(), "{line}");
        assert_eq!(line["principal"].is_null(), status == 401, "{line}");
    }
    for personal in ["ovelace", "example.com", "127.0.0.1", "?"] {
        assert!(!text.contains(personal), "{personal} is in {text}");
    }
    instance.stop().await;
}

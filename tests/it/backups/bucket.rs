//! Backups in storage that speaks S3: made by command and on time, checked, brought back, and what is said where it
//! does not do.

use serde_json::{Value, json};

use super::running::builder;
use super::{World, refused, succeeds};
use crate::support::assert_same;
use crate::support::image::Image;
use crate::support::instance::until;
use crate::support::node::Node;
use crate::support::services::service;

const S3: &str = "CONTACTD_TEST_S3";
/// The bucket and the key that tests/services/up makes.
const BUCKET: &str = "contactd-test";
const KEY: &str = "S3RVER";

/// A prefix of a test's own.
struct Prefix {
    endpoint: String,
    url: String,
}

impl Prefix {
    fn of(test: &str) -> Option<Self> {
        let endpoint = service(S3, test)?;
        let url = format!("s3://{BUCKET}/{test}-{:016x}", fastrand::u64(..));
        Some(Self { endpoint, url })
    }

    fn known_to(&self, node: &Node) -> Node {
        node.clone()
            .with("backup.s3_endpoint", &self.endpoint)
            .with("backup.s3_region", "us-east-1")
            .with("backup.s3_access_key_id", KEY)
            .with("backup.s3_secret_access_key", KEY)
    }
}

#[test]
fn a_backup_in_a_bucket_is_made_checked_and_brought_back() {
    let Some(prefix) = Prefix::of("made-by-command") else {
        return;
    };
    let world = World::new(900);
    let node = prefix.known_to(&world.node);
    let run = |arguments: &[&str]| node.command(arguments).output().unwrap();
    let monday = format!("{}/monday", prefix.url);
    let said = succeeds(&run(&["backup", &monday]));
    assert!(said.contains(&monday), "{said}");
    let said = succeeds(&run(&["backup", "verify", &monday]));
    assert!(said.contains("all of it agrees"), "{said}");
    refused(&run(&["backup", &monday]), 5, &[&monday, "holds something"]);
    let target = world.path("restored");
    let to = target.display().to_string();
    succeeds(&run(&["restore", &monday, "--data-dir", &to]));
    assert_same(&Image::read(&world.node.store), &Image::read(&target), "the restored one");
    world.restored("restored").catch_up_soundly();
    // What is there no more, and what never was.
    refused(&run(&["backup", "verify", &prefix.url]), 5, &["no whole backup", "manifest.json"]);
    let tuesday = format!("{}/tuesday", prefix.url);
    refused(&run(&["restore", &tuesday, "--data-dir", "x"]), 5, &[&tuesday, "manifest.json"]);
    // Nobody gets in by another key, nothing is said of its secret, and storage that is away is named.
    let stranger = node
        .clone()
        .with("backup.s3_access_key_id", "nobody")
        .with("backup.s3_secret_access_key", "another-secret");
    let output = stranger.command(&["backup", "verify", &monday]).output().unwrap();
    refused(&output, 4, &[&monday]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("another-secret"));
    let away = node.clone().with("backup.s3_endpoint", "http://127.0.0.1:1");
    refused(&away.command(&["backup", "verify", &monday]).output().unwrap(), 4, &["127.0.0.1:1"]);
    refused(&run(&["backup", "s3://"]), 2, &["names no bucket"]);
    assert!(!world.path("x").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_kept_in_a_bucket_on_time_and_the_oldest_go() {
    let Some(prefix) = Prefix::of("on-time") else {
        return;
    };
    let instance = builder()
        .with("backup.to", &prefix.url)
        .with("backup.every", "1s")
        .with("backup.keep", 2)
        .with("backup.s3_endpoint", &prefix.endpoint)
        .with("backup.s3_access_key_id", KEY)
        .with("backup.s3_secret_access_key", KEY)
        .start()
        .await;
    let client = instance.client();
    client.post("/api/contacts", &json!({ "id": "ada", "firstName": "Ada" })).await.expect(201);
    let names = async || {
        let listed = client.get("/api/backups").await.expect(200).json();
        assert_eq!(listed["status"]["lastFailure"], Value::Null, "{listed}");
        let data = listed["data"].as_array().unwrap().clone();
        assert!(data.iter().all(|one| one["damage"].is_null()), "{listed}");
        data.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = until("one is there", async || names().await.pop()).await;
    let kept = until("the first one has gone", async || {
        let names = names().await;
        (names.len() == 2 && !names.contains(&first)).then_some(names)
    })
    .await;
    drop(instance);
    let home = tempfile::tempdir().unwrap();
    let node = prefix.known_to(&Node::new(&home.path().join("unused")));
    let target = tempfile::tempdir().unwrap();
    let newest = format!("{}/{}", prefix.url, kept[0]);
    let to = target.path().display().to_string();
    let mut command = node.command(&["restore", &newest, "--data-dir", &to]);
    let restored = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    succeeds(&restored);
    let again = builder().start_on(target).await;
    again.client().get("/api/contacts/ada").await.expect(200);
}

//! The samples for senders (`config/samples/`), each run by its own interpreter against an instance.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::instance::Instance;
use crate::support::services::skip;

const SECRET: &str = "a-webhook-secret-of-at-least-32-bytes";
const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Source, scheme, secret.
const SOURCES: [(&str, &str, &str); 3] = [
    ("acme", "acme", SECRET),
    ("bodies", "acme-body", SECRET),
    ("others", "standard", STANDARD_SECRET),
];

/// One sample: its file, how it is run, and what says that it can be.
struct Sample {
    file: &'static str,
    program: &'static str,
    probe: &'static [&'static str],
    /// What the probe must say.
    says: &'static str,
}

const SAMPLES: [Sample; 4] = [
    Sample {
        file: "send.sh",
        program: "sh",
        probe: &["-c", "openssl version; curl -V"],
        says: "OpenSSL",
    },
    Sample { file: "send.mjs", program: "node", probe: &["--version"], says: "v" },
    Sample { file: "send.py", program: "python3", probe: &["--version"], says: "Python 3" },
    // Running a source file needs the compiler's module.
    Sample { file: "Send.java", program: "java", probe: &["--list-modules"], says: "jdk.compiler" },
];

impl Sample {
    /// Whether its interpreter is here; says so where it is not.
    fn can_run(&self) -> bool {
        let said = Command::new(self.program).args(self.probe).stdin(Stdio::null()).output();
        let said = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
        let can_run = said.is_ok_and(|said| said.contains(self.says));
        if !can_run {
            let why = format!("{} can't be run here (.ci/run installs it)", self.program);
            skip(&format!("the sample {}", self.file), &why);
        }
        can_run
    }

    async fn run(&self, scheme: &str, secret: &str, body: &Path, url: Option<&str>) -> Output {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/samples");
        let mut command = Command::new(self.program);
        command.arg(samples.join(self.file)).arg(body).args(url);
        command.env("WEBHOOK_SECRET", secret).env("WEBHOOK_SCHEME", scheme);
        let run = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output());
        run.await.expect("it is waited for").expect("the sample runs")
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What a sample prints where it is given no address.
fn with_headers(client: &Client, printed: &str) -> Client {
    let headers = printed.lines().filter_map(|line| line.split_once(": "));
    headers.fold(client.clone(), |client, (name, value)| client.with(&name.to_lowercase(), value))
}

#[tokio::test]
async fn every_sample_signs_what_is_believed_and_no_changed_byte_is() {
    let mut builder = Instance::builder();
    for (source, scheme, secret) in SOURCES {
        builder = builder
            .with(&format!("source.{source}.signature"), scheme)
            .with(&format!("source.{source}.secret"), secret);
    }
    let instance = builder.start().await;
    let client = instance.client().anonymous();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("event.json");
    for sample in SAMPLES.iter().filter(|sample| sample.can_run()) {
        for (source, scheme, secret) in SOURCES {
            let what = format!("{} {scheme}", sample.file);
            let event = json!({
                "id": format!("{what} 1"), "eventType": "contact.updated", "timestamp": 1_790_000_000,
                "data": { "id": what, "firstName": "Zoë", "note": "\\ \" % 'x' $HOME" },
            });
            // White space at the end belongs to the bytes that are signed.
            let body = format!("{event} \n\n").into_bytes();
            std::fs::write(&file, &body).unwrap();
            let path = format!("/api/webhooks/{source}");
            let url = format!("http://{}{path}", instance.address);
            let sent = sample.run(scheme, secret, &file, Some(&url)).await;
            assert!(sent.status.success(), "{what}: {sent:?}");
            let answer: Value = serde_json::from_str(&stdout(&sent)).unwrap();
            assert_eq!(
                (&answer["accepted"], &answer["kept"]),
                (&json!(1), &json!("log")),
                "{what}"
            );
            let wrong = sample.run(scheme, "whsec_bm90IHRoZSBzZWNyZXQ=", &file, Some(&url)).await;
            assert!(!wrong.status.success(), "{what}: {wrong:?}");
            assert!(stdout(&wrong).contains("INVALID_SIGNATURE"), "{what}: {wrong:?}");
            let printed = sample.run(scheme, secret, &file, None).await;
            let signed = with_headers(&client, &stdout(&printed));
            signed.send_bytes(Method::POST, &path, Some(body.clone())).await.expect(200);
            let mut changed = body.clone();
            changed[body.len() - 1] = b' ';
            let answer = signed.send_bytes(Method::POST, &path, Some(changed)).await;
            answer.expect_error(401, "INVALID_SIGNATURE");
            instance.until_contact(&what.replace(' ', "%20"), |answer| answer.status == 200).await;
        }
    }
}

//! A mock Acme CRM in this process, on a socket of its own, ended with the test.
//!
//! ```text
//! MockAcme::start() ─► send_webhooks(&instance) ─► put, delete (as somebody at Acme) ─► contacts, stats
//! ```

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use contactd::acme::mock::{Faults, Mock, MockOptions, Receiver, Refusal, Stats};
use contactd::acme::{Contact, Fields};
use contactd::config::{Secret, SignatureForm};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::instance::{Instance, until};

/// What opens it.
pub const API_KEY: &str = "the-key-that-Acme-has-given-to-contactd";
/// What its webhooks are signed with: `acme.webhook_secret` of an instance that takes them.
pub const WEBHOOK_SECRET: &str = "a-secret-that-Acme-and-contactd-share";

/// One that runs.
pub struct MockAcme {
    pub mock: Arc<Mock>,
    pub address: SocketAddr,
    /// As after SIGKILL, where false.
    ends_well: CancellationToken,
    killed: CancellationToken,
    running: Option<JoinHandle<()>>,
}

impl MockAcme {
    /// Without any limit or fault, and in memory only.
    pub fn options() -> MockOptions {
        MockOptions {
            api_key: Secret::new(API_KEY),
            token_seconds: 900,
            requests_per_minute: 0,
            contacts_max: 20_000,
            faults: Faults::default(),
            webhooks: None,
            state: None,
        }
    }

    pub fn start() -> Self {
        Self::start_with(Self::options())
    }

    /// With a state that lasts.
    pub fn start_on(state: &Path) -> Self {
        Self::start_with(MockOptions { state: Some(state.to_owned()), ..Self::options() })
    }

    pub fn start_with(options: MockOptions) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), options)
    }

    /// Where another one was, to take its place.
    pub fn start_at(address: SocketAddr, options: MockOptions) -> Self {
        let mock = Mock::open(options).expect("a mock");
        let (ends_well, killed) = (CancellationToken::new(), CancellationToken::new());
        let (tell, told) = sync_channel(1);
        let (served, shutdown, kill) = (Arc::clone(&mock), ends_well.clone(), killed.clone());
        let running = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let listener = TcpListener::bind(address).await.expect("a free port");
                tell.send(listener.local_addr().expect("an address")).expect("it is waited for");
                let serving = served.serve(listener, shutdown.cancelled_owned());
                if let Some(ended) = kill.run_until_cancelled(serving).await {
                    ended.expect("it ends well");
                }
            });
        });
        let address = told.recv().expect("it listens");
        Self { mock, address, ends_well, killed, running: Some(running) }
    }

    /// `acme.url` of an instance that asks it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Tells the instance of each change from now on.
    pub fn send_webhooks(&self, instance: &Instance) {
        self.send_webhooks_to(&format!("http://{}/api/webhooks/acme", instance.address), "acme");
    }

    pub fn send_webhooks_to(&self, url: &str, form: &str) {
        let (url, secret) = (url.to_owned(), Secret::new(WEBHOOK_SECRET));
        let form = SignatureForm::named(form).expect("a form");
        self.mock.send_webhooks(Receiver { url, secret, form }).expect("an address");
    }

    /// Makes a contact or changes it, as somebody at Acme does.
    #[track_caller]
    pub fn put(&self, id: &str, fields: Value) -> Contact {
        let mut fields: Fields = serde_json::from_value(fields).expect("an object");
        let put = self.mock.act(|contacts, now_ms| match contacts.get(id) {
            Ok(_) => contacts.update(id, None, &fields, now_ms),
            Err(_) => {
                fields.insert("id".to_owned(), Value::from(id));
                contacts.create(&fields, now_ms)
            }
        });
        put.expect("fields of Acme's")
    }

    /// Removes a contact, as somebody at Acme does.
    pub fn delete(&self, id: &str) -> Result<(), Refusal> {
        self.mock.act(|contacts, now_ms| contacts.delete(id, None, now_ms))
    }

    pub fn contact(&self, id: &str) -> Option<Contact> {
        self.mock.act(|contacts, _| contacts.get(id).cloned()).ok()
    }

    /// All of them, by their ids.
    pub fn contacts(&self) -> Vec<Contact> {
        self.mock.act(|contacts, _| Ok(contacts.page(None, usize::MAX).0)).expect("a page")
    }

    /// `json!({"failRate": 1.0, "kinds": ["update"], "times": 3})`; `json!({})` ends them.
    #[track_caller]
    pub fn set_faults(&self, faults: Value) {
        let faults = serde_json::from_value(faults).expect("faults");
        self.mock.set_faults(faults).expect("faults that can be had");
    }

    pub fn stats(&self) -> Stats {
        self.mock.stats()
    }

    /// Until every webhook is taken, or given up.
    pub async fn until_told(&self) {
        until("all webhooks are taken", async || {
            (self.stats().webhooks_waiting == 0).then_some(())
        })
        .await;
    }

    /// Somebody who has logged in.
    pub async fn client(&self) -> Client {
        let client = Client::new(self.address);
        let login = client.post("/acme/login", &json!({"apiKey": API_KEY})).await.expect(200);
        client.with_token(login.json()["token"].as_str().expect("a token"))
    }

    /// Ends it as SIGKILL does.
    pub fn kill(mut self) -> SocketAddr {
        self.killed.cancel();
        self.running.take().expect("it runs").join().expect("it does not panic");
        self.address
    }
}

impl Drop for MockAcme {
    fn drop(&mut self) {
        self.ends_well.cancel();
        if let Some(running) = self.running.take() {
            let ended = running.join();
            assert!(std::thread::panicking() || ended.is_ok(), "the mock did not end well");
        }
    }
}

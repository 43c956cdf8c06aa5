//! `dev --with-acme`: a mock of the Acme CRM beside the instance, and each is told of the other's changes.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::acme::mock::{Faults, Mock, MockError, MockOptions, Receiver};
use crate::auth::kept_acme_key;
use crate::config::Config;
use crate::domain::sources::ACME;

use super::exit::Failure;
use super::instance::address_on;

const FLAG: &str = "--with-acme";
/// Its contacts and waiting webhooks, in the data directory.
const STATE_FILE: &str = "acme-mock.json";
const CONTACTS_MAX: usize = 20_000;
/// What there is to look at: id, first and last name, company.
const CONTACTS: [[&str; 4]; 3] = [
    ["ada", "Ada", "Lovelace", "Analytical Engines Ltd"],
    ["grace", "Grace", "Hopper", "Northwind Traders"],
    ["alan", "Alan", "Turing", "Initech"],
];

/// One that runs until it is dropped.
pub(super) struct DevAcme {
    mock: Arc<Mock>,
    stop: CancellationToken,
    running: Option<JoinHandle<Result<(), MockError>>>,
}

impl DevAcme {
    /// Starts it on a thread of its own, and lets the instance of this configuration ask it.
    pub(super) fn start(address: SocketAddr, config: &mut Config) -> anyhow::Result<Self> {
        let other = match &config.acme.url {
            _ if config.follows_kafka() => Some("a Kafka topic is somebody's"),
            Some(_) => Some("acme.url names another Acme"),
            None => None,
        };
        if let Some(why) = other {
            let text = format!("{FLAG} makes contacts up, and {why}");
            return Err(Failure::Usage(text).into());
        }
        let taken = || format!("can't listen on {address}; {FLAG}=ADDRESS:PORT names another");
        let listener = TcpListener::bind(address).with_context(taken)?;
        listener.set_nonblocking(true)?;
        let api_key = kept_acme_key(&config.store.path)?;
        let mock = Mock::open(MockOptions {
            api_key: api_key.clone(),
            token_seconds: 900,
            requests_per_minute: 0,
            contacts_max: CONTACTS_MAX,
            faults: Faults::default(),
            webhooks: None,
            state: Some(config.store.path.join(STATE_FILE)),
        })?;
        config.acme.url = Some(address_on(listener.local_addr()?, false));
        config.acme.api_key = Some(api_key);
        config.acme.source = ACME.to_owned();
        config.acme.sync = true;
        // It has no limit.
        config.acme.rate = None;
        let stop = CancellationToken::new();
        let (served, shutdown) = (Arc::clone(&mock), stop.clone());
        let serve = move || -> Result<(), MockError> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                served.serve(listener, shutdown.cancelled_owned()).await
            })
        };
        let running = std::thread::Builder::new().name("mock-acme".to_owned()).spawn(serve)?;
        Ok(Self { mock, stop, running: Some(running) })
    }

    /// Lets it tell the instance of its changes, once that has an address; an empty one gets contacts.
    pub(super) fn introduction(&self, config: &Config) -> impl FnOnce(SocketAddr) + Send + use<> {
        let mock = Arc::clone(&self.mock);
        let source = config.webhooks.sources.get(ACME);
        let signs =
            source.and_then(|source| Some((source.signature.clone(), source.secret.clone()?)));
        let speaks_tls = config.server.tls.is_some();
        move |address| {
            let Some((form, secret)) = signs else {
                return tracing::warn!("the mock of Acme has nothing to sign webhooks with");
            };
            let url = format!("{}/api/webhooks/{ACME}", address_on(address, speaks_tls));
            if let Err(error) = mock.send_webhooks(Receiver { url, secret, form }) {
                tracing::warn!(%error, "the mock of Acme sends no webhooks");
            }
            let filled = mock.act(|contacts, now_ms| {
                let wanted = if contacts.is_empty() { CONTACTS.as_slice() } else { &[] };
                wanted.iter().try_for_each(|[id, first, last, company]| {
                    let fields = [
                        ("id", *id),
                        ("acme_first_name", first),
                        ("acme_last_name", last),
                        ("acme_email", &format!("{id}@example.com")),
                        ("acme_company", company),
                    ];
                    let fields = fields.map(|(name, text)| (name.to_owned(), text.into()));
                    contacts.create(&fields.into_iter().collect(), now_ms).map(drop)
                })
            });
            if let Err(error) = filled {
                tracing::warn!(%error, "the mock of Acme has not all of its contacts");
            }
        }
    }
}

impl Drop for DevAcme {
    fn drop(&mut self) {
        self.stop.cancel();
        match self.running.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => tracing::warn!(%error, "the mock of Acme did not end well"),
            Some(Err(_)) => tracing::warn!("the mock of Acme panicked"),
            Some(Ok(Ok(()))) | None => {}
        }
    }
}

//! A mock of the Acme CRM: contacts over HTTP, and a signed webhook for each change.
//!
//! ```text
//! request ─► delay ─► token ─► limit ─► fault ─► contacts ─► saved ─► answer (or half of it, or none)
//!                                                   └─► what waits ─► webhook ─► receiver, until it takes it
//! ```
//!
//! For trying and testing: its HTTP side trusts whoever reaches it, so it listens on this machine alone
//! unless told otherwise.

mod api;
mod contacts;
mod faults;
mod file;
mod refusal;
mod token;
mod webhooks;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use parking_lot::Mutex;
use serde::Serialize;
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{Secret, SignatureForm};
use crate::domain::Class;
use crate::ingest::now_ms;
use crate::outbound::OutboundError;
use crate::telemetry::AcmeCall;

use super::wire::Login;

pub use contacts::{Contacts, Counts};
pub use faults::Faults;
pub use refusal::Refusal;

use contacts::LANES;
use faults::{Fault, Limits};
use token::Key;
use webhooks::Sender;

/// How long a request waits until its change is in the file.
const SAVE_WAIT: Duration = Duration::from_secs(10);
/// Before a file that could not be written is tried again.
const SAVE_PAUSE: Duration = Duration::from_secs(1);
/// How long requests under way may take at the end.
const DRAIN: Duration = Duration::from_secs(5);

/// What a mock is to be like.
#[derive(Clone, Debug)]
pub struct MockOptions {
    /// Who shows it gets a token.
    pub api_key: Secret,
    /// How long a token is good for.
    pub token_seconds: u64,
    /// Requests of each kind in a minute; 0: as many as come.
    pub requests_per_minute: u32,
    /// Contacts at most.
    pub contacts_max: usize,
    /// What goes wrong from the start on.
    pub faults: Faults,
    /// Who is told of changes.
    pub webhooks: Option<Receiver>,
    /// Keeps everything over a restart; none: in memory only.
    pub state: Option<PathBuf>,
}

/// Who takes webhooks, and how they are signed.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Where to.
    pub url: String,
    /// What both know.
    pub secret: Secret,
    /// How it is used.
    pub form: SignatureForm,
}

/// Why there is no mock.
#[derive(Debug, thiserror::Error)]
pub enum MockError {
    /// The file of its state can't be used.
    #[error("the state's file {} {problem}", path.display())]
    State {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// Nothing can be sent there.
    #[error("the address of webhooks: {0}")]
    Receiver(#[from] OutboundError),
    /// The system fails.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl MockError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        Class::Fatal
    }
}

/// What it has done since it was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// By kind of call, and by status (`lost`: done, and answered by half or not at all).
    pub requests: BTreeMap<AcmeCall, BTreeMap<String, u64>>,
    /// Those that there are.
    pub contacts: usize,
    /// Webhooks that are not taken yet.
    pub webhooks_waiting: usize,
    /// Writes and webhooks.
    #[serde(flatten)]
    pub counts: Counts,
}

struct State {
    contacts: Contacts,
    /// None: nobody is told.
    sender: Option<Arc<Sender>>,
    faults: Faults,
    limits: Limits,
    key: Key,
    requests: BTreeMap<AcmeCall, BTreeMap<String, u64>>,
}

/// A mock, whether it is reached over HTTP or in this process.
pub struct Mock {
    api_key: Secret,
    token_seconds: u64,
    file: Option<PathBuf>,
    state: Mutex<State>,
    /// Something waits in that lane.
    wake: [Notify; LANES],
    unsaved: Notify,
    /// The newest revision that is in the file.
    saved: watch::Sender<u64>,
    ending: CancellationToken,
}

impl Mock {
    /// With what its file holds, where there is one.
    ///
    /// # Errors
    /// When the file can't be read, or webhooks can't be sent to that address.
    pub fn open(options: MockOptions) -> Result<Arc<Self>, MockError> {
        let read = options.state.as_deref().map(|path| file::read(path, options.contacts_max));
        let mut contacts = read.transpose()?.flatten().unwrap_or_default();
        contacts.contacts_max = options.contacts_max;
        let mock = Self {
            api_key: options.api_key,
            token_seconds: options.token_seconds,
            file: options.state,
            state: Mutex::new(State {
                contacts,
                sender: None,
                faults: options.faults,
                limits: Limits::new(options.requests_per_minute),
                key: Key::new()?,
                requests: BTreeMap::new(),
            }),
            wake: Default::default(),
            unsaved: Notify::new(),
            saved: watch::Sender::new(0),
            ending: CancellationToken::new(),
        };
        if let Some(receiver) = options.webhooks {
            mock.send_webhooks(receiver)?;
        }
        Ok(Arc::new(mock))
    }

    /// Tells this receiver, and no other, of changes from now on, and of those that wait.
    ///
    /// # Errors
    /// When nothing can be sent there.
    pub fn send_webhooks(&self, receiver: Receiver) -> Result<(), MockError> {
        let sender = Arc::new(Sender::new(receiver)?);
        let mut state = self.state.lock();
        state.sender = Some(sender);
        state.contacts.has_webhooks = true;
        drop(state);
        self.wake.iter().for_each(Notify::notify_one);
        Ok(())
    }

    /// Answers until `shutdown`. Dropped earlier, it is as if it were killed.
    ///
    /// # Errors
    /// When the listener or the file fails.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), MockError> {
        let told = self.ending.clone().cancelled_owned();
        let server = axum::serve(listener, api::router(Arc::clone(&self)));
        let drained = async {
            shutdown.await;
            self.ending.cancel();
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            served = server.with_graceful_shutdown(told).into_future() => served?,
            () = drained => {}
            () = self.deliver_all() => {}
            () = self.keep_saved() => {}
        }
        self.save().await
    }

    /// Reads or changes the contacts as somebody at Acme does, whom no limit and no fault stops; the
    /// present time is handed on.
    ///
    /// # Errors
    /// What the work refuses.
    pub fn act<T>(
        &self,
        work: impl FnOnce(&mut Contacts, u64) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let done = {
            let mut state = self.state.lock();
            let now_ms = state.now_ms();
            work(&mut state.contacts, now_ms)
        };
        self.unsaved.notify_one();
        self.wake.iter().for_each(Notify::notify_one);
        done
    }

    /// What goes wrong at present.
    pub fn faults(&self) -> Faults {
        self.state.lock().faults.clone()
    }

    /// Lets other things go wrong from now on.
    ///
    /// # Errors
    /// When they can't be had.
    pub fn set_faults(&self, faults: Faults) -> Result<(), Refusal> {
        faults.check().map_err(Refusal::bad_request)?;
        self.state.lock().faults = faults;
        Ok(())
    }

    /// No token of before is good any more.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn revoke_tokens(&self) -> std::io::Result<()> {
        self.state.lock().key = Key::new()?;
        Ok(())
    }

    /// What it has done.
    pub fn stats(&self) -> Stats {
        let state = self.state.lock();
        Stats {
            requests: state.requests.clone(),
            contacts: state.contacts.len(),
            webhooks_waiting: state.contacts.waiting(),
            counts: state.contacts.counts,
        }
    }

    fn log_in(&self, api_key: &str) -> Result<Login, Refusal> {
        if !bool::from(api_key.as_bytes().ct_eq(self.api_key.expose().as_bytes())) {
            return Err(Refusal::unauthorized("this is not the API key"));
        }
        let state = self.state.lock();
        let token = state.key.token(state.now_ms() / 1_000, self.token_seconds);
        Ok(Login { token, expires_in: self.token_seconds })
    }

    /// Whether a request may be done.
    fn admit(&self, kind: AcmeCall, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        if kind != AcmeCall::Login {
            let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
            let token = given.and_then(|value| value.strip_prefix("Bearer "));
            let token = token.ok_or_else(|| Refusal::unauthorized("there is no Bearer token"))?;
            state.key.check(token, state.now_ms() / 1_000).map_err(Refusal::unauthorized)?;
        }
        state.limits.take(kind, Instant::now())
    }

    fn draw(&self, kind: AcmeCall) -> (Duration, Option<Fault>) {
        let faults = &mut self.state.lock().faults;
        (Duration::from_millis(faults.delay_ms), faults.draw(kind))
    }

    fn count(&self, kind: AcmeCall, result: &str) {
        let requests = &mut self.state.lock().requests;
        *requests.entry(kind).or_default().entry(result.to_owned()).or_default() += 1;
    }

    /// Until nothing that was seen so far can be lost.
    async fn until_saved(&self) -> Result<(), Refusal> {
        if self.file.is_none() {
            return Ok(());
        }
        let revision = self.state.lock().contacts.revision;
        let mut saved = self.saved.subscribe();
        let waited = tokio::time::timeout(SAVE_WAIT, saved.wait_for(|saved| *saved >= revision));
        match waited.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                Err(Refusal::new(503, "not_saved", "the change can't be written to --state yet"))
            }
        }
    }

    /// Many changes at once are written together.
    async fn keep_saved(&self) {
        loop {
            self.unsaved.notified().await;
            if let Err(error) = self.save().await {
                tracing::warn!(%error, "changes wait until they can be written");
                tokio::time::sleep(SAVE_PAUSE).await;
                self.unsaved.notify_one();
            }
        }
    }

    async fn save(&self) -> Result<(), MockError> {
        let Some(path) = self.file.clone() else {
            return Ok(());
        };
        let (revision, bytes) = {
            let contacts = &self.state.lock().contacts;
            if contacts.revision == *self.saved.borrow() {
                return Ok(());
            }
            (contacts.revision, serde_json::to_vec(contacts).map_err(std::io::Error::from)?)
        };
        let written = tokio::task::spawn_blocking(move || file::write(&path, &bytes));
        written.await.map_err(std::io::Error::other)??;
        self.saved.send_replace(revision);
        Ok(())
    }
}

impl State {
    /// By Acme's clock.
    fn now_ms(&self) -> u64 {
        now_ms().saturating_add_signed(self.faults.clock_offset_ms)
    }
}

//! An instance with contacts in it, and tokens to ask it with.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;

use crate::auth::{Accounts, Role, Roles};
use crate::config::Mode;
use crate::event_log::NewRecord;
use crate::simulate::{LoadGenerator, LoadOptions};

use super::super::offline::open_log;
use super::super::progress;
use super::super::settings::SettingsArgs;
use super::fill::append_all;
use super::start::Instance;

const SECRET: &str = "a secret for as long as a benchmark takes";
const PASSWORD: &str = "correct horse battery staple";
/// Users that the tokens are of.
const USERS: usize = 10;

/// A directory with a log, and later a store.
pub(super) struct World {
    directory: TempDir,
    /// The user's, with an embedded log in the directory.
    settings: SettingsArgs,
    pub(super) contacts: u32,
}

impl World {
    /// With a log that makes so many contacts, each whole.
    pub(super) fn new(settings: &SettingsArgs, contacts: u32) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut settings = settings.clone();
        settings.path = Some(directory.path().to_owned());
        for (key, value) in [("embedded_log.path", ""), ("log.kind", "embedded")] {
            settings.set.push((key.to_owned(), value.to_owned()));
        }
        let world = Self { directory, settings, contacts };
        let load = LoadOptions { events: u64::from(contacts), contacts, ..LoadOptions::default() };
        let whole = LoadGenerator::new(&load);
        let ids = whole.clone();
        let records = (0..contacts).map(|rank| created(rank, &ids.contact_id(rank)));
        world.append("filling the log", u64::from(contacts), records)?;
        let accounts = Accounts::at(world.path().join("users.toml"));
        for user in 0..USERS {
            let roles = Roles::of(&[Role::Viewer]);
            accounts.add_user(&format!("bench{user}"), None, roles, PASSWORD)?;
        }
        Ok(world)
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Appends to the log while nobody else has it.
    fn append(
        &self,
        what: &'static str,
        count: u64,
        records: impl Iterator<Item = NewRecord>,
    ) -> anyhow::Result<()> {
        let log = open_log(&self.settings.load(Mode::Serve, Vec::new())?)?;
        append_all(&log, &progress::bar(Some(count), what), records)
    }

    /// Updates of its contacts, to be applied at the next start.
    pub(super) fn append_updates(&self, events: u64) -> anyhow::Result<()> {
        let load = LoadOptions { events, contacts: self.contacts, ..LoadOptions::default() };
        let updates = LoadGenerator::new(&load).map(NewRecord::from);
        self.append("filling the log with updates", events, updates)
    }

    /// Starts the instance; ready once all is applied, or at once where `part` is ready.
    pub(super) fn start(&self, part: Option<&str>) -> anyhow::Result<Instance> {
        let mut instance = Instance::serving(&self.settings, self.path(), SECRET)?;
        let bar = progress::bar(None, "starting the instance");
        bar.enable_steady_tick(progress::TICK);
        runtime()?.block_on(instance.until_ready(&reqwest::Client::new(), part))?;
        bar.finish_and_clear();
        Ok(instance)
    }

    /// Tokens of some users, as signing in gives them, each its own.
    pub(super) fn tokens(&self, instance: &Instance, count: usize) -> anyhow::Result<Vec<String>> {
        let http = reqwest::Client::new();
        let url = format!("http://{}/api/auth/login", instance.address());
        let mut tokens = Vec::with_capacity(count);
        for user in 0..USERS {
            let credentials = json!({ "username": format!("bench{user}"), "password": PASSWORD });
            let answer: Value = runtime()?.block_on(async {
                let asked = http.post(&url).json(&credentials).send().await?;
                asked.error_for_status()?.json().await
            })?;
            let token = answer.get("accessToken").and_then(Value::as_str);
            let token = token.context("signing in gave no token")?;
            for number in 0..count.div_ceil(USERS) {
                tokens.push(again(token, number).context("a token that can't be read")?);
            }
        }
        tokens.truncate(count);
        Ok(tokens)
    }

    pub(super) fn ids(&self) -> Vec<String> {
        let load = LoadOptions { contacts: self.contacts, ..LoadOptions::default() };
        let generator = LoadGenerator::new(&load);
        (0..self.contacts).map(|rank| generator.contact_id(rank)).collect()
    }
}

pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// The token with another name, signed anew: signing in takes its time on purpose.
fn again(token: &str, number: usize) -> Option<String> {
    let mut parts = token.split('.');
    let (header, claims) = (parts.next()?, parts.next()?);
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let jti = claims.get("jti")?.as_str()?;
    *claims.get_mut("jti")? = format!("{jti}{number}").into();
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).ok()?;
    let tag = mac.chain_update(&signed).finalize().into_bytes();
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag)))
}

/// A contact that differs from the others as those of a company do.
fn created(rank: u32, id: &str) -> NewRecord {
    const FIRST: [&str; 12] = [
        "Ada",
        "Grace",
        "Alan",
        "Edsger",
        "Barbara",
        "Donald",
        "Katherine",
        "Tony",
        "Frances",
        "Niklaus",
        "Margaret",
        "Radia",
    ];
    let mut random = fastrand::Rng::with_seed(u64::from(rank));
    let first = random.choice(FIRST).unwrap_or_default();
    let last: String = (0..random.usize(4..9)).map(|_| random.lowercase()).collect();
    let time = crate::simulate::START_MS + u64::from(rank);
    let source = random.choice(["acme", "acme", "acme", "crm"]).unwrap_or_default();
    let value = json!({
        "id": format!("created-{id}"), "eventType": "contact.created", "timestamp": time,
        "source": source,
        "data": {
            "id": id, "firstName": first, "lastName": last,
            // Some share theirs.
            "email": format!("{}.{last}@example.com", first.to_lowercase()),
            "phone": format!("+1-555-{:07}", random.u32(0..10_000_000)),
            "company": format!("Company {}", random.u32(0..20_000)), "title": "Analyst",
        },
    });
    NewRecord {
        key: id.as_bytes().to_vec(),
        value: Some(value.to_string().into_bytes()),
        headers: Vec::new(),
        timestamp_ms: i64::try_from(time).unwrap_or(i64::MAX),
        lane: None,
    }
}

/// How long each measurement takes.
pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

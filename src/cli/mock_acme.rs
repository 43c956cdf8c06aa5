//! `mock-acme`: a mock of the Acme CRM, until a signal.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::acme::mock::{Faults, Mock, MockError, MockOptions, Receiver};
use crate::auth::local_webhook_secret;
use crate::config::{Config, Mode, Secret, SignatureForm};
use crate::domain::sources::ACME;
use crate::domain::texts::hex;
use crate::telemetry::init_logging;

use super::exit::Failure;
use super::instance;
use super::output::tell;
use super::settings::SettingsArgs;

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Speaks Acme's API: POST /acme/login gives a token for an API key, /acme/contacts has the \
contacts, and each change of them sends a signed webhook. GET /acme/stats counts, PUT /acme/faults lets \
other things go wrong while it runs, DELETE /acme/tokens ends all tokens; these three need no token. API key \
and secret are those of the configuration (ACME_API_KEY, ACME_WEBHOOK_SECRET) where no flag names them.

Examples:
  contactd mock-acme                    on http://127.0.0.1:3210, with a key made for this run
  contactd mock-acme --webhook-url http://127.0.0.1:3000/api/webhooks
                                        tells the `contactd dev` of this directory of each change
  contactd mock-acme --state acme.json --requests-per-minute 0 --fail-rate 0.1 --delay-ms 200"
)]
pub(super) struct MockAcmeArgs {
    /// Answer on this address; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3210")]
    listen: SocketAddr,
    /// File that holds the API key to be shown
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// How long a token is good for
    #[arg(long, value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    token_seconds: u64,
    /// Requests of each kind (login, list, get, create, update, delete) in a minute; 0: no limit
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    requests_per_minute: u32,
    /// Contacts at most
    #[arg(long, value_name = "NUMBER", default_value_t = 20_000)]
    contacts_max: usize,
    /// Keep contacts and webhooks that wait in this file, over restarts and kills
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Send a webhook for each change to this address
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
    /// File that holds the secret to sign webhooks with
    #[arg(long, value_name = "FILE")]
    webhook_secret_file: Option<PathBuf>,
    /// What is signed: time and body, or the body alone; as the source acme is configured where nothing is said
    #[arg(long, value_name = "FORM", value_parser = ["acme", "acme-body"])]
    sign: Option<String>,
    #[command(flatten)]
    faults: FaultArgs,
}

/// What goes wrong from the start on.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Faults")]
struct FaultArgs {
    /// Share of the requests that fail, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    fail_rate: f64,
    /// What those are answered with
    #[arg(long, value_name = "STATUS", default_value_t = 503)]
    fail_status: u16,
    /// Their Retry-After
    #[arg(long, value_name = "SECONDS")]
    retry_after: Option<u64>,
    /// Answer them with HTML
    #[arg(long)]
    html: bool,
    /// Share of the requests that are done and never answered
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    no_answer_rate: f64,
    /// Share of the requests that are done and answered by half
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    cut_rate: f64,
    /// Wait before each request
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay_ms: u64,
    /// How far Acme's clock is ahead, or behind where negative
    #[arg(long, value_name = "MS", default_value_t = 0, allow_negative_numbers = true)]
    clock_offset_ms: i64,
}

pub(super) fn run(settings: &SettingsArgs, args: &MockAcmeArgs) -> anyhow::Result<()> {
    let config = settings.load(Mode::Dev, Vec::new())?;
    init_logging(&config.telemetry)?;
    let (api_key, is_made) = api_key(&config, args)?;
    let webhooks = args.webhook_url.as_ref().map(|url| receiver(&config, args, url)).transpose()?;
    let options = MockOptions {
        api_key: api_key.clone(),
        token_seconds: args.token_seconds,
        requests_per_minute: args.requests_per_minute,
        contacts_max: args.contacts_max,
        faults: faults(&args.faults)?,
        webhooks,
        state: args.state.clone(),
    };
    let told = lines(args, &options, is_made.then_some(&api_key));
    let mock = Mock::open(options).map_err(|error| match &error {
        MockError::State { .. } => anyhow::Error::new(Failure::Data(error.to_string())),
        MockError::Receiver(why) => {
            anyhow::Error::new(Failure::Usage(format!("--webhook-url: {why}")))
        }
        MockError::Io(_) => error.into(),
    })?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.context("can't start the runtime")?.block_on(async {
        let listener = TcpListener::bind(args.listen).await;
        let taken = || format!("can't listen on {}; --listen names another address", args.listen);
        let listener = listener.with_context(taken)?;
        let url = instance::address_on(listener.local_addr()?, false);
        tell(told.replace("{url}", &url));
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let told_to_end = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        Ok(mock.serve(listener, told_to_end).await?)
    })
}

/// The key, and whether it was made for this run.
fn api_key(config: &Config, args: &MockAcmeArgs) -> anyhow::Result<(Secret, bool)> {
    if let Some(file) = &args.api_key_file {
        return Ok((from_file("--api-key-file", file)?, false));
    }
    if let Some(key) = &config.acme.api_key {
        return Ok((key.clone(), false));
    }
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    Ok((Secret::new(hex(&bytes)), true))
}

/// Signs as contactd's source acme verifies, unless flags say otherwise.
fn receiver(config: &Config, args: &MockAcmeArgs, url: &str) -> anyhow::Result<Receiver> {
    // A secret that is missing for an address that is none would be looked for in vain.
    if !url.starts_with("http://") && !url.starts_with("https://") {
        let text = format!("--webhook-url {url} must begin with http:// or https://");
        return Err(Failure::Usage(text).into());
    }
    let source = config.webhooks.sources.get(ACME);
    let configured = source.map(|source| source.signature.name.as_str());
    let form = args.sign.as_deref().or(configured.filter(|name| *name == "acme-body"));
    let form = SignatureForm::named(form.unwrap_or("acme")).context("there is no such form")?;
    let configured = source.and_then(|source| source.secret.clone());
    let local = || local_webhook_secret(&config.store.path).filter(|_| instance::is_here(url));
    let secret = match &args.webhook_secret_file {
        Some(file) => Some(from_file("--webhook-secret-file", file)?),
        None => configured.or_else(local),
    };
    let secret = secret.ok_or_else(|| {
        let text = "there is no secret to sign webhooks with; set ACME_WEBHOOK_SECRET, or name a file \
                    with --webhook-secret-file";
        Failure::Usage(text.to_owned())
    })?;
    Ok(Receiver { url: url.to_owned(), secret, form })
}

fn from_file(flag: &str, file: &PathBuf) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(file);
    let text = text.with_context(|| format!("can't read {flag} {}", file.display()))?;
    let is_empty = text.trim().is_empty();
    let wrong = || Failure::Usage(format!("{flag} {} is empty", file.display()));
    if is_empty { Err(wrong().into()) } else { Ok(Secret::new(text.trim())) }
}

fn faults(args: &FaultArgs) -> Result<Faults, Failure> {
    let faults = Faults {
        fail_rate: args.fail_rate,
        fail_status: args.fail_status,
        retry_after: args.retry_after,
        html: args.html,
        no_answer_rate: args.no_answer_rate,
        cut_rate: args.cut_rate,
        delay_ms: args.delay_ms,
        clock_offset_ms: args.clock_offset_ms,
        ..Faults::default()
    };
    faults.check().map(|()| faults).map_err(|problem| Failure::Usage(format!("faults: {problem}")))
}

/// What is said at the start, with `{url}` for the address.
fn lines(args: &MockAcmeArgs, options: &MockOptions, made_key: Option<&Secret>) -> String {
    let key = made_key.map_or("$ACME_API_KEY", Secret::expose);
    let limit = match args.requests_per_minute {
        0 => "none".to_owned(),
        number => format!("{number} requests a minute of each kind (--requests-per-minute)"),
    };
    let webhooks = match &options.webhooks {
        Some(receiver) => format!("to {}, signed as {}", receiver.url, receiver.form.name),
        None => "none (--webhook-url sends them)".to_owned(),
    };
    let state = match &args.state {
        Some(file) => file.display().to_string(),
        None => "in memory (--state keeps it)".to_owned(),
    };
    let origin = if made_key.is_some() { "made for this run" } else { "as configured" };
    let mut text = format!(
        "\nA mock of the Acme CRM at {{url}}\n\n\
         \x20 API key   {key} ({origin})\n\
         \x20 Limit     {limit}\n\
         \x20 Webhooks  {webhooks}\n\
         \x20 State     {state}\n\n\
         Try:\n"
    );
    let bearer = "-H \"Authorization: Bearer $TOKEN\"";
    for line in [
        &format!(
            "TOKEN=$(curl -s {{url}}/acme/login -d \"{{\\\"apiKey\\\":\\\"{key}\\\"}}\" | cut -d'\"' -f4)"
        ),
        &format!("curl -s {bearer} {{url}}/acme/contacts -d '{{\"acme_first_name\":\"Ada\"}}'"),
        &format!("curl -s {bearer} {{url}}/acme/contacts"),
        "curl -s {url}/acme/stats",
        "curl -s -X PUT {url}/acme/faults -d '{\"failRate\":0.5}'",
    ] {
        let _ = writeln!(text, "  {line}");
    }
    text.push_str("\nCtrl-C ends it.\n");
    text
}

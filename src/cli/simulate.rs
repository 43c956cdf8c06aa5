//! `simulate`: webhooks on a bad day, sent to any target, and whether it held what it should.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use indicatif::ProgressBar;
use xxhash_rust::xxh3::xxh3_64;

use crate::app::{ApplySetup, now_ms};
use crate::auth::local_webhook_secret;
use crate::config::units::parse_duration;
use crate::config::{Config, Mode, Secret};
use crate::domain::sources::ACME;
use crate::domain::timestamp::{format_rfc3339, parse_rfc3339_us};
use crate::ingest::{Message, sign, signed_headers};
use crate::simulate::{
    ChaosOptions, LoadOptions, Manner, Report, STEP_MS_MAX, SimulateError, Simulation, Stage,
    ToSign, simulate,
};

use super::exit::Failure;
use super::foreign::line;
use super::instance;
use super::output;
use super::progress;
use super::settings::SettingsArgs;
use super::value_parsers::rate;

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Makes contact events from a seed and sends them as signed webhooks; some twice, out \
of turn or late, and besides them forged and cut ones, which the target must refuse. In the end it asks the \
target for every contact and says whether that is what the events make of it. Speaks HTTP only: POST \
/api/webhooks and GET /api/contacts/{id}. Equal seeds send equal bodies in an equal order, and print the \
same hash. Exit code 5 where anything is not as it should be.

Examples:
  contactd simulate                     against `contactd dev` on this machine
  contactd simulate --events 100000 --contacts 5000 --rate 2000 --duplicate 20% --seed 8
  CONTACTD_WEBHOOK_SECRET=... CONTACTD_API_KEY=... contactd simulate --target https://crm.example.com"
)]
pub(super) struct SimulateArgs {
    /// The target's address; the configured instance on this machine if nothing is said
    #[arg(long, value_name = "URL", env = "CONTACTD_URL")]
    target: Option<String>,
    /// The secret to sign with. Others see it on a command line: better set the variable, or use a file
    #[arg(long, env = "CONTACTD_WEBHOOK_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// File that holds the secret to sign with
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// API key to read contacts with; that of the instance on this machine where nothing is said
    #[arg(long, alias = "api-key", env = "CONTACTD_API_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Access token to read contacts with, in place of a key
    #[arg(long)]
    token: Option<String>,
    /// Certificates (PEM) of which one must stand behind the target's, instead of the system's
    #[arg(long, env = "CONTACTD_CACERT", value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// How many different events
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    events: u64,
    /// How many contacts they are about
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    contacts: u32,
    /// Equal seeds do equal things
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Requests a second; as fast as they are answered where nothing is said
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    rate: Option<f64>,
    /// Share of the events that is sent twice
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = percentage)]
    duplicate: f64,
    /// Share of the events that is sent after up to 8 later ones
    #[arg(long, value_name = "SHARE", default_value = "10%", value_parser = percentage)]
    reorder: f64,
    /// Share of the events that is sent after 64 to 511 later ones
    #[arg(long, value_name = "SHARE", default_value = "2%", value_parser = percentage)]
    late: f64,
    /// Share of the events that is also sent changed, by somebody without the secret
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = percentage)]
    forge: f64,
    /// Share of the events that is also sent without its end
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = percentage)]
    truncate: f64,
    /// Date of the first event
    #[arg(long, value_name = "TIME", default_value = "2026-01-01T00:00:00Z", value_parser = time)]
    start_time: u64,
    /// How long the target may take to apply what it took
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = wait)]
    wait: Duration,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// How long one answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

pub(super) fn run(settings: &SettingsArgs, args: &SimulateArgs) -> anyhow::Result<()> {
    let config = settings.load(Mode::Serve, Vec::new())?;
    let target = match &args.target {
        Some(target) => checked_target(target)?,
        None => instance::url(&config),
    };
    let key = instance::key(&config, args.key.as_deref(), &target);
    let credentials = match (&args.token, &key) {
        (Some(token), _) => vec![("Authorization", format!("Bearer {token}"))],
        (None, Some(key)) => vec![("X-API-Key", key.expose().to_owned())],
        (None, None) => Vec::new(),
    };
    let secret = secret(&config, args, &target)?;
    let form = config.webhooks.sources.get(ACME).map(|source| source.signature.clone());
    let form = form.context("the source acme is not configured")?;
    let url = format!("{}/api/webhooks", target.trim_end_matches('/'));
    let made = move |to_sign: &ToSign<'_>| {
        let id = format!("sim_{:016x}", fastrand::u64(..));
        let (timestamp, id) = (to_sign.timestamp.as_bytes(), id.as_bytes());
        let message = |body| Message { timestamp, id, url: &url, body };
        let signature = to_sign
            .body
            .as_ref()
            .and_then(|body| sign(&form, secret.expose(), &message(body)).ok());
        signed_headers(&form, &message(&[]), signature)
    };
    let had_key = !credentials.is_empty();
    let simulation = Simulation {
        http: instance::client(&config, &target, args.cacert.as_deref(), ANSWER_WAIT)?,
        target: target.clone(),
        load: load(args)?,
        chaos: chaos(args),
        rate: args.rate,
        wait: args.wait,
        sign: Arc::new(made),
        credentials,
        decoder: ApplySetup::new(&config)?.decoder,
    };
    let bar = progress::bar(None, "sending");
    let report = watched(&simulation, &bar).map_err(|error| told(error, &target, had_key))?;
    bar.finish_and_clear();
    tell(&report, args.json)?;
    if report.is_right() {
        return Ok(());
    }
    Err(Failure::Data(format!("{target} does not hold what was sent, as shown above")).into())
}

fn watched(simulation: &Simulation, bar: &ProgressBar) -> Result<Report, SimulateError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| SimulateError::Unreachable(error.to_string()))?;
    let progress = |stage| match stage {
        Stage::Sent(requests) => bar.set_position(requests),
        Stage::Equal(contacts) => {
            bar.set_message("comparing contacts");
            bar.set_position(contacts);
        }
    };
    runtime.block_on(simulate(simulation, &progress))
}

fn told(error: SimulateError, target: &str, had_key: bool) -> anyhow::Error {
    match error {
        SimulateError::Unreachable(why) => {
            Failure::Unreachable(format!("{target} does not answer: {why}")).into()
        }
        SimulateError::Forbidden => Failure::Refused(instance::refused(target, had_key)).into(),
        error @ (SimulateError::Unreadable(_) | SimulateError::Event(_)) => {
            Failure::Data(format!("{target}: {error}")).into()
        }
    }
}

/// Where the target answers, with a path where it is behind one.
fn checked_target(text: &str) -> Result<String, Failure> {
    let url = instance::checked_url("--target", text)?;
    let url = url.as_str().trim_end_matches('/');
    if url.ends_with("/api/webhooks") {
        let problem = "--target is the address of webhooks, and not of the whole target; it must be like \
                       http://127.0.0.1:3000";
        return Err(Failure::Usage(problem.to_owned()));
    }
    Ok(url.to_owned())
}

/// From the flag or its variable, a file, the configuration, or of a `dev` on this machine.
fn secret(config: &Config, args: &SimulateArgs, target: &str) -> anyhow::Result<Secret> {
    // Empty means not set, as everywhere.
    if let Some(secret) = args.secret.as_deref().map(str::trim).filter(|it| !it.is_empty()) {
        return Ok(Secret::new(secret));
    }
    if let Some(file) = &args.secret_file {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("can't read --secret-file {}", file.display()))?;
        return Ok(Secret::new(text.trim()));
    }
    let configured = config.webhooks.sources.get(ACME).and_then(|acme| acme.secret.clone());
    let local = || local_webhook_secret(&config.store.path).filter(|_| instance::is_here(target));
    configured.or_else(local).ok_or_else(|| {
        let text = "there is no secret to sign with; set CONTACTD_WEBHOOK_SECRET or \
                    ACME_WEBHOOK_SECRET, or name a file with --secret-file";
        Failure::Usage(text.to_owned()).into()
    })
}

fn load(args: &SimulateArgs) -> Result<LoadOptions, Failure> {
    let start_ms = args.start_time;
    let last_ms = start_ms.saturating_add(args.events.saturating_mul(STEP_MS_MAX));
    if last_ms > now_ms() {
        return Err(Failure::Usage(format!(
            "the last of the {} events would be dated up to {}, which is ahead of now; choose an \
             earlier --start-time",
            args.events,
            format_rfc3339(last_ms)
        )));
    }
    Ok(LoadOptions {
        events: args.events,
        contacts: args.contacts,
        // Runs over other events are about other contacts, so that none finds what another left.
        seed: xxh3_64(
            format!("{} {} {} {start_ms}", args.seed, args.events, args.contacts).as_bytes(),
        ),
        // Chaos does this, with equal events whatever its shares are.
        duplicates: 0.0,
        late: 0.0,
        malformed: 0.0,
        start_ms,
        ..LoadOptions::default()
    })
}

fn chaos(args: &SimulateArgs) -> ChaosOptions {
    ChaosOptions {
        duplicate: args.duplicate,
        reorder: args.reorder,
        late: args.late,
        forge: args.forge,
        truncate: args.truncate,
        seed: args.seed,
    }
}

fn tell(report: &Report, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let text = serde_json::to_string_pretty(report).context("writing the report")?;
        return output::write_json(&format!("{text}\n"));
    }
    let mut text = format!("{}, seed {}, {} events\n\n", report.target, report.seed, report.events);
    let mut row = |name: &str, count: u64| {
        text.push_str(&format!("{name:<26}{count:>10}\n"));
    };
    let requests = report.requests;
    row("requests sent", requests.sent);
    for manner in Manner::ALL {
        let count = report.sent.get(manner.as_str()).copied().unwrap_or(0);
        row(&format!("  {}", manner.as_str().replace('_', " ")), count);
    }
    row("accepted", requests.accepted);
    row("refused, as expected", requests.refused_as_expected);
    row("accepted unexpectedly", requests.accepted_unexpectedly);
    row("refused unexpectedly", requests.refused_unexpectedly);
    row("unanswered", requests.unanswered);
    row("tried again", requests.retries);
    row("contacts equal", report.contacts.equal);
    row("contacts different", report.contacts.different);
    row("contacts missing", report.contacts.missing);
    for wrong in &report.wrong_answers {
        text.push_str(&format!("\n{}", line(wrong)));
    }
    for difference in &report.differences {
        let what = if difference.fields.is_empty() {
            "is not there".to_owned()
        } else {
            difference.fields.join("; ")
        };
        text.push('\n');
        text.push_str(&line(&format!("contact {} {what}", difference.contact_id)));
    }
    let rate = requests.sent as f64 / report.seconds.max(1e-9);
    text.push_str(&format!("\n{:.1} s, {rate:.0} requests a second\n", report.seconds));
    text.push_str(&format!("sha256 of all bodies and what was done to them: {}\n", report.hash));
    output::write_all(text.as_bytes())
}

/// RFC 3339, for `--start-time`.
fn time(text: &str) -> Result<u64, String> {
    let problem = "must be a time like 2026-01-01T00:00:00Z";
    parse_rfc3339_us(text.as_bytes()).map(|us| us / 1000).ok_or_else(|| problem.to_owned())
}

fn wait(text: &str) -> Result<Duration, String> {
    let most = Duration::from_secs(24 * 60 * 60);
    let problem = "must be a duration like 30s or 5m, at most a day";
    parse_duration(text).filter(|wait| *wait <= most).ok_or_else(|| problem.to_owned())
}

/// `5%` or `0.05`.
fn percentage(text: &str) -> Result<f64, String> {
    let problem = "must be a share like 5% or 0.05, at most 100%";
    let (number, of) = match text.strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    let number = number.trim().parse::<f64>().map_err(|_| problem.to_owned())?;
    let share = number / of;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(problem.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_as_people_write_them() {
        assert_eq!(percentage("5%"), Ok(0.05));
        assert_eq!(percentage("0.05"), Ok(0.05));
        assert_eq!(percentage("100%"), Ok(1.0));
        for wrong in ["5", "101%", "-1%", "%", "five", "NaN", ""] {
            assert!(percentage(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_target_is_the_beginning_of_its_paths() {
        let target = |text| checked_target(text).map_err(|error| error.to_string());
        assert_eq!(target("http://127.0.0.1:3000/").as_deref(), Ok("http://127.0.0.1:3000"));
        assert_eq!(target("https://example.com/crm").as_deref(), Ok("https://example.com/crm"));
        for wrong in [
            "127.0.0.1:3000",
            "example.com",
            "ftp://example.com",
            "http://u:p@example.com",
            "http://example.com/?a=b",
            "http://example.com/api/webhooks",
        ] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }
}

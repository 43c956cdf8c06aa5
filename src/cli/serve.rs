//! `dev` and `serve`: the configuration read, the process run until a signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

use crate::app::{self, ConfigSource, DemoOptions, RunOptions, WorkerOptions};
use crate::auth::{FIRST_USER, first_user, kept_jwt_secret, kept_webhook_secret};
use crate::config::{Config, ConfigError, ConfigErrors, FlagSetting, LogChoice, Mode};
use crate::telemetry::{LogFilter, init_logging};

use super::arguments::{DevArgs, ServeArgs};
use super::banner::Banner;
use super::output::tell;
use super::settings::{SettingsArgs, flag};
use super::with_acme::DevAcme;

pub(super) fn serve(settings: &SettingsArgs, args: &ServeArgs) -> anyhow::Result<()> {
    let config = settings.load(Mode::Serve, flags(args))?;
    config.require_fit_to_serve()?;
    let log_filter = begin(&config)?;
    if !config.follows_kafka() && config.log.kind == LogChoice::Auto {
        tracing::warn!(
            "no brokers are configured (KAFKA_BROKERS), so this instance follows a log of its own; set \
             log.kind to \"embedded\" where that is meant"
        );
    }
    let started = |started: &app::Started| {
        tracing::info!(address = %started.address, "listening");
    };
    let options = RunOptions {
        worker: worker(args),
        started: Some(Box::new(started)),
        source: Some(source(settings, Mode::Serve, flags(args), log_filter, Ok)),
        ..RunOptions::default()
    };
    app::run(config, options)
}

pub(super) fn dev(settings: &SettingsArgs, args: &DevArgs) -> anyhow::Result<()> {
    let mut flags = flags(&args.serve);
    // Removed when this function ends, however it ends.
    let directory = args.ephemeral.then(tempfile::tempdir).transpose();
    let directory = directory.context("making a temporary directory")?;
    if let Some(directory) = &directory {
        let path = directory.path().to_string_lossy();
        flags.push(flag("--ephemeral", "store.path", path));
        flags.push(flag("--ephemeral", "embedded_log.path", ""));
    }
    let config = settings.load(Mode::Dev, flags.clone())?;
    config.require_fit_to_serve()?;
    let log_filter = begin(&config)?;
    let mut config = with_kept_secrets(config)?;
    let acme = args.with_acme.map(|address| DevAcme::start(address, &mut config)).transpose()?;
    let introduction = acme.as_ref().map(|acme| acme.introduction(&config));
    let password = first_user(&config.auth.users_file)?;
    // A topic is somebody's: made-up contacts are for a log of one's own.
    let has_demo = !args.no_demo && acme.is_none() && !config.follows_kafka();
    let demo_rate = has_demo.then_some(args.rate);
    let mut banner = Banner::new(&config, args.ephemeral, demo_rate, password.clone());
    banner.acme = config.acme.url.clone().filter(|_| acme.is_some());
    let shown = Arc::new(AtomicBool::new(false));
    let shows = Arc::clone(&shown);
    let options = RunOptions {
        worker: worker(&args.serve),
        demo: demo_rate.map(|rate| DemoOptions { rate, payments: config.payments.enabled }),
        started: Some(Box::new(move |started| {
            // What the banner says to try is there by then.
            if let Some(introduce) = introduction {
                introduce(started.address);
            }
            tell(banner.text(started));
            shows.store(true, Ordering::Release);
        })),
        // What runs beside it has a part in the configuration that stands in no layer.
        source: acme
            .is_none()
            .then(|| source(settings, Mode::Dev, flags, log_filter, with_kept_secrets)),
        ..RunOptions::default()
    };
    let ended = app::run(config, options);
    if let Some(password) = password.filter(|_| !shown.load(Ordering::Acquire)) {
        // It is in the file as a hash only, and would be lost.
        tell(format_args!("{FIRST_USER} has been given the password {}", password.expose()));
    }
    ended
}

/// In `dev` what nobody has set is made once and kept.
fn with_kept_secrets(mut config: Config) -> anyhow::Result<Config> {
    if config.jwt.secret.is_none() {
        config.jwt.secret = Some(kept_jwt_secret(&config.store.path)?);
    }
    if let Some(acme) = config.webhooks.sources.get_mut("acme").filter(|acme| acme.secret.is_none())
    {
        acme.secret = Some(kept_webhook_secret(&config.store.path)?);
    }
    Ok(config)
}

/// The same layers, read again.
fn source(
    settings: &SettingsArgs,
    mode: Mode,
    flags: Vec<FlagSetting>,
    log_filter: LogFilter,
    complete: fn(Config) -> anyhow::Result<Config>,
) -> ConfigSource {
    let settings = settings.clone();
    let read = move || {
        let read = settings.load(mode, flags.clone()).and_then(complete);
        read.map_err(|error| {
            error.downcast::<ConfigErrors>().unwrap_or_else(|error| {
                let (place, problem) = ("configuration".to_owned(), format!("{error:#}"));
                ConfigErrors(vec![ConfigError::Syntax { place, problem }])
            })
        })
    };
    ConfigSource { read: Arc::new(read), log_filter, by_signal: mode == Mode::Serve }
}

fn worker(args: &ServeArgs) -> WorkerOptions {
    let accepts_gap = args.accept_gap && args.sole;
    WorkerOptions { accepts_gap, until_caught_up: args.until_caught_up }
}

fn flags(args: &ServeArgs) -> Vec<FlagSetting> {
    args.listen.iter().map(|listen| flag("--listen", "server.listen", listen)).collect()
}

fn begin(config: &Config) -> anyhow::Result<LogFilter> {
    let log_filter = init_logging(&config.telemetry)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok(log_filter)
}

//! The command line: arguments in, one command run, an exit code out.
//!
//! Standard output carries only the data that was asked for; everything else goes to standard
//! error. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong configuration, 4 something needed
//! can't be reached, 5 the data is not there or not right.

mod acme;
mod api;
mod arguments;
mod asyncapi;
mod backup;
mod banner;
mod bench;
mod check_event;
mod configuration;
mod dashboards;
mod dlq;
mod doctor;
mod exit;
mod export;
mod follower;
mod foreign;
mod get;
mod import;
mod instance;
mod man;
mod mock_acme;
mod offline;
mod output;
mod pinned;
mod produce;
mod progress;
mod reference;
mod reload;
mod restore;
mod schemas;
mod serve;
mod settings;
mod simulate;
mod source;
mod source_command;
mod status;
mod store;
mod subscription;
mod support_bundle;
mod topics;
mod users;
mod value_parsers;
mod with_acme;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use rustix::fs::Mode;

use crate::config::Mode::Serve;
use crate::{app, http};

use arguments::{Arguments, Command};
use settings::SettingsArgs;

/// Runs the command that `arguments` (the program's name first) ask for.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to standard output, and are no mistake.
            let code = if error.use_stderr() { exit::USAGE } else { exit::DONE };
            // A closed pipe is no reason to complain.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match execute(arguments) {
        Ok(()) => ExitCode::from(exit::DONE),
        Err(error) => exit::report(&error),
    }
}

fn execute(arguments: Arguments) -> anyhow::Result<()> {
    // Whatever is made from here on is its owner's alone, whoever makes it: sled makes files too.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    // For our own requests; refused where this process has one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = &arguments.settings;
    match arguments.command.unwrap_or_default() {
        Command::Dev(args) => serve::dev(settings, &args),
        Command::Serve(args) => serve::serve(settings, &args),
        Command::Produce(args) => produce::run(settings, &args),
        Command::Import(args) => import::run(settings, &args),
        Command::Get(args) => get::run(settings, &args),
        Command::Export(args) => export::run(settings, &args),
        Command::Status(args) => status::run(settings, &args),
        Command::Reload(args) => reload::run(settings, &args),
        Command::SupportBundle(args) => support_bundle::run(settings, &args),
        Command::Doctor(args) => doctor::run(settings, &args),
        Command::CheckEvent(args) => check_event::run(settings, &args),
        Command::Source(command) => source::run(settings, &command),
        Command::Simulate(args) => simulate::run(settings, &args),
        Command::MockAcme(args) => mock_acme::run(settings, &args),
        Command::Dlq(command) => dlq::run(settings, &command),
        Command::Follower(command) => follower::run(settings, &command),
        Command::Subscription(command) => subscription::run(settings, &command),
        Command::Acme(command) => acme::run(settings, &command),
        Command::Backup(args) => backup::run(settings, &args),
        Command::Restore(args) => restore::run(settings, &args),
        Command::Store(command) => store::run(settings, &command),
        Command::User(command) => users::user(settings, &command),
        Command::Key(command) => users::key(settings, &command),
        Command::Topics(command) => topics::run(settings, &command),
        Command::Config(command) => configuration::run(settings, &command),
        Command::Openapi { postman } => openapi(settings, postman),
        Command::Schemas(args) => schemas::run(&args),
        Command::Asyncapi => asyncapi::run(settings),
        Command::Dashboards(args) => dashboards::run(&args),
        Command::Docs { directory } => reference::run(&directory),
        Command::Bench(command) => bench::run(settings, &command),
        Command::Completions { shell } => completions(shell),
        Command::Man(args) => man::run(&args, Arguments::command()),
    }
}

fn openapi(settings: &SettingsArgs, as_postman: bool) -> anyhow::Result<()> {
    let config = settings.load(Serve, Vec::new())?;
    let (acme, simulator) = (config.acme.url.is_some(), app::has_simulator(&config));
    let payments = config.payments.enabled;
    let there = http::Optional { acme, simulator, payments };
    let text = if as_postman { http::postman_json() } else { http::openapi_json(there) };
    output::write_all(text.as_bytes())
}

fn completions(shell: clap_complete::Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "contactd", &mut script);
    output::write_all(&script)
}

#[cfg(test)]
mod tests;

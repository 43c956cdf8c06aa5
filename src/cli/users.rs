//! `user` and `key`: the file of users and API keys.

use std::fs::File;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use anyhow::Context as _;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::auth::{Accounts, HashCost, Roles, check_password};
use crate::config::{Config, Mode, Secret};

use super::arguments::{KeyCommand, UserCommand};
use super::exit::Failure;
use super::foreign::line;
use super::output::{self, tell};
use super::settings::SettingsArgs;

/// More than any password has.
const STDIN_BYTES_MAX: u64 = 64 * 1024;

pub(super) fn user(settings: &SettingsArgs, command: &UserCommand) -> anyhow::Result<()> {
    let config = settings.load(Mode::Serve, Vec::new())?;
    let accounts = accounts(&config);
    match command {
        UserCommand::Add { name, roles, email, password_stdin } => {
            let password = new_password(name, *password_stdin)?;
            tell_of_new_file(&accounts);
            accounts.add_user(name, email.as_deref(), Roles::of(roles), password.expose())?;
            done(&accounts, &format!("user {name} added"));
        }
        UserCommand::Passwd { name, password_stdin } => {
            let password = new_password(name, *password_stdin)?;
            accounts.set_password(name, password.expose())?;
            done(
                &accounts,
                &format!("user {name} has a new password, and is signed out everywhere"),
            );
        }
        UserCommand::Disable { name } => {
            accounts.disable_user(name)?;
            done(&accounts, &format!("user {name} is disabled, and signed out everywhere"));
        }
        UserCommand::Enable { name } => {
            accounts.enable_user(name)?;
            done(&accounts, &format!("user {name} can sign in again"));
        }
        UserCommand::Remove { name } => {
            accounts.remove_user(name)?;
            done(&accounts, &format!("user {name} removed, and signed out everywhere"));
        }
        UserCommand::List => {
            let rows = accounts.list()?.users.into_iter().map(|user| {
                let state = if user.disabled.is_some() { "disabled" } else { "" };
                let email = user.email.unwrap_or_default();
                [user.name, user.roles.join(","), email, user.created, state.to_owned()]
            });
            table(["NAME", "ROLES", "E-MAIL", "CREATED", ""], rows.collect())?;
        }
    }
    Ok(())
}

pub(super) fn key(settings: &SettingsArgs, command: &KeyCommand) -> anyhow::Result<()> {
    let config = settings.load(Mode::Serve, Vec::new())?;
    let accounts = accounts(&config);
    match command {
        KeyCommand::Create { name, roles, expires } => {
            tell_of_new_file(&accounts);
            let key = accounts.create_key(name, Roles::of(roles), *expires)?;
            output::write_all(format!("{key}\n").as_bytes())?;
            done(&accounts, &format!("key {name} created; it can't be shown again"));
        }
        KeyCommand::Revoke { name } => {
            accounts.revoke_key(name)?;
            done(&accounts, &format!("key {name} revoked"));
        }
        KeyCommand::List => {
            let rows = accounts.list()?.keys.into_iter().map(|key| {
                let expires = key.expires.unwrap_or_else(|| "never".to_owned());
                [key.name, format!("{}…", key.prefix), key.roles.join(","), key.created, expires]
            });
            table(["NAME", "KEY", "ROLES", "CREATED", "EXPIRES"], rows.collect())?;
        }
    }
    Ok(())
}

fn accounts(config: &Config) -> Accounts {
    Accounts::at(&config.auth.users_file).with_cost(HashCost::of(&config.auth))
}

fn done(accounts: &Accounts, what: &str) {
    tell(format_args!(
        "{what}; an instance that runs with {} knows within a second",
        accounts.path().display()
    ));
}

/// A first user is nothing special; a command in a directory that is no instance's looks the same.
fn tell_of_new_file(accounts: &Accounts) {
    if !accounts.path().exists() {
        tell(format_args!(
            "{} is made new: instances read it if their auth.users_file or store.path says so",
            accounts.path().display()
        ));
    }
}

/// From standard input, or asked for twice on the terminal. Never an argument: those show in the
/// list of processes and in the shell's history.
fn new_password(user: &str, from_stdin: bool) -> anyhow::Result<Secret> {
    let password = if from_stdin {
        let mut text = String::new();
        io::stdin()
            .take(STDIN_BYTES_MAX)
            .read_to_string(&mut text)
            .context("reading the password")?;
        // `echo` ends it so; nobody means that.
        Secret::new(
            text.strip_suffix('\n').map_or(text.as_str(), |text| text.trim_end_matches('\r')),
        )
    } else {
        asked_twice(user)?
    };
    check_password(password.expose(), user).map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(password)
}

fn asked_twice(user: &str) -> anyhow::Result<Secret> {
    if !io::stdin().is_terminal() {
        let text = "there is no terminal to ask for the password on; say --password-stdin";
        return Err(Failure::Usage(text.to_owned()).into());
    }
    let first = asked(&format!("Password for {user}: "))?;
    if asked("Once more: ")? != first {
        return Err(Failure::Usage("the two passwords differ".to_owned()).into());
    }
    Ok(first)
}

/// One line from the terminal that it does not show.
fn asked(question: &str) -> anyhow::Result<Secret> {
    let terminal = File::open("/dev/tty").context("opening the terminal")?;
    let _ = write!(io::stderr(), "{question}");
    io::stderr().flush()?;
    let shown = tcgetattr(&terminal).context("asking the terminal for its modes")?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &hidden).context("hiding what is typed")?;
    let mut line = String::new();
    let read = io::BufReader::new(&terminal).read_line(&mut line);
    tcsetattr(&terminal, OptionalActions::Flush, &shown).context("showing what is typed again")?;
    tell("");
    read.context("reading the password")?;
    Ok(Secret::new(line.trim_end_matches(['\r', '\n'])))
}

/// Columns as wide as what is in them.
fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> anyhow::Result<()> {
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(rows.into_iter().map(|row| row.map(|cell| line(&cell).into_owned())));
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in &lines {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    output::write_all(text.as_bytes())
}

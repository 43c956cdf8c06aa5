//! The bare handler that a benchmark over HTTP has beside it, in a process of its own, and the table
//! of both.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::super::settings::SettingsArgs;
use super::http_load::Answered;
use super::table::{median, print, thousands};

/// What a handler without anything to open may take until it answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// Killed when dropped.
pub(super) struct Bare {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Bare {
    /// Starts `bench COMMAND ADDRESS …` of this program, and returns when it answers.
    pub(super) fn start(
        settings: &SettingsArgs,
        command: &str,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        // Free a moment ago; nobody else is expected to take it.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(std::env::current_exe()?)
            .args(settings.as_arguments())
            .args(["bench", command, &address.to_string()])
            .args(more)
            .stdout(Stdio::null())
            .spawn()
            .context("starting the bare handler")?;
        let bare = Self { child, address };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            anyhow::ensure!(started.elapsed() < PATIENCE, "the bare handler does not answer");
            std::thread::yield_now();
        }
        Ok(bare)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Rounds of something measured, with its name.
pub(super) struct Measured<'a>(pub(super) &'a str, pub(super) &'a [Answered]);

/// A row each, the first of them the limit.
pub(super) fn print_beside_limit(all: &[Measured<'_>]) {
    let limits = all.first().map_or::<&[_], _>(&[], |limit| limit.1);
    let rows: Vec<_> = all.iter().map(|Measured(name, rounds)| row(name, rounds, limits)).collect();
    print(&["", "requests/s", "by round", "p50", "p99", "of bare"], &rows);
}

/// Requests a second, the median of the rounds.
pub(super) fn rate(rounds: &[Answered]) -> f64 {
    median(rounds.iter().map(Answered::a_second).collect())
}

/// What part of the limit it is: the median of each round beside the limit's of the same round, as
/// what else the machine does in the meantime takes from both.
fn part_of_limit(rounds: &[Answered], limits: &[Answered]) -> f64 {
    if rounds.len() != limits.len() {
        return rate(rounds) / rate(limits).max(1.0);
    }
    let beside =
        |(ours, limit): (&Answered, &Answered)| ours.a_second() / limit.a_second().max(1.0);
    median(rounds.iter().zip(limits).map(beside).collect())
}

fn row(name: &str, rounds: &[Answered], limits: &[Answered]) -> Vec<String> {
    let of = |share| median(rounds.iter().map(|round| round.quantile(share)).collect());
    // How far they are apart says how much the machine was busy with something else.
    let lowest = rounds.iter().map(Answered::a_second).fold(f64::INFINITY, f64::min);
    let highest = rounds.iter().map(Answered::a_second).fold(0.0, f64::max);
    vec![
        name.to_owned(),
        thousands(rate(rounds)),
        format!("{}–{}", thousands(lowest), thousands(highest)),
        format!("{:.2} ms", of(0.5)),
        format!("{:.2} ms", of(0.99)),
        format!("{:.2}", part_of_limit(rounds, limits)),
    ]
}

//! `bench feed`: many clients really connected, what each costs in memory, and how long an event
//! takes to all of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::now_ms;
use crate::auth::local_key;
use crate::config::Secret;
use crate::domain::timestamp::parse_rfc3339_us;

use super::super::output::show;
use super::super::value_parsers::rate;
use super::start::Instance;
use super::table::{print, quantile, thousands};
use super::usage::resident_bytes;

/// How long the instance runs before and between the looks at its memory.
const SETTLE: Duration = Duration::from_secs(2);
/// Clients that connect at once.
const CONNECTING: usize = 50;
/// Before the time at which the event came onto the log.
const RECORDED: &[u8] = b"\"recordedAt\":\"";

#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct FeedArgs {
    /// Clients that follow the feed
    #[arg(long, default_value_t = 1000)]
    clients: usize,
    /// Events a second
    #[arg(long, default_value_t = 20.0, value_parser = rate)]
    rate: f64,
    /// For how long
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// What all clients look at.
struct Run {
    address: SocketAddr,
    key: Option<Secret>,
    /// Events count once all clients are there.
    counting: AtomicBool,
    stop: CancellationToken,
}

/// Those that are connected, each reading in a task of its own.
struct Clients {
    run: Arc<Run>,
    tasks: JoinSet<anyhow::Result<Vec<f64>>>,
}

pub(super) fn run(args: &FeedArgs) -> anyhow::Result<()> {
    let directory = tempfile::tempdir().context("making a temporary directory")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let events = args.rate.to_string();
        let clients_max = format!("feed.clients_max={}", args.clients + 1);
        // All of them come with one key from one address.
        let of_one = [
            format!("feed.clients_per_principal_max={}", args.clients + 1),
            format!("server.connections_max={}", args.clients + 64),
            format!("server.connections_per_address_max={}", args.clients + 64),
        ];
        let mut arguments = vec!["dev", "--rate", &events, "--set", &clients_max];
        arguments.extend(of_one.iter().flat_map(|setting| ["--set", setting]));
        let mut instance = Instance::start(&arguments, Some(directory.path()))?;
        instance.until_ready(&reqwest::Client::new(), None).await?;
        let run = Arc::new(Run {
            address: instance.address(),
            key: local_key(directory.path()),
            counting: AtomicBool::new(false),
            stop: CancellationToken::new(),
        });
        let mut clients = Clients { run: Arc::clone(&run), tasks: JoinSet::new() };
        // What the first client makes the instance allocate is no cost of the others.
        clients.connect(1).await?;
        tokio::time::sleep(SETTLE).await;
        let before = resident_bytes(instance.id());
        clients.connect(args.clients).await?;
        tokio::time::sleep(SETTLE).await;
        run.counting.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(args.seconds)).await;
        let after = resident_bytes(instance.id());
        run.stop.cancel();
        tell(args, before, after, clients.end().await?);
        anyhow::Ok(())
    })
}

impl Clients {
    async fn connect(&mut self, count: usize) -> anyhow::Result<()> {
        let (tell, mut connected) = mpsc::channel(CONNECTING);
        for started in 0..count {
            // Not more at once than wait in the listener's queue.
            if started >= CONNECTING {
                connected.recv().await.context("a client could not connect")?;
            }
            self.tasks.spawn(follow(Arc::clone(&self.run), tell.clone()));
        }
        drop(tell);
        for _ in 0..count.min(CONNECTING) {
            connected.recv().await.context("a client could not connect")?;
        }
        Ok(())
    }

    /// All delays that were seen, in milliseconds.
    async fn end(mut self) -> anyhow::Result<Vec<f64>> {
        let mut millis = Vec::new();
        while let Some(client) = self.tasks.join_next().await {
            millis.extend(client??);
        }
        millis.sort_by(f64::total_cmp);
        Ok(millis)
    }
}

/// One client: reads until told to stop.
async fn follow(run: Arc<Run>, connected: mpsc::Sender<()>) -> anyhow::Result<Vec<f64>> {
    let mut stream = TcpStream::connect(run.address).await?;
    let key = run.key.as_ref().map_or("", Secret::expose);
    let head = format!("GET /api/feed HTTP/1.1\r\nhost: bench\r\nx-api-key: {key}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut connected = Some(connected);
    let (mut millis, mut text, mut buffer) = (Vec::new(), Vec::new(), vec![0; 4096]);
    loop {
        let read = run.stop.run_until_cancelled(stream.read(&mut buffer)).await;
        let Some(count) = read.transpose()? else {
            return Ok(millis);
        };
        if count == 0 {
            bail!("the instance closed a stream");
        }
        text.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if let Some(connected) = connected.take() {
            if !text.starts_with(b"HTTP/1.1 200 ") {
                bail!("the instance answers {}", String::from_utf8_lossy(&text));
            }
            connected.send(()).await?;
        }
        let Some(end) = text.iter().rposition(|byte| *byte == b'\n') else {
            continue;
        };
        if run.counting.load(Ordering::Relaxed) {
            let now = now_ms();
            let lines = text.get(..end).unwrap_or_default().split(|byte| *byte == b'\n');
            millis.extend(lines.filter_map(recorded_ms).map(|at| now.saturating_sub(at) as f64));
        }
        text.drain(..=end);
    }
}

/// When the event of a line came onto the log.
fn recorded_ms(line: &[u8]) -> Option<u64> {
    let at = line.windows(RECORDED.len()).rposition(|window| window == RECORDED)?;
    let time = line.get(at + RECORDED.len()..)?.split(|byte| *byte == b'"').next()?;
    parse_rfc3339_us(time).map(|us| us / 1000)
}

fn tell(args: &FeedArgs, before: u64, after: u64, millis: Vec<f64>) {
    let a_client = after.saturating_sub(before) as f64 / args.clients.max(1) as f64;
    show(format_args!(
        "{} clients of the feed for {} s, {} events/s onto the embedded log\n",
        args.clients, args.seconds, args.rate
    ));
    let delay = |share| format!("{:.0} ms", quantile(&millis, share));
    print(
        &["", ""],
        &[
            vec!["memory a client".to_owned(), format!("{:.1} KB", a_client / 1e3)],
            vec!["memory of the instance".to_owned(), format!("{:.1} MB", after as f64 / 1e6)],
            vec![
                "events delivered a second".to_owned(),
                thousands(millis.len() as f64 / args.seconds.max(1) as f64),
            ],
            vec!["from the log to a client, p50".to_owned(), delay(0.5)],
            vec!["p99".to_owned(), delay(0.99)],
            vec!["max".to_owned(), delay(1.0)],
        ],
    );
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_time_of_a_change_is_found_in_its_line() {
        let line =
            b"data: {\"contact\":{},\"change\":{\"recordedAt\":\"1970-01-01T00:00:01.250Z\"}}";
        assert_eq!(super::recorded_ms(line), Some(1250));
        assert_eq!(super::recorded_ms(b": heartbeat"), None);
    }
}

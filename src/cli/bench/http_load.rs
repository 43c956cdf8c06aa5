//! HTTP requests as fast as some connections answer them, each waiting for its answer; and how long
//! that took.
//!
//! One thread and little more than a parser: what it costs is taken from the server beside it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::table::quantile;
use super::world::runtime;

/// What comes before what counts.
const WARM_UP: Duration = Duration::from_millis(500);
/// More than any answer here.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// More than any of them has.
const HEADERS_MAX: usize = 32;

/// Writes one request, given a random number.
pub(super) type Render = std::sync::Arc<dyn Fn(u64, &mut Vec<u8>) + Send + Sync>;

/// What is asked for.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) address: SocketAddr,
    pub(super) connections: u64,
    pub(super) time: Duration,
    pub(super) render: Render,
    /// Answers that count as good beside 200.
    pub(super) also_good: u16,
}

/// How it went.
#[derive(Clone, Debug, Default)]
pub(super) struct Answered {
    /// Milliseconds of each answer, sorted.
    pub(super) millis: Vec<f64>,
    pub(super) seconds: f64,
}

impl Answered {
    pub(super) fn a_second(&self) -> f64 {
        self.millis.len() as f64 / self.seconds.max(1e-9)
    }

    pub(super) fn quantile(&self, share: f64) -> f64 {
        quantile(&self.millis, share)
    }
}

impl Load {
    /// Asks for its time, or until `is_over`.
    pub(super) fn run(&self, is_over: impl Fn() -> bool) -> anyhow::Result<Answered> {
        let runtime = runtime()?;
        let started = Instant::now();
        let ends = started + WARM_UP + self.time;
        let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let mut answered = Answered::default();
        runtime.block_on(async {
            let mut connections = JoinSet::new();
            for seed in 0..self.connections {
                let over = std::sync::Arc::clone(&over);
                connections.spawn(connection(self.clone(), seed, started + WARM_UP, over));
            }
            while Instant::now() < ends
                && !is_over()
                && connections.len() as u64 == self.connections
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if let Some(early) = connections.try_join_next() {
                    early??;
                    bail!("a connection ended early");
                }
            }
            over.store(true, std::sync::atomic::Ordering::Relaxed);
            answered.seconds = (started + WARM_UP).elapsed().as_secs_f64();
            while let Some(done) = connections.join_next().await {
                answered.millis.extend(done??);
            }
            anyhow::Ok(())
        })?;
        answered.millis.sort_by(f64::total_cmp);
        Ok(answered)
    }
}

/// Milliseconds of each answer that counts.
async fn connection(
    load: Load,
    seed: u64,
    counts_from: Instant,
    over: std::sync::Arc<std::sync::atomic::AtomicBool>,
) -> anyhow::Result<Vec<f64>> {
    let mut stream = TcpStream::connect(load.address).await.context("connecting")?;
    stream.set_nodelay(true)?;
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut request, mut answer) = (Vec::new(), Vec::with_capacity(64 << 10));
    let mut millis = Vec::new();
    while !over.load(std::sync::atomic::Ordering::Relaxed) {
        request.clear();
        (load.render)(random.u64(..), &mut request);
        let asked = Instant::now();
        stream.write_all(&request).await?;
        let status = read_answer(&mut stream, &mut answer).await?;
        if status != 200 && status != load.also_good {
            let text = String::from_utf8_lossy(&answer).into_owned();
            bail!("an answer is {status}: {text}");
        }
        if asked >= counts_from {
            millis.push(asked.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(millis)
}

/// Reads one whole answer; its status.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> anyhow::Result<u16> {
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            bail!("the server ended the connection");
        }
        if let Some((status, whole)) = head(answer)?
            && answer.len() >= whole
        {
            return Ok(status);
        }
        anyhow::ensure!(answer.len() < ANSWER_BYTES_MAX, "an answer has no end");
    }
}

/// Status and length of the whole answer, once its head is there.
fn head(answer: &[u8]) -> anyhow::Result<Option<(u16, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(end) = head.parse(answer).context("an answer's head")? else {
        return Ok(None);
    };
    let is_length =
        |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case("content-length");
    let length = head.headers.iter().find(is_length);
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
    Ok(head.code.map(|status| (status, end + length.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: x\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(head(answer).unwrap(), Some((200, answer.len())));
        assert_eq!(head(&answer[..30]).unwrap(), None);
        assert_eq!(head(b"HTTP/1.1 304 Not Modified\r\n\r\n").unwrap(), Some((304, 29)));
        head(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n").unwrap_err();
    }
}

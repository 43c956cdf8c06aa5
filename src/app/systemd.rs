//! What a supervisor is told by sd_notify(3): that the process runs, how it is, and that it is ending.
//!
//! Without `NOTIFY_SOCKET` nobody is told anything.

use std::env;
use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::http::Readiness;

/// How often the state is told anew where no watchdog asks for more.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// A line in `systemctl status` is no longer.
const STATUS_BYTES_MAX: usize = 500;

/// Whoever started the process and wants to hear of it.
pub(super) struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    tell_every: Duration,
}

impl Supervisor {
    /// As the environment names it.
    pub(super) fn from_environment() -> Self {
        Self::new(env::var_os("NOTIFY_SOCKET"), watchdog(|name| env::var(name).ok()))
    }

    fn new(address: Option<OsString>, watchdog: Option<Duration>) -> Self {
        // Twice within its time, as sd_watchdog_enabled(3) advises.
        let tell_every = watchdog.map_or(TELL_EVERY, |within| TELL_EVERY.min(within / 2));
        let Some(address) = address.filter(|address| !address.is_empty()) else {
            return Self { socket: None, tell_every };
        };
        let opened = match address.as_bytes().split_first() {
            Some((b'@', name)) => SocketAddr::from_abstract_name(name),
            Some(_) | None => SocketAddr::from_pathname(&address),
        };
        let opened = opened.and_then(|address| {
            let socket = UnixDatagram::unbound()?;
            // It is told again; nobody waits for a supervisor.
            socket.set_nonblocking(true)?;
            Ok((socket, address))
        });
        if let Err(error) = &opened {
            tracing::warn!(%error, "NOTIFY_SOCKET can't be used; the supervisor is told nothing");
        }
        Self { socket: opened.ok(), tell_every }
    }

    /// HTTP is answered. What is waited for from here on is no failure to start: the status says it.
    pub(super) fn started(&self) {
        self.tell("READY=1");
    }

    /// The process was told to end.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=ending");
    }

    /// Shows that the process is not stuck, and says how it is, until it ends.
    pub(super) async fn run(self: Arc<Self>, readiness: Arc<Readiness>, stop: CancellationToken) {
        if self.socket.is_none() {
            return stop.cancelled().await;
        }
        let telling = async {
            loop {
                self.tell(&format!("WATCHDOG=1\nSTATUS={}", status(&readiness)));
                tokio::time::sleep(self.tell_every).await;
            }
        };
        stop.run_until_cancelled(telling).await;
    }

    fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.socket
            && let Err(error) = socket.send_to_addr(state.as_bytes(), address)
        {
            tracing::debug!(%error, "the supervisor was not told");
        }
    }
}

/// Where this very process is watched.
fn watchdog(variable: impl Fn(&str) -> Option<String>) -> Option<Duration> {
    let number = |name| variable(name)?.parse::<u64>().ok();
    let is_ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|within| is_ours && *within > 0).map(Duration::from_micros)
}

/// In one line.
fn status(readiness: &Readiness) -> String {
    let waiting = readiness.report().parts.into_iter();
    let waiting = waiting.filter_map(|(part, why)| why.map(|why| format!("{part}: {why}")));
    let text = waiting.collect::<Vec<_>>().join("; ").replace(char::is_control, " ");
    if text.is_empty() {
        return "ready".to_owned();
    }
    let end = text.floor_char_boundary(STATUS_BYTES_MAX);
    format!("not ready: {}", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a supervisor hears, datagram by datagram.
    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 2048];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_supervisor_hears_the_start_the_state_and_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let watchdog = Some(Duration::from_millis(2));
        let supervisor = Arc::new(Supervisor::new(Some(path.into_os_string()), watchdog));
        supervisor.started();
        assert_eq!(heard(&socket), "READY=1");
        let readiness = Arc::new(Readiness::new());
        readiness.waiting("store", "opening\nthe store");
        let stop = CancellationToken::new();
        let hearing = async {
            let listen = tokio::task::spawn_blocking({
                let readiness = Arc::clone(&readiness);
                move || {
                    assert_eq!(
                        heard(&socket),
                        "WATCHDOG=1\nSTATUS=not ready: store: opening the store"
                    );
                    readiness.ready("store");
                    while heard(&socket) != "WATCHDOG=1\nSTATUS=ready" {}
                    socket
                }
            });
            let socket = listen.await.unwrap();
            stop.cancel();
            socket
        };
        let running = Arc::clone(&supervisor).run(Arc::clone(&readiness), stop.clone());
        let ((), socket) = tokio::join!(running, hearing);
        supervisor.stopping();
        while !heard(&socket).starts_with("STOPPING=1") {}
    }

    #[tokio::test]
    async fn without_a_supervisor_nothing_is_said_and_the_task_ends_when_told() {
        let supervisor = Arc::new(Supervisor::new(None, None));
        supervisor.started();
        let stop = CancellationToken::new();
        stop.cancel();
        supervisor.run(Arc::new(Readiness::new()), stop).await;
    }

    #[test]
    fn a_watchdog_of_another_process_is_none_of_ours() {
        let of = |pid: &'static str| {
            watchdog(move |name| match name {
                "WATCHDOG_USEC" => Some("30000000".to_owned()),
                "WATCHDOG_PID" if !pid.is_empty() => Some(pid.to_owned()),
                _ => None,
            })
        };
        assert_eq!(of(""), Some(Duration::from_secs(30)));
        assert_eq!(of("1"), None);
        assert_eq!(watchdog(|_| Some("nonsense".to_owned())), None);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let readiness = Readiness::new();
        readiness.waiting("log", "ß".repeat(STATUS_BYTES_MAX));
        let text = status(&readiness);
        assert!(text.len() <= STATUS_BYTES_MAX + 20 && text.ends_with('ß'), "{text}");
    }
}

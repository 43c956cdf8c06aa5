//! Who is connected: how many of one address, and who gives way when all places are taken.
//!
//! A connection of which nothing is known is worth least: the oldest of them gives way to a newcomer.
//! So who only holds places keeps nobody out, and who has shown a credential keeps its own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::config::ProxyConfig;
use crate::shares::{Full, Part, Pool, Who};
use crate::telemetry::{PoolMetrics, Throttle};

use crate::http::edge::client_address::is_trusted;

/// Beyond all others, for probes, where every other place belongs to somebody who is known.
const PROBE_PLACES: usize = 8;

/// Bounds of connections.
#[derive(Clone, Debug)]
pub struct ConnectionBounds {
    /// At once; when all of them are of known clients, more wait in the kernel's queue.
    pub max: usize,
    /// Of one address; proxies that are trusted have as many as they like.
    pub of_address_max: usize,
    /// Who these are.
    pub proxies: ProxyConfig,
}

/// The other end of a connection, and what is known of it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// Whether it has shown a credential.
    is_known: AtomicBool,
    has_spoken: AtomicBool,
    leaves_body: AtomicBool,
    /// Ends the connection, whatever is still on its way.
    pub(crate) cut: CancellationToken,
    pub(crate) kind: PeerKind,
}

/// What is asked of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerKind {
    /// They did not come by a socket.
    InProcess,
    /// They are whole.
    Ordinary,
    /// They are probes: it has one of the places kept for those.
    Probe,
}

impl Peer {
    /// At the other end of a stream that has no place among connections.
    pub(super) fn by_itself(address: IpAddr) -> Self {
        Self::new(address, PeerKind::Ordinary)
    }

    /// One that is not at the other end of a socket.
    pub(crate) fn in_process(address: IpAddr) -> Self {
        Self::new(address, PeerKind::InProcess)
    }

    fn new(address: IpAddr, kind: PeerKind) -> Self {
        Self {
            address,
            is_known: AtomicBool::new(false),
            has_spoken: AtomicBool::new(false),
            leaves_body: AtomicBool::new(false),
            cut: CancellationToken::new(),
            kind,
        }
    }

    /// Whether anything came from it.
    pub(crate) fn has_spoken(&self) -> bool {
        self.has_spoken.load(Ordering::Relaxed)
    }

    /// Something came from it.
    pub(crate) fn speaks(&self) {
        self.has_spoken.store(true, Ordering::Relaxed);
    }

    /// Whether some of a body that nobody reads may still be on its way.
    pub(crate) fn has_left_body(&self) -> bool {
        self.leaves_body.load(Ordering::Relaxed)
    }

    /// Its body was not read to the end.
    pub(crate) fn leaves_body(&self) {
        self.leaves_body.store(true, Ordering::Relaxed);
    }

    fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    /// It has shown who it is.
    pub(crate) fn is_known_now(&self) {
        // Mostly so already: then nothing is written.
        if !self.is_known() {
            self.is_known.store(true, Ordering::Relaxed);
        }
    }
}

/// All connections.
pub(crate) struct Connections {
    bounds: ConnectionBounds,
    places: Arc<Semaphore>,
    probe_places: Arc<Semaphore>,
    /// Streams of HTTP/2 beside each connection's first, of those that have shown a credential.
    streams: Pool,
    /// Of the others, who may not fill the room of those: no stream gives way.
    streams_unknown: Pool,
    state: Mutex<State>,
    metrics: PoolMetrics,
    crowds: Throttle,
}

#[derive(Default)]
struct State {
    /// Oldest first; without those that were told to give way.
    open: BTreeMap<u64, Arc<Peer>>,
    by_address: BTreeMap<Who, usize>,
    next: u64,
}

/// One connection's place, given back when it is dropped.
pub(crate) struct Place {
    connections: Arc<Connections>,
    number: u64,
    pub(crate) peer: Arc<Peer>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Those that it is one of.
    pub(super) fn connections(&self) -> &Connections {
        &self.connections
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.connections.state.lock();
        state.remove(self.number);
        self.connections.metrics.set_taken(state.open.len());
    }
}

impl State {
    fn remove(&mut self, number: u64) -> Option<Arc<Peer>> {
        let peer = self.open.remove(&number)?;
        let who = Who::address(peer.address);
        if let Some(count) = self.by_address.get_mut(&who) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&who);
            }
        }
        Some(peer)
    }

    /// Ends the oldest connection of which nothing is known, of one address or of all; whether there
    /// was one.
    fn give_way(&mut self, of: Option<Who>) -> bool {
        let is_meant = |peer: &Peer| {
            let is_of = of.is_none_or(|who| Who::address(peer.address) == who);
            is_of && !peer.is_known()
        };
        let oldest = self.open.iter().find(|(_, peer)| is_meant(peer)).map(|(number, _)| *number);
        let peer = oldest.and_then(|number| self.remove(number));
        peer.inspect(|peer| peer.cut.cancel()).is_some()
    }

    fn count(&self, who: Who) -> usize {
        self.by_address.get(&who).copied().unwrap_or(0)
    }
}

impl Connections {
    pub(crate) fn new(
        bounds: ConnectionBounds,
        [metrics, streams, streams_unknown]: [PoolMetrics; 3],
    ) -> Arc<Self> {
        let half = (bounds.max / 2).max(1);
        let of_address_max = bounds.of_address_max.min(half);
        metrics.set_bounds(bounds.max, bounds.of_address_max);
        Arc::new(Self {
            streams: Pool::new(half, of_address_max, streams),
            streams_unknown: Pool::new(half, of_address_max, streams_unknown),
            places: Arc::new(Semaphore::new(bounds.max)),
            probe_places: Arc::new(Semaphore::new(PROBE_PLACES)),
            state: Mutex::default(),
            bounds,
            metrics,
            crowds: Throttle::a_minute(),
        })
    }

    /// The system gave us none, as when descriptors are short.
    pub(crate) fn not_accepted(&self, error: &std::io::Error) {
        if let Some(lines_left_out) = self.crowds.pass() {
            tracing::warn!(%error, lines_left_out, "a connection could not be accepted");
        }
    }

    /// A place for a newcomer, as soon as there is one; none: its address has all it may have.
    pub(crate) async fn place(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        if !self.has_part_left(address) {
            return None;
        }
        let (permit, kind) = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(permit) => (permit, PeerKind::Ordinary),
            Err(_) => self.made_room().await?,
        };
        let peer = Arc::new(Peer::new(address, kind));
        let mut state = self.state.lock();
        let number = state.next;
        state.next += 1;
        state.open.insert(number, Arc::clone(&peer));
        *state.by_address.entry(Who::address(address)).or_default() += 1;
        self.metrics.set_taken(state.open.len());
        Some(Place { connections: Arc::clone(self), number, peer, _permit: permit })
    }

    /// A place for one more stream of a connection.
    ///
    /// # Errors
    /// When its address has all it may have, or all are taken.
    pub(super) fn stream(&self, peer: &Arc<Peer>) -> Result<Part, Full> {
        let who = if is_trusted(&self.bounds.proxies, peer.address) {
            // It speaks for many, so that each of its connections has a part of its own.
            Who::Principal(Arc::as_ptr(peer).addr() as u64)
        } else {
            Who::address(peer.address)
        };
        let pool = if peer.is_known() { &self.streams } else { &self.streams_unknown };
        pool.take(who, 1)
    }

    /// Whether an address may have one more; else its own oldest gives way, if it can.
    fn has_part_left(&self, address: IpAddr) -> bool {
        let who = Who::address(address);
        if is_trusted(&self.bounds.proxies, address) {
            return true;
        }
        let mut state = self.state.lock();
        let count = state.count(who);
        if count < self.bounds.of_address_max {
            return true;
        }
        let has_room = state.give_way(Some(who));
        drop(state);
        self.metrics.refused(true);
        self.tell_crowd(address, count);
        has_room
    }

    /// All places are taken.
    async fn made_room(&self) -> Option<(OwnedSemaphorePermit, PeerKind)> {
        let gave_way = self.state.lock().give_way(None);
        self.metrics.refused(false);
        self.tell_largest();
        let place = Arc::clone(&self.places).acquire_owned();
        if gave_way {
            // Who was told to give way does so in a moment.
            return Some((place.await.ok()?, PeerKind::Ordinary));
        }
        tokio::select! {
            biased;
            place = place => Some((place.ok()?, PeerKind::Ordinary)),
            place = Arc::clone(&self.probe_places).acquire_owned() => {
                Some((place.ok()?, PeerKind::Probe))
            }
        }
    }

    fn tell_crowd(&self, address: IpAddr, connections: usize) {
        if let Some(lines_left_out) = self.crowds.pass() {
            let hint = "a proxy belongs into server.trusted_proxies";
            tracing::warn!(
                %address, connections, lines_left_out, hint,
                "an address has all the connections that one may have"
            );
        }
    }

    fn tell_largest(&self) {
        let Some(lines_left_out) = self.crowds.pass() else {
            return;
        };
        let state = self.state.lock();
        let largest = state.by_address.iter().max_by_key(|(_, count)| **count);
        if let Some((Who::Address(address), of_it)) = largest {
            tracing::warn!(
                %address, connections = of_it, of_all = state.open.len(), lines_left_out,
                "all connections are taken, most of them by one address"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use crate::config::ForwardedHeader;
    use crate::telemetry::Metrics;

    use super::*;

    fn connections(max: usize, of_address_max: usize) -> Arc<Connections> {
        let proxies = ProxyConfig {
            trusted: vec!["10.9.0.0/16".parse().unwrap()],
            header: ForwardedHeader::XForwardedFor,
        };
        let bounds = ConnectionBounds { max, of_address_max, proxies };
        let metrics = Metrics::new().unwrap();
        let pools = ["connections", "streams", "streams_unknown"];
        Connections::new(bounds, pools.map(|pool| metrics.pool(pool)))
    }

    fn from(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    /// A place that is there at once.
    fn place(connections: &Arc<Connections>, address: IpAddr) -> Option<Place> {
        connections.place(address).now_or_never().expect("nothing to wait for")
    }

    #[test]
    fn of_one_address_the_oldest_of_which_nothing_is_known_gives_way() {
        let connections = connections(8, 2);
        let known = place(&connections, from(1)).unwrap();
        known.peer.is_known_now();
        let silent = place(&connections, from(1)).unwrap();
        let third = place(&connections, from(1)).unwrap();
        assert!(silent.peer.cut.is_cancelled() && !known.peer.cut.is_cancelled());
        third.peer.is_known_now();
        assert!(place(&connections, from(1)).is_none(), "all it may have is of known clients");
        assert!(place(&connections, from(2)).is_some());
        drop(known);
        assert!(place(&connections, from(1)).is_some());
    }

    #[test]
    fn a_trusted_proxy_has_as_many_as_there_are() {
        let connections = connections(8, 1);
        let held: Vec<_> = (0..8).map(|_| place(&connections, [10, 9, 0, 1].into())).collect();
        assert!(held.iter().all(Option::is_some));
    }

    #[test]
    fn streams_of_one_address_have_a_part_and_those_of_a_proxy_one_each_connection() {
        let connections = connections(8, 2);
        let peer = |address| Arc::new(Peer::by_itself(address));
        let (one, other) = (peer(from(1)), peer(from(1)));
        let _held = [connections.stream(&one).unwrap(), connections.stream(&other).unwrap()];
        assert_eq!(connections.stream(&one).unwrap_err(), Full::Part);
        let (one, other) = (peer([10, 9, 0, 1].into()), peer([10, 9, 0, 1].into()));
        let _held = [connections.stream(&one).unwrap(), connections.stream(&other).unwrap()];
        assert_eq!(connections.stream(&other).unwrap_err(), Full::All);
    }

    #[test]
    fn streams_of_which_nothing_is_known_leave_room_for_those_of_known_clients() {
        let connections = connections(4, 4);
        let (unknown, known) = (Peer::by_itself(from(1)), Peer::by_itself(from(1)));
        let (unknown, known) = (Arc::new(unknown), Arc::new(known));
        let held: Vec<_> = std::iter::from_fn(|| connections.stream(&unknown).ok()).collect();
        assert_eq!(held.len(), 2);
        known.is_known_now();
        connections.stream(&known).unwrap();
    }

    #[test]
    fn a_newcomer_has_the_place_of_the_oldest_that_only_holds_one() {
        let connections = connections(2, 2);
        let known = place(&connections, from(1)).unwrap();
        known.peer.is_known_now();
        let silent = place(&connections, from(2)).unwrap();
        let mut newcomer = Box::pin(connections.place(from(3)));
        assert!((&mut newcomer).now_or_never().is_none(), "it waits for the other to be gone");
        assert!(silent.peer.cut.is_cancelled() && !known.peer.cut.is_cancelled());
        drop(silent);
        let newcomer = newcomer.now_or_never().flatten().unwrap();
        assert_eq!(newcomer.peer.kind, PeerKind::Ordinary);
    }

    #[test]
    fn where_all_are_known_there_are_places_for_probes() {
        let connections = connections(1, 1);
        let known = place(&connections, from(1)).unwrap();
        known.peer.is_known_now();
        let probe = place(&connections, from(2)).unwrap();
        assert_eq!(probe.peer.kind, PeerKind::Probe);
        assert!(!known.peer.cut.is_cancelled());
    }
}

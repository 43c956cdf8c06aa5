//! Places, drains and probes over HTTP/2, against the server in this process.

use axum::Router;
use axum::routing::get;
use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::super::connections::{ConnectionBounds, Place};
use super::super::head_timer::next_look;
use super::*;
use crate::http::HttpState;
use crate::http::tests::state;

const DATA: u8 = 0;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const REFUSED_STREAM: u8 = 7;
const ANSWER_BYTES: usize = 40_000;
/// What the other end may leave unread: far less than one answer.
const PIPE_BYTES: usize = 4096;
const TAKEN: &str = "contactd_pool_taken{pool=\"streams_unknown\"}";

/// One connection, with all the window that there can be, whose client reads only when it is told to.
struct World {
    options: ServeOptions,
    state: HttpState,
    connections: Arc<Connections>,
    shutdown: CancellationToken,
    client: DuplexStream,
    server: Option<DuplexStream>,
    /// Streams that were reset, and why.
    resets: Vec<(u8, u8)>,
}

impl World {
    fn new(max: usize, write_timeout: Duration) -> Self {
        let bounds = ConnectionBounds { max, of_address_max: 2, proxies: Default::default() };
        let options = ServeOptions {
            first_byte_timeout: Duration::from_secs(20),
            header_timeout: Duration::from_secs(20),
            write_timeout,
            drain_timeout: Duration::from_secs(20),
            connections: bounds.clone(),
            head_bytes_max: 32 * 1024,
            streams_max: 100,
            tls: None,
        };
        let state = state();
        let pools = ["connections", "streams", "streams_unknown"];
        let connections = Connections::new(bounds, pools.map(|pool| state.metrics().pool(pool)));
        let (client, server) = tokio::io::duplex(PIPE_BYTES);
        let shutdown = CancellationToken::new();
        Self {
            options,
            state,
            connections,
            shutdown,
            client,
            server: Some(server),
            resets: Vec::new(),
        }
    }

    /// Its place is of the kind that comes next.
    fn place(&self) -> Place {
        self.connections.place([10, 0, 0, 1].into()).now_or_never().flatten().unwrap()
    }

    /// Serves while a client does what it does.
    async fn with(mut self, place: Place, client: impl AsyncFnOnce(&mut Self)) {
        let answer = || async { vec![b'x'; ANSWER_BYTES] };
        let pools = ["connections", "streams", "streams_unknown"];
        let api = Api::new(Router::new().route("/", get(answer)), self.state.clone(), pools);
        let (options, connections) = (self.options.clone(), Arc::clone(&self.connections));
        let (server, shutdown) = (self.server.take().unwrap(), self.shutdown.clone());
        let peer = Arc::clone(&place.peer);
        let served = conversation(server, peer, api, &options, &connections, shutdown);
        let asked = async {
            self.client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
            self.window(i32::MAX).await;
            // As much more of the connection.
            self.send(8, 0, 0, &(i32::MAX - 65_535).to_be_bytes()).await;
            client(&mut self).await;
        };
        let both = async { tokio::join!(served, asked) };
        tokio::time::timeout(Duration::from_secs(20), both).await.expect("its end");
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u8, payload: &[u8]) {
        let mut frame =
            vec![0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream];
        frame.extend(payload);
        self.client.write_all(&frame).await.unwrap();
        settle().await;
    }

    /// Of each stream.
    async fn window(&mut self, bytes: i32) {
        self.send(4, 0, 0, &[&[0, 4][..], &bytes.to_be_bytes()].concat()).await;
    }

    /// `GET /`, whole.
    async fn ask(&mut self, stream: u8) {
        self.send(1, 5, stream, &[0x82, 0x87, 0x84, 0x01, 1, b'x']).await;
    }

    /// Kind, flags, stream and payload of the next frame; none: the server has closed.
    async fn next(&mut self) -> Option<(u8, u8, u8, Vec<u8>)> {
        let mut head = [0; 9];
        self.client.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        self.client.read_exact(&mut payload).await.ok()?;
        if head[3] == RST_STREAM {
            self.resets.push((head[8], payload[3]));
        }
        Some((head[3], head[4], head[8], payload))
    }

    /// All of the answers to so many streams.
    async fn answers(&mut self, streams: usize) {
        let mut bytes = 0;
        let mut ended = 0;
        while ended < streams {
            let (kind, flags, _, payload) = self.next().await.expect("all of the answers");
            if kind == DATA {
                bytes += payload.len();
                ended += usize::from(flags & END_STREAM);
            }
        }
        assert_eq!(bytes, streams * ANSWER_BYTES);
    }

    /// Whether it was told to go, at its end.
    async fn is_told_to_go(&mut self) -> bool {
        let mut is_told = false;
        while let Some((kind, ..)) = self.next().await {
            is_told |= kind == GOAWAY;
        }
        is_told
    }

    async fn looks(&self) {
        for _ in 0..3 {
            next_look(self.options.header_timeout).await;
        }
        settle().await;
    }

    fn taken(&self) -> String {
        let text = String::from_utf8(self.state.metrics().render().unwrap()).unwrap();
        let taken = text.lines().find_map(|line| line.strip_prefix(TAKEN)).unwrap();
        taken.trim().to_owned()
    }
}

/// Until nothing is left to do but what waits for the other end, or for time.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stream_has_its_place_until_its_answer_is_written() {
    let world = World::new(8, Duration::from_secs(20));
    let place = world.place();
    let client = async |world: &mut World| {
        world.ask(1).await;
        assert_eq!(world.taken(), "0", "the connection's own place");
        world.ask(3).await;
        world.ask(5).await;
        assert_eq!(world.taken(), "2", "nothing of their answers is read");
        world.ask(7).await;
        world.answers(3).await;
        settle().await;
        assert_eq!(world.taken(), "0");
        world.client.shutdown().await.unwrap();
        world.is_told_to_go().await;
        assert_eq!(world.resets, [(7, REFUSED_STREAM)]);
    };
    world.with(place, client).await;
}

#[tokio::test]
async fn in_the_drain_a_slow_client_keeps_what_it_receives_and_begins_nothing() {
    let mut world = World::new(8, Duration::from_secs(20));
    world.options.header_timeout = Duration::from_millis(8);
    let place = world.place();
    let client = async |world: &mut World| {
        world.ask(1).await;
        world.shutdown.cancel();
        world.looks().await;
        world.ask(3).await;
        world.answers(1).await;
        assert!(world.is_told_to_go().await);
        assert_eq!(world.resets, [(3, REFUSED_STREAM)]);
    };
    world.with(place, client).await;
}

#[tokio::test]
async fn an_answer_that_cannot_go_on_ends_with_its_connection() {
    let mut world = World::new(8, Duration::from_millis(500));
    world.options.header_timeout = Duration::from_millis(80);
    let place = world.place();
    let client = async |world: &mut World| {
        world.ask(1).await;
        // What waits for the socket by now has no window any more.
        world.window(0).await;
        assert!(world.is_told_to_go().await);
    };
    world.with(place, client).await;
}

#[tokio::test]
async fn a_probe_has_one_request_whatever_it_asks_for_besides() {
    let mut world = World::new(1, Duration::from_secs(20));
    let known = world.place();
    known.peer.is_known_now();
    let place = world.place();
    assert_eq!(place.peer.kind, PeerKind::Probe);
    world.options.header_timeout = Duration::from_millis(80);
    let client = async |world: &mut World| {
        world.ask(1).await;
        world.ask(3).await;
        world.answers(1).await;
        assert!(world.is_told_to_go().await, "though it never answers a PING");
        assert_eq!(world.resets, [(3, REFUSED_STREAM)]);
    };
    world.with(place, client).await;
    drop(known);
}

//! How streams end: slow clients, revoked tokens, shutdown, too many.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use contactd::effects::feed::{Client, FeedConfig, Filter, Start};
use contactd::shares::Who;
use contactd::store::StoreConfig;
use tempfile::tempdir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::support::sse::SseParser;

use super::world::{FEED, World};

const DEADLINE: Duration = Duration::from_secs(20);

/// A connection whose client has little room for what it does not read.
async fn raw(world: &World) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let mut stream = socket.connect(world.address()).await.unwrap();
    let key = crate::support::access::key(contactd::auth::Role::Viewer);
    let head = format!(
        "GET /api/feed HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

fn clients(world: &World) -> i64 {
    world.metrics.feed.clients.get()
}

async fn until_clients(world: &World, count: i64) {
    let began = Instant::now();
    while clients(world) != count {
        assert!(began.elapsed() < DEADLINE, "{} clients, not {count}", clients(world));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_is_told_reset_and_then_cut_off() {
    let dir = tempdir().unwrap();
    let short = FeedConfig {
        heartbeat: Duration::from_millis(20),
        // On a busy machine the reset must come before that.
        stall_timeout: Duration::from_secs(5),
        ..FEED
    };
    let mut world = World::start_with(StoreConfig::at(dir.path()), short, "contacts").await;
    let mut slow = raw(&world).await;
    let mut dead = raw(&world).await;
    let mut quick = world.listen("").await;
    until_clients(&world, 3).await;
    let resets = |world: &World, count: u64| {
        let text = String::from_utf8(world.metrics.render().unwrap()).unwrap();
        text.contains(&format!("contactd_feed_resets_total{{reason=\"too_slow\"}} {count}\n"))
    };
    // More than the buffers of hyper and the sockets take.
    while !resets(&world, 2) {
        assert_eq!(clients(&world), 3, "nobody is cut off before being told");
        world.commit(&[(0, 100), (1, 100), (2, 100)]);
        quick.until_id(&world.position()).await;
    }
    // It reads now, and finds the reset behind what was on its way.
    let mut end = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) =
        tokio::time::timeout(DEADLINE, slow.read(&mut buffer)).await.expect("an end")
    {
        end.extend_from_slice(&buffer[..count]);
        end.drain(..end.len().saturating_sub(1_000));
    }
    let end = String::from_utf8_lossy(&end);
    assert!(end.contains("event: reset\ndata: {\"reason\":\"too_slow\",\"resume\":true}"), "{end}");
    // The other one reads nothing at all, and is cut off.
    until_clients(&world, 1).await;
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, dead.read_to_end(&mut rest)).await.expect("it is cut");
    // Some of a few change something, whatever came before.
    world.commit(&[(1, 5)]);
    assert!(quick.next_change().await.place().0 == 1, "others hear on");
    world.end().await;
}

#[tokio::test]
async fn who_may_no_longer_listen_is_told_so_and_closed() {
    let dir = tempdir().unwrap();
    let mut world = World::start(dir.path()).await;
    let allowed = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&allowed);
    let still_allowed = Box::new(move || asked.load(Ordering::SeqCst));
    let client = Client { still_allowed, ..client("user:ada") };
    let mut stream = world.feed.subscribe(client).await.unwrap();
    let mut parser = SseParser::default();
    world.commit(&[(0, 1)]);
    let mut events = Vec::new();
    while events.is_empty() {
        events.extend(parser.push(&stream.next().await.unwrap()));
    }
    assert!(events[0].is_change());
    allowed.store(false, Ordering::SeqCst);
    let mut last = None;
    while let Some(text) = tokio::time::timeout(DEADLINE, stream.next()).await.expect("an end") {
        last = parser.push(&text).pop().or(last);
    }
    assert_eq!(last.unwrap().event, "unauthorized");
    drop(stream);
    assert_eq!(clients(&world), 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_open_streams_do_not_hold_up_the_end() {
    let dir = tempdir().unwrap();
    let mut world = World::start(dir.path()).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(world.listen("").await);
    }
    world.commit(&[(0, 5)]);
    for client in &mut clients {
        client.changes(5).await;
    }
    let id = world.position();
    let began = Instant::now();
    world.end().await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    for mut client in clients {
        assert_eq!(client.next().await, None);
        assert_eq!(client.parser.last_event_id(), id, "where it can go on");
    }
}

#[tokio::test]
async fn there_is_no_place_for_more_clients_than_configured_until_one_goes() {
    let dir = tempdir().unwrap();
    let few = FeedConfig { clients_max: 2, clients_per_principal_max: 2, ..FEED };
    let world = World::start_with(StoreConfig::at(dir.path()), few, "contacts").await;
    let first = world.listen("").await;
    let _second = world.listen("").await;
    assert_eq!(world.refused("", &[]).await, (503, "OVERLOADED".to_owned()));
    drop(first);
    until_clients(&world, 1).await;
    let _third = world.listen("").await;
    until_clients(&world, 2).await;
    world.end().await;
}

fn client(who: &str) -> Client {
    Client {
        start: Start::default(),
        filter: Filter::default(),
        who: Who::principal(who),
        still_allowed: Box::new(|| true),
        connection: None,
    }
}

#[tokio::test]
async fn nobody_has_all_places() {
    let dir = tempdir().unwrap();
    let shared = FeedConfig { clients_max: 4, clients_per_principal_max: 1, ..FEED };
    let world = World::start_with(StoreConfig::at(dir.path()), shared, "contacts").await;
    let first = world.feed.subscribe(client("user:ada")).await.unwrap();
    let refused = world.feed.subscribe(client("user:ada")).await.err().unwrap();
    assert!(refused.to_string().contains("with these credentials"), "{refused}");
    let _other = world.feed.subscribe(client("user:grace")).await.unwrap();
    drop(first);
    let _again = world.feed.subscribe(client("user:ada")).await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn who_is_sent_all_contacts_and_takes_nothing_gives_way_to_who_wants_them() {
    let dir = tempdir().unwrap();
    let stall_timeout = Duration::from_millis(400);
    let shared = FeedConfig { snapshots_max: 1, stall_timeout, ..FEED };
    let world = World::start_with(StoreConfig::at(dir.path()), shared, "contacts").await;
    let cut = CancellationToken::new();
    let all = |who| {
        let start = Start { snapshot: true, ..Start::default() };
        Client { start, connection: Some(cut.clone()), ..client(who) }
    };
    let mut stalled = world.feed.subscribe(all("user:ada")).await.unwrap();
    stalled.next().await.unwrap();
    let (other, ()) = tokio::join!(world.feed.subscribe(all("user:grace")), async {
        cut.cancelled().await;
        drop(stalled);
    });
    other.unwrap();
    world.end().await;
}

//! Retries, the ring of what is remembered, and where nothing is sent to: without a network.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::deliver::Policy;
use super::history::{Delivery, History, Status, Trigger};
use super::{Order, Simulator, SimulatorError, SimulatorOptions};
use crate::config::{Config, Mode, Secret};
use crate::domain::event::EventKind;
use crate::effects::Attempt;
use crate::outbound::{Allowed, Connect, OutboundError, Resolve, retry_after};
use crate::simulate::{ChaosOptions, Manner};
use crate::telemetry::Metrics;

const POLICY: Policy = Policy {
    attempts_max: 5,
    pause: Duration::from_millis(100),
    pause_max: Duration::from_millis(500),
};

#[test]
fn pauses_double_up_to_their_bound_and_are_spread() {
    let pause = |attempt, chance| POLICY.pause(attempt, None, chance).map(|it| it.as_millis());
    assert_eq!([1, 2, 3, 4].map(|attempt| pause(attempt, 1.0).unwrap()), [100, 200, 400, 500]);
    assert_eq!([1, 2, 3, 4].map(|attempt| pause(attempt, 0.0).unwrap()), [50, 100, 200, 250]);
    assert_eq!(pause(5, 1.0), None);
    assert!(POLICY.pause(usize::MAX - 1, None, 1.0).is_none());
}

#[test]
fn what_the_target_asks_for_is_obeyed_within_the_bound() {
    let pause = |asked: u64| POLICY.pause(1, Some(Duration::from_millis(asked)), 1.0).unwrap();
    assert_eq!([0, 300, 10_000].map(|asked| pause(asked).as_millis()), [100, 300, 500]);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    // Fri, 20 Nov 2026 10:00:00 GMT
    let now = UNIX_EPOCH + Duration::from_secs(1_795_168_800);
    let asked = |text: &'static str, now: SystemTime| {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
        retry_after(&headers, now).map(|asked| asked.as_secs())
    };
    assert_eq!(asked("7", now), Some(7));
    assert_eq!(asked("Fri, 20 Nov 2026 10:00:09 GMT", now), Some(9));
    assert_eq!(asked("Fri, 20 Nov 2026 09:00:00 GMT", now), Some(0));
    for nothing in ["", "soon", "-1", "1.5"] {
        assert_eq!(asked(nothing, now), None, "{nothing}");
    }
}

fn delivery(history: &mut History) -> Delivery {
    let allowed = Allowed { hosts: vec!["*".to_owned()], ..Allowed::default() };
    let target = allowed.target("http://example.com/").unwrap();
    let said = (b"{}".as_slice(), None);
    let made = Delivery::new("e", "contact.updated", &target, Manner::AsIs, Trigger::Write, said);
    history.add(made)
}

fn attempt() -> Attempt {
    Attempt {
        at_ms: 0,
        status: Some(200),
        latency_ms: 1.0,
        response: None,
        response_is_cut: false,
        error: None,
        retry_in_ms: None,
    }
}

#[test]
fn the_newest_are_remembered_and_pages_neither_skip_nor_repeat() {
    let mut history = History::new(5);
    let made: Vec<Delivery> = (0..8).map(|_| delivery(&mut history)).collect();
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = history.page(2, before);
        assert_eq!(page.total, 5);
        seen.extend(page.deliveries.into_iter().map(|one| one.id));
        // What comes meanwhile is before the first page.
        delivery(&mut history);
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let newest: Vec<String> = made.iter().rev().map(|one| one.id.clone()).collect();
    // The ring moves on under the reader: what it forgets is not shown.
    assert_eq!(seen[..4], newest[..4]);
    assert!(history.by_id(&made[0].id).is_none());
}

#[test]
fn an_attempt_of_what_is_forgotten_is_forgotten_too() {
    let mut history = History::new(2);
    let first = delivery(&mut history);
    let second = delivery(&mut history);
    delivery(&mut history);
    history.note(first.number, Status::Delivered, attempt());
    history.note(second.number, Status::Delivered, attempt());
    let second = history.by_id(&second.id).unwrap();
    assert_eq!((second.status, second.attempts.len()), (Status::Delivered, 1));
    assert!(history.page(10, None).deliveries[0].attempts.is_empty());
}

/// A simulator that may send to any host, whose addresses come from a list, one answer a question;
/// where it was to connect to.
fn simulator(answers: &'static [&'static str]) -> (Simulator, Arc<Mutex<Vec<SocketAddr>>>) {
    let config = Config::built_in(Mode::Dev).unwrap().simulator;
    let own = "127.0.0.1:3000".parse().unwrap();
    let secret = Secret::new("a-secret-that-Acme-and-contactd-share");
    let config = crate::config::SimulatorConfig { targets: vec!["*".to_owned()], ..config };
    let form = crate::config::SignatureForm::named("acme").unwrap();
    let options = SimulatorOptions { config, form, secret, own, speaks_tls: false };
    let asked = Arc::new(AtomicUsize::new(0));
    let resolve: Resolve = Arc::new(move |_, _| {
        let answer = answers[asked.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
        let addresses: Vec<IpAddr> = vec![answer.parse().unwrap()];
        Box::pin(std::future::ready(Ok(addresses)))
    });
    let connected: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
    let notes = Arc::clone(&connected);
    let connect: Connect = Arc::new(move |address| {
        notes.lock().push(address);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        Box::pin(std::future::ready(Err(refused)))
    });
    let metrics = Metrics::new().unwrap().simulator;
    (Simulator::by(&options, metrics, resolve, connect).unwrap(), connected)
}

fn order(target: &str) -> Order {
    Order {
        kind: EventKind::Updated,
        data: serde_json::Map::new(),
        target_url: Some(target.to_owned()),
        id: None,
        version: None,
        count: 1,
        chaos: ChaosOptions::default(),
    }
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_when_it_is_asked_for() {
    let (simulator, connected) = simulator(&["169.254.169.254"]);
    let refused = simulator.send(&order("http://hooks.example.com/")).await.unwrap_err();
    let is_address =
        matches!(refused, SimulatorError::Target(OutboundError::AddressNotAllowed { .. }));
    assert!(is_address, "{refused}");
    assert!(simulator.history.lock().page(10, None).deliveries.is_empty());
    assert!(connected.lock().is_empty());
}

#[tokio::test]
async fn a_name_that_leads_inside_by_the_time_of_delivery_is_not_connected_to() {
    let (simulator, connected) = simulator(&["93.184.215.14", "10.0.0.1"]);
    let simulator = Arc::new(simulator);
    let sent = simulator.send(&order("http://hooks.example.com/")).await.unwrap();
    let stop = CancellationToken::new();
    let ended = async {
        let started = Instant::now();
        loop {
            let delivery = simulator.history.lock().by_id(&sent[0].id).unwrap();
            if delivery.status != Status::Pending {
                stop.cancel();
                return delivery;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "{delivery:?}");
            tokio::task::yield_now().await;
        }
    };
    let (delivery, ()) = tokio::join!(ended, Arc::clone(&simulator).run(stop.clone()));
    assert_eq!((delivery.status, delivery.attempts.len()), (Status::Failed, 1));
    assert!(delivery.attempts[0].error.as_ref().unwrap().contains("10.0.0.1"));
    assert!(connected.lock().is_empty());
}

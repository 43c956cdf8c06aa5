//! Real Kafka behind a proxy that can leave the brokers out of its answers, as a broker does that has
//! just started (CONTACTD_TEST_KAFKA).

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::*;

/// Kafka's numbers of requests whose answers name brokers.
const METADATA: i16 = 3;
const FIND_COORDINATOR: i16 = 10;

struct Proxy {
    address: String,
    /// Leaves the brokers out.
    emptied: Arc<AtomicBool>,
}

impl Proxy {
    fn before(broker: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let emptied = Arc::new(AtomicBool::new(false));
        let (broker, answers) = (broker.to_owned(), Arc::clone(&emptied));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(upstream) = TcpStream::connect(&broker) else {
                    continue;
                };
                let passage = Passage {
                    from: upstream.peer_addr().unwrap().port(),
                    to: address.port(),
                    emptied: Arc::clone(&answers),
                };
                passage.begin(client, upstream);
            }
        });
        Self { address: address.to_string(), emptied }
    }
}

/// One connection.
struct Passage {
    /// The broker's port, and what stands for it in answers.
    from: u16,
    to: u16,
    emptied: Arc<AtomicBool>,
}

/// Requests under way: correlation id, kind and version.
type Asked = Arc<Mutex<BTreeMap<[u8; 4], (i16, i16)>>>;

impl Passage {
    fn begin(self, client: TcpStream, upstream: TcpStream) {
        let asked = Asked::default();
        let mut requests = client.try_clone().unwrap();
        let mut onward = upstream.try_clone().unwrap();
        let noted = Arc::clone(&asked);
        std::thread::spawn(move || {
            while let Some(message) = receive(&mut requests) {
                let kind = i16::from_be_bytes([message[0], message[1]]);
                let version = i16::from_be_bytes([message[2], message[3]]);
                noted.lock().insert(message[4..8].try_into().unwrap(), (kind, version));
                if send(&mut onward, &message).is_none() {
                    break;
                }
            }
            let _ = onward.shutdown(Shutdown::Both);
        });
        let (mut answers, mut back) = (upstream, client);
        std::thread::spawn(move || {
            while let Some(message) = receive(&mut answers) {
                let (kind, version) = asked.lock().remove(&message[..4]).unwrap_or((-1, 0));
                if send(&mut back, &self.rewrite(message, kind, version)).is_none() {
                    break;
                }
            }
            let _ = back.shutdown(Shutdown::Both);
        });
    }

    fn rewrite(&self, message: Vec<u8>, kind: i16, version: i16) -> Vec<u8> {
        match kind {
            METADATA => self.rewrite_metadata(&message, version),
            // The same port, wherever it stands.
            FIND_COORDINATOR => {
                let (from, to) = (port(self.from), port(self.to));
                let mut message = message;
                if let Some(at) = message.windows(4).rposition(|bytes| bytes == from) {
                    message[at..at + 4].copy_from_slice(&to);
                }
                message
            }
            _ => message,
        }
    }

    /// Kafka's protocol guide: throttle time, then the brokers, each with id, host, port, rack; from
    /// version 9 on with compact lengths and tagged fields.
    fn rewrite_metadata(&self, message: &[u8], version: i16) -> Vec<u8> {
        assert!(version >= 9, "librdkafka asks in version {version}");
        // Behind correlation id, tagged fields (none) and throttle time.
        let start = 4 + 1 + 4;
        let (count, mut at) = varint(message, start);
        let mut brokers = Vec::new();
        for _ in 1..count {
            let begin = at;
            let (host, after) = varint(message, at + 4);
            let here = after + host - 1;
            let (rack, after) = varint(message, here + 4);
            let (tags, after) = varint(message, after + rack.saturating_sub(1));
            assert_eq!(tags, 0);
            brokers.extend_from_slice(&message[begin..here]);
            brokers.extend(port(self.to));
            brokers.extend_from_slice(&message[here + 4..after]);
            at = after;
        }
        let head = &message[..start];
        if self.emptied.load(Ordering::Relaxed) {
            return [head, &[1], &message[at..]].concat();
        }
        [head, &[u8::try_from(count).unwrap()], &brokers, &message[at..]].concat()
    }
}

fn port(port: u16) -> [u8; 4] {
    u32::from(port).to_be_bytes()
}

fn varint(bytes: &[u8], mut at: usize) -> (usize, usize) {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = usize::from(bytes[at]);
        at += 1;
        value |= (byte & 127) << shift;
        shift += 7;
        if byte < 128 {
            return (value, at);
        }
    }
}

fn receive(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    from.read_exact(&mut message).ok()?;
    Some(message)
}

fn send(to: &mut TcpStream, message: &[u8]) -> Option<()> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    to.write_all(&[&length, message].concat()).ok()
}

#[test]
fn brokers_that_were_left_out_of_an_answer_are_found_again() {
    let Some(broker) = service("CONTACTD_TEST_KAFKA", "emptied") else {
        return;
    };
    let topic = topic_name("emptied");
    let direct = KafkaLog::open(&config(&broker, &topic)).unwrap();
    direct.ensure_topic(TopicPlan::contacts(2, Some(1))).unwrap();
    wait_until("the topic is known", || direct.identity().is_ok());
    let proxy = Proxy::before(&broker);
    let log = KafkaLog::open(&config(&proxy.address, &topic)).unwrap();
    wait_until("the topic is known", || log.identity().is_ok());
    let ack = block_on(log.append(records(0..100))).unwrap()[0];
    let (mut consumer, context) = log.start(&from_start(2), BOUNDS, PAUSE_AFTER).unwrap();
    let mut all = Read::new();
    read(&mut consumer, &mut all, 100);

    proxy.emptied.store(true, Ordering::Relaxed);
    wait_until("the consumer has lost the brokers", || context.has_lost_brokers());
    proxy.emptied.store(false, Ordering::Relaxed);
    wait_until("appending works again", || block_on(log.append(records(100..200))).is_ok());
    read(&mut consumer, &mut all, 200);
    assert_gapless(&all, 200);
    wait_until("one record is read again", || log.read_one(ack.lane, ack.offset).is_ok());
}

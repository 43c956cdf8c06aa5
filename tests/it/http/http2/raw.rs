//! Frames by hand, for what no client would send.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{DEADLINE, Secure};

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const CANCEL: u32 = 8;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

#[derive(Debug)]
pub(super) struct RawFrame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl RawFrame {
    /// Of GOAWAY and RST_STREAM.
    pub(super) fn reason(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A block of headers for a GET, by the static table and literals alone (RFC 7541).
pub(super) fn get(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = vec![0x82, 0x87];
    literal(&mut block, 0x04, path);
    literal(&mut block, 0x01, "127.0.0.1");
    for (name, value) in headers {
        literal(&mut block, 0x00, name);
        literal(&mut block, 0x80, value);
    }
    block
}

/// Without an index of its own; 0x80: the value alone, behind its name.
fn literal(block: &mut Vec<u8>, first: u8, text: &str) {
    if first != 0x80 {
        block.push(first);
    }
    assert!(text.len() < 0x7f, "one byte says its length");
    block.push(u8::try_from(text.len()).unwrap());
    block.extend(text.as_bytes());
}

pub(super) struct RawClient {
    stream: TlsStream<TcpStream>,
}

impl RawClient {
    /// Having said these settings: identifiers and values.
    pub(super) async fn connect(secure: &Secure, settings: &[(u16, u32)]) -> Self {
        let mut client = Self { stream: secure.connect().await };
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        client.send(PREFACE).await.unwrap();
        client.send(&frame(SETTINGS, 0, 0, &payload)).await.unwrap();
        client.send(&frame(SETTINGS, ACK, 0, &[])).await.unwrap();
        client
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let sending = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        tokio::time::timeout(DEADLINE, sending).await.expect("it is taken, or refused")
    }

    /// The next frame; none: the server has closed.
    pub(super) async fn next(&mut self) -> Option<RawFrame> {
        let reading = async {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.stream.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
            Some(RawFrame { kind: head[3], flags: head[4], stream, payload })
        };
        tokio::time::timeout(DEADLINE, reading).await.expect("a frame, or the end")
    }

    /// The next frame of a kind.
    pub(super) async fn until(&mut self, kind: u8) -> RawFrame {
        loop {
            let frame = self.next().await.expect("the connection goes on");
            if frame.kind == kind {
                return frame;
            }
        }
    }

    pub(super) async fn ping(&mut self) -> RawFrame {
        self.send(&frame(PING, 0, 0, &[7; 8])).await.unwrap();
        self.until(PING).await
    }

    /// What is said last, up to the end, which must come; why it ends.
    pub(super) async fn farewell(&mut self) -> Option<u32> {
        let mut reason = None;
        while let Some(frame) = self.next().await {
            reason = if frame.kind == GOAWAY { Some(frame.reason()) } else { reason };
        }
        reason
    }
}

//! Records as they come from the log: one lane's batch, all bytes in one arena.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::position::{Lane, NextOffset, Offset};
use super::span::Span;

/// What a record is about. All kinds share the pipeline and the journal; codes are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// An event or a command of a contact.
    Contact = 0,
    /// Something that all instances must know: a revocation, a subscription, a cursor.
    Control = 1,
    /// An event or a command of a payment, which belongs to a contact.
    Payment = 2,
    /// Rules of the log: a marker.
    Marker = 3,
}

impl RecordKind {
    /// Every kind, in code order.
    pub const ALL: [Self; 4] = [Self::Contact, Self::Control, Self::Payment, Self::Marker];

    /// From its stored code.
    pub fn from_u8(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// One record; its bytes lie in the batch's arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the lane.
    pub offset: Offset,
    /// The log's timestamp in ms since 1970; −1 when the log has none.
    pub timestamp_ms: i64,
    /// The key; `None` is a null key.
    pub key: Option<Span>,
    /// The value; `None` is a tombstone.
    pub value: Option<Span>,
    /// Headers, encoded: repeated (u16 name length, name, i32 value length or −1, value), little endian.
    pub headers: Span,
}

/// Consecutive records of one lane.
#[derive(Clone, Debug, Default)]
pub struct RecordBatch {
    /// Where they are from.
    pub lane: Lane,
    /// All keys, values and headers; decoding appends what it had to unescape.
    pub arena: Vec<u8>,
    /// The records, by ascending offset.
    pub records: Vec<Record>,
    /// Where reading goes on; offsets may have gaps (transactions), so it's not always last + 1.
    pub next: NextOffset,
    /// The leader epoch of the last record, where the log has one.
    pub leader_epoch: Option<i32>,
}

impl RecordBatch {
    /// An empty batch of a lane.
    pub fn new(lane: Lane) -> Self {
        Self { lane, ..Self::default() }
    }

    /// Copies a record in and moves `next` behind it.
    pub fn push<'a>(
        &mut self,
        offset: Offset,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) {
        let key = key.map(|key| self.copy_in(key));
        let value = value.map(|value| self.copy_in(value));
        let start = self.arena.len();
        for (name, value) in headers {
            push_header(&mut self.arena, name, value);
        }
        let headers = Span::new(start, self.arena.len() - start);
        self.records.push(Record { offset, timestamp_ms, key, value, headers });
        self.next = offset.next();
    }

    /// A record's headers in order; a header without a value has `None`.
    pub fn headers(&self, record: &Record) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        Headers::new(record.headers.of(&self.arena))
    }

    /// A record's key bytes.
    pub fn key(&self, record: &Record) -> Option<&[u8]> {
        record.key.map(|span| span.of(&self.arena))
    }

    /// A record's value bytes.
    pub fn value(&self, record: &Record) -> Option<&[u8]> {
        record.value.map(|span| span.of(&self.arena))
    }

    /// The first record's value, which is not copied.
    pub fn into_value(self) -> Option<Vec<u8>> {
        let Self { mut arena, records, .. } = self;
        let Span { start, len } = records.first()?.value?;
        arena.truncate(start as usize + len as usize);
        arena.drain(..(start as usize).min(arena.len()));
        Some(arena)
    }

    /// Bytes it holds on to.
    pub fn bytes(&self) -> usize {
        self.arena.len() + self.records.len() * size_of::<Record>()
    }

    /// Empties it for reuse, keeping the lane and the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.records.clear();
        self.next = NextOffset::default();
        self.leader_epoch = None;
    }

    fn copy_in(&mut self, bytes: &[u8]) -> Span {
        let span = Span::new(self.arena.len(), bytes.len());
        self.arena.extend_from_slice(bytes);
        span
    }
}

/// Appends a header as [`Headers`] reads it. A name beyond 64 KiB is cut: none that is read here is.
pub(crate) fn push_header(arena: &mut Vec<u8>, name: &str, value: Option<&[u8]>) {
    let name = name.get(..name.floor_char_boundary(usize::from(u16::MAX))).unwrap_or_default();
    arena.extend_from_slice(&(name.len() as u16).to_le_bytes());
    arena.extend_from_slice(name.as_bytes());
    let len = value.map_or(Ok(-1), |value| i32::try_from(value.len()));
    match (value, len) {
        (Some(value), Ok(len)) => {
            arena.extend_from_slice(&len.to_le_bytes());
            arena.extend_from_slice(value);
        }
        _ => arena.extend_from_slice(&(-1_i32).to_le_bytes()),
    }
}

/// Headers that are kept or made; a name may stand more than once, and a header without a value is
/// not one with an empty value.
pub type NamedValues = Vec<(String, Option<Vec<u8>>)>;

/// Headers that are read, to keep.
pub fn owned_headers<'h>(
    headers: impl Iterator<Item = (&'h str, Option<&'h [u8]>)>,
) -> NamedValues {
    headers.map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec))).collect()
}

/// Headers that are kept, as they are read.
pub fn header_refs(headers: &NamedValues) -> impl Iterator<Item = (&str, Option<&[u8]>)> + Clone {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
}

/// Reads encoded headers; ends early on bytes that aren't.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Over the bytes of [`Record::headers`].
    pub fn new(encoded: &'a [u8]) -> Self {
        Self { rest: encoded }
    }

    fn read(&mut self) -> Option<(&'a str, Option<&'a [u8]>)> {
        let (len, rest) = self.rest.split_first_chunk::<2>()?;
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let (value, rest) = match usize::try_from(i32::from_le_bytes(*len)) {
            Ok(len) => rest.split_at_checked(len).map(|(value, rest)| (Some(value), rest))?,
            Err(_) => (None, rest),
        };
        self.rest = rest;
        Some((std::str::from_utf8(name).ok()?, value))
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.read()
    }
}

/// What a store's identity stamp compares: a hash of timestamp, key and value.
pub fn record_hash(timestamp_ms: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> u64 {
    let part = |bytes: Option<&[u8]>| bytes.map_or(0, |bytes| xxh3_64(bytes) | 1);
    let mut parts = [0_u8; 24];
    let words = [timestamp_ms.cast_unsigned(), part(key), part(value)];
    for (place, word) in parts.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    xxh3_64_with_seed(&parts, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_read_back() {
        let mut batch = RecordBatch::new(Lane(3));
        let headers = [("a", Some(b"1".as_slice())), ("empty", Some(b"")), ("none", None)];
        batch.push(Offset(7), 12, Some(b"key"), None, headers.into_iter());
        batch.push(Offset(9), 13, None, Some(b""), std::iter::empty());
        let [first, second] = batch.records.as_slice() else {
            unreachable!("two were pushed");
        };
        assert_eq!(batch.headers(first).collect::<Vec<_>>(), headers);
        assert_eq!((batch.key(first), batch.value(first)), (Some(b"key".as_slice()), None));
        assert_eq!((batch.key(second), batch.value(second)), (None, Some(b"".as_slice())));
        assert_eq!(batch.headers(second).count(), 0);
        assert_eq!(batch.next, NextOffset(10));
    }

    #[test]
    fn record_hash_tells_null_from_empty_and_key_from_value() {
        let hashes = [
            record_hash(1, None, None),
            record_hash(2, None, None),
            record_hash(1, Some(b""), None),
            record_hash(1, None, Some(b"")),
            record_hash(1, Some(b"a"), Some(b"b")),
            record_hash(1, Some(b"b"), Some(b"a")),
        ];
        let distinct: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(distinct.len(), hashes.len());
    }
}

//! A control entry and its stored bytes.
//!
//! ```text
//! u8 1 removed + 2 expires | u64 revision | u64 expires at | u64 changed at |
//! u64 stated: offset | u64 its record's time | u64 seen: offset | u8 n | (u64 id hash | u64 content hash | u64 revision) * n, oldest first | value
//! ```

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::domain::position::Offset;

use super::restated::RecordAt;

/// Ids of an entry's last writings that are kept.
pub(super) const RECENT_MAX: usize = 8;
const REMOVED: u8 = 1;
const EXPIRES: u8 = 2;

/// What is kept under a key. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlEntry {
    /// Counts its changes up, from 1.
    pub revision: u64,
    /// When it is gone, in milliseconds since 1970. It may still be shown a while after: who reads
    /// compares with the present.
    pub expires_at_ms: Option<u64>,
    /// The value, JSON.
    pub value: Arc<[u8]>,
    /// Time of the record that changed it last, in milliseconds since 1970.
    pub changed_at_ms: u64,
    /// Where it was made, or the view of its last restatement, and the time of that record: who reads
    /// from there on knows it.
    pub stated: RecordAt,
    /// The last record about its key, whatever became of that.
    pub(super) seen: Offset,
    /// Nothing but its revision and its last ids is left.
    pub(super) is_removed: bool,
    /// Oldest first.
    pub(super) recent: Arc<[Recent]>,
}

/// One of an entry's last writings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recent {
    pub(super) id: u64,
    pub(super) content: u64,
    pub(super) revision: u64,
}

impl ControlEntry {
    /// No entry, but a key that a record was about.
    pub(super) fn nothing(at: RecordAt) -> Self {
        Self {
            revision: 0,
            expires_at_ms: None,
            value: Arc::default(),
            changed_at_ms: at.time_ms,
            stated: at,
            seen: at.offset,
            is_removed: true,
            recent: Arc::default(),
        }
    }

    /// Whether it was removed, and only its revision is still known.
    pub fn is_removed(&self) -> bool {
        self.is_removed
    }

    /// Whether it says the same, wherever it was stated.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        let (stated, seen) = (other.stated, other.seen);
        Self { stated, seen, ..self.clone() } == *other
    }

    /// The revision that the writing with this id made, while it is among the last ones.
    pub fn revision_of(&self, id: &str) -> Option<u64> {
        self.recent(id).map(|recent| recent.revision)
    }

    pub(super) fn recent(&self, id: &str) -> Option<&Recent> {
        let id = xxh3_64(id.as_bytes());
        self.recent.iter().find(|recent| recent.id == id)
    }

    pub(super) fn recent_with(
        before: &[Recent],
        id: &str,
        content: u64,
        revision: u64,
    ) -> Arc<[Recent]> {
        let one = Recent { id: xxh3_64(id.as_bytes()), content, revision };
        let kept = before.len().saturating_sub(RECENT_MAX - 1);
        before.iter().skip(kept).copied().chain([one]).collect()
    }

    /// Its bytes, as journal and engine keep them.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let flag = |is: bool, flag| if is { flag } else { 0 };
        out.push(flag(self.is_removed, REMOVED) | flag(self.expires_at_ms.is_some(), EXPIRES));
        for number in [self.revision, self.expires_at_ms.unwrap_or(0), self.changed_at_ms] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.stated.offset.0, self.stated.time_ms, self.seen.0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.push(self.recent.len() as u8);
        for recent in self.recent.iter() {
            for number in [recent.id, recent.content, recent.revision] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        out.extend_from_slice(&self.value);
    }

    /// From its bytes; none when they are no entry.
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let [flags] = take(rest)?;
        let [revision, expires_at_ms, changed_at_ms] = numbers(rest)?;
        let [stated, time_ms, seen] = numbers(rest)?;
        let [count] = take(rest)?;
        let recent = (0..count).map(|_| {
            let [id, content, revision] = numbers(rest)?;
            Some(Recent { id, content, revision })
        });
        let recent = recent.collect::<Option<_>>()?;
        (flags & !(REMOVED | EXPIRES) == 0).then(|| Self {
            revision,
            expires_at_ms: (flags & EXPIRES != 0).then_some(expires_at_ms),
            value: Arc::from(*rest),
            changed_at_ms,
            stated: RecordAt { offset: Offset(stated), time_ms },
            seen: Offset(seen),
            is_removed: flags & REMOVED != 0,
            recent,
        })
    }

    /// Bytes of memory that it takes besides its key, about.
    pub(super) fn bytes(&self) -> u64 {
        (self.value.len() + self.recent.len() * size_of::<Recent>() + size_of::<Self>()) as u64
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

fn numbers(rest: &mut &[u8]) -> Option<[u64; 3]> {
    let mut numbers = [0; 3];
    for number in &mut numbers {
        *number = u64::from_le_bytes(take(rest)?);
    }
    Some(numbers)
}

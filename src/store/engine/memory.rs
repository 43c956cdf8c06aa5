//! The engine's model: a sorted map, against which sled is held.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::RwLock;

use super::StoredBytes;

/// How many entries a scan copies out at a time.
const SCAN_CHUNK: usize = 256;

type Map = BTreeMap<Vec<u8>, Arc<[u8]>>;

/// A sorted map behind a lock.
#[derive(Clone, Debug, Default)]
pub struct MemoryEngine {
    map: Arc<RwLock<Map>>,
}

impl MemoryEngine {
    pub(super) fn get(&self, key: &[u8]) -> Option<StoredBytes> {
        self.map.read().get(key).cloned().map(StoredBytes::Memory)
    }

    pub(super) fn put(&self, key: &[u8], value: Option<&[u8]>) {
        let mut map = self.map.write();
        match value {
            Some(value) => map.insert(key.to_vec(), value.into()),
            None => map.remove(key),
        };
    }

    pub(super) fn scan(&self, prefix: &[u8], after: Option<&[u8]>) -> MemoryScan {
        MemoryScan {
            map: Arc::clone(&self.map),
            prefix: prefix.to_vec(),
            from: match after {
                Some(after) if after >= prefix => Bound::Excluded(after.to_vec()),
                Some(_) | None => Bound::Included(prefix.to_vec()),
            },
            chunk: Vec::new().into_iter(),
        }
    }
}

/// A running scan of the model.
#[derive(Debug)]
pub struct MemoryScan {
    map: Arc<RwLock<Map>>,
    prefix: Vec<u8>,
    from: Bound<Vec<u8>>,
    chunk: std::vec::IntoIter<(Vec<u8>, Arc<[u8]>)>,
}

impl MemoryScan {
    fn refill(&mut self) {
        let chunk: Vec<_> = self
            .map
            .read()
            .range::<Vec<u8>, _>((self.from.as_ref(), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&self.prefix))
            .take(SCAN_CHUNK)
            .map(|(key, value)| (key.clone(), Arc::clone(value)))
            .collect();
        if let Some((last, _)) = chunk.last() {
            self.from = Bound::Excluded(last.clone());
        }
        self.chunk = chunk.into_iter();
    }
}

impl Iterator for MemoryScan {
    type Item = (StoredBytes, StoredBytes);

    fn next(&mut self) -> Option<Self::Item> {
        if self.chunk.as_slice().is_empty() {
            self.refill();
        }
        let (key, value) = self.chunk.next()?;
        Some((StoredBytes::Memory(key.into()), StoredBytes::Memory(value)))
    }
}

//! The rules that hold now, for whoever must understand a record before it is appended.

use std::sync::{Arc, OnceLock};

use crate::domain::decode::Decoder;
use crate::domain::rules::RuleSet;
use crate::store::Reader;

/// The log's rules; this instance's own as long as the store is not open. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PresentRules {
    own: Arc<RuleSet>,
    reader: Arc<OnceLock<Reader>>,
}

impl PresentRules {
    /// Those that the instance was started with, for the time being.
    pub fn new(own: Arc<RuleSet>) -> Self {
        Self { own, reader: Arc::default() }
    }

    /// From now on the store says which hold.
    pub fn store_opened(&self, reader: Reader) {
        let _ = self.reader.set(reader);
    }

    /// The store, once it is open.
    pub(super) fn store(&self) -> Option<&Reader> {
        self.reader.get()
    }

    /// The newest that are applied anywhere on the log.
    pub fn get(&self) -> Arc<RuleSet> {
        let rules = self.reader.get().map(Reader::rules);
        let newest = rules.as_ref().and_then(|rules| rules.newest());
        newest.map_or_else(|| Arc::clone(&self.own), |newest| Arc::clone(&newest.rules))
    }

    /// What understands records by them.
    pub fn decoder(&self) -> Arc<Decoder> {
        Arc::clone(self.get().decoder())
    }
}

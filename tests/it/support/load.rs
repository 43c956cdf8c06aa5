//! Records to put on a log: the load generator's, in portions.

use contactd::event_log::NewRecord;
use contactd::simulate::{LoadGenerator, LoadOptions, LoadRecord};

/// An endless, seeded stream of records of every kind.
#[derive(Debug)]
pub struct Load {
    generator: LoadGenerator,
}

impl Load {
    /// Few contacts, so that each changes often; some records that can't be read.
    pub fn new(seed: u64, contacts: u32) -> Self {
        let options = LoadOptions {
            events: u64::MAX,
            contacts,
            seed,
            duplicates: 0.03,
            late: 0.05,
            deletes: 0.05,
            malformed: 0.004,
            ..LoadOptions::default()
        };
        Self { generator: LoadGenerator::new(&options) }
    }

    /// The next records.
    pub fn take(&mut self, count: usize) -> Vec<NewRecord> {
        self.generator.by_ref().take(count).map(new_record).collect()
    }
}

/// A generated record as a log takes it.
pub fn new_record(record: LoadRecord) -> NewRecord {
    NewRecord {
        key: record.key,
        value: record.value,
        headers: record.headers,
        timestamp_ms: record.timestamp_ms,
        lane: None,
    }
}

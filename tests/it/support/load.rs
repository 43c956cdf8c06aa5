//! Records to put on a log: the load generator's, in portions.

use contactd::domain::control::ControlRecord;
use contactd::domain::position::CONTROL_LANE;
use contactd::event_log::NewRecord;
use contactd::simulate::{LoadGenerator, LoadOptions, LoadRecord};

/// An endless, seeded stream of records of every kind.
#[derive(Debug)]
pub struct Load {
    generator: LoadGenerator,
}

impl Load {
    /// Few contacts, so that each changes often; some records that can't be read, or are not at home.
    pub fn new(seed: u64, contacts: u32) -> Self {
        Self::with_malformed(seed, contacts, 0.004)
    }

    /// The same, without those.
    pub fn well_formed(seed: u64, contacts: u32) -> Self {
        Self::with_malformed(seed, contacts, 0.0)
    }

    fn with_malformed(seed: u64, contacts: u32, malformed: f64) -> Self {
        let options = LoadOptions {
            events: u64::MAX,
            contacts,
            seed,
            duplicates: 0.03,
            late: 0.05,
            deletes: 0.05,
            malformed,
            ..LoadOptions::default()
        };
        Self { generator: LoadGenerator::new(&options) }
    }

    /// The next records.
    pub fn take(&mut self, count: usize) -> Vec<NewRecord> {
        self.generator.by_ref().take(count).map(new_record).collect()
    }
}

/// An endless, seeded stream of control records: few keys, some expiring, some repeated, some that
/// can't be read.
#[derive(Debug)]
pub struct ControlLoad {
    random: fastrand::Rng,
    number: u64,
    last: Vec<NewRecord>,
}

impl ControlLoad {
    /// Its record times go on by 10 ms a record.
    pub fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(!seed), number: 0, last: Vec::new() }
    }
}

impl Iterator for ControlLoad {
    type Item = NewRecord;

    fn next(&mut self) -> Option<NewRecord> {
        let random = &mut self.random;
        self.number += 1;
        let timestamp_ms = 1_790_000_000_000 + self.number as i64 * 10;
        if let Some(repeated) = self.last.pop().filter(|_| random.u8(..10) == 0) {
            return Some(NewRecord { timestamp_ms, ..repeated });
        }
        let key = format!("session/{:03}", random.u32(..150));
        let value = (random.u8(..8) > 0).then(|| format!(r#"{{"n":{}}}"#, self.number));
        let expires_in = if random.bool() { random.u64(..4_000) } else { u64::MAX / 2 };
        let record = ControlRecord {
            id: format!("control-{}", self.number),
            key: key.clone(),
            expected_revision: (random.u8(..4) == 0).then(|| random.u64(..4)),
            expires_at_ms: Some(timestamp_ms.unsigned_abs() + expires_in),
            value: value.map(String::into_bytes),
            principal: Some("user:ada".to_owned()),
            ..ControlRecord::default()
        };
        let mut value = record.encode().expect("a control record");
        if random.u8(..) == 0 {
            value.truncate(7);
        }
        let lane = Some(CONTROL_LANE);
        let record = NewRecord {
            key: key.into_bytes(),
            value: Some(value),
            timestamp_ms,
            lane,
            ..NewRecord::default()
        };
        self.last.push(record.clone());
        Some(record)
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

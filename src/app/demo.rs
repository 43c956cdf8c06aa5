//! Events for a first look, a few a second.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::Class;
use crate::event_log::{EventLog, LogError};
use crate::ingest::now_ms;
use crate::simulate::{LoadGenerator, LoadOptions, LoadRecord, STEP_MS_MAX};

use super::demo_payments::DemoPayments;

/// Contacts that the demo is about.
const CONTACTS: u32 = 200;
/// So that every demo is about the same contacts.
const SEED: u64 = 42;
/// Events that are there at once, so that the first question has an answer.
const FIRST_EVENTS: usize = 50;
/// Of so many events of the demo one is a payment's, where payments are on.
const PAYMENT_EVERY: u64 = 4;
/// The most frequent contacts, which examples are about: these are never deleted.
const LASTING: u32 = 2;

/// What the demo does.
#[derive(Clone, Copy, Debug)]
pub struct DemoOptions {
    /// Events a second.
    pub rate: f64,
    /// Whether there are payments among them.
    pub payments: bool,
}

/// A contact that the demo's first events are about.
pub(super) fn first_contact() -> String {
    generator(0).contact_id(0)
}

/// Appends events until told to stop.
pub(super) async fn run(
    log: EventLog,
    options: DemoOptions,
    stop: CancellationToken,
) -> Result<(), LogError> {
    let mut events = Events::new(now_ms());
    let first: Vec<LoadRecord> = events.first();
    let mut payments = DemoPayments::of(first_contact(), &first);
    log.append(first.into_iter().map(Into::into).collect()).await?;
    if options.payments {
        log.append(payments.first(now_ms())).await?;
    }
    let mut count = 0_u64;
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / options.rate));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        count += 1;
        let record = match options.payments && count.is_multiple_of(PAYMENT_EVERY) {
            true => payments.next(now_ms()),
            false => events.next_at(now_ms()).into(),
        };
        match log.append(vec![record]).await {
            Ok(_) => {}
            // A demo event more or less: the log says what is wrong.
            Err(error) if error.class() == Class::Retry => {
                tracing::warn!(%error, "demo event not kept")
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The demo's events, and one record that is none.
struct Events {
    generator: LoadGenerator,
    lasting: Vec<Vec<u8>>,
}

impl Events {
    /// The first ones have happened just before.
    fn new(now_ms: u64) -> Self {
        let generator = generator(now_ms.saturating_sub(FIRST_EVENTS as u64 * STEP_MS_MAX));
        let lasting = (0..LASTING).map(|rank| generator.contact_id(rank).into_bytes()).collect();
        Self { generator, lasting }
    }

    /// Those that are there at once, and a dead letter: the first event once more, its end missing.
    fn first(&mut self) -> Vec<LoadRecord> {
        let mut records: Vec<LoadRecord> = (0..FIRST_EVENTS).map(|_| self.next_at(0)).collect();
        if let Some(first) = records.first() {
            let mut cut = first.clone();
            cut.value.iter_mut().for_each(|value| value.truncate(value.len() / 2));
            records.push(cut);
        }
        records
    }

    fn next_at(&mut self, now_ms: u64) -> LoadRecord {
        loop {
            let record = self.generator.record_at(now_ms);
            if !(is_delete(&record) && self.lasting.contains(&record.key)) {
                return record;
            }
        }
    }
}

fn is_delete(record: &LoadRecord) -> bool {
    let text = record.value.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    text.contains("contact.deleted")
}

fn generator(start_ms: u64) -> LoadGenerator {
    LoadGenerator::new(&LoadOptions {
        events: u64::MAX,
        contacts: CONTACTS,
        seed: SEED,
        start_ms,
        ..LoadOptions::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::http::{Optional, openapi_json};

    const NOW_MS: u64 = 1_800_000_000_000;

    #[test]
    fn the_contacts_and_the_event_of_the_examples_are_there_and_stay() {
        let mut events = Events::new(NOW_MS);
        let first = events.first();
        let texts: Vec<_> = first
            .iter()
            .map(|record| String::from_utf8_lossy(record.value.as_ref().unwrap()))
            .collect();
        let document: Value = serde_json::from_str(&openapi_json(Optional::default())).unwrap();
        let example = |path: &str| document.pointer(path).unwrap().as_str().unwrap().to_owned();
        let contact = example("/paths/~1api~1contacts~1{id}/get/parameters/0/example");
        let event = example("/paths/~1api~1events~1{id}/get/parameters/0/example");
        let other = "/paths/~1api~1contacts~1{id}~1merge/post/requestBody/content/application~1json\
                     /example/from";
        assert_eq!(contact, first_contact());
        assert_eq!(example(other), events.generator.contact_id(1));
        for id in [contact, example(other), event] {
            assert!(texts.iter().any(|text| text.contains(&id)), "{id}");
        }
        let later: Vec<_> = (0..5_000).map(|_| events.next_at(NOW_MS)).collect();
        let deletes = || later.iter().filter(|record| is_delete(record));
        assert!(deletes().count() > 100, "some are deleted");
        assert!(deletes().all(|record| !events.lasting.contains(&record.key)));
    }

    #[test]
    fn nothing_happens_in_the_future() {
        let first = Events::new(NOW_MS).first();
        assert!(first.iter().all(|record| record.timestamp_ms <= NOW_MS as i64));
        let cut = first.last().and_then(|record| record.value.clone()).unwrap();
        assert!(serde_json::from_slice::<Value>(&cut).is_err());
    }
}

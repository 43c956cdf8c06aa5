//! What is worth knowing about an input before one wonders: said once, when it is first read.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::InputConfig;
use crate::domain::decode::Decoder;
use crate::domain::event::Event;
use crate::domain::partitioner::Partitioner;
use crate::domain::position::Lane;
use crate::domain::record::RecordBatch;
use crate::event_log::kafka::inputs::InputTopic;

/// What a look at an input's first records shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Records that were looked at.
    pub(super) records: usize,
    /// Of these, how many have a key.
    pub(super) keyed: usize,
    /// How many are events.
    pub(super) events: usize,
    /// Events whose key is their contact's id.
    pub(super) keyed_by_contact: usize,
    /// Events that have a time.
    pub(super) timed: usize,
    /// Contacts that have events in more than one partition.
    pub(super) scattered: usize,
    /// The partitioner that most keys lie by, and how many of how many distinct keys do.
    pub(super) partitioner: Option<(Partitioner, usize, usize)>,
}

impl Facts {
    /// Of the samples of a topic; decoding appends to their arenas.
    pub(super) fn of(samples: &mut [RecordBatch], partitions: u16, decoder: &Decoder) -> Self {
        let mut facts = Self::default();
        let mut keys = BTreeSet::new();
        let mut lanes: BTreeMap<Vec<u8>, BTreeSet<Lane>> = BTreeMap::new();
        for batch in samples {
            for index in 0..batch.records.len() {
                let event = decoder.decode(batch, index).ok();
                facts.note(batch, index, event, &mut keys, &mut lanes);
            }
        }
        facts.scattered = lanes.values().filter(|lanes| lanes.len() > 1).count();
        facts.partitioner = best_fit(&keys, partitions);
        facts
    }

    fn note(
        &mut self,
        batch: &RecordBatch,
        index: usize,
        event: Option<Event>,
        keys: &mut BTreeSet<(Vec<u8>, Lane)>,
        lanes: &mut BTreeMap<Vec<u8>, BTreeSet<Lane>>,
    ) {
        let Some(record) = batch.records.get(index) else {
            return;
        };
        self.records += 1;
        let key = batch.key(record);
        if let Some(key) = key {
            self.keyed += 1;
            keys.insert((key.to_vec(), batch.lane));
        }
        let Some(event) = event else {
            return;
        };
        let contact = event.contact_id.of(&batch.arena);
        self.events += 1;
        self.keyed_by_contact += usize::from(key == Some(contact));
        self.timed += usize::from(event.timestamp.is_some());
        lanes.entry(contact.to_vec()).or_default().insert(batch.lane);
    }

    /// What should be known and mended, in words.
    pub(super) fn concerns(&self, topic: &InputTopic, input: &InputConfig) -> Vec<&'static str> {
        let mut concerns = Vec::new();
        if topic.is_compacted() && !input.complete {
            concerns.push(
                "it is compacted, so only the last record of each key stays: where these are whole \
                 contacts, set complete = true, or fields of older events are lost and null values \
                 are dead letters",
            );
        }
        if input.complete && self.keyed < self.records {
            concerns.push("it has records without a key, which is what names a complete contact");
        }
        let is_ordered = self.scattered == 0 && self.keyed_by_contact == self.events;
        if self.timed < self.events && !is_ordered && !input.complete {
            concerns.push(
                "it has events without a time, and one contact's need not stay in one partition: \
                 their order is the one they happen to arrive in",
            );
        }
        concerns
    }

    /// One line, and one for each concern.
    pub(super) fn log(&self, name: &str, topic: &InputTopic, input: &InputConfig) {
        let (partitioner, fitting, keys) = self
            .partitioner
            .map_or(("", 0, 0), |(fit, fitting, keys)| (fit.as_str(), fitting, keys));
        tracing::info!(
            topic = name,
            partitions = topic.partitions,
            cleanup_policy = topic.cleanup_policy.as_deref().unwrap_or("not told"),
            complete = input.complete,
            source = input.source.as_deref().unwrap_or_default(),
            looked_at = self.records,
            with_key = self.keyed,
            events = self.events,
            keyed_by_contact = self.keyed_by_contact,
            with_time = self.timed,
            partitioner,
            keys,
            fitting,
            "an input of the bridge"
        );
        for concern in self.concerns(topic, input) {
            tracing::warn!(topic = name, concern, "an input of the bridge");
        }
    }
}

/// Java's stands first, so it wins a tie; nothing is learned where there is one partition or no key.
fn best_fit(
    keys: &BTreeSet<(Vec<u8>, Lane)>,
    partitions: u16,
) -> Option<(Partitioner, usize, usize)> {
    if keys.is_empty() || partitions < 2 {
        return None;
    }
    let fit = |partitioner: Partitioner| {
        keys.iter().filter(|(key, lane)| partitioner.lane(key, partitions) == *lane).count()
    };
    let mut best: Option<(Partitioner, usize)> = None;
    for (partitioner, fitting) in Partitioner::ALL.map(|each| (each, fit(each))) {
        if best.is_none_or(|(_, most)| fitting > most) {
            best = Some((partitioner, fitting));
        }
    }
    best.map(|(partitioner, fitting)| (partitioner, fitting, keys.len()))
}

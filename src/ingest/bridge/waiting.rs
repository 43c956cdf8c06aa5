//! Partitions whose next record needs a schema that the registry has not given yet.

use std::collections::BTreeMap;

use crate::domain::position::Offset;
use crate::event_log::LogError;
use crate::event_log::kafka::inputs::{InputBatch, InputPartition, Inputs};
use crate::schema_registry::{Look, SchemaRegistry};

/// By partition, which schema, and the time of the record that needs it.
pub(super) struct Waiting<'r> {
    registry: Option<&'r SchemaRegistry>,
    awaited: BTreeMap<InputPartition, (u32, i64)>,
}

impl<'r> Waiting<'r> {
    /// Nobody waits.
    pub(super) fn new(registry: Option<&'r SchemaRegistry>) -> Self {
        let none = Self { registry, awaited: BTreeMap::new() };
        none.tell();
        none
    }

    /// The batch's partition waits with its record at `offset`.
    pub(super) fn add(
        &mut self,
        inputs: &mut Inputs,
        batch: &InputBatch,
        (schema, offset, time_ms): (u32, Offset, i64),
    ) -> Result<(), LogError> {
        inputs.wait_at(batch, offset)?;
        if inputs.waits(&batch.from) {
            self.awaited.insert(batch.from.clone(), (schema, time_ms));
            self.tell();
        }
        Ok(())
    }

    /// Goes on with those for which the registry has spoken.
    pub(super) fn go_on(&mut self, inputs: &mut Inputs) -> Result<(), LogError> {
        let Some(registry) = self.registry.filter(|_| !self.awaited.is_empty()) else {
            return Ok(());
        };
        let before = self.awaited.len();
        for (from, (schema, time_ms)) in &self.awaited {
            if !matches!(registry.look(*schema, *time_ms, None), Look::Awaited) {
                inputs.go_on(from)?;
            }
        }
        self.awaited.retain(|from, _| inputs.waits(from));
        if self.awaited.len() < before {
            self.tell();
        }
        Ok(())
    }

    fn tell(&self) {
        if let Some(registry) = self.registry {
            let topics = self.awaited.iter();
            registry.set_waiting(
                topics.map(|(from, (schema, _))| (from.topic.to_string(), *schema)).collect(),
            );
        }
    }
}

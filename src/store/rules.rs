//! The rules in force: redone from the journal, kept whole in checkpoint and snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use bincode::{Decode, Encode};

use crate::domain::position::{Lane, Offset};
use crate::domain::record::RecordKind;
use crate::domain::rules::{InForce, InvalidRules, LaneRules, RuleSet};
use crate::domain::verdict::Verdict;

use super::StoreError;
use super::journal::{Entry, Outcome};

/// What an entry of the journal did to the rules, once more.
pub(crate) fn redo(rules: &mut Arc<LaneRules>, entry: &Entry<'_>) -> Result<(), StoreError> {
    let (lane, offset) = (entry.lane, entry.offset);
    let change = match &entry.outcome {
        Outcome::Rules(change) => change,
        Outcome::Settled
            if entry.record_kind == RecordKind::Marker && entry.verdict == Verdict::Unchanged =>
        {
            Arc::make_mut(rules).restate(lane, offset, entry.record_time_ms);
            return Ok(());
        }
        Outcome::Settled
        | Outcome::Applied(_)
        | Outcome::Noted(_)
        | Outcome::Control(_)
        | Outcome::DeadLettered(_)
        | Outcome::Rehomed(_) => return Ok(()),
    };
    let known = rules.lanes().values().chain(rules.beginning());
    let known = known.map(|at| &at.rules).find(|rules| rules.packed() == change.packed);
    let in_force = InForce {
        number: change.number,
        rules: match known {
            Some(known) => Arc::clone(known),
            None => Arc::new(RuleSet::unpack(change.packed).map_err(|e| unusable("journal", &e))?),
        },
        offset,
        record_time_ms: entry.record_time_ms,
        principal: change.principal.map(|who| String::from_utf8_lossy(who).into_owned()),
    };
    match change.beginning {
        Some(founding) => *rules = Arc::new(LaneRules::beginning_with(founding, in_force)),
        None => Arc::make_mut(rules).take(lane, in_force),
    }
    Ok(())
}

fn unusable(what: &str, error: &InvalidRules) -> StoreError {
    StoreError::damaged(what, error.to_string())
}

/// [`LaneRules`] as bincode has it: each text once.
#[derive(Default, Encode, Decode)]
pub(crate) struct RulesRecord {
    founding: u64,
    texts: Vec<Vec<u8>>,
    beginning: Option<InForceRecord>,
    lanes: Vec<(u16, InForceRecord)>,
}

#[derive(Encode, Decode)]
struct InForceRecord {
    text: u32,
    number: u64,
    offset: u64,
    record_time_ms: i64,
    principal: Option<String>,
}

impl From<&LaneRules> for RulesRecord {
    fn from(rules: &LaneRules) -> Self {
        let mut record = Self { founding: rules.founding(), ..Self::default() };
        record.beginning = rules.beginning().map(|at| InForceRecord::new(at, &mut record.texts));
        for (lane, at) in rules.lanes() {
            let at = InForceRecord::new(at, &mut record.texts);
            record.lanes.push((lane.0, at));
        }
        record
    }
}

impl InForceRecord {
    fn new(at: &InForce, texts: &mut Vec<Vec<u8>>) -> Self {
        let packed = at.rules.packed();
        let text = texts.iter().position(|text| text == packed).unwrap_or_else(|| {
            texts.push(packed.to_vec());
            texts.len() - 1
        });
        Self {
            text: text as u32,
            number: at.number,
            offset: at.offset.0,
            record_time_ms: at.record_time_ms,
            principal: at.principal.clone(),
        }
    }

    fn read(self, texts: &[Arc<RuleSet>]) -> Result<InForce, StoreError> {
        let missing = || StoreError::damaged("checkpoint", "it lacks rules that it names");
        Ok(InForce {
            number: self.number,
            rules: texts.get(self.text as usize).cloned().ok_or_else(missing)?,
            offset: Offset(self.offset),
            record_time_ms: self.record_time_ms,
            principal: self.principal,
        })
    }
}

impl RulesRecord {
    pub(crate) fn read(self) -> Result<LaneRules, StoreError> {
        let texts = self.texts.iter().map(|packed| RuleSet::unpack(packed).map(Arc::new));
        let texts = texts.collect::<Result<Vec<_>, _>>();
        let texts = texts.map_err(|error| unusable("checkpoint", &error))?;
        let beginning = self.beginning.map(|at| at.read(&texts)).transpose()?;
        let lanes = self.lanes.into_iter().map(|(lane, at)| Ok((Lane(lane), at.read(&texts)?)));
        let lanes = lanes.collect::<Result<BTreeMap<_, _>, StoreError>>()?;
        Ok(LaneRules::new(self.founding, beginning, lanes))
    }
}

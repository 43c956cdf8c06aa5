//! Which rules hold in which lane: moved on by markers alone, each in its own lane.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::fingerprint::Fingerprint;
use crate::domain::position::{Lane, Offset};

use super::{InvalidRules, Marker, MarkerText, RuleSet};

/// What a lane's last marker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The marker's number.
    pub number: u64,
    /// The rules.
    pub rules: Arc<RuleSet>,
    /// Where the last record stands that says so.
    pub offset: Offset,
    /// Time of that record, in milliseconds since 1970.
    pub record_time_ms: i64,
    /// Who adopted them, where that is known.
    pub principal: Option<String>,
}

impl InForce {
    /// Rules that a log begins with, whose marker stands nowhere yet.
    pub fn at_founding(rules: Arc<RuleSet>) -> Self {
        Self { number: 0, rules, offset: Offset(0), record_time_ms: 0, principal: None }
    }
}

/// What a marker does where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Its rules hold from there on.
    Applied(Arc<RuleSet>),
    /// They hold already: it was restated.
    Unchanged,
    /// Others of its number, or of a later one, hold already; or its founding is over.
    Stale,
    /// This program can't judge by it.
    UnknownVersion(u64),
    /// The log was founded anew, and this state is of a founding before that.
    NewerFounding(u64),
}

/// The rules of all lanes. A function of the markers that were read of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneRules {
    /// The founding's number: 1, and one more each time that the log was founded anew.
    founding: u64,
    /// What holds in a lane before its first marker; none: nothing was founded yet.
    beginning: Option<InForce>,
    lanes: BTreeMap<Lane, InForce>,
}

impl LaneRules {
    /// From its parts.
    pub fn new(founding: u64, beginning: Option<InForce>, lanes: BTreeMap<Lane, InForce>) -> Self {
        Self { founding, beginning, lanes }
    }

    /// A log that begins with these rules.
    pub fn beginning_with(founding: u64, beginning: InForce) -> Self {
        Self { founding, beginning: Some(beginning), lanes: BTreeMap::new() }
    }

    /// The founding's number: 1, and one more each time that the log was founded anew.
    pub fn founding(&self) -> u64 {
        self.founding
    }

    /// What holds in a lane before its first marker.
    pub fn beginning(&self) -> Option<&InForce> {
        self.beginning.as_ref()
    }

    /// The lanes that have had a marker.
    pub fn lanes(&self) -> &BTreeMap<Lane, InForce> {
        &self.lanes
    }

    /// What holds in a lane; none before the founding.
    pub fn of(&self, lane: Lane) -> Option<&InForce> {
        self.lanes.get(&lane).or(self.beginning.as_ref())
    }

    /// What all lanes come to: the greatest number; of one number, what stands in the least lane.
    pub fn newest(&self) -> Option<&InForce> {
        let all = self.lanes.values().chain(self.beginning.as_ref());
        // Of equal ones the last counts.
        all.rev().max_by_key(|each| each.number)
    }

    /// Hash of the newest rules, a function of the lanes' places; 0 before the founding.
    pub fn fingerprint(&self) -> Fingerprint {
        self.newest().map_or(Fingerprint(0), |newest| newest.rules.fingerprint())
    }

    /// What a marker does in a lane.
    ///
    /// # Errors
    /// Rules that can't be used.
    pub fn judge(&self, lane: Lane, marker: &Marker) -> Result<Ruling, InvalidRules> {
        if marker.founding != self.founding {
            return Ok(if marker.founding > self.founding {
                Ruling::NewerFounding(marker.founding)
            } else {
                Ruling::Stale
            });
        }
        // At its founding a log has no number yet, so a lane's first marker may have that of the
        // beginning.
        let last = self.lanes.get(&lane);
        let least = self.beginning.as_ref().map_or(0, |beginning| beginning.number);
        let is_over = match last {
            Some(last) => marker.number <= last.number,
            None => marker.number < least,
        };
        let (text, fingerprint) = match &marker.text {
            MarkerText::Known { text, fingerprint } => (text, *fingerprint),
            MarkerText::UnknownVersion(_) if is_over => return Ok(Ruling::Stale),
            MarkerText::UnknownVersion(version) => return Ok(Ruling::UnknownVersion(*version)),
        };
        if is_over {
            let is_same = last.is_some_and(|last| {
                last.number == marker.number && last.rules.fingerprint() == fingerprint
            });
            return Ok(if is_same { Ruling::Unchanged } else { Ruling::Stale });
        }
        let known =
            self.lanes.values().chain(self.beginning.as_ref()).find(|each| {
                each.rules.fingerprint() == fingerprint && *each.rules.text() == **text
            });
        Ok(Ruling::Applied(match known {
            Some(known) => Arc::clone(&known.rules),
            None => Arc::new(RuleSet::compile(text.as_ref().clone())?),
        }))
    }

    /// What holds in a lane from now on.
    pub fn take(&mut self, lane: Lane, in_force: InForce) {
        self.lanes.insert(lane, in_force);
    }

    /// The marker that holds in a lane was said once more.
    pub fn restate(&mut self, lane: Lane, offset: Offset, record_time_ms: i64) {
        if let Some(last) = self.lanes.get_mut(&lane) {
            (last.offset, last.record_time_ms) = (offset, record_time_ms);
        }
    }
}

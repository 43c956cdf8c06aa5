//! Verdicts by who said it: kept up with every entry of the journal, and carried along where that is redone.

use std::sync::Arc;

use crate::domain::record::RecordKind;
use crate::domain::verdict::Verdict;

/// Sources that have figures of their own; those of the others stand together.
const NAMED_MAX: usize = 64;

/// How often each verdict was given, by [`Verdict::index`].
pub type Verdicts = [u64; Verdict::COUNT];

/// What became of the records of each source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceVerdicts {
    /// In the order in which they came; an empty name: what could not be read as far as that.
    named: Vec<(Box<[u8]>, Verdicts)>,
    /// Of all that came when there were as many as have figures of their own.
    other: Verdicts,
}

impl SourceVerdicts {
    /// Each with figures of its own, by its name.
    pub fn named(&self) -> impl Iterator<Item = (&[u8], &Verdicts)> {
        self.named.iter().map(|(source, verdicts)| (&**source, verdicts))
    }

    /// Those of all others.
    pub fn other(&self) -> &Verdicts {
        &self.other
    }

    /// The sum over all of them.
    pub(crate) fn sum(&self) -> Verdicts {
        let mut sum = self.other;
        for (_, verdicts) in &self.named {
            sum.iter_mut().zip(verdicts).for_each(|(sum, count)| *sum += count);
        }
        sum
    }

    pub(crate) fn count(&mut self, source: &[u8], verdict: Verdict) {
        let place = self.named.iter().position(|(known, _)| **known == *source);
        let verdicts = match place {
            None if self.named.len() < NAMED_MAX => {
                self.named.push((source.into(), Verdicts::default()));
                self.named.last_mut().map(|(_, verdicts)| verdicts)
            }
            Some(place) => self.named.get_mut(place).map(|(_, verdicts)| verdicts),
            None => None,
        };
        if let Some(total) = verdicts.unwrap_or(&mut self.other).get_mut(verdict.index()) {
            *total += 1;
        }
    }

    /// Counts an entry as it was counted when it was staged.
    pub(crate) fn redo(this: &mut Arc<Self>, kind: RecordKind, source: &[u8], verdict: Verdict) {
        match kind {
            RecordKind::Contact | RecordKind::Payment => {
                Arc::make_mut(this).count(source, verdict);
            }
            RecordKind::Control | RecordKind::Marker => {}
        }
    }

    /// As checkpoints and snapshots have it.
    pub(crate) fn to_record(&self) -> (Vec<(Vec<u8>, Verdicts)>, Verdicts) {
        (
            self.named.iter().map(|(source, verdicts)| (source.to_vec(), *verdicts)).collect(),
            self.other,
        )
    }

    pub(crate) fn from_record((named, other): (Vec<(Vec<u8>, Verdicts)>, Verdicts)) -> Self {
        let named = named.into_iter().map(|(source, verdicts)| (source.into(), verdicts));
        Self { named: named.take(NAMED_MAX).collect(), other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_beyond_those_that_are_named_are_counted_together() {
        let mut counted = SourceVerdicts::default();
        for number in 0..1_000_u32 {
            counted.count(&number.to_le_bytes(), Verdict::Applied);
            counted.count(b"", Verdict::DeadLettered);
        }
        assert_eq!(counted.named().count(), NAMED_MAX);
        let of = |verdicts: &Verdicts, verdict: Verdict| verdicts[verdict.index()];
        assert_eq!(of(counted.other(), Verdict::Applied), 1_001 - NAMED_MAX as u64);
        assert_eq!(of(counted.other(), Verdict::DeadLettered), 0);
        assert_eq!(of(&counted.sum(), Verdict::DeadLettered), 1_000);
        assert_eq!(SourceVerdicts::from_record(counted.to_record()), counted);
    }
}

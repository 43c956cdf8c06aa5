//! A partition that this member of the group reads.

use std::time::{Duration, Instant};

use crate::domain::position::{NextOffset, Offset};
use crate::event_log::kafka::context::Partition;

/// How long what is told of a partition may still be of the time before it was ours.
const NEW_FOR: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Owned {
    /// Tells a partition that was taken away and given back from one that was kept.
    pub(super) assignment: u64,
    /// After the last record taken; 0 before the first one.
    pub(super) next: NextOffset,
    /// Up to here there is nothing more to take: markers of transactions and records that were
    /// aborted or compacted away take offsets too.
    ended: u64,
    since: Instant,
    /// It is paused, whoever else goes on.
    waits: bool,
}

impl Owned {
    pub(super) fn new(assignment: u64) -> Self {
        let (next, since) = (NextOffset(0), Instant::now());
        Self { assignment, next, ended: 0, since, waits: false }
    }

    /// Nothing more is taken of it, and from `offset` on it is taken once more.
    pub(super) fn wait_at(&mut self, offset: Offset) {
        (self.next, self.ended, self.waits) = (NextOffset(offset.0), 0, true);
    }

    /// It is read again; what is told of it may still be of the time before.
    pub(super) fn go_on(&mut self) {
        (self.since, self.waits) = (Instant::now(), false);
    }

    pub(super) fn waits(&self) -> bool {
        self.waits
    }

    /// Whether it came a moment ago, so that its leader need not be known yet.
    pub(super) fn is_new(&self) -> bool {
        self.since.elapsed() < NEW_FOR
    }

    /// What is still to be bridged, as far as known. What an open transaction holds back is.
    pub(super) fn lag(&mut self, partition: &Partition) -> Option<u64> {
        let end = partition.end()?;
        if partition.is_taken_to_end() && !self.is_new() && !self.waits {
            self.ended = self.ended.max(partition.readable_end().unwrap_or(0));
        }
        let committed = u64::try_from(partition.committed_offset).unwrap_or(0);
        let low = u64::try_from(partition.lo_offset).unwrap_or(0);
        // What is taken is bridged when it is committed.
        let is_settled = committed >= self.next.0;
        let reached = if is_settled { committed.max(self.ended) } else { committed };
        Some(end.saturating_sub(reached.max(low)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At the end of a log in which a marker follows the last record, at offset 9.
    fn partition() -> Partition {
        Partition {
            leader: 1,
            unknown: false,
            eof_offset: 11,
            lo_offset: 0,
            ls_offset: 11,
            hi_offset: 11,
            committed_offset: 10,
            fetchq_cnt: 0,
            leader_epoch: 0,
        }
    }

    fn owned() -> Owned {
        let since = Instant::now().checked_sub(NEW_FOR).unwrap();
        Owned { since, next: NextOffset(10), ..Owned::new(1) }
    }

    #[test]
    fn nothing_is_to_come_behind_the_last_record_but_markers() {
        assert_eq!(owned().lag(&partition()), Some(0));
        // Nor where a partition holds nothing else, and nothing was committed ever.
        let mut nothing_but_markers = Owned { next: NextOffset(0), ..owned() };
        assert_eq!(
            nothing_but_markers.lag(&Partition { committed_offset: -1001, ..partition() }),
            Some(0)
        );
    }

    #[test]
    fn what_is_not_taken_or_not_committed_is_to_come() {
        assert_eq!(owned().lag(&Partition { fetchq_cnt: 3, ..partition() }), Some(1));
        assert_eq!(owned().lag(&Partition { committed_offset: 4, ..partition() }), Some(7));
        let further = Partition { ls_offset: 15, hi_offset: 15, ..partition() };
        let mut owned = owned();
        assert_eq!(owned.lag(&partition()), Some(0));
        assert_eq!(owned.lag(&further), Some(4), "one end is not the next one");
        let dropped = Partition { lo_offset: 14, ..further };
        assert_eq!(Owned { next: NextOffset(0), ..owned }.lag(&dropped), Some(1));
    }

    #[test]
    fn what_an_open_transaction_holds_back_is_to_come() {
        assert_eq!(owned().lag(&Partition { hi_offset: 111, ..partition() }), Some(100));
    }

    #[test]
    fn what_is_told_of_another_assignment_is_not_believed() {
        assert_eq!(Owned::new(2).lag(&partition()), Some(1));
    }

    #[test]
    fn what_waits_is_to_come_though_it_was_fetched_to_the_end() {
        let mut owned = owned();
        assert_eq!(owned.lag(&partition()), Some(0));
        owned.wait_at(Offset(7));
        let seven = Partition { committed_offset: 7, ..partition() };
        assert_eq!(owned.lag(&seven), Some(4));
        owned.go_on();
        assert_eq!(owned.lag(&seven), Some(4), "what is told is of the time before");
    }

    #[test]
    fn nothing_is_known_before_the_first_fetch() {
        let unknown = Partition { ls_offset: -1001, hi_offset: -1001, ..partition() };
        assert_eq!(owned().lag(&unknown), None);
    }
}

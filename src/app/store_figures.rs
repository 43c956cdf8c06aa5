//! What the store says of itself, as figures for a scrape.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use xxhash_rust::xxh3::xxh3_64;

use crate::domain::position::{CONTROL_LANE, NextOffset, Position};
use crate::store::{StoreStats, free_bytes};
use crate::telemetry::{CacheTotals, StoreGauges};

/// A figure is a double, which holds whole numbers up to here.
const FIGURE_BITS: u32 = 52;

/// Of the store in `directory`, whose disk must have `disk_min_free_bytes` left.
pub(super) fn store_figures(
    stats: &StoreStats,
    directory: &Path,
    disk_min_free_bytes: u64,
) -> StoreGauges {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    StoreGauges {
        contacts_active: stats.counters.active,
        contacts_deleted: stats.counters.deleted,
        engine_bytes: stats.engine_disk_bytes,
        heap_bytes: stats.heap.bytes,
        heap_failures: stats.heap.failures,
        journal_bytes: stats.journal_bytes,
        dirty_bytes: stats.dirty_bytes + stats.flushing_bytes,
        disk_free_bytes: free_bytes(directory).ok(),
        disk_min_free_bytes,
        digest: low_bits(stats.digest.0),
        position: position(&stats.position),
        checkpoint_unix_seconds: now.saturating_sub(stats.checkpoint_age).as_secs_f64(),
        checkpoint_number: stats.checkpoint_number,
        cache: CacheTotals {
            hits: stats.cache.hits,
            misses: stats.cache.misses,
            entries: stats.cache.entries,
        },
    }
}

/// No contact follows from the control lane, whose records come all the time.
fn position(of: &Position) -> u64 {
    let lanes = of.next.iter().map(|(lane, next)| (*lane, *next));
    let lanes = lanes.filter(|(lane, next)| *lane != CONTROL_LANE && *next != NextOffset(0));
    let contacts = Position::of_lanes(of.log, lanes.collect());
    low_bits(xxh3_64(contacts.encode().as_bytes()).into())
}

fn low_bits(of: u128) -> u64 {
    u64::try_from(of & ((1 << FIGURE_BITS) - 1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::position::Lane;

    fn at(lanes: &[(u16, u64)]) -> u64 {
        let next: BTreeMap<_, _> =
            lanes.iter().map(|(lane, next)| (Lane(*lane), NextOffset(*next))).collect();
        position(&Position::of_lanes(7, next))
    }

    #[test]
    fn a_position_is_the_same_figure_whatever_the_control_lane_has_seen() {
        let control = CONTROL_LANE.0;
        assert_eq!(at(&[(0, 4), (control, 1)]), at(&[(0, 4), (1, 0), (control, 9)]));
        assert_ne!(at(&[(0, 4), (1, 2)]), at(&[(0, 2), (1, 4)]));
    }

    #[test]
    fn a_double_holds_every_figure_exactly() {
        assert_eq!(low_bits(u128::MAX), (1 << 52) - 1);
        assert_eq!(low_bits(u128::MAX - 1), (1 << 52) - 2);
    }
}

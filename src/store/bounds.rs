//! Bounds that no setting names. Tests make them small, so that they meet them.

use std::time::Duration;

/// The bounds of a store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Contacts that a page looks at where filters are combined.
    pub(crate) page_scan_max: usize,
    /// Contacts beside its own that a page looks at without others waiting for it.
    pub(crate) page_few: usize,
    /// Contacts that are counted.
    pub(crate) page_count_max: u64,
    /// Bytes of a page's contacts after which it is too much work to be done at once.
    pub(crate) page_at_once_bytes: usize,
    /// Size of the heap file's smallest segments, in bytes.
    pub(crate) heap_segment_bytes_min: u64,
    /// Bytes of the heap file that are written and read at once.
    pub(crate) heap_run_bytes: usize,
    /// A load is over when nothing was committed for so long.
    pub(crate) pause: Duration,
}

impl Bounds {
    pub(crate) const SHIPPED: Self = Self {
        page_scan_max: 10_000,
        page_few: 500,
        page_count_max: 10_000,
        page_at_once_bytes: 256 << 10,
        heap_segment_bytes_min: 16 << 20,
        heap_run_bytes: 256 << 10,
        pause: Duration::from_millis(250),
    };

    /// No load is over by itself.
    #[cfg(test)]
    pub(crate) const SMALL: Self = Self {
        page_scan_max: 150,
        page_few: 20,
        page_count_max: 300,
        page_at_once_bytes: 2_000,
        heap_segment_bytes_min: 4 << 10,
        heap_run_bytes: 1 << 10,
        pause: Duration::from_secs(3_600),
    };
}

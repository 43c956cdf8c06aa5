//! A piece of a batch's arena, by place instead of by reference.

/// Bytes of an arena; stays valid while the arena only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Span {
    /// The piece from `start` on; arenas are bounded far below 4 GiB, a place beyond reads as empty.
    pub fn new(start: usize, len: usize) -> Self {
        match (u32::try_from(start), u32::try_from(len)) {
            (Ok(start), Ok(len)) => Self { start, len },
            _ => Self { start: u32::MAX, len: u32::MAX },
        }
    }

    /// The bytes; empty when out of range.
    pub fn of<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        let start = self.start as usize;
        arena.get(start..start.saturating_add(self.len as usize)).unwrap_or_default()
    }

    /// The bytes as text; empty when they are not UTF-8. Spans of events always are.
    pub fn text<'a>(&self, arena: &'a [u8]) -> &'a str {
        std::str::from_utf8(self.of(arena)).unwrap_or_default()
    }

    /// Whether it holds no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

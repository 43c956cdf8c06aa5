//! One frame: its bytes, and whether some bytes are one.

use super::FrameNo;

/// The largest payload, in bytes: far above any batch, and small enough to be read whole.
pub const FRAME_BYTES_MAX: usize = 256 << 20;

/// Length u32, CRC-32, frame number u64, `synced_to` u64.
pub(super) const HEADER_BYTES: usize = 24;

/// A frame's header as it stands, not yet believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) len: u32,
    crc: u32,
    pub(super) no: FrameNo,
    pub(super) synced_to: FrameNo,
}

impl FrameHeader {
    /// Header and payload.
    pub(super) fn frame_bytes(&self) -> usize {
        HEADER_BYTES.saturating_add(self.len as usize)
    }

    /// Whether it can be the header of frame `no`, as far as the header alone tells.
    pub(super) fn is_plausible(&self, no: FrameNo) -> bool {
        self.no == no
            && self.len > 0
            && self.len as usize <= FRAME_BYTES_MAX
            && self.synced_to <= no
    }
}

/// The header at the start of `bytes`; `None` when they are too few.
pub(super) fn header(bytes: &[u8]) -> Option<FrameHeader> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let (no, rest) = rest.split_first_chunk()?;
    let (synced_to, _) = rest.split_first_chunk()?;
    Some(FrameHeader {
        len: u32::from_le_bytes(*len),
        crc: u32::from_le_bytes(*crc),
        no: FrameNo(u64::from_le_bytes(*no)),
        synced_to: FrameNo(u64::from_le_bytes(*synced_to)),
    })
}

/// The whole, valid frame `no` of segment `segment` at the start of `bytes`, if there is one.
pub(super) fn parse(bytes: &[u8], segment: u64, no: FrameNo) -> Option<(FrameHeader, &[u8])> {
    let header = header(bytes).filter(|header| header.is_plausible(no))?;
    let payload = bytes.get(HEADER_BYTES..header.frame_bytes())?;
    let crc = checksum(segment, no, header.synced_to, header.len, [payload]);
    (crc == header.crc).then_some((header, payload))
}

/// Appends the frame to `out`; the payload is the parts in their order, `len` bytes together.
pub(super) fn write(
    out: &mut Vec<u8>,
    segment: u64,
    no: FrameNo,
    synced_to: FrameNo,
    len: u32,
    parts: &[&[u8]],
) {
    out.reserve(HEADER_BYTES + len as usize);
    let crc = checksum(segment, no, synced_to, len, parts.iter().copied());
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&no.0.to_le_bytes());
    out.extend_from_slice(&synced_to.0.to_le_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Whether behind the bad frame `bad`, somewhere in `bytes`, stands a valid frame of the same
/// segment that was written when `bad` was known to be synced.
pub(super) fn proves_damage(bytes: &[u8], segment: u64, bad: FrameNo) -> bool {
    let most = bad.0.saturating_add((bytes.len() / HEADER_BYTES) as u64 + 1);
    let mut rest = bytes;
    while let Some(candidate) = header(rest) {
        let later = candidate.no > bad && candidate.no.0 <= most && candidate.synced_to > bad;
        if later && parse(rest, segment, candidate.no).is_some() {
            return true;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

fn checksum<'a>(
    segment: u64,
    no: FrameNo,
    synced_to: FrameNo,
    len: u32,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let mut head = [0_u8; 28];
    let fields = segment.to_le_bytes().into_iter().chain(no.0.to_le_bytes());
    let fields = fields.chain(synced_to.0.to_le_bytes()).chain(len.to_le_bytes());
    for (to, from) in head.iter_mut().zip(fields) {
        *to = from;
    }
    hasher.update(&head);
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

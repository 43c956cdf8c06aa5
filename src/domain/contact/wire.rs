//! Reading and writing of flat little-endian pieces.

use crate::domain::clock::Clock;

/// Reads pieces off the front; `None` when too short.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire<'a> {
    rest: &'a [u8],
}

impl<'a> Wire<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(array)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(bytes)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|&[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(|bytes| u16::from_le_bytes(*bytes))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(|bytes| u64::from_le_bytes(*bytes))
    }

    pub(crate) fn bytes_u16(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.bytes(usize::from(len))
    }

    pub(crate) fn bytes_u32(&mut self) -> Option<&'a [u8]> {
        let len = u32::from_le_bytes(*self.array()?);
        self.bytes(len as usize)
    }

    /// Tag (1: with version), time, hash, version if any.
    pub(crate) fn clock(&mut self) -> Option<Clock> {
        let tag = self.u8()?;
        let (ts_us, hash) = (self.u64()?, self.u64()?);
        let version = match tag {
            0 => None,
            1 => Some(self.u64()?),
            _ => return None,
        };
        Some(Clock { ts_us, version, hash })
    }
}

pub(crate) fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

pub(crate) fn put_bytes_u16(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
    out.extend_from_slice(bytes);
}

pub(crate) fn put_bytes_u32(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

pub(crate) fn put_clock(out: &mut Vec<u8>, clock: &Clock) {
    let mut fixed = [0_u8; 17];
    if let ([tag], rest) = fixed.split_at_mut(1) {
        *tag = u8::from(clock.version.is_some());
        let (ts_us, hash) = rest.split_at_mut(8);
        ts_us.copy_from_slice(&clock.ts_us.to_le_bytes());
        hash.copy_from_slice(&clock.hash.to_le_bytes());
    }
    out.extend_from_slice(&fixed);
    if let Some(version) = clock.version {
        put_u64(out, version);
    }
}

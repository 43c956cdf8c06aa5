//! How keys and values look on disk. One byte of format leads every value.
//!
//! ```text
//! b'c' id                         -> 1 | image u64 LE | change u64 LE | body   a contact
//! b'k' key                        -> 1 | entry                        a control entry
//! b'a' lane u16 BE | offset u64 BE -> 1 | attempt                      an attempt at a command
//! b'm' name                       -> meta values
//! ```

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::domain::contact::{ContactView, CorruptContact};
use crate::segments::FrameNo;

/// Prefix of contact keys.
pub const CONTACT: u8 = b'c';
/// Prefix of control entries' keys.
pub const CONTROL: u8 = b'k';
/// Prefix of the keys of attempts at commands.
pub const ATTEMPT: u8 = b'a';
/// The byte that leads a value.
pub const VALUE_FORMAT: u8 = 1;
/// Bytes before a contact's body.
const HEAD: usize = 17;

/// The key of an entry that is no contact.
pub fn entry_key(prefix: u8, key: &[u8]) -> Vec<u8> {
    [&[prefix], key].concat()
}

/// The value of an entry that is no contact.
pub fn entry_value(body: &[u8]) -> Box<[u8]> {
    [&[VALUE_FORMAT], body].concat().into()
}

/// The entry's own bytes in its value.
pub fn entry_body(value: &[u8]) -> Option<&[u8]> {
    value.split_first().filter(|(format, _)| **format == VALUE_FORMAT).map(|(_, body)| body)
}

/// Where in the journal something of a contact lies: frame number and entry within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeRef(pub u64);

impl ChangeRef {
    /// No change: before a contact's first, or one that the journal never held.
    pub const NONE: Self = Self(u64::MAX);
    /// Entries that one frame may hold.
    pub const ENTRIES_MAX: usize = 1 << 16;

    /// The entry of that index in that frame.
    pub fn new(frame: FrameNo, index: u16) -> Self {
        Self(frame.0 << 16 | u64::from(index))
    }

    /// The frame.
    pub fn frame(self) -> FrameNo {
        FrameNo(self.0 >> 16)
    }

    /// The entry within the frame.
    pub fn index(self) -> usize {
        usize::from(self.0 as u16)
    }

    /// Whether there is a change behind it.
    pub fn is_some(self) -> bool {
        self != Self::NONE
    }
}

/// Where in the journal a contact's bytes lie as they are, and where its latest change of a value, which
/// may be older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Links {
    /// The entry with these bytes.
    pub image: ChangeRef,
    /// The entry that made the present version.
    pub change: ChangeRef,
}

impl Links {
    /// Of a contact that the journal never held.
    pub const NONE: Self = Self { image: ChangeRef::NONE, change: ChangeRef::NONE };
}

impl From<ChangeRef> for Links {
    /// Of a contact whose latest image is a change.
    fn from(change: ChangeRef) -> Self {
        Self { image: change, change }
    }
}

/// A contact as it is stored: format, links, body. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredContact(Arc<[u8]>);

impl StoredContact {
    /// Puts a value together; `scratch` is only room to work in.
    pub fn build(links: impl Into<Links>, body: &[u8], scratch: &mut Vec<u8>) -> Self {
        let links = links.into();
        scratch.clear();
        scratch.reserve(HEAD + body.len());
        scratch.push(VALUE_FORMAT);
        scratch.extend_from_slice(&links.image.0.to_le_bytes());
        scratch.extend_from_slice(&links.change.0.to_le_bytes());
        scratch.extend_from_slice(body);
        Self(Arc::from(scratch.as_slice()))
    }

    /// Takes bytes that the engine returned; none when they are no contact value.
    pub fn from_bytes(bytes: Arc<[u8]>) -> Option<Self> {
        parse_contact(&bytes)?;
        Some(Self(bytes))
    }

    /// All bytes, as the engine stores them.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Where it and its latest change lie.
    pub fn links(&self) -> Links {
        parse_contact(&self.0).map_or(Links::NONE, |(links, _)| links)
    }

    /// Where its latest change lies.
    pub fn change(&self) -> ChangeRef {
        self.links().change
    }

    /// The contact's bytes as domain reads them.
    pub fn body(&self) -> &[u8] {
        self.0.get(HEAD..).unwrap_or_default()
    }

    /// The contact's parts.
    pub fn view(&self) -> Result<ContactView<'_>, CorruptContact> {
        ContactView::parse(self.body())
    }
}

/// Links and body of a contact value; none when it is not one.
pub fn parse_contact(value: &[u8]) -> Option<(Links, &[u8])> {
    let (format, rest) = value.split_first()?;
    (*format == VALUE_FORMAT).then_some(())?;
    let (image, rest) = rest.split_first_chunk::<8>()?;
    let (change, body) = rest.split_first_chunk::<8>()?;
    let [image, change] = [image, change].map(|at| ChangeRef(u64::from_le_bytes(*at)));
    Some((Links { image, change }, body))
}

/// The key of a contact, into a reused buffer.
pub fn contact_key<'a>(id: &[u8], out: &'a mut Vec<u8>) -> &'a [u8] {
    out.clear();
    out.reserve(id.len() + 1);
    out.push(CONTACT);
    out.extend_from_slice(id);
    out
}

/// Where the engine keeps the number of the checkpoint that it holds.
pub(crate) const STAMP_KEY: &[u8] = b"mcheckpoint";

/// The engine's own note of a checkpoint: its number and the store's id.
pub(crate) fn stamp(number: u64, store: u64) -> Vec<u8> {
    let mut out = vec![VALUE_FORMAT];
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&store.to_le_bytes());
    out
}

/// Number and store of the engine's note.
pub(crate) fn parse_stamp(value: &[u8]) -> Option<(u64, u64)> {
    let (format, rest) = value.split_first()?;
    (*format == VALUE_FORMAT).then_some(())?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let (store, _) = rest.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*number), u64::from_le_bytes(*store)))
}

/// Hash by which dirty set, overlay and heap file find a contact.
pub fn id_hash(id: &[u8]) -> u64 {
    xxh3_64(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contact_values_come_back() {
        let change = ChangeRef::new(FrameNo(77), 12);
        let value = StoredContact::build(change, b"body", &mut Vec::new());
        assert_eq!(value.change(), change);
        let links = Links { image: ChangeRef(u64::MAX - 7), change };
        assert_eq!(StoredContact::build(links, b"", &mut Vec::new()).links(), links);
        assert_eq!((change.frame(), change.index()), (FrameNo(77), 12));
        assert_eq!(value.body(), b"body");
        assert!(StoredContact::from_bytes(Arc::from(&b"\x0212345678123456789"[..])).is_none());
        assert!(StoredContact::from_bytes(Arc::from(&b"\x01123456781234567"[..])).is_none());
    }
}

//! What a contact is found and sorted by, as it stands in the indexes.
//!
//! Texts are folded, as Unicode's NFKC_Casefold does, and trimmed: what looks the same is found by the
//! same words, however it was typed. Contacts keep and show what was sent.

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;

use crate::domain::contact::{ContactView, CorruptContact, Status};
use crate::domain::event::EMAIL;

use super::request::changed_at_us;

/// Bytes of a text that the indexes know: an e-mail address has no more, anything else is cut.
pub(crate) const TEXT_BYTES_MAX: usize = 254;
/// Bytes of a first and of a last name, so that both in either order fit into one text.
pub(super) const NAME_BYTES_MAX: usize = 80;
// Places of the fields that are indexed.
pub(super) const FIRST_NAME: usize = 0;
pub(super) const LAST_NAME: usize = 1;
pub(crate) const COMPANY: usize = 4;

/// What a contact is found and sorted by; texts folded and cut, but for the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SortKeys {
    pub(crate) active: bool,
    pub(crate) updated_at_us: u64,
    pub(crate) created_at_us: u64,
    pub(crate) changed_at_us: u64,
    pub(crate) first: Vec<u8>,
    pub(crate) last: Vec<u8>,
    pub(crate) email: Vec<u8>,
    pub(crate) company: Vec<u8>,
    pub(crate) source: Vec<u8>,
}

impl SortKeys {
    /// Works them out of a body, into the buffers that are there.
    pub(crate) fn read(&mut self, body: &[u8]) -> Result<(), CorruptContact> {
        let view = ContactView::parse_trusted(body)?;
        self.active = view.status() == Status::Active;
        self.updated_at_us = view.updated_at_us().unwrap_or(0);
        self.created_at_us = view.created_at_us().unwrap_or(0);
        self.changed_at_us = changed_at_us(&view);
        let fields = [
            (FIRST_NAME, NAME_BYTES_MAX, &mut self.first),
            (LAST_NAME, NAME_BYTES_MAX, &mut self.last),
            (EMAIL, TEXT_BYTES_MAX, &mut self.email),
            (COMPANY, TEXT_BYTES_MAX, &mut self.company),
        ];
        for (field, bytes_max, out) in fields {
            out.clear();
            fold_into(view.field(field).unwrap_or_default(), bytes_max, out);
        }
        self.source.clear();
        self.source.extend_from_slice(cut(view.source()).as_bytes());
        Ok(())
    }
}

/// The text as it is compared, whole: letters of any case and form, without blanks at its ends.
pub fn fold(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    fold_into(text, usize::MAX, &mut out);
    out
}

/// The beginning of the folded text.
pub(super) fn fold_cut(text: &str, bytes_max: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len().min(bytes_max));
    fold_into(text, bytes_max, &mut out);
    out
}

/// The text as far as the indexes know it.
pub(super) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or(text)
}

/// Appends the folded text, up to the bound and never half a character.
pub(super) fn fold_into(text: &str, bytes_max: usize, out: &mut Vec<u8>) {
    // Nearly all of them.
    if text.is_ascii() {
        let kept = text.trim().as_bytes().iter().take(bytes_max);
        out.extend(kept.map(u8::to_ascii_lowercase));
        return;
    }
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || ignorable.contains(c));
    let visible = trimmed.chars().filter(|c| !ignorable.contains(*c));
    let apart = DecomposingNormalizerBorrowed::new_nfkd().normalize_iter(visible);
    let folded = apart.flat_map(fold_char);
    let start = out.len();
    let mut utf8 = [0; 4];
    for c in ComposingNormalizerBorrowed::new_nfc().normalize_iter(folded) {
        let bytes = c.encode_utf8(&mut utf8).as_bytes();
        if out.len() - start + bytes.len() > bytes_max {
            break;
        }
        out.extend_from_slice(bytes);
    }
}

/// Full case folding of what NFKD has taken apart.
fn fold_char(c: char) -> impl Iterator<Item = char> {
    let (folded, second) = match c {
        // Which of the two small sigmas stands there depends on what follows it.
        'ς' => ('σ', None),
        'ß' | 'ẞ' => ('s', Some('s')),
        _ => (c, None),
    };
    folded.to_lowercase().chain(second)
}

//! A contact as it was: at a version, or at a time.

use std::fmt;

use super::StoreError;
use super::codec::ChangeRef;
use super::reader::{Reader, Value};
use crate::domain::contact::CorruptContact;
use crate::domain::timestamp::{format_rfc3339, parse_rfc3339_us};

/// Changes that are looked through at a time.
const CHANGES_A_LOOK: usize = 32;
/// How often; what lies further back is as good as gone.
const LOOKS_MAX: usize = 3125;

/// When a contact is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// With its change of this number.
    Version(u64),
    /// After the last change that had come by then, by the times of records, in ms since 1970.
    At(u64),
}

/// What is known of that moment.
#[derive(Clone, Debug)]
pub enum Past {
    /// The contact as it was; without values where it was erased since.
    Contact(Value),
    /// There was none yet, or there is none with such a version.
    NotYet,
    /// The journal does not reach so far back.
    Gone {
        /// The oldest version that it still has.
        version: u64,
        /// When that came, in ms since 1970; none: its record had no time.
        since_ms: Option<u64>,
    },
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "version:{version}"),
            Self::At(ms) => f.write_str(&format_rfc3339(*ms)),
        }
    }
}

impl Moment {
    /// What a text of it is.
    pub const FORMS: &str =
        "an RFC 3339 time, such as 2026-11-01T00:00:00Z, or a version, such as version:3";

    /// From a time (RFC 3339), or `version:3`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("version:") {
            Some(version) => version.parse().ok().map(Self::Version),
            None => parse_rfc3339_us(text.as_bytes()).map(|us| Self::At(us / 1000)),
        }
    }

    /// What is known of it by a contact as it was at some time; none: it lies further back.
    fn found(self, value: &Value) -> Result<Option<Past>, CorruptContact> {
        let view = value.view()?;
        let (version, since_ms) = (view.version(), view.changed_at_ms());
        let is_meant = match self {
            Self::Version(wanted) if wanted > version => return Ok(Some(Past::NotYet)),
            Self::Version(wanted) => wanted == version,
            // What had no time came before all that has.
            Self::At(ms) => since_ms.is_none_or(|since| since <= ms),
        };
        if is_meant {
            return Ok(Some(Past::Contact(value.clone())));
        }
        Ok((version <= 1).then_some(Past::NotYet))
    }
}

impl Reader {
    /// A contact as it was; none: there never was such a contact.
    ///
    /// # Errors
    /// When the store fails.
    pub fn contact_at(&self, id: &[u8], moment: Moment) -> Result<Option<Past>, StoreError> {
        let Some(mut oldest) = self.contact(id)? else {
            return Ok(None);
        };
        if let Some(past) = moment.found(&oldest)? {
            return Ok(Some(past));
        }
        let mut before: Option<ChangeRef> = None;
        for _ in 0..LOOKS_MAX {
            let changes = self.history(id, CHANGES_A_LOOK, before)?;
            before = changes.last().map(|change| change.change);
            if before.is_none() {
                break;
            }
            for change in &changes {
                oldest = change.value();
                if let Some(past) = moment.found(&oldest)? {
                    return Ok(Some(past));
                }
            }
        }
        let view = oldest.view()?;
        Ok(Some(Past::Gone { version: view.version(), since_ms: view.changed_at_ms() }))
    }
}

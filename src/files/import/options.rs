//! How a file is to be imported, as whoever gives it says.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::decode::id_problem;
use crate::domain::texts::hex;

/// The source of imported events where nothing is said.
const SOURCE: &str = "import";
/// Bytes of a job's id, of which it has two hexadecimal digits each.
const ID_BYTES: usize = 16;

/// A choice of words.
macro_rules! words {
    ($(#[doc = $about:literal])+ $name:ident { $($(#[doc = $of:literal])+ $variant:ident = $word:literal,)+ }) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $($(#[doc = $of])+ #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every one, with its word.
            pub const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),+];

            /// Its word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

words! {
    /// How a file is written.
    Format {
        /// Comma separated values, or with another delimiter.
        Csv = "csv",
        /// A JSON object a line.
        Ndjson = "ndjson",
        /// vCards.
        Vcard = "vcard",
    }
}

words! {
    /// Which contacts rows may be of.
    Mode {
        /// New ones alone.
        Create = "create",
        /// Those that are there alone.
        Update = "update",
        /// Both.
        Upsert = "upsert",
    }
}

words! {
    /// By what a row's contact is found.
    Match {
        /// Our own id.
        Id = "id",
        /// The id that a source has for it.
        ExternalId = "externalId",
        /// Its e-mail address, which exactly one may have.
        Email = "email",
    }
}

words! {
    /// What an empty cell says.
    EmptyCells {
        /// Nothing: the contact keeps what it has.
        Keep = "keep",
        /// That there is no value any more.
        Clear = "clear",
    }
}

impl Format {
    /// From a file's beginning.
    pub(super) fn guess(text: &[u8]) -> Self {
        let text = text.trim_ascii_start();
        let begins = text.get(.."BEGIN:VCARD".len()).unwrap_or_default();
        if begins.eq_ignore_ascii_case(b"BEGIN:VCARD") {
            Self::Vcard
        } else if text.starts_with(b"{") {
            Self::Ndjson
        } else {
            Self::Csv
        }
    }

    /// The ending of such files' names.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Vcard => "vcf",
        }
    }
}

/// What is said; together with the file it makes the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportOptions {
    /// None: it is told from the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// What columns are, by heading: `E-mail=email`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<(String, String)>,
    /// Which contacts rows may be of.
    pub mode: Mode,
    /// None: by what the file has, the id first.
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Match>,
    /// Whose events the rows become.
    pub source: String,
    /// What empty cells say.
    pub empty: EmptyCells,
    /// As of when the file says it, in µs since 1970; none: as of when its import is first begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of_us: Option<u64>,
    /// Nothing is written.
    #[serde(default)]
    pub dry_run: bool,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            format: None,
            columns: Vec::new(),
            mode: Mode::Upsert,
            by: None,
            source: SOURCE.to_owned(),
            empty: EmptyCells::Keep,
            as_of_us: None,
            dry_run: false,
        }
    }
}

impl ImportOptions {
    /// What keeps the source from being one.
    pub fn source_problem(&self) -> Option<&'static str> {
        if self.source == crate::domain::event::API_SOURCE {
            return Some("is the name of writes through the API");
        }
        id_problem(self.source.as_bytes())
    }

    /// The time of a job's events, where it is said: just before, so that what is of that very moment is newer, and
    /// the rows of each job have a time of their own.
    pub(super) fn events_us(&self, job: &str) -> Option<u64> {
        let part = job.get(..8).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        self.as_of_us.map(|us| us.saturating_sub(1 + part.unwrap_or(0) % 1000))
    }

    /// The job of a file with this hash, the `again`th of them: the same for everybody at any time.
    pub fn job_id(&self, file: &[u8], again: u32) -> String {
        let mut hasher = Sha256::new();
        // Texts and words alone: they always become JSON.
        let options = serde_json::to_vec(self).unwrap_or_default();
        for part in [&options, file, &again.to_le_bytes()] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hex(hasher.finalize().get(..ID_BYTES).unwrap_or_default())
    }
}

/// Columns as a person writes them: `E-mail=email,Customer no=externalId:erp`.
///
/// # Errors
/// The part that says nothing.
pub fn columns_of(text: &str) -> Result<Vec<(String, String)>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let pairs = parts.map(|part| match part.rsplit_once('=') {
        Some((heading, field)) if !heading.trim().is_empty() => {
            Ok((heading.trim().to_owned(), field.trim().to_owned()))
        }
        Some(_) | None => Err(format!("\"{part}\" must be like \"E-mail=email\"")),
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_file_and_options_are_one_job() {
        let options = ImportOptions::default();
        let other = ImportOptions { mode: Mode::Create, ..options.clone() };
        assert_eq!(options.job_id(b"hash", 0), options.clone().job_id(b"hash", 0));
        assert_ne!(options.job_id(b"hash", 0), other.job_id(b"hash", 0));
        assert_ne!(options.job_id(b"hash", 0), options.job_id(b"hash", 1));
        assert_eq!(options.job_id(b"hash", 0).len(), 32);
    }

    #[test]
    fn events_of_a_file_as_of_a_time_are_of_just_before() {
        let options = ImportOptions { as_of_us: Some(5_000_000), ..ImportOptions::default() };
        let of = |file: &[u8]| options.events_us(&options.job_id(file, 0)).unwrap();
        assert!((4_999_000..5_000_000).contains(&of(b"one")) && of(b"one") != of(b"two"));
        assert_eq!(ImportOptions::default().events_us("00"), None);
    }

    #[test]
    fn columns_are_written_as_pairs() {
        let pairs = columns_of("E-mail=email, Customer no=externalId:erp,Notes=").unwrap();
        let wanted = [("E-mail", "email"), ("Customer no", "externalId:erp"), ("Notes", "")];
        assert_eq!(pairs, wanted.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert!(columns_of("email").unwrap_err().contains("must be like"));
    }
}

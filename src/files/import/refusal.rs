//! Why a row of a file is not taken.

use std::fmt::{self, Display};

/// Bytes of one row at most: more than a contact or a record may have.
pub(super) const ROW_BYTES_MAX: usize = 1 << 20;

/// A stable word for it, by which refused rows are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// A quote in a CSV is never closed, or closed in the middle of a cell.
    BrokenQuote,
    /// The row has more bytes than a contact may have.
    TooLong,
    /// It has more cells than the header.
    TooManyCells,
    /// It has fewer.
    TooFewCells,
    /// It is the header once more.
    HeaderAgain,
    /// Its bytes are no text.
    NotText,
    /// A line is no JSON object.
    InvalidJson,
    /// A vCard that can't be read.
    InvalidCard,
    /// A value can't be what it stands for.
    InvalidValue,
    /// Nothing in it is the contact's.
    Empty,
    /// It has nothing by which its contact is found.
    NoMatch,
    /// Several contacts have its e-mail address.
    AmbiguousEmail,
    /// An earlier row is of the same contact and says something else.
    DifferentTwice,
    /// It is there, and the mode is `create`.
    Exists,
    /// It is not there, and the mode is `update`.
    NotFound,
    /// The contact is deleted.
    Deleted,
    /// An external id is another contact's.
    ExternalIdTaken,
    /// Applying would set it aside, or has.
    NotApplicable,
}

impl Reason {
    /// The word.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::BrokenQuote => "broken_quote",
            Self::TooLong => "too_long",
            Self::TooManyCells => "too_many_cells",
            Self::TooFewCells => "too_few_cells",
            Self::HeaderAgain => "header_again",
            Self::NotText => "not_text",
            Self::InvalidJson => "invalid_json",
            Self::InvalidCard => "invalid_card",
            Self::InvalidValue => "invalid_value",
            Self::Empty => "empty",
            Self::NoMatch => "no_match",
            Self::AmbiguousEmail => "ambiguous_email",
            Self::DifferentTwice => "different_twice",
            Self::Exists => "exists",
            Self::NotFound => "not_found",
            Self::Deleted => "deleted",
            Self::ExternalIdTaken => "external_id_taken",
            Self::NotApplicable => "not_applicable",
        }
    }
}

/// A reason with a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The word.
    pub(super) reason: Reason,
    /// What is wrong, and where.
    pub(super) detail: String,
}

impl Refusal {
    /// With a sentence.
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.reason.as_str(), self.detail)
    }
}

pub(super) fn too_long(line: u64) -> Refusal {
    let detail = format!("the row at line {line} has more than {ROW_BYTES_MAX} bytes");
    Refusal::new(Reason::TooLong, detail)
}

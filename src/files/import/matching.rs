//! Whose rows are that name no contact: by their e-mail address, looked for before the first row is
//! applied, while the lists still stand; in a load they would be made again for every question.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};

use sha2::{Digest as _, Sha256};

use super::error::ImportError;
use super::options::{ImportOptions, Match};
use super::refusal::{Reason, Refusal};
use super::row::Row;
use super::spool::Spool;
use crate::domain::contact::Status;
use crate::domain::external_ids::contact_id_of;
use crate::domain::texts::hex;
use crate::ingest::{Named, named_contact};
use crate::store::{Filters, PageRequest, Reader, StoreError, StoredContact, fold};

/// Stand for sources in the ids of contacts that come to be by an address, or by their row's content.
const BY_EMAIL: &[u8] = b"import/email";
const BY_CONTENT: &[u8] = b"import/row";

/// How a row's contact is named.
pub(super) enum RowKey<'r> {
    Named(Named<'r>),
    Email(&'r str),
    /// By what it says.
    Content,
}

/// What of a row names its contact.
pub(super) fn key_of<'r>(row: &'r Row, options: &'r ImportOptions) -> Result<RowKey<'r>, Refusal> {
    let id = row.id.as_deref().map(|id| RowKey::Named(Named::Ours(id)));
    let own = row.external_ids.get_key_value(&options.source);
    let theirs = own.or_else(|| row.external_ids.iter().next());
    let theirs = theirs.map(|(source, id)| RowKey::Named(Named::Theirs { source, id }));
    let email = row.email().map(RowKey::Email);
    let missing = |what| Refusal::new(Reason::NoMatch, format!("the row has no {what} to go by"));
    match options.by {
        None => Ok(id.or(theirs).or(email).unwrap_or(RowKey::Content)),
        Some(Match::Id) => id.ok_or_else(|| missing("id")),
        Some(Match::ExternalId) => theirs.ok_or_else(|| missing("external id")),
        Some(Match::Email) => email.ok_or_else(|| missing("e-mail address")),
    }
}

/// The contact of a row, and what it is now.
pub(super) type Whose = (String, Option<StoredContact>);

/// Of a row that names its contact.
pub(super) fn named(reader: &Reader, key: Named<'_>) -> Result<Whose, StoreError> {
    named_contact(reader, key)
}

/// The id of a contact that comes to be by its row's content.
pub(super) fn id_by_content(row: &Row) -> String {
    // Texts alone: they always become JSON.
    let fields = serde_json::to_vec(&row.patch.fields).unwrap_or_default();
    let attributes = serde_json::to_vec(&row.patch.attributes).unwrap_or_default();
    let hash = Sha256::digest([fields, attributes].concat());
    contact_id_of(BY_CONTENT, hex(&hash).as_bytes())
}

/// What an address leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ByEmail {
    Contact(String),
    /// Two that have it.
    Several(String, String),
}

impl ByEmail {
    /// The one ACTIVE contact that has it, or the id of one that comes to be.
    pub(super) fn find(reader: &Reader, email: &str) -> Result<Self, StoreError> {
        let request = PageRequest {
            status: Some(Status::Active),
            filters: Filters { email: Some(email.to_owned()), ..Filters::default() },
            limit: 2,
            ..PageRequest::default()
        };
        let mut found = reader.page(&request)?.contacts.into_iter().map(|entry| entry.id);
        Ok(match (found.next(), found.next()) {
            (Some(one), Some(other)) => Self::Several(one, other),
            (Some(one), None) => Self::Contact(one),
            (None, _) => Self::Contact(contact_id_of(BY_EMAIL, &fold(email))),
        })
    }

    pub(super) fn contact(self) -> Result<String, Refusal> {
        match self {
            Self::Contact(id) => Ok(id),
            Self::Several(one, other) => {
                let detail = format!(
                    "several contacts have its e-mail address, {one} and {other} among them; give the row \
                     the id of one, or merge them"
                );
                Err(Refusal::new(Reason::AmbiguousEmail, detail))
            }
        }
    }
}

/// Writes whose each row is that has to be looked for.
pub(super) struct MatchWriter(BufWriter<File>);

impl MatchWriter {
    pub(super) fn new(spool: &Spool) -> io::Result<Self> {
        Ok(Self(BufWriter::new(Spool::create(&spool.matches())?)))
    }

    pub(super) fn write(&mut self, row: u64, found: &ByEmail) -> io::Result<()> {
        match found {
            ByEmail::Contact(id) => writeln!(self.0, "{row}\t{id}"),
            ByEmail::Several(one, other) => writeln!(self.0, "{row}\t{one}\t{other}"),
        }
    }

    pub(super) fn end(self) -> io::Result<()> {
        self.0.into_inner()?.sync_all()
    }
}

/// Reads them along with the rows.
pub(super) struct MatchReader {
    lines: BufReader<File>,
    next: Option<(u64, ByEmail)>,
}

impl MatchReader {
    pub(super) fn open(spool: &Spool) -> io::Result<Self> {
        let lines = BufReader::new(File::open(spool.matches())?);
        let mut reader = Self { lines, next: None };
        reader.advance()?;
        Ok(reader)
    }

    fn advance(&mut self) -> io::Result<()> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        let mut parts = line.trim_end_matches('\n').split('\t');
        let row = parts.next().and_then(|row| row.parse().ok());
        let found = match (parts.next(), parts.next()) {
            (Some(one), Some(other)) => Some(ByEmail::Several(one.to_owned(), other.to_owned())),
            (Some(one), None) => Some(ByEmail::Contact(one.to_owned())),
            (None, _) => None,
        };
        self.next = row.zip(found);
        Ok(())
    }

    /// Of a row behind all that were asked for before.
    pub(super) fn of(&mut self, row: u64) -> Result<ByEmail, ImportError> {
        while let Some((number, found)) = self.next.take() {
            self.advance()?;
            if number == row {
                return Ok(found);
            }
        }
        let missing = io::Error::new(io::ErrorKind::InvalidData, "a row's match is not there");
        Err(ImportError::Disk(missing))
    }
}

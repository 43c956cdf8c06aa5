//! A file as it comes: onto the disk piece by piece, looked at on the way, and read as far as its columns and
//! first rows once it is whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::content::{Content, Place, SourceRow};
use super::encoding::{Encoding, Sniffer, to_utf8};
use super::error::ImportError;
use super::job::shown;
use super::mapping::{ColumnPreview, Mapping};
use super::options::{Format, ImportOptions};
use super::row::{Row, RowReader};
use super::rows::Layout;
use super::spool::Spools;
use crate::domain::event::FIELDS;
use crate::shares::Part;
use crate::telemetry::fault;

/// Rows that are shown before anything is done.
const SAMPLES: usize = 3;
/// Rows that say what names a file without columns has.
const NAMING_ROWS: usize = 100;

/// A file on its way.
pub struct Upload {
    path: PathBuf,
    file: File,
    hasher: Sha256,
    sniffer: Sniffer,
    bytes: u64,
    bytes_max: u64,
    min_free_bytes: u64,
    /// The room that it takes.
    room: Part,
}

impl Drop for Upload {
    fn drop(&mut self) {
        // It was taken by its import, or nobody wants it.
        let _ = fs::remove_file(&self.path);
    }
}

impl Upload {
    pub(super) fn new(
        spools: &Spools,
        room: Part,
        (bytes_max, min_free_bytes): (u64, u64),
    ) -> Result<Self, ImportError> {
        let (path, file) = spools.coming()?;
        let (hasher, sniffer) = (Sha256::new(), Sniffer::default());
        Ok(Self { path, file, hasher, sniffer, bytes: 0, bytes_max, min_free_bytes, room })
    }

    /// Writes more of it. Waits for the disk.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.bytes_max {
            return Err(ImportError::TooLarge { bytes_max: self.bytes_max });
        }
        self.grow(bytes.len())?;
        self.check_disk()?;
        self.hasher.update(bytes);
        self.sniffer.take(bytes);
        fault::io("import_write")?;
        Ok(self.file.write_all(bytes)?)
    }

    fn grow(&mut self, bytes: usize) -> Result<(), ImportError> {
        self.room.grow(bytes).map_err(|full| ImportError::Full { full })
    }

    fn check_disk(&self) -> Result<(), ImportError> {
        let stat = rustix::fs::statvfs(&self.path).map_err(std::io::Error::from)?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < self.min_free_bytes {
            let full = std::io::ErrorKind::StorageFull;
            return Err(ImportError::Disk(std::io::Error::new(full, "the disk is nearly full")));
        }
        Ok(())
    }

    /// All of it has come: what it is. Waits for the disk.
    ///
    /// # Errors
    /// When it is nothing that can be imported.
    pub(super) fn end(mut self, options: &ImportOptions) -> Result<Arrived, ImportError> {
        let encoding = self.sniffer.end().map_err(|why| ImportError::Unreadable(why.to_owned()))?;
        let is_utf8 = matches!(encoding, Encoding::Utf8 | Encoding::Utf8Mark);
        if !is_utf8 {
            self.rewrite(encoding)?;
        }
        self.file.sync_all()?;
        let look = Look::at(&self.path, options)?;
        let hash = self.hasher.clone().finalize().to_vec();
        let bytes = self.bytes;
        Ok(Arrived { hash, bytes, encoding, look, upload: self })
    }

    fn rewrite(&mut self, encoding: Encoding) -> Result<(), ImportError> {
        // UTF-8 has three bytes at most for one of Windows-1252, and for two of UTF-16.
        let most = usize::try_from(self.bytes).unwrap_or(usize::MAX).saturating_mul(2);
        self.grow(most)?;
        let new = self.path.with_extension("utf8");
        let mut out = BufWriter::new(super::spool::Spool::create(&new)?);
        self.file.seek(SeekFrom::Start(0))?;
        let written = to_utf8(encoding, &mut BufReader::new(&self.file), &mut out);
        let renamed = written.and_then(|()| fs::rename(&new, &self.path));
        if renamed.is_err() {
            let _ = fs::remove_file(&new);
        }
        renamed?;
        self.file = out.into_inner().map_err(|error| error.into_error())?;
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The room, for the import that takes the file.
    pub(super) fn into_room(mut self) -> Part {
        let empty = self.room.none();
        std::mem::replace(&mut self.room, empty)
    }
}

/// A file that has come.
pub(super) struct Arrived {
    pub(super) hash: Vec<u8>,
    pub(super) bytes: u64,
    pub(super) encoding: Encoding,
    pub(super) look: Look,
    pub(super) upload: Upload,
}

/// A look at a file's columns and first rows.
pub(super) struct Look {
    pub(super) format: Format,
    pub(super) columns: Vec<ColumnPreview>,
    pub(super) samples: Vec<BTreeMap<String, String>>,
}

impl Look {
    fn at(path: &Path, options: &ImportOptions) -> Result<Self, ImportError> {
        let (layout, mut reader, first) = open(path, options)?;
        let mut rows = layout.rows(path, first)?;
        let mut samples = Vec::new();
        for _ in 0..NAMING_ROWS {
            let Some(SourceRow { line, content, .. }) = rows.next()? else {
                break;
            };
            let row = content.and_then(|content| reader.read(content));
            if samples.len() < SAMPLES {
                samples.push(match row {
                    Ok(row) => sample(&row),
                    Err(refusal) => BTreeMap::from([(
                        "refused".to_owned(),
                        format!("line {line}: {}", refusal.detail),
                    )]),
                });
            }
        }
        if samples.is_empty() {
            return Err(ImportError::Unreadable("has a header and no rows".to_owned()));
        }
        Ok(Self { format: layout.format, columns: reader.mapping.preview(), samples })
    }
}

/// How a spool is read, and where its first row stands.
pub(super) fn open(
    path: &Path,
    options: &ImportOptions,
) -> Result<(Layout, RowReader, Place), ImportError> {
    let layout = Layout::of(path, options.format)?;
    let empty = options.empty;
    if layout.format != Format::Csv {
        let mapping = Mapping::of_names(&options.columns)?;
        return Ok((layout, RowReader { mapping, empty, header: Vec::new() }, layout.first));
    }
    let mut rows = layout.rows(path, layout.first)?;
    let header = match rows.next()?.map(|row| row.content) {
        Some(Ok(Content::Cells(cells))) => cells,
        Some(Err(refusal)) => {
            return Err(ImportError::Unreadable(format!(
                "has no header that can be read: {refusal}"
            )));
        }
        Some(Ok(Content::Members(_))) | None => {
            return Err(ImportError::Unreadable("is empty".to_owned()));
        }
    };
    let mapping = Mapping::of_header(&header, &options.columns)?;
    let first = match mapping.has_header {
        true => Place { number: 0, ..rows.place() },
        false => layout.first,
    };
    Ok((layout, RowReader { mapping, empty, header }, first))
}

/// What a row says, by field, for people.
fn sample(row: &Row) -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    said.extend(row.id.iter().map(|id| ("id".to_owned(), shown(id))));
    for (name, value) in FIELDS.iter().zip(&row.patch.fields) {
        if let Some(value) = value {
            said.insert((*name).to_owned(), shown(value.as_deref().unwrap_or("")));
        }
    }
    for (name, value) in &row.patch.attributes {
        let value = value.as_ref().map_or("null", |value| value.get());
        said.insert(name.clone(), shown(value));
    }
    for (source, id) in &row.external_ids {
        said.insert(format!("externalId:{source}"), shown(id));
    }
    said
}

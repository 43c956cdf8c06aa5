//! A file's rows and what they say, without an import: for whoever checks the readers.

use std::path::Path;

use super::content::SourceRow;
use super::error::ImportError;
use super::intake::open;
use super::options::ImportOptions;
use crate::ingest::ContactPatch;

/// A row as it is understood.
#[derive(Debug)]
pub struct UnderstoodRow {
    /// From 1.
    pub number: u64,
    /// Where it begins in the file, and how long it is.
    pub place: (u64, u64),
    /// The contact's id, where it is named, and what is said of it; or why the row is refused.
    pub said: Result<(Option<String>, ContactPatch), String>,
}

/// Shows all rows of a file, which must be UTF-8.
///
/// # Errors
/// When it is nothing that can be imported.
pub fn understood(
    path: &Path,
    options: &ImportOptions,
    mut show: impl FnMut(UnderstoodRow),
) -> Result<(), ImportError> {
    let (layout, mut reader, first) = open(path, options)?;
    let mut rows = layout.rows(path, first)?;
    while let Some(SourceRow { number, at, bytes, content, .. }) = rows.next()? {
        let said = content.and_then(|content| reader.read(content));
        let said = said.map(|row| {
            let ids = row.external_ids.into_iter().map(|(source, id)| (source, Some(id)));
            (row.id, ContactPatch { external_ids: ids.collect(), ..row.patch })
        });
        let said = said.map_err(|refusal| refusal.to_string());
        show(UnderstoodRow { number, place: (at, bytes), said });
    }
    Ok(())
}

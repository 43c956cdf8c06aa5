//! Files to import, in any format: their rows lie one behind the other, and what is understood of one can be said.

use std::fs;

use contactd::files::import::{Format, ImportOptions, understood};
use contactd::ingest::ContactData;

use crate::directory;

/// Reads all rows of a file.
pub fn read(bytes: &[u8], format: Format) {
    let path = directory().join("import");
    fs::write(&path, bytes).expect("a file");
    let options = ImportOptions { format: Some(format), ..ImportOptions::default() };
    let (mut number, mut end) = (0, 0);
    let read = understood(&path, &options, |row| {
        assert_eq!(row.number, number + 1);
        let (at, len) = row.place;
        assert!(at >= end, "row {} lies before the end of the last one", row.number);
        (number, end) = (row.number, at + len);
        match row.said {
            Ok((id, patch)) => {
                let id = id.as_deref().unwrap_or("new");
                serde_json::to_vec(&ContactData { id, patch: &patch }).expect("an event's data");
            }
            Err(reason) => assert!(!reason.is_empty()),
        }
    });
    assert!(end <= bytes.len() as u64);
    if let Err(error) = read {
        assert!(!error.to_string().is_empty());
    }
}

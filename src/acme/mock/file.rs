//! The file that a mock's state lasts in: JSON, its owner's alone, replaced as a whole.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::MockError;
use super::contacts::Contacts;

/// None: there is no such file yet.
pub(super) fn read(path: &Path, contacts_max: usize) -> Result<Option<Contacts>, MockError> {
    let wrong = |problem| MockError::State { path: path.to_owned(), problem };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(format!("can't be read: {error}"))),
    };
    let contacts = Contacts::read(&bytes).map_err(|error| {
        wrong(format!("is none that a mock has written ({error}); name another or move it aside"))
    })?;
    let count = contacts.len();
    if count > contacts_max {
        return Err(wrong(format!(
            "holds {count} contacts, and {contacts_max} are kept; set --contacts-max"
        )));
    }
    Ok(Some(contacts))
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), MockError> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let replaced = || {
        let mut file = NamedTempFile::new_in(&folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(&folder)?.sync_all()
    };
    replaced().map_err(|error: std::io::Error| MockError::State {
        path: path.to_owned(),
        problem: format!("can't be written: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_file_is_its_owners_and_damage_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("acme.json");
        assert!(read(&path, 1).unwrap().is_none());
        let mut contacts = Contacts::default();
        for _ in 0..2 {
            contacts.create(&serde_json::Map::new(), 1).unwrap();
        }
        write(&path, &serde_json::to_vec(&contacts).unwrap()).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path, 2).unwrap().unwrap().len(), 2);
        let named = |max| read(&path, max).unwrap_err().to_string();
        assert!(named(1).contains("holds 2 contacts"), "{}", named(1));
        std::fs::write(&path, b"{\"contacts\":").unwrap();
        assert!(named(2).contains("acme.json is none that a mock"), "{}", named(2));
        assert!(write(&directory.path().join("gone/acme.json"), b"").is_err());
    }
}

//! The file with users and API keys: read as a whole, changed as a whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::domain::Class;

use super::users::{Directory, UsersText};

/// More is no file of users.
const BYTES_MAX: u64 = 16 << 20;
const HEAD: &str = "# contactd's users and API keys. Changed by `contactd user` and `contactd key`; a running instance\n# reads it again when it changes.\n\n";

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum UsersFileError {
    /// It can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("{}: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The line, or the entry, and what it should be.
        problem: String,
    },
    /// What was asked for can't be done to it.
    #[error("{0}")]
    Refused(String),
}

impl UsersFileError {
    /// What to do about it.
    pub fn class(&self) -> Class {
        match self {
            Self::Io { .. } => Class::Retry,
            Self::Content { .. } | Self::Refused(_) => Class::Fatal,
        }
    }

    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// Which version of the file this is: another one has another inode, or another time or size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Version {
    inode: u64,
    changed_s: i64,
    changed_ns: i64,
    bytes: u64,
}

impl Version {
    /// Of the file as it is now; all zero: there is none.
    pub(super) fn of(path: &Path) -> Result<Self, UsersFileError> {
        match std::fs::metadata(path) {
            Ok(at) => Ok(Self {
                inode: at.ino(),
                changed_s: at.mtime(),
                changed_ns: at.mtime_nsec(),
                bytes: at.len(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(UsersFileError::io(path)(error)),
        }
    }
}

/// The text of the file; one that is not there holds nobody.
pub(super) fn read_text(path: &Path) -> Result<UsersText, UsersFileError> {
    let text = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(UsersText::default()),
        Err(error) => return Err(UsersFileError::io(path)(error)),
        Ok(at) if at.len() > BYTES_MAX => {
            let problem = format!("has {} bytes, more than any file of users", at.len());
            return Err(UsersFileError::Content { path: path.to_owned(), problem });
        }
        Ok(_) => std::fs::read_to_string(path).map_err(UsersFileError::io(path))?,
    };
    UsersText::parse(&text)
        .map_err(|problem| UsersFileError::Content { path: path.to_owned(), problem })
}

/// Everybody in the file.
pub(super) fn read(path: &Path) -> Result<Directory, UsersFileError> {
    let text = read_text(path)?;
    Directory::new(&text)
        .map_err(|problem| UsersFileError::Content { path: path.to_owned(), problem })
}

/// Whether others than its owner can read it.
pub(super) fn is_open_to_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|at| at.permissions().mode() & 0o077 != 0)
}

/// Reads, changes and replaces the file, under a lock that other changes wait for. The new one is
/// checked before it is in place, and there at once or not at all.
pub(super) fn change<T>(
    path: &Path,
    change: impl FnOnce(&mut UsersText) -> Result<T, UsersFileError>,
) -> Result<T, UsersFileError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory).map_err(UsersFileError::io(directory))?;
    let _lock = lock(path)?;
    let mut text = read_text(path)?;
    let done = change(&mut text)?;
    let body = text.to_file().map_err(UsersFileError::Refused)?;
    // Made with mode 0600.
    let mut new =
        tempfile::NamedTempFile::new_in(directory).map_err(UsersFileError::io(directory))?;
    new.write_all(HEAD.as_bytes())
        .and_then(|()| new.write_all(body.as_bytes()))
        .and_then(|()| new.as_file().sync_all())
        .map_err(UsersFileError::io(new.path()))?;
    new.persist(path).map_err(|error| UsersFileError::io(path)(error.error))?;
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(UsersFileError::io(directory))?;
    Ok(done)
}

/// Held until it is dropped. A file of its own, because the other one is replaced.
fn lock(path: &Path) -> Result<File, UsersFileError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let path = path.with_file_name(name);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(UsersFileError::io(&path))?;
    file.lock().map_err(UsersFileError::io(&path))?;
    Ok(file)
}

//! What loading reads, handed in as text so that loading itself touches nothing.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::Mode;

/// A file that was read, with the name to show in errors.
#[derive(Clone, Debug)]
pub struct FileText {
    /// Name for errors.
    pub name: String,
    /// Its content.
    pub text: String,
}

/// The layers, lowest first, and the way to secrets in files.
pub struct Sources<'a> {
    /// What the process is run as.
    pub mode: Mode,
    /// `--config FILE`.
    pub file: Option<FileText>,
    /// `.env`.
    pub dotenv: Option<FileText>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// Flags that set a key.
    pub flags: Vec<FlagSetting>,
    /// Reads the file that a `*_FILE` names.
    pub read_secret: &'a dyn Fn(&Path) -> io::Result<String>,
    /// Reads the file that `sources.path` names, or those of a directory, by name.
    pub read_tables: &'a dyn Fn(&Path) -> io::Result<Vec<FileText>>,
}

/// A key that a flag sets.
#[derive(Clone, Debug)]
pub struct FlagSetting {
    /// The flag, for errors: `--set`.
    pub flag: String,
    /// `section.key`.
    pub key: String,
    /// Its text.
    pub value: String,
}

impl Sources<'_> {
    /// Nothing over the built-in default.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            file: None,
            dotenv: None,
            environment: BTreeMap::new(),
            flags: Vec::new(),
            read_secret: &|_| Err(io::ErrorKind::Unsupported.into()),
            read_tables: &|_| Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

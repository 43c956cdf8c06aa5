//! An import's files in the data directory, each its owner's alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::content::Place;
use super::job::Counts;
use crate::telemetry::fault;

/// Begins the names of files that are still coming.
const COMING: &str = "coming-";

/// Where imports are kept.
#[derive(Clone, Debug)]
pub(super) struct Spools {
    path: PathBuf,
}

/// The files of one import.
#[derive(Clone, Debug)]
pub(super) struct Spool {
    dir: PathBuf,
}

/// How far a job has come: its rows before that are done with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) place: Option<Place>,
    pub(super) counts: Counts,
    /// Bytes of noted rows.
    pub(super) noted: u64,
    /// The contacts of rows were looked for by e-mail, all of them.
    pub(super) matched: bool,
}

impl Spools {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let spools = Self { path: path.to_owned() };
        // What was coming when the process ended never comes whole.
        for name in spools.names()? {
            if name.starts_with(COMING) {
                fs::remove_file(path.join(name))?;
            }
        }
        Ok(spools)
    }

    /// A file for what is coming.
    pub(super) fn coming(&self) -> io::Result<(PathBuf, File)> {
        let path = self.path.join(format!("{COMING}{:032x}", fastrand::u128(..)));
        let file = private().read(true).create_new(true).open(&path)?;
        Ok((path, file))
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    /// The ids of imports whose files are here.
    pub(super) fn ids(&self) -> io::Result<Vec<String>> {
        let mut names = self.names()?;
        names.retain(|name| !name.starts_with(COMING));
        Ok(names)
    }

    pub(super) fn of(&self, id: &str) -> Spool {
        Spool { dir: self.path.join(id) }
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

impl Spool {
    /// Takes what has come as the import's file; what is there already is the same.
    pub(super) fn take(&self, coming: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        fs::rename(coming, self.rows())?;
        File::open(&self.dir)?.sync_all()
    }

    pub(super) fn exists(&self) -> bool {
        self.rows().exists()
    }

    /// Whether nothing was written to it for so long.
    pub(super) fn is_older_than(&self, age: Duration) -> bool {
        let modified = fs::metadata(&self.dir).and_then(|data| data.modified());
        modified.is_ok_and(|at| at.elapsed().is_ok_and(|elapsed| elapsed > age))
    }

    pub(super) fn bytes(&self) -> u64 {
        fs::metadata(self.rows()).map_or(0, |data| data.len())
    }

    /// The file itself, as UTF-8.
    pub(super) fn rows(&self) -> PathBuf {
        self.dir.join("rows")
    }

    /// Rows that need a word, a JSON object a line.
    pub(super) fn noted(&self) -> PathBuf {
        self.dir.join("noted.ndjson")
    }

    /// Whose rows are by their e-mail address.
    pub(super) fn matches(&self) -> PathBuf {
        self.dir.join("matches")
    }

    pub(super) fn create(path: &Path) -> io::Result<File> {
        private().create(true).truncate(true).open(path)
    }

    /// To append to, after so many bytes.
    pub(super) fn append(path: &Path, bytes: u64) -> io::Result<File> {
        let file = private().create(true).truncate(false).open(path)?;
        file.set_len(bytes)?;
        drop(file);
        OpenOptions::new().append(true).open(path)
    }

    /// What is not there or can't be read is the beginning: the rows are known by what they left.
    pub(super) fn progress(&self) -> Progress {
        let text = fs::read(self.dir.join("progress")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    pub(super) fn write_progress(&self, progress: &Progress) -> io::Result<()> {
        let (new, path) = (self.dir.join("progress.new"), self.dir.join("progress"));
        fault::io("import_progress")?;
        let mut file = Self::create(&new)?;
        file.write_all(&serde_json::to_vec(progress)?)?;
        fs::rename(new, path)
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

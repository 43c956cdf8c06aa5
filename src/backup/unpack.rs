//! A backup read again, from a directory, a bucket, an archive or an instance, each file held against the manifest.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::manifest::{BYTES_MAX, MANIFEST, Manifest, PackedFile, checked_name};
use super::pace::{Hashed, Pace};
use super::sink::FAILED;
use super::{BackupError, Bucket, Sink, names};

/// How a file begins that is compressed.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Of what an instance says instead of a manifest.
const TOLD_BYTES_MAX: u64 = 4 << 10;

/// Which files are wanted, by their names.
pub(super) type Wanted = fn(&str) -> bool;

/// Copies a backup that lies here, whole and as it was.
///
/// # Errors
/// Of the first file that is not what the manifest says.
pub fn unpack(from: &Path, sink: Sink) -> Result<Manifest, BackupError> {
    unpack_wanted(from, sink, |_| true, true)
}

/// Copies one that comes as an archive, whole and as it was.
///
/// # Errors
/// As for [`unpack`]; and what the instance that sends it says.
pub fn relay(from: impl Read, name: &Path, sink: Sink) -> Result<Manifest, BackupError> {
    relay_wanted(from, name, sink, |_| true, true)
}

pub(super) fn unpack_wanted(
    from: &Path,
    sink: Sink,
    wanted: Wanted,
    is_backup: bool,
) -> Result<Manifest, BackupError> {
    let found = fs::metadata(from).map_err(BackupError::io("opening", from))?;
    if found.is_dir() {
        return copy_files(&Files::Directory(from), sink, wanted, is_backup);
    }
    let mut file = File::open(from).map_err(BackupError::io("opening", from))?;
    let mut magic = [0; 4];
    let begins = file.read_exact(&mut magic).and_then(|()| io::Seek::rewind(&mut file));
    if let Err(error) = begins {
        let why = format!("it is too short ({error})");
        return Err(BackupError::Incomplete { path: from.to_owned(), why });
    }
    if magic == ZSTD_MAGIC {
        let decoder = zstd::Decoder::new(file).map_err(BackupError::io("opening", from))?;
        relay_wanted(decoder, from, sink, wanted, is_backup)
    } else {
        relay_wanted(io::BufReader::with_capacity(1 << 20, file), from, sink, wanted, is_backup)
    }
}

/// Where the files of a backup lie, each by itself.
pub(super) enum Files<'a> {
    Directory(&'a Path),
    Bucket(&'a Bucket),
}

impl Files<'_> {
    fn path(&self) -> &Path {
        match self {
            Self::Directory(path) => path,
            Self::Bucket(bucket) => bucket.url(),
        }
    }

    /// A file's length, and what reads it.
    fn open(&self, name: &str) -> io::Result<(u64, Box<dyn Read>)> {
        match self {
            Self::Directory(path) => {
                let file = File::open(path.join(name))?;
                Ok((file.metadata()?.len(), Box::new(file)))
            }
            Self::Bucket(bucket) => bucket.get(name),
        }
    }

    pub(super) fn manifest(&self) -> Result<Vec<u8>, BackupError> {
        let mut bytes = Vec::new();
        let opened = self.open(MANIFEST);
        let read = opened.and_then(|(_, file)| file.take(BYTES_MAX).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let path = self.path().to_owned();
                let why = match self.newest_below() {
                    Some(name) => format!(
                        "it is where an instance keeps its own, of which {} is the newest",
                        path.join(name).display()
                    ),
                    None => format!("it has no {MANIFEST}, which is written last"),
                };
                Err(BackupError::Incomplete { path, why })
            }
            Err(error) => Err(BackupError::io("reading", &self.path().join(MANIFEST))(error)),
        }
    }

    /// Where an instance keeps its backups.
    fn newest_below(&self) -> Option<String> {
        let folders = match self {
            Self::Directory(path) => names::folders(path),
            Self::Bucket(bucket) => bucket.folders(),
        };
        folders.ok()?.into_iter().filter(|name| names::is_ours(name)).max()
    }
}

pub(super) fn copy_files(
    from: &Files<'_>,
    mut sink: Sink,
    wanted: Wanted,
    is_backup: bool,
) -> Result<Manifest, BackupError> {
    let bytes = from.manifest()?;
    let manifest = Manifest::read(&bytes)?;
    let mut pace = Pace::unbounded();
    for file in &manifest.files {
        let (bytes, opened) = match from.open(&file.path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::damaged(&file.path, "it is missing"));
            }
            Err(error) => {
                return Err(BackupError::io("opening", &from.path().join(&file.path))(error));
            }
        };
        if bytes != file.bytes {
            return Err(BackupError::damaged(
                &file.path,
                format!("it has {bytes} bytes instead of {}", file.bytes),
            ));
        }
        let seen = take(&mut sink, file.path.clone(), bytes, opened, (wanted, &mut pace))?;
        compare(&manifest, &seen)?;
    }
    sink.finish(is_backup.then_some(&*bytes))?;
    Ok(manifest)
}

pub(super) fn relay_wanted(
    from: impl Read,
    name: &Path,
    mut sink: Sink,
    wanted: Wanted,
    is_backup: bool,
) -> Result<Manifest, BackupError> {
    let mut archive = tar::Archive::new(from);
    let mut pace = Pace::unbounded();
    let (mut seen, mut manifest) = (BTreeMap::new(), None);
    let unread = |error: io::Error| unread(name, &error);
    for entry in archive.entries().map_err(unread)? {
        let mut entry = entry.map_err(unread)?;
        let path = entry.path().map_err(unread)?.to_string_lossy().into_owned();
        if !entry.header().entry_type().is_file() || manifest.is_some() {
            return Err(BackupError::damaged(path, "no backup of ours has such an entry there"));
        }
        match checked_name(&path)? {
            FAILED => {
                let mut why = String::new();
                let _ = entry.take(TOLD_BYTES_MAX).read_to_string(&mut why);
                return Err(BackupError::Told(why));
            }
            MANIFEST => {
                let mut bytes = Vec::new();
                entry.take(BYTES_MAX).read_to_end(&mut bytes).map_err(unread)?;
                manifest = Some((Manifest::read(&bytes)?, bytes));
            }
            _ => {
                let bytes = entry.size();
                let file = take(&mut sink, path, bytes, &mut entry, (wanted, &mut pace))?;
                seen.insert(file.path.clone(), file);
            }
        }
    }
    // What is compressed has its checksum behind the last of it.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(unread)?;
    let Some((manifest, bytes)) = manifest else {
        let why = format!("it ends before its {MANIFEST}, which is written last");
        return Err(BackupError::Incomplete { path: name.to_owned(), why });
    };
    for file in seen.values() {
        compare(&manifest, file)?;
    }
    if let Some(missing) = manifest.files.iter().find(|file| !seen.contains_key(&file.path)) {
        return Err(BackupError::damaged(&missing.path, "it is missing"));
    }
    sink.finish(is_backup.then_some(&*bytes))?;
    Ok(manifest)
}

/// An archive that can't be read on: cut off, or damaged.
fn unread(name: &Path, error: &io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            BackupError::Incomplete { path: name.to_owned(), why: "it was cut off".to_owned() }
        }
        _ => BackupError::damaged(name.display().to_string(), error.to_string()),
    }
}

/// Takes a file in, or only looks at it.
fn take(
    sink: &mut Sink,
    path: String,
    bytes: u64,
    from: impl Read,
    (wanted, pace): (Wanted, &mut Pace),
) -> Result<PackedFile, BackupError> {
    let mut from = Hashed::new(from, pace);
    let taken = if wanted(&path) {
        sink.put(&path, bytes, &mut from)
    } else {
        let passed = io::copy(&mut from, &mut io::sink());
        passed.map(drop).map_err(BackupError::io("reading", Path::new(&path)))
    };
    match taken {
        Err(BackupError::Io { source, .. }) if is_of_archive(&source) => {
            Err(BackupError::damaged(path, source.to_string()))
        }
        Err(error) => Err(error),
        Ok(()) => {
            let (bytes, sha256) = from.end();
            Ok(PackedFile { path, bytes, sha256 })
        }
    }
}

/// Whether it is what was read that is wrong, not the disk that it goes to.
fn is_of_archive(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
}

fn compare(manifest: &Manifest, found: &PackedFile) -> Result<(), BackupError> {
    match manifest.file(&found.path) {
        Some(expected) if expected == found => Ok(()),
        Some(_) => Err(BackupError::damaged(&found.path, "its checksum differs")),
        None => Err(BackupError::damaged(&found.path, format!("{MANIFEST} does not name it"))),
    }
}

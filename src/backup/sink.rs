//! Where the files of a backup go: a directory, a bucket, or an archive on its way.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::manifest::MANIFEST;
use super::{BackupError, Bucket};
use crate::ingest::now_ms;
use crate::telemetry::fault;

/// Read and written at once.
const BUFFER_BYTES: usize = 128 << 10;
/// What an archive's entry is called that says why there is no manifest.
pub(super) const FAILED: &str = "failed";

/// Takes files, one after the other. Nothing of them counts before the manifest is there.
pub enum Sink {
    /// Files as they are.
    Directory(PathBuf),
    /// An object for each of them.
    Bucket(Bucket),
    /// A tar archive, in an archive's file or on the way to somebody.
    Archive(Box<tar::Builder<Box<dyn Archive>>>),
}

/// What an archive is written to.
pub trait Archive: Write {
    /// Behind the last byte: what was written is there to stay.
    fn end(self: Box<Self>) -> io::Result<()>;
}

impl Sink {
    /// Into a directory, which is made if need be.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn directory(path: &Path) -> Result<Self, BackupError> {
        make_dir(path)?;
        Ok(Self::Directory(path.to_owned()))
    }

    /// Into a new file, compressed.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn compressed(path: &Path) -> Result<Self, BackupError> {
        let made = || -> io::Result<zstd::Encoder<'static, File>> {
            let file = new_file(path)?;
            let mut encoder = zstd::Encoder::new(file, 1)?;
            encoder.include_checksum(true)?;
            Ok(encoder)
        };
        let encoder = made().map_err(BackupError::io("making", path))?;
        Ok(Self::archive(Box::new(Compressed(encoder))))
    }

    /// To wherever it is wanted.
    pub fn archive(to: Box<dyn Archive>) -> Self {
        Self::Archive(Box::new(tar::Builder::new(to)))
    }

    /// Takes one, of exactly so many bytes.
    pub(super) fn put(
        &mut self,
        name: &str,
        bytes: u64,
        from: &mut impl Read,
    ) -> Result<(), BackupError> {
        fault::io("backup_write").map_err(BackupError::io("writing", Path::new(name)))?;
        match self {
            Self::Directory(root) => {
                let path = root.join(name);
                if let Some(folder) = path.parent() {
                    make_dir(folder)?;
                }
                let copied = new_file(&path).and_then(|file| copy(from, file));
                let copied = copied.map_err(BackupError::io("writing", &path))?;
                check_length(name, copied, bytes)
            }
            Self::Bucket(bucket) => {
                let written = bucket.put(name, from);
                let written =
                    written.map_err(BackupError::io("writing", &bucket.url().join(name)))?;
                check_length(name, written, bytes)
            }
            Self::Archive(archive) => {
                let mut from = io::BufReader::with_capacity(BUFFER_BYTES, from);
                let added = add(archive, name, bytes, &mut from);
                added.map_err(BackupError::io("packing", Path::new(name)))
            }
        }
    }

    /// The last of all. `manifest`: none where the files are no backup any more.
    pub(super) fn finish(self, manifest: Option<&[u8]>) -> Result<(), BackupError> {
        match self {
            Self::Directory(root) => {
                if let Some(manifest) = manifest {
                    write_last(&root, MANIFEST, manifest)?;
                }
                sync_folders(&root).map_err(BackupError::io("syncing", &root))
            }
            Self::Bucket(bucket) => {
                let Some(mut manifest) = manifest else {
                    return Ok(());
                };
                let written = bucket.put(MANIFEST, &mut manifest).map(drop);
                written.map_err(BackupError::io("writing", &bucket.url().join(MANIFEST)))
            }
            Self::Archive(mut archive) => {
                let ended = || -> io::Result<()> {
                    if let Some(mut manifest) = manifest {
                        add(&mut archive, MANIFEST, manifest.len() as u64, &mut manifest)?;
                    }
                    archive.into_inner()?.end()
                };
                ended().map_err(BackupError::io("packing", Path::new(MANIFEST)))
            }
        }
    }

    /// Says to who reads it why it ends here.
    pub(super) fn failed(self, why: &str) {
        if let Self::Archive(mut archive) = self {
            let _ = add(&mut archive, FAILED, why.len() as u64, &mut why.as_bytes());
            let _ = archive.into_inner().and_then(|to| to.end());
        }
    }
}

struct Compressed(zstd::Encoder<'static, File>);

impl Write for Compressed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Archive for Compressed {
    fn end(self: Box<Self>) -> io::Result<()> {
        self.0.finish()?.sync_all()
    }
}

fn add(
    archive: &mut tar::Builder<Box<dyn Archive>>,
    name: &str,
    bytes: u64,
    from: &mut impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(now_ms() / 1000);
    archive.append_data(&mut header, name, from)
}

fn check_length(name: &str, found: u64, expected: u64) -> Result<(), BackupError> {
    if found != expected {
        let why = format!("it has {found} bytes instead of {expected}");
        return Err(BackupError::damaged(name, why));
    }
    Ok(())
}

fn copy(from: &mut impl Read, to: File) -> io::Result<u64> {
    let mut to = to;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut copied = 0;
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            to.sync_all()?;
            return Ok(copied);
        }
        to.write_all(buffer.get(..count).unwrap_or_default())?;
        copied += count as u64;
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

pub(super) fn make_dir(path: &Path) -> Result<(), BackupError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(BackupError::io("making", path))
}

/// A small file that is whole or not there.
pub(super) fn write_last(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
    let (path, new) = (dir.join(name), dir.join(format!("{name}.new")));
    let written = || -> io::Result<()> {
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)
    };
    written().map_err(BackupError::io("writing", &path))
}

/// Makes all names below a directory durable, and its own.
pub(super) fn sync_folders(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(dir)?.sync_all()?;
    sync_parent(dir)
}

/// Makes a directory's name durable.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

//! What is held, written down: each file with its checksum, the manifest last.

use std::fs::File;
use std::io::Read as _;

use crate::telemetry::fault;

use super::manifest::{Manifest, PackedFile};
use super::pace::{Hashed, Pace};
use super::{BackupError, Held, Sink};

/// Copies it all. Who reads it is told where that fails.
///
/// # Errors
/// What can't be read or written.
pub fn pack(held: &Held, mut sink: Sink, pace: &mut Pace) -> Result<Manifest, BackupError> {
    let packed = put_all(held, &mut sink, pace).and_then(|manifest| {
        let bytes = manifest.to_bytes()?;
        Ok((manifest, bytes))
    });
    match packed {
        Ok((manifest, bytes)) => sink.finish(Some(&bytes)).map(|()| manifest),
        Err(_) if pace.is_stopped() => Err(BackupError::GivenUp),
        Err(error) => {
            sink.failed(&error.to_string());
            Err(error)
        }
    }
}

fn put_all(held: &Held, sink: &mut Sink, pace: &mut Pace) -> Result<Manifest, BackupError> {
    let mut files = Vec::with_capacity(held.files.len());
    for (number, file) in held.files.iter().enumerate() {
        if number == held.files.len() / 2 {
            fault::point("backup_half");
        }
        let from = File::open(&file.path).map_err(BackupError::io("opening", &file.path))?;
        let mut from = Hashed::new(from.take(file.bytes), pace);
        sink.put(&file.name, file.bytes, &mut from)?;
        let (bytes, sha256) = from.end();
        if bytes != file.bytes {
            let why =
                format!("it became shorter while it was copied: {bytes} bytes of {}", file.bytes);
            return Err(BackupError::damaged(&file.name, why));
        }
        files.push(PackedFile { path: file.name.clone(), bytes, sha256 });
    }
    Manifest::new(&held.state, files)
}

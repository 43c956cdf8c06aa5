//! `manifest.json`: what a backup is of, and every file of it with size and checksum. It is written last, and has a
//! checksum of its own.
//!
//! ```json
//! {"manifest":{"format":1, …},"sha256":"of the text of manifest"}
//! ```

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::domain::fingerprint::APPLY_VERSION;
use crate::domain::position::{LogIdentity, Position};
use crate::domain::texts::hex;
use crate::domain::timestamp::{format_rfc3339, parse_rfc3339_us};
use crate::ingest::now_ms;
use crate::store::StoredState;
use crate::store::digest::Digest;

use super::BackupError;

/// Its name in a backup.
pub const MANIFEST: &str = "manifest.json";
/// The format of backups that this version writes.
pub(super) const FORMAT: u32 = 1;
/// No manifest is longer.
pub(super) const BYTES_MAX: u64 = 64 << 20;

/// What a backup is of, and what it is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Of the whole backup.
    pub format: u32,
    /// The version that wrote it.
    pub contactd: String,
    /// The rules of applying that it knew.
    pub apply_version: u64,
    /// When, in RFC 3339.
    pub made_at: String,
    /// The log that it is of.
    pub log: LogIdentity,
    /// Up to where that is applied.
    pub position: String,
    /// Greatest record time that is applied, in ms since 1970.
    pub record_time_ms: i64,
    /// How many there are.
    pub contacts: ContactCount,
    /// Over contacts, control entries and remembered attempts, in hexadecimal digits.
    pub digests: [String; 3],
    /// Every file but this one.
    pub files: Vec<PackedFile>,
}

/// Contacts of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactCount {
    /// That are active.
    pub active: u64,
    /// That are deleted, erased ones among them.
    pub deleted: u64,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedFile {
    /// Its name in the backup, and in a data directory.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Its checksum, in hexadecimal digits.
    pub sha256: String,
}

/// As it stands in the file.
#[derive(Serialize, Deserialize)]
struct Sealed {
    manifest: Box<RawValue>,
    sha256: String,
}

/// What every format's has.
#[derive(Deserialize)]
struct AnyFormat {
    format: u32,
    #[serde(default)]
    contactd: String,
}

impl Manifest {
    pub(super) fn new(state: &StoredState, files: Vec<PackedFile>) -> Result<Self, BackupError> {
        let log = state.log.clone();
        let log = log.ok_or_else(|| BackupError::damaged("the store", "it follows no log yet"))?;
        let digests = [state.digest, state.control_digest, state.attempts_digest];
        Ok(Self {
            format: FORMAT,
            contactd: env!("CARGO_PKG_VERSION").to_owned(),
            apply_version: APPLY_VERSION,
            made_at: format_rfc3339(now_ms()),
            log,
            position: state.position.encode(),
            record_time_ms: state.record_time_ms,
            contacts: ContactCount { active: state.active, deleted: state.deleted },
            digests: digests.map(|digest| digest.to_string()),
            files,
        })
    }

    /// As it stands in the file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BackupError> {
        let unwritten =
            |error: serde_json::Error| BackupError::damaged(MANIFEST, error.to_string());
        let manifest = serde_json::value::to_raw_value(self).map_err(unwritten)?;
        let sha256 = hex(&Sha256::digest(manifest.get().as_bytes()));
        let mut bytes = serde_json::to_vec(&Sealed { manifest, sha256 }).map_err(unwritten)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// From a file's bytes.
    ///
    /// # Errors
    /// Of another format by its number; of what is damaged.
    pub fn read(bytes: &[u8]) -> Result<Self, BackupError> {
        let unread = |error: serde_json::Error| BackupError::damaged(MANIFEST, error.to_string());
        let sealed: Sealed = serde_json::from_slice(bytes).map_err(unread)?;
        let text = sealed.manifest.get();
        if hex(&Sha256::digest(text.as_bytes())) != sealed.sha256 {
            return Err(BackupError::damaged(MANIFEST, "its checksum differs"));
        }
        let any: AnyFormat = serde_json::from_str(text).map_err(unread)?;
        if any.format != FORMAT {
            let (found, known, written_by) = (any.format, FORMAT, any.contactd);
            return Err(BackupError::NewerFormat { found, known, written_by });
        }
        let manifest: Self = serde_json::from_str(text).map_err(unread)?;
        for file in &manifest.files {
            checked_name(&file.path)?;
        }
        Ok(manifest)
    }

    /// What its files come to.
    pub(super) fn state(&self) -> Result<StoredState, BackupError> {
        let wrong = |what: &str| BackupError::damaged(MANIFEST, format!("its {what} is none"));
        let [digest, control, attempts] = &self.digests;
        let digest_of =
            |text: &str| u128::from_str_radix(text, 16).map(Digest).map_err(|_| wrong("digest"));
        Ok(StoredState {
            log: Some(self.log.clone()),
            position: Position::decode(&self.position).map_err(|_| wrong("position"))?,
            active: self.contacts.active,
            deleted: self.contacts.deleted,
            digest: digest_of(digest)?,
            control_digest: digest_of(control)?,
            attempts_digest: digest_of(attempts)?,
            record_time_ms: self.record_time_ms,
        })
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Seconds since it was made, by this machine's clock.
    pub fn age_seconds(&self) -> u64 {
        let made_ms = parse_rfc3339_us(self.made_at.as_bytes()).unwrap_or_default() / 1000;
        now_ms().saturating_sub(made_ms) / 1000
    }

    pub(super) fn file(&self, path: &str) -> Option<&PackedFile> {
        self.files.iter().find(|file| file.path == path)
    }
}

/// A name that leads nowhere but into the directory.
pub(super) fn checked_name(name: &str) -> Result<&str, BackupError> {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if !name.is_empty() && name.len() <= 200 && Path::new(name).components().all(is_plain) {
        return Ok(name);
    }
    let shown: String = name.chars().take(80).collect();
    Err(BackupError::damaged(shown, "no backup of ours has a file of that name"))
}

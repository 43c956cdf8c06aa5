//! Backups as they are sent and as they are described.

use serde::Serialize;
use utoipa::ToSchema;

use crate::backup::{BackupError, Backups, KeptBackup};
use crate::domain::timestamp::format_rfc3339;
use crate::http::exchange::error::{ApiError, Code};

/// The backups that an instance keeps, and how it gets on with them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BackupList {
    /// Newest first.
    pub(super) data: Vec<Backup>,
    pub(super) status: BackupStatus,
}

/// How an instance gets on with its backups.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BackupStatus {
    /// Whether one is being made or handed out.
    running: bool,
    /// When the last one ended that was made since the start.
    #[schema(required = true, format = DateTime)]
    last_ended_at: Option<String>,
    /// Why that one failed. Null where it did not.
    #[schema(required = true)]
    last_failure: Option<String>,
}

impl BackupStatus {
    /// One was asked for, and begins.
    pub(super) fn ordered(backups: &Backups) -> Self {
        Self { running: true, ..Self::of(backups) }
    }

    pub(super) fn of(backups: &Backups) -> Self {
        let last = backups.last();
        Self {
            running: backups.is_busy(),
            last_ended_at: last.as_ref().map(|last| format_rfc3339(last.at_ms)),
            last_failure: last.and_then(|last| last.outcome.err()),
        }
    }
}

/// A backup that an instance keeps.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Backup {
    /// Below `backup.to`.
    name: String,
    #[schema(required = true, format = DateTime)]
    made_at: Option<String>,
    /// Up to where the log is applied in it.
    #[schema(required = true)]
    position: Option<String>,
    #[schema(required = true)]
    contacts: Option<u64>,
    #[schema(required = true)]
    bytes: Option<u64>,
    /// Why it can't be read. Null where it can.
    #[schema(required = true)]
    damage: Option<String>,
}

impl From<KeptBackup> for Backup {
    fn from(kept: KeptBackup) -> Self {
        let KeptBackup { name, manifest } = kept;
        let (manifest, damage) = match manifest {
            Ok(manifest) => (Some(manifest), None),
            Err(why) => (None, Some(why)),
        };
        let of = manifest.as_ref();
        Self {
            name,
            made_at: of.map(|manifest| manifest.made_at.clone()),
            position: of.map(|manifest| manifest.position.clone()),
            contacts: of.map(|manifest| manifest.contacts.active + manifest.contacts.deleted),
            bytes: of.map(crate::backup::Manifest::bytes),
            damage,
        }
    }
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        let text = error.to_string();
        match error {
            BackupError::NotOpen => Self::new(Code::NotReady, text),
            BackupError::NoPath => Self::new(Code::BackupsOff, text),
            BackupError::UnderWay => Self::new(Code::BackupUnderWay, text),
            BackupError::Storage { .. } => {
                let public =
                    "the storage that backups are kept in does not answer as it should; try again";
                Self::new(Code::NotReady, public).with_internal(text)
            }
            BackupError::Io { .. }
            | BackupError::Store(_)
            | BackupError::Log(_)
            | BackupError::Segments(_)
            | BackupError::Damaged { .. }
            | BackupError::Incomplete { .. }
            | BackupError::NewerFormat { .. }
            | BackupError::NotEmpty { .. }
            | BackupError::RestoreUnderWay { .. }
            | BackupError::HalfRestored { .. }
            | BackupError::AnotherLog { .. }
            | BackupError::NoBucket { .. }
            | BackupError::NoBuckets
            | BackupError::GivenUp
            | BackupError::Told(_) => Self::internal(text),
        }
    }
}

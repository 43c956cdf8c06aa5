//! `[backup]`: when an instance backs itself up, and where to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Secret;
use super::fields::{Fields, seconds};

const MIB: u64 = 1 << 20;
const DAY: u64 = 86_400;

/// How the address of a bucket begins.
pub const BUCKET_SCHEME: &str = "s3://";

/// Where backups are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupPlace {
    /// A directory.
    Directory(PathBuf),
    /// `s3://bucket/prefix`.
    Bucket(String),
}

impl BackupPlace {
    /// What a command names.
    pub fn of(path: &Path) -> Self {
        match path.to_str() {
            Some(url) if url.starts_with(BUCKET_SCHEME) => Self::Bucket(url.to_owned()),
            Some(_) | None => Self::Directory(path.to_owned()),
        }
    }
}

/// How storage that speaks S3 is reached; what is not said here is found as Amazon's own programs find it.
#[derive(Clone, Debug, Default)]
pub struct BucketConfig {
    /// The address of storage that is not Amazon's.
    pub s3_endpoint: Option<String>,
    /// Where the bucket is.
    pub s3_region: Option<String>,
    /// The name of the key.
    pub s3_access_key_id: Option<String>,
    /// The key.
    pub s3_secret_access_key: Option<Secret>,
}

/// The backups of a running instance.
#[derive(Clone, Debug)]
pub struct BackupConfig {
    /// Where they are kept; none: nowhere.
    pub to: Option<BackupPlace>,
    /// How often one is made; none: when it is asked for.
    pub every: Option<Duration>,
    /// How many are kept.
    pub keep: usize,
    /// Bytes that are copied a second at most.
    pub bytes_per_second: u64,
    /// For buckets, here and in commands.
    pub bucket: BucketConfig,
}

pub(super) fn backup(fields: &mut Fields<'_>) -> BackupConfig {
    let to = place(fields);
    let every = fields.duration_or_empty("backup.every", seconds(1, 365 * DAY));
    if every.is_some() && to.is_none() {
        fields.refuse(
            "backup.every",
            "needs backup.to: the directory or bucket to keep the backups in",
        );
    }
    BackupConfig {
        to,
        every,
        keep: fields.count("backup.keep", 1..=1_000),
        bytes_per_second: fields.size("backup.bytes_per_second", MIB..=1024 * 1024 * MIB),
        bucket: bucket(fields),
    }
}

fn place(fields: &mut Fields<'_>) -> Option<BackupPlace> {
    let text = fields.optional("backup.to")?;
    if let Some(rest) = text.strip_prefix(BUCKET_SCHEME) {
        if rest.is_empty() || rest.starts_with('/') {
            fields.refuse("backup.to", "names no bucket, as s3://bucket/prefix does");
        }
        if !cfg!(feature = "s3") {
            fields.refuse("backup.to", "needs a contactd that was built with the feature s3");
        }
        return Some(BackupPlace::Bucket(text));
    }
    if text.contains("://") {
        fields.refuse("backup.to", "must be a directory, or s3://bucket/prefix");
    }
    Some(BackupPlace::Directory(fields.path_said_by("backup.to", &text)))
}

fn bucket(fields: &mut Fields<'_>) -> BucketConfig {
    let s3_endpoint = fields.optional("backup.s3_endpoint");
    let is_web = |url: &String| url.starts_with("https://") || url.starts_with("http://");
    if !s3_endpoint.as_ref().is_none_or(is_web) {
        fields.refuse("backup.s3_endpoint", "must begin with https:// or http://");
    }
    let s3_access_key_id = fields.optional("backup.s3_access_key_id");
    let s3_secret_access_key = fields.secret("backup.s3_secret_access_key");
    if s3_access_key_id.is_some() != s3_secret_access_key.is_some() {
        fields.refuse(
            "backup.s3_access_key_id",
            "and backup.s3_secret_access_key go together: set both or neither",
        );
    }
    let s3_region = fields.optional("backup.s3_region");
    BucketConfig { s3_endpoint, s3_region, s3_access_key_id, s3_secret_access_key }
}

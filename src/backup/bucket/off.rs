//! A build without S3: there is no bucket, and it is said so.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::backup::BackupError;
use crate::backup::storage_error::StorageError;
use crate::config::BucketConfig;

/// Nobody gets one.
#[derive(Clone, Debug)]
pub struct Bucket {
    url: PathBuf,
}

fn none<T>() -> io::Result<T> {
    Err(io::Error::other(StorageError(BackupError::NoBuckets.to_string())))
}

impl Bucket {
    /// # Errors
    /// Always.
    pub fn open(_config: &BucketConfig, _url: &str) -> Result<Self, BackupError> {
        Err(BackupError::NoBuckets)
    }

    /// Its address.
    pub fn url(&self) -> &Path {
        &self.url
    }

    pub(in crate::backup) fn below(&self, name: &str) -> Self {
        Self { url: self.url.join(name) }
    }

    pub(in crate::backup) fn put(&self, _name: &str, _from: &mut dyn Read) -> io::Result<u64> {
        none()
    }

    pub(in crate::backup) fn get(&self, _name: &str) -> io::Result<(u64, Box<dyn Read>)> {
        none()
    }

    pub(in crate::backup) fn folders(&self) -> io::Result<Vec<String>> {
        none()
    }

    pub(in crate::backup) fn has(&self, _name: &str) -> io::Result<bool> {
        none()
    }

    pub(in crate::backup) fn is_empty(&self) -> io::Result<bool> {
        none()
    }

    pub(in crate::backup) fn remove(&self, _first: &str) -> io::Result<()> {
        none()
    }
}

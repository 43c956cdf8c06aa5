//! A bucket, or what lies in it below a prefix, by the crate `object_store`.

use std::future::Future;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as Key;
use object_store::{
    ClientOptions, Error, MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload,
    RetryConfig,
};
use tokio::runtime::Runtime;
use tokio_util::bytes::Bytes;

use crate::backup::BackupError;
use crate::backup::storage_error::StorageError;
use crate::config::{BUCKET_SCHEME, BucketConfig};

/// A larger file goes in parts of this size, one in memory; S3 takes 10,000 of them.
const PART_BYTES: usize = 16 << 20;
/// How long a connection may take.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// How long nothing may come of an answer, and how long one request may take.
const PART_WAIT: Duration = Duration::from_secs(60);
const REQUEST_WAIT: Duration = Duration::from_secs(30 * 60);
/// How often, and how long, a request is tried again that the storage did not answer.
const RETRIES_MAX: usize = 5;
const RETRY_WAIT: Duration = Duration::from_secs(60);

/// What runs the requests; ends without waiting, wherever it is dropped.
#[derive(Debug)]
struct Driver(Option<Runtime>);

impl Driver {
    fn run<T>(&self, request: impl Future<Output = Result<T, Error>>) -> io::Result<T> {
        match &self.0 {
            Some(runtime) => runtime.block_on(request).map_err(told),
            None => Err(io::Error::other("it has ended")),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// As an error of I/O, whose kind says whether there is no such object.
fn told(error: Error) -> io::Error {
    let kind = match &error {
        Error::NotFound { .. } => io::ErrorKind::NotFound,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            io::ErrorKind::PermissionDenied
        }
        _ => io::ErrorKind::Other,
    };
    // The crate's own words for each error begin with its name; what is behind it says more.
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(behind) = source {
        let more = behind.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = behind.source();
    }
    io::Error::new(kind, StorageError(text))
}

/// A bucket, or a prefix of it.
#[derive(Clone, Debug)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    driver: Arc<Driver>,
    prefix: String,
    url: PathBuf,
}

impl Bucket {
    /// Of `s3://bucket/prefix`. Nothing is asked of the storage yet.
    ///
    /// # Errors
    /// Where the address names no bucket, or the configuration does not do.
    pub fn open(config: &BucketConfig, url: &str) -> Result<Self, BackupError> {
        let wrong = |why: String| BackupError::NoBucket { url: url.to_owned(), why };
        let rest = url.strip_prefix(BUCKET_SCHEME).unwrap_or_default();
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(wrong("it names no bucket, as s3://bucket/prefix does".to_owned()));
        }
        // The client asks for one that is installed; another one that was is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let prefix = Key::parse(prefix).map_err(|error| wrong(error.to_string()))?;
        let store = builder(config, bucket).build().map_err(|error| wrong(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(BackupError::io("opening", Path::new(url)))?;
        Ok(Self {
            store: Arc::new(store),
            driver: Arc::new(Driver(Some(runtime))),
            prefix: prefix.to_string(),
            url: url.trim_end_matches('/').into(),
        })
    }

    /// Its address.
    pub fn url(&self) -> &Path {
        &self.url
    }

    /// What lies below a name in it.
    pub(in crate::backup) fn below(&self, name: &str) -> Self {
        Self { prefix: self.key_text(name), url: self.url.join(name), ..self.clone() }
    }

    fn key_text(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) }
    }

    fn key(&self, name: &str) -> io::Result<Key> {
        Key::parse(self.key_text(name)).map_err(io::Error::other)
    }

    /// The prefix; none is all of the bucket.
    fn all(&self) -> io::Result<Option<Key>> {
        if self.prefix.is_empty() { Ok(None) } else { self.key("").map(Some) }
    }

    /// Writes an object, which is there as a whole or not at all; how long it is.
    pub(in crate::backup) fn put(&self, name: &str, from: &mut dyn Read) -> io::Result<u64> {
        let key = self.key(name)?;
        let first = part(from)?;
        if first.len() < PART_BYTES {
            let bytes = first.len() as u64;
            self.driver.run(self.store.put(&key, PutPayload::from(first)))?;
            return Ok(bytes);
        }
        let mut upload = self.driver.run(self.store.put_multipart(&key))?;
        let sent = self.put_parts(&mut *upload, first, from);
        if sent.is_err() {
            // Parts that stay cost room until the bucket's own rules remove them.
            let _ = self.driver.run(upload.abort());
        }
        let bytes = sent?;
        self.driver.run(upload.complete())?;
        Ok(bytes)
    }

    fn put_parts(
        &self,
        upload: &mut dyn MultipartUpload,
        first: Vec<u8>,
        from: &mut dyn Read,
    ) -> io::Result<u64> {
        let (mut next, mut bytes) = (first, 0);
        while !next.is_empty() {
            bytes += next.len() as u64;
            self.driver.run(upload.put_part(PutPayload::from(next)))?;
            next = part(from)?;
        }
        Ok(bytes)
    }

    /// An object's length, and what reads it.
    pub(in crate::backup) fn get(&self, name: &str) -> io::Result<(u64, Box<dyn Read>)> {
        let key = self.key(name)?;
        let found = self.driver.run(self.store.get(&key))?;
        let bytes = found.meta.size;
        let driver = Arc::clone(&self.driver);
        Ok((bytes, Box::new(Object { driver, parts: found.into_stream(), rest: Bytes::new() })))
    }

    /// Names that others lie below.
    pub(in crate::backup) fn folders(&self) -> io::Result<Vec<String>> {
        let prefix = self.all()?;
        let found = self.driver.run(self.store.list_with_delimiter(prefix.as_ref()))?;
        let names = found.common_prefixes.iter().filter_map(|key| key.filename());
        Ok(names.map(str::to_owned).collect())
    }

    /// Whether there is such an object.
    pub(in crate::backup) fn has(&self, name: &str) -> io::Result<bool> {
        let key = self.key(name)?;
        match self.driver.run(self.store.head(&key)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether nothing lies below it.
    pub(in crate::backup) fn is_empty(&self) -> io::Result<bool> {
        let mut found = self.store.list(self.all()?.as_ref());
        let first = self.driver.run(async { found.next().await.transpose() })?;
        Ok(first.is_none())
    }

    /// Removes all that lies below it, and before that the object `first`, without which the rest counts no
    /// more.
    pub(in crate::backup) fn remove(&self, first: &str) -> io::Result<()> {
        let key = self.key(first)?;
        match self.driver.run(self.store.delete(&key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut found = self.store.list(self.all()?.as_ref());
        while let Some(object) = self.driver.run(async { found.next().await.transpose() })? {
            self.driver.run(self.store.delete(&object.location))?;
        }
        Ok(())
    }
}

/// Keys in the configuration stand before what the environment and the machine's role say, as Amazon's own
/// programs find it.
fn builder(config: &BucketConfig, bucket: &str) -> AmazonS3Builder {
    let client = ClientOptions::new()
        .with_connect_timeout(CONNECT_WAIT)
        .with_read_timeout(PART_WAIT)
        .with_timeout(REQUEST_WAIT);
    let retry = RetryConfig {
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_WAIT,
        ..RetryConfig::default()
    };
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_client_options(client)
        .with_retry(retry);
    if let Some(endpoint) = &config.s3_endpoint {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    if let Some(region) = &config.s3_region {
        builder = builder.with_region(region);
    }
    if let Some(id) = &config.s3_access_key_id {
        builder = builder.with_access_key_id(id);
    }
    if let Some(secret) = &config.s3_secret_access_key {
        builder = builder.with_secret_access_key(secret.expose());
    }
    builder
}

/// As much as a part has; less only at the end.
fn part(from: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut part = Vec::new();
    from.take(PART_BYTES as u64).read_to_end(&mut part)?;
    Ok(part)
}

/// An object, read as it comes.
struct Object {
    driver: Arc<Driver>,
    parts: BoxStream<'static, Result<Bytes, Error>>,
    rest: Bytes,
}

impl Read for Object {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.driver.run(async { self.parts.next().await.transpose() })? {
                Some(part) => self.rest = part,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.rest.len());
        let taken = self.rest.split_to(count);
        buffer.get_mut(..count).unwrap_or_default().copy_from_slice(&taken);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;
    use crate::backup::storage_error::is_of_storage;

    fn bucket() -> Bucket {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Bucket {
            store: Arc::new(InMemory::new()),
            driver: Arc::new(Driver(Some(runtime))),
            prefix: "kept".to_owned(),
            url: "s3://bucket/kept".into(),
        }
    }

    /// So many bytes, and then an error.
    struct Failing(usize);

    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(self.0);
            self.0 -= count;
            if count == 0 { Err(io::Error::other("the disk")) } else { Ok(count) }
        }
    }

    #[test]
    fn a_file_of_several_parts_comes_back_as_it_was() {
        let monday = bucket().below("monday");
        for len in [0, 10, PART_BYTES, 2 * PART_BYTES + 7] {
            let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            assert_eq!(monday.put("journal/one", &mut &*bytes).unwrap(), len as u64);
            let (told, mut from) = monday.get("journal/one").unwrap();
            let mut back = Vec::new();
            from.read_to_end(&mut back).unwrap();
            assert!(told == len as u64 && back == bytes, "{len}");
        }
    }

    #[test]
    fn what_was_not_read_to_its_end_is_not_there_and_what_is_removed_is_gone() {
        let kept = bucket();
        let (monday, tuesday) = (kept.below("monday"), kept.below("tuesday"));
        for bytes in [100, PART_BYTES + 100] {
            let error = monday.put("one", &mut Failing(bytes)).unwrap_err();
            assert!(!is_of_storage(&error) && !monday.has("one").unwrap());
        }
        let error = monday.get("one").map(drop).unwrap_err();
        assert!(is_of_storage(&error) && error.kind() == io::ErrorKind::NotFound, "{error}");
        for name in ["manifest.json", "journal/one"] {
            monday.put(name, &mut &b"x"[..]).unwrap();
            tuesday.put(name, &mut &b"x"[..]).unwrap();
        }
        assert_eq!(kept.folders().unwrap(), ["monday", "tuesday"]);
        monday.remove("manifest.json").unwrap();
        assert!(monday.is_empty().unwrap() && !tuesday.is_empty().unwrap());
        assert_eq!(kept.folders().unwrap(), ["tuesday"]);
    }
}

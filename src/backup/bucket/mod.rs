//! Storage that speaks S3: backups put there, and read again, an object for each of their files.
//!
//! Whoever calls it waits, so it is asked in threads that may wait.

#[cfg(not(feature = "s3"))]
mod off;
#[cfg(feature = "s3")]
mod s3;

#[cfg(not(feature = "s3"))]
pub use off::Bucket;
#[cfg(feature = "s3")]
pub use s3::Bucket;

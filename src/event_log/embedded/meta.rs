//! `log.json`: which log this is, written once when it is made.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::domain::founding::Founding;
use crate::domain::partitioner::Partitioner;
use crate::event_log::LogError;

use super::EmbeddedOptions;

pub(super) const FILE: &str = "log.json";
const FORMAT: u32 = 1;

/// What never changes in a log's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    format: u32,
    /// Random, so that a log made anew is not taken for the old one.
    pub(super) cluster: String,
    pub(super) topic: String,
    /// Which lane a key belongs to.
    pub(super) founding: Founding,
}

impl Meta {
    /// The log's meta file; `None` when there is no log yet.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, LogError> {
        let path = dir.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(LogError::Io { what: "read", path, source });
            }
        };
        let meta: Self = match serde_json::from_slice(&text) {
            Ok(meta) => meta,
            Err(error) => {
                return Err(LogError::Meta { path, detail: error.to_string() });
            }
        };
        if meta.format != FORMAT || meta.founding.lanes == 0 {
            let detail = format!("format {}, partitions {}", meta.format, meta.founding.lanes);
            return Err(LogError::Meta { path, detail });
        }
        Ok(Some(meta))
    }

    /// Stamps a new log, durably.
    pub(super) fn create(options: &EmbeddedOptions) -> Result<Self, LogError> {
        if options.partitions == 0 {
            return Err(LogError::Configuration { detail: "partitions must be at least 1".into() });
        }
        let meta = Self {
            format: FORMAT,
            cluster: format!("{:032x}", fastrand::u128(..)),
            topic: options.topic.clone(),
            founding: Founding::first(Partitioner::Murmur2, options.partitions),
        };
        let path = options.path.join(FILE);
        let io = |source| LogError::Io { what: "write", path: path.clone(), source };
        let text = serde_json::to_string_pretty(&meta).map_err(|error| io(error.into()))?;
        write_durably(&options.path, &path, &text).map_err(io)?;
        Ok(meta)
    }

    /// Refuses a configuration that names another log than this.
    pub(super) fn check(&self, options: &EmbeddedOptions) -> Result<(), LogError> {
        let mismatch = |setting, stands: String, configured: String| {
            Err(LogError::Mismatch { path: options.path.clone(), setting, stands, configured })
        };
        if self.topic != options.topic {
            return mismatch("topic", self.topic.clone(), options.topic.clone());
        }
        if self.founding.lanes != options.partitions {
            return mismatch(
                "partitions",
                self.founding.lanes.to_string(),
                options.partitions.to_string(),
            );
        }
        Ok(())
    }
}

fn write_durably(dir: &Path, path: &Path, text: &str) -> io::Result<()> {
    let aside = path.with_extension("json-new");
    let mut file = File::create(&aside)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    File::open(dir)?.sync_all()
}

//! A backup brought back: into a directory beside its own, proved there, and only then named.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::StoreConfig;
use crate::domain::position::{LogIdentity, LogKind};
use crate::event_log::embedded;
use crate::store::{VerifyReport, prove, take_over};
use crate::telemetry::fault;

use super::manifest::Manifest;
use super::sink::{make_dir, sync_folders, sync_parent, write_last};
use super::unpack::{Files, Wanted, copy_files, relay_wanted, unpack_wanted};
use super::{BackupError, Bucket, Sink};

/// In a data directory that was brought back and has not caught up with its log since: what it was made of.
pub(super) const RESTORED: &str = "restored";
/// In one that is being brought back.
const HALF: &str = "restoring";
/// What it is called meanwhile, behind its name.
const PARTIAL: &str = ".partial";
/// Where an embedded log is in a data directory.
const LOG: &str = "log";

/// Which log the configuration follows, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfiguredLog {
    /// It is not looked at.
    Unknown,
    /// One of its own.
    Embedded,
    /// A Kafka topic, whose brokers don't answer now.
    Unreached(String),
    /// This Kafka topic.
    Kafka(LogIdentity),
}

/// How a backup is brought back.
#[derive(Clone, Debug)]
pub struct Restore {
    /// How the store is opened, but for its path.
    pub store: StoreConfig,
    /// Where it goes; empty, or not there.
    pub target: PathBuf,
    /// What it is to follow.
    pub log: ConfiguredLog,
    /// Although that is another topic, which holds the same records at the same offsets.
    pub adopts: bool,
    /// It is a replica of an instance that goes on: what waits in that one's outbox stays its own.
    pub is_replica: bool,
}

/// What was brought back.
#[derive(Debug)]
pub struct Restored {
    /// What it was made of.
    pub manifest: Manifest,
    /// What was looked at.
    pub report: VerifyReport,
    /// How long all of it took.
    pub took: Duration,
}

/// Where a backup is read from.
pub enum Origin<'a> {
    /// A directory or an archive here.
    Path(&'a Path),
    /// Objects of a bucket.
    Bucket(&'a Bucket),
    /// An archive on its way, and what it is called.
    Reader(Box<dyn io::Read + 'a>, &'a Path),
}

impl Restore {
    /// Brings it back, proved: what it comes to is what its manifest says.
    ///
    /// # Errors
    /// Where the target holds something, or anything of the backup is not right. The target is as it was then.
    pub fn run(
        &self,
        from: Origin<'_>,
        progress: &mut dyn FnMut(&str, u64),
    ) -> Result<Restored, BackupError> {
        let started = Instant::now();
        self.require_empty()?;
        let partial = self.partial();
        let half = begin(&partial)?;
        let brought = self.bring(from, &partial, progress);
        if brought.is_err() {
            let _ = fs::remove_dir_all(&partial);
        }
        let (manifest, report) = brought?;
        fault::point("restore_proved");
        let named = || -> io::Result<()> {
            fs::remove_file(partial.join(HALF))?;
            sync_folders(&partial)?;
            fs::rename(&partial, &self.target)?;
            sync_parent(&self.target)
        };
        named().map_err(BackupError::io("naming", &self.target))?;
        drop(half);
        Ok(Restored { manifest, report, took: started.elapsed() })
    }

    fn bring(
        &self,
        from: Origin<'_>,
        partial: &Path,
        progress: &mut dyn FnMut(&str, u64),
    ) -> Result<(Manifest, VerifyReport), BackupError> {
        let wanted: Wanted = if self.is_replica {
            |name: &str| !name.starts_with("outbox/") && name != crate::ingest::STAMP_FILE
        } else {
            |_| true
        };
        progress("reading the backup", 0);
        let sink = Sink::directory(partial)?;
        let manifest = match from {
            Origin::Path(path) => unpack_wanted(path, sink, wanted, false)?,
            Origin::Bucket(bucket) => copy_files(&Files::Bucket(bucket), sink, wanted, false)?,
            Origin::Reader(reader, name) => relay_wanted(reader, name, sink, wanted, false)?,
        };
        fault::point("restore_unpacked");
        let adopted = self.log_of(&manifest)?;
        if manifest.log.kind == LogKind::Embedded {
            progress("reading the log", 0);
            let found = embedded::check(&partial.join(LOG))?;
            if found != manifest.log {
                return Err(BackupError::damaged(LOG, format!("it is {found}")));
            }
        }
        take_over(partial, adopted.as_ref())?;
        progress("opening the store", 0);
        let store = StoreConfig { path: partial.to_owned(), ..self.store.clone() };
        let report = prove(store, &manifest.state()?, progress)?;
        write_last(partial, RESTORED, &manifest.to_bytes()?)?;
        Ok((manifest, report))
    }

    /// Another log than the backup's that it is to follow from now on.
    fn log_of(&self, manifest: &Manifest) -> Result<Option<LogIdentity>, BackupError> {
        let another = |configured: String, advice| {
            let backup = manifest.log.clone();
            Err(BackupError::AnotherLog { backup, configured, advice })
        };
        match (&self.log, manifest.log.kind) {
            (ConfiguredLog::Unknown | ConfiguredLog::Unreached(_), LogKind::Kafka)
            | (ConfiguredLog::Unknown | ConfiguredLog::Embedded, LogKind::Embedded) => Ok(None),
            (ConfiguredLog::Kafka(log), LogKind::Kafka) if *log == manifest.log => Ok(None),
            (ConfiguredLog::Kafka(log), LogKind::Kafka) if self.adopts => Ok(Some(log.clone())),
            (ConfiguredLog::Kafka(log), LogKind::Kafka) => another(
                log.to_string(),
                "name the brokers and topic that it is of; or, where the configured topic is a copy that \
                 holds the same records at the same offsets, say --adopt",
            ),
            (ConfiguredLog::Kafka(log), LogKind::Embedded) => {
                another(log.to_string(), EMBEDDED_ADVICE)
            }
            (ConfiguredLog::Unreached(topic), LogKind::Embedded) => {
                another(format!("the topic {topic}"), EMBEDDED_ADVICE)
            }
            (ConfiguredLog::Embedded, LogKind::Kafka) => another(
                "an embedded log".to_owned(),
                "configure its brokers (KAFKA_BROKERS) and topic; --adopt does not help, as an embedded \
                 log begins with nothing of it",
            ),
        }
    }

    fn require_empty(&self) -> Result<(), BackupError> {
        require_empty(&self.target, "a restore")
    }

    fn partial(&self) -> PathBuf {
        let mut name = self.target.file_name().unwrap_or_default().to_owned();
        name.push(PARTIAL);
        self.target.with_file_name(name)
    }
}

const EMBEDDED_ADVICE: &str = "the log is in the backup, so configure no brokers (log.kind = \"embedded\"); --adopt \
     does not help, as the topic holds none of its records";

/// Only into what holds nothing.
pub(super) fn require_empty(path: &Path, what: &'static str) -> Result<(), BackupError> {
    let held = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => true,
        Err(error) => return Err(BackupError::io("reading", path)(error)),
    };
    match held {
        true => Err(BackupError::NotEmpty { path: path.to_owned(), what }),
        false => Ok(()),
    }
}

/// The directory that it is brought to, empty but for the mark that it is half; what a kill left of one goes.
/// The file is locked for as long as it is held.
fn begin(partial: &Path) -> Result<File, BackupError> {
    let mark = partial.join(HALF);
    if partial.exists() && !mark.exists() {
        require_empty(partial, "a restore")?;
    }
    make_dir(partial)?;
    let locked = File::options().create(true).truncate(false).write(true).open(&mark);
    let locked = locked.map_err(BackupError::io("making", &mark))?;
    match locked.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(BackupError::RestoreUnderWay { path: partial.to_owned() });
        }
        Err(TryLockError::Error(error)) => return Err(BackupError::io("locking", &mark)(error)),
    }
    for entry in fs::read_dir(partial).map_err(BackupError::io("listing", partial))? {
        let entry = entry.map_err(BackupError::io("listing", partial))?;
        let path = entry.path();
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let removed = match is_dir {
            true => fs::remove_dir_all(&path),
            false if path == mark => Ok(()),
            false => fs::remove_file(&path),
        };
        removed.map_err(BackupError::io("removing", &path))?;
    }
    Ok(locked)
}

/// Whether a data directory is one that a restore did not get done with.
pub fn is_half_restored(data: &Path) -> bool {
    data.join(HALF).exists()
}

/// Whether a data directory was brought back and has not been served since.
pub fn is_restored(data: &Path) -> bool {
    data.join(RESTORED).exists()
}

/// It has caught up with its log.
///
/// # Errors
/// When the mark can't be removed.
pub fn settled(data: &Path) -> Result<(), BackupError> {
    let path = data.join(RESTORED);
    let removed = fs::remove_file(&path).and_then(|()| File::open(data)?.sync_all());
    removed.map_err(BackupError::io("removing", &path))
}

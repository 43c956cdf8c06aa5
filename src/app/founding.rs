//! What every contact's home follows from: read from the log before its first record is judged, and
//! written there once.

use tokio::runtime::Handle;

use crate::config::KafkaConfig;
use crate::domain::Class;
use crate::domain::control::ControlRecord;
use crate::domain::founding::{FOUNDING_KEY, Founding};
use crate::domain::partitioner::Partitioner;
use crate::domain::position::CONTROL_LANE;
use crate::event_log::kafka::{KafkaLog, Signs, configured};
use crate::event_log::{ControlAccess, EventLog, LogError, NewRecord};
use crate::ingest::now_ms;

/// Why the log is not founded.
#[derive(Debug, thiserror::Error)]
pub enum FoundingError {
    /// The log can't be asked, or does not take it.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Somebody else's may come: this instance may not write it.
    #[error(
        "topic {topic} is not founded yet, and this instance may not write to its control topic: {detail}; start one that may, or run `contactd topics found` with its rights"
    )]
    NotAllowed {
        /// The contact topic.
        topic: String,
        /// What the brokers say.
        detail: String,
    },
    /// Without a control topic somebody must say it.
    #[error(
        "topic {topic} has no control topic ({detail}), so kafka.partitioner must be set: murmur2, crc32 or fnv1a, as the topic's producers have it"
    )]
    NotSet {
        /// The contact topic.
        topic: String,
        /// Why there is no control topic.
        detail: String,
    },
    /// Producers go by another partitioner than the one that would be taken.
    #[error(
        "topic {topic} is not founded: {fitting} of {keys} keys lie by {found}, and kafka.partitioner is not set. Set kafka.partitioner = \"{found}\", or another one and every record that lies elsewhere is brought home"
    )]
    Unclear {
        /// The contact topic.
        topic: String,
        /// What most keys lie by.
        found: Partitioner,
        /// How many.
        fitting: usize,
        /// Of how many.
        keys: usize,
    },
    /// The log was founded, and its control topic does not know it.
    #[error(
        "the control topic {control} does not say how topic {topic} was founded, though it was: it was made anew, or has dropped that. `contactd topics adopt-control` fills it again from a store; where none is left, `contactd topics found --partitioner <murmur2|crc32|fnv1a> --lanes <partitions at the beginning>`"
    )]
    Lost {
        /// The contact topic.
        topic: String,
        /// The control topic.
        control: String,
    },
    /// More homes than the topic has partitions.
    #[error(
        "topic {topic} was founded with {founded} lanes and has {lanes} partitions: it is another topic"
    )]
    TooFew {
        /// The contact topic.
        topic: String,
        /// Of the founding.
        founded: u16,
        /// What there are.
        lanes: u16,
    },
    /// The log has one already.
    #[error("topic {topic} was founded already: {stands}")]
    Stands {
        /// The contact topic.
        topic: String,
        /// As it was.
        stands: Founding,
    },
}

impl FoundingError {
    /// What to do about it: somebody may mend most of it while we wait.
    pub fn class(&self) -> Class {
        match self {
            Self::Log(error) => error.class(),
            Self::NotAllowed { .. }
            | Self::NotSet { .. }
            | Self::Unclear { .. }
            | Self::Lost { .. } => Class::Retry,
            Self::TooFew { .. } | Self::Stands { .. } => Class::Fatal,
        }
    }
}

/// The log's founding; `known`: as the store has it, and then nothing is asked but how many lanes
/// there are.
pub(super) fn settle(
    log: &EventLog,
    config: &KafkaConfig,
    known: Option<Founding>,
    runtime: &Handle,
) -> Result<Founding, FoundingError> {
    let EventLog::Kafka(kafka) = log else {
        return Ok(log.founding()?);
    };
    let founding = match known {
        Some(founding) => founding,
        None => read_or_found(kafka, config, runtime)?,
    };
    let (founded, lanes) = (founding.lanes, kafka.lanes()?);
    if founded > lanes {
        return Err(FoundingError::TooFew { topic: config.topic.clone(), founded, lanes });
    }
    if let Some(set) = configured(config.partitioner).filter(|set| *set != founding.partitioner) {
        tracing::warn!(
            configured = %set,
            founding = %founding,
            "kafka.partitioner is not what the log was founded with; the log's holds"
        );
    }
    Ok(founding)
}

fn read_or_found(
    log: &KafkaLog,
    config: &KafkaConfig,
    runtime: &Handle,
) -> Result<Founding, FoundingError> {
    let topic = || config.topic.clone();
    let set = configured(config.partitioner);
    if let ControlAccess::Refused(detail) = log.prepare_control()? {
        let partitioner = set.ok_or_else(|| FoundingError::NotSet { topic: topic(), detail })?;
        return Ok(Founding::first(partitioner, log.lanes()?));
    }
    let control = log.read_founding()?;
    if let Some(founding) = control.founding {
        return Ok(founding);
    }
    let Signs { keys, has_ours } = log.look_around()?;
    if !control.is_whole || has_ours {
        let control = config.control_topic.clone();
        return Err(FoundingError::Lost { topic: topic(), control });
    }
    if set.is_none() && keys.partitioner != Partitioner::default() && keys.is_most() {
        return Err(FoundingError::Unclear {
            topic: topic(),
            found: keys.partitioner,
            fitting: keys.fitting,
            keys: keys.keys,
        });
    }
    let proposed = Founding::first(set.unwrap_or_default(), log.lanes()?);
    write(log, config, &proposed, runtime)
}

/// Writes the founding, unless another one is first; the one that stands then.
fn write(
    log: &KafkaLog,
    config: &KafkaConfig,
    proposed: &Founding,
    runtime: &Handle,
) -> Result<Founding, FoundingError> {
    let now = now_ms();
    let record = ControlRecord {
        id: format!("{:032x}", fastrand::u128(..)),
        key: FOUNDING_KEY.to_owned(),
        expected_revision: Some(0),
        value: Some(proposed.to_json()),
        ..ControlRecord::default()
    };
    let value = record.encode().map_err(|error| LogError::Failed {
        topic: config.control_topic.clone(),
        detail: error.to_string(),
    })?;
    let appended = NewRecord {
        key: record.key.into_bytes(),
        value: Some(value),
        headers: Vec::new(),
        timestamp_ms: i64::try_from(now).unwrap_or(i64::MAX),
        lane: Some(CONTROL_LANE),
    };
    match runtime.block_on(log.append(vec![appended])) {
        Ok(_acks) => {}
        Err(LogError::Refused { detail, .. }) => {
            return Err(FoundingError::NotAllowed { topic: config.topic.clone(), detail });
        }
        Err(error) => return Err(error.into()),
    }
    match log.read_founding()?.founding {
        Some(founding) => {
            tracing::info!(topic = config.topic, %founding, "the log is founded");
            Ok(founding)
        }
        // An open transaction stands before it.
        None => Err(FoundingError::Log(LogError::Unreachable {
            topic: config.control_topic.clone(),
            detail: "the founding that was written can't be read yet".to_owned(),
        })),
    }
}

/// Writes the founding of a log whose control topic has lost it, as somebody says it was.
///
/// # Errors
/// [`FoundingError::Stands`] where there is another one, or the log can't be asked.
pub fn found_again(
    config: &KafkaConfig,
    partitioner: Partitioner,
    lanes: u16,
) -> Result<Founding, FoundingError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let failed = |error: std::io::Error| LogError::Failed {
        topic: config.topic.clone(),
        detail: error.to_string(),
    };
    let runtime = runtime.map_err(failed)?;
    let log = KafkaLog::open(config)?;
    let founded = lanes;
    let lanes = log.lanes()?;
    if founded > lanes {
        return Err(FoundingError::TooFew { topic: config.topic.clone(), founded, lanes });
    }
    if let ControlAccess::Refused(detail) = log.prepare_control()? {
        return Err(LogError::Refused { topic: config.control_topic.clone(), detail }.into());
    }
    let proposed = Founding::first(partitioner, founded);
    let stands = match log.read_founding()?.founding {
        Some(stands) => stands,
        None => write(&log, config, &proposed, runtime.handle())?,
    };
    let is_it = (stands.partitioner, stands.lanes) == (partitioner, founded);
    log.shutdown()?;
    if is_it {
        Ok(stands)
    } else {
        Err(FoundingError::Stands { topic: config.topic.clone(), stands })
    }
}

//! What every contact's home follows from: read from the log before its first record is judged, and
//! written there once.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::config::KafkaConfig;
use crate::domain::Class;
use crate::domain::control::ControlRecord;
use crate::domain::founding::{FOUNDING_KEY, Founding, InvalidFounding};
use crate::domain::partitioner::Partitioner;
use crate::domain::position::{CONTROL_LANE, Offset};
use crate::event_log::kafka::{ControlFounding, KafkaLog, Signs, configured};
use crate::event_log::{ControlAccess, EventLog, LogError, NewRecord};
use crate::ingest::now_ms;

use super::first_lane::{DECIDES, first_marker};

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
        "the control topic {control} does not say how topic {topic} was founded, though it was{}: it was made anew, or has dropped that. `contactd topics adopt-control` fills it again from a store; where none is left, `contactd topics found --partitioner <murmur2|crc32|fnv1a> --lanes <partitions at the beginning>`",
        told(.marker.as_ref())
    )]
    Lost {
        /// The contact topic.
        topic: String,
        /// The control topic.
        control: String,
        /// What the rules' marker on the contact topic says, where there is one.
        marker: Option<Founding>,
    },
    /// The control topic says it in a way that is not known here.
    #[error(
        "the entry {FOUNDING_KEY} of topic {control} can't be read by this contactd: {why}; start the version that wrote it, or a newer one"
    )]
    Unreadable {
        /// The control topic.
        control: String,
        /// What is wrong with it.
        why: InvalidFounding,
    },
    /// What the store or the control topic says, and what the log itself says.
    #[error(
        "two foundings of topic {topic}: it is applied under {founding}, the marker at partition {DECIDES} offset {offset} says {marker}; find out which one holds, and remove the other's topic or data directory"
    )]
    Differs {
        /// The contact topic.
        topic: String,
        /// What this instance goes by.
        founding: Founding,
        /// Where the marker stands.
        offset: Offset,
        /// What it says.
        marker: Founding,
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
            | Self::Lost { .. }
            | Self::Differs { .. } => Class::Retry,
            Self::Unreadable { .. } | Self::TooFew { .. } | Self::Stands { .. } => Class::Fatal,
        }
    }
}

fn told(marker: Option<&Founding>) -> String {
    marker.map_or(String::new(), |homes| format!(" ({homes}, as its first marker says)"))
}

/// The log's founding; `known`: as the store has it, and then nothing is asked but how many lanes
/// there are.
pub(super) fn settle(
    log: &EventLog,
    config: &KafkaConfig,
    known: Option<Founding>,
    runtime: &Handle,
    stop: &CancellationToken,
) -> Result<Founding, FoundingError> {
    let EventLog::Kafka(kafka) = log else {
        return Ok(log.founding()?);
    };
    let founding = match known {
        Some(founding) => founding,
        None => read_or_found(log, kafka, config, runtime, stop)?,
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
    log: &EventLog,
    kafka: &KafkaLog,
    config: &KafkaConfig,
    runtime: &Handle,
    stop: &CancellationToken,
) -> Result<Founding, FoundingError> {
    let topic = || config.topic.clone();
    let set = configured(config.partitioner);
    let marker = || Ok::<_, LogError>(first_marker(log, None, stop)?.map(|first| first.homes));
    if let ControlAccess::Refused(detail) = kafka.prepare_control()? {
        if let Some(founding) = marker()? {
            return Ok(founding);
        }
        let partitioner = set.ok_or_else(|| FoundingError::NotSet { topic: topic(), detail })?;
        return Ok(Founding::first(partitioner, kafka.lanes()?));
    }
    if let (Some(founding), _) = read(kafka, config)? {
        return Ok(founding);
    }
    let (marker, Signs { keys, has_ours }) = (marker()?, kafka.look_around()?);
    // Once more: another instance may have founded it meanwhile.
    let (founding, is_whole) = read(kafka, config)?;
    if let Some(founding) = founding {
        return Ok(founding);
    }
    if !is_whole || has_ours || marker.is_some() {
        let control = config.control_topic.clone();
        return Err(FoundingError::Lost { topic: topic(), control, marker });
    }
    if set.is_none() && keys.partitioner != Partitioner::default() && keys.is_most() {
        return Err(FoundingError::Unclear {
            topic: topic(),
            found: keys.partitioner,
            fitting: keys.fitting,
            keys: keys.keys,
        });
    }
    let proposed = Founding::first(set.unwrap_or_default(), kafka.lanes()?);
    write(kafka, config, &proposed, runtime)
}

/// What the control topic says, and whether it still has its first record.
fn read(log: &KafkaLog, config: &KafkaConfig) -> Result<(Option<Founding>, bool), FoundingError> {
    let ControlFounding { founding, is_whole } = log.read_founding()?;
    let control = || config.control_topic.clone();
    let founding = founding.map_err(|why| FoundingError::Unreadable { control: control(), why })?;
    Ok((founding, is_whole))
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
    match read(log, config)?.0 {
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
    let kafka = Arc::new(KafkaLog::open(config)?);
    let log = EventLog::Kafka(Arc::clone(&kafka));
    let founded = lanes;
    let lanes = kafka.lanes()?;
    if founded > lanes {
        return Err(FoundingError::TooFew { topic: config.topic.clone(), founded, lanes });
    }
    if let ControlAccess::Refused(detail) = kafka.prepare_control()? {
        return Err(LogError::Refused { topic: config.control_topic.clone(), detail }.into());
    }
    let proposed = Founding::first(partitioner, founded);
    let marker = first_marker(&log, None, &CancellationToken::new())?;
    let stands = match (read(&kafka, config)?.0, marker.map(|first| first.homes)) {
        (Some(stands), _) => stands,
        (None, Some(homes)) if homes != proposed => homes,
        (None, Some(_) | None) => write(&kafka, config, &proposed, runtime.handle())?,
    };
    let is_it = stands == proposed;
    log.shutdown()?;
    if is_it {
        Ok(stands)
    } else {
        Err(FoundingError::Stands { topic: config.topic.clone(), stands })
    }
}

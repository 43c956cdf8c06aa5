//! Brokers and topics.

use std::time::Duration;

use crate::config::units::format_duration;
use crate::event_log::kafka::{ControlFounding, MayAppend, TopicHealth, configured};
use crate::event_log::{LogError, Retention};

use super::finding::Finding;
use super::setup::Setup;

/// Parts of the retention that not applied records may be old.
const LAG_WARNING: f64 = 0.5;
const LAG_FAULT: f64 = 0.9;

/// A finding, whichever way it came.
fn found(result: Result<Finding, Finding>) -> Finding {
    result.unwrap_or_else(|finding| finding)
}

pub(super) fn brokers(setup: &mut Setup) -> Finding {
    found(setup.brokers().map(|(_, identity)| match identity {
        Ok(identity) => Finding::right(format!("cluster {} answers", identity.cluster)),
        // They answered.
        Err(
            LogError::MissingTopic { .. }
            | LogError::CompactedTopic { .. }
            | LogError::Refused { .. },
        ) => Finding::right("they answer"),
        Err(error) => Finding::fault(error.to_string()),
    }))
}

pub(super) fn topic(setup: &mut Setup) -> Finding {
    let name = setup.config.kafka.topic.clone();
    found(setup.brokers().map(|(_, identity)| match identity {
        Ok(_) => Finding::right(format!("{name} is there")),
        Err(
            error @ (LogError::MissingTopic { .. }
            | LogError::CompactedTopic { .. }
            | LogError::Refused { .. }),
        ) => Finding::fault(error.to_string()),
        Err(_) => Finding::not_looked("the brokers can't be asked"),
    }))
}

pub(super) fn partitions(setup: &mut Setup) -> Finding {
    let topics = [setup.config.kafka.topic.clone(), setup.config.kafka.control_topic.clone()];
    found(setup.topic().map(|log| {
        let mut noticed = Vec::new();
        let mut right = Vec::new();
        for topic in &topics {
            // One that is missing has a check of its own.
            let Ok(health) = log.health_of(topic) else { continue };
            let TopicHealth { partitions, leaderless, short_of_copies, copies_min } = health;
            if leaderless > 0 {
                let text =
                    format!("{leaderless} of {partitions} partitions of {topic} have no leader");
                noticed.push(Finding::fault(text));
            } else if short_of_copies > 0 {
                let text =
                    format!("{short_of_copies} of {partitions} partitions of {topic} lack copies");
                noticed.push(Finding::warning(text));
            }
            if copies_min == 1 {
                let text = format!("{topic} has one copy only: a lost disk loses it");
                noticed.push(Finding::warning(text));
            }
            right.push(format!("{topic}: {partitions} of {copies_min} copies"));
        }
        Finding::worst_of(noticed, right.join("; "))
    }))
}

pub(super) fn control_topic(setup: &mut Setup) -> Finding {
    let topic = setup.config.kafka.control_topic.clone();
    found(setup.topic().map(|log| match log.health_of(&topic) {
        Ok(TopicHealth { partitions: 1, .. }) => match log.check_control_topic() {
            Ok(()) => Finding::right(format!("{topic} is there")),
            Err(error) => Finding::fault(error.to_string()),
        },
        Ok(TopicHealth { partitions, .. }) => {
            Finding::fault(format!("{topic} has {partitions} partitions and must have one"))
        }
        Err(LogError::MissingTopic { .. }) => Finding::warning(format!(
            "{topic} does not exist; the first start makes it where it may"
        )),
        Err(error) => Finding::fault(error.to_string()),
    }))
}

pub(super) fn retention(setup: &mut Setup) -> Finding {
    let lag = setup.running().ok().and_then(|running| running.status.lag_seconds);
    found(setup.topic().and_then(|log| {
        let told = log.retention().map_err(|error| Finding::not_looked(error.to_string()))?;
        Ok(retention_against(told, lag))
    }))
}

fn retention_against(Retention { age, is_by_bytes }: Retention, lag: Option<f64>) -> Finding {
    let bytes = if is_by_bytes { ", and up to its retention.bytes" } else { "" };
    let Some(age) = age else {
        return Finding::right(format!("records are kept for ever{bytes}"));
    };
    let kept = format!("records are kept for {}{bytes}", format_duration(age));
    let Some(lag) = lag.filter(|lag| *lag > 0.0) else {
        return Finding::right(kept);
    };
    let behind = format_duration(Duration::from_secs(lag as u64));
    let text = format!("{kept}; the oldest that is not applied is {behind} old");
    match lag / age.as_secs_f64().max(1.0) {
        part if part >= LAG_FAULT => Finding::fault(text),
        part if part >= LAG_WARNING => Finding::warning(text),
        _ => Finding::right(text),
    }
}

/// By trying: reading a record, and appending one that no topic takes.
pub(super) fn rights(setup: &mut Setup) -> Finding {
    let topics = [setup.config.kafka.topic.clone(), setup.config.kafka.control_topic.clone()];
    found(setup.topic().map(|log| {
        let (mut noticed, mut not_tried) = (Vec::new(), Vec::new());
        if let Err(error) = log.newest_time_ms() {
            noticed.push(Finding::fault(format!("reading: {error}")));
        }
        for topic in &topics {
            match log.may_append_to(topic) {
                Ok(MayAppend::Yes) => {}
                Ok(MayAppend::No(why)) => {
                    noticed.push(Finding::fault(format!("writing to {topic}: {why}")));
                }
                Ok(MayAppend::NotTried(why)) => not_tried.push(format!("{topic} ({why})")),
                Err(LogError::MissingTopic { .. }) => {}
                Err(error) => {
                    noticed.push(Finding::warning(format!("writing to {topic}: {error}")))
                }
            }
        }
        let right = match not_tried.as_slice() {
            [] => "both topics may be read and written".to_owned(),
            _ => format!("reading is allowed; writing was not tried: {}", not_tried.join(", ")),
        };
        Finding::worst_of(noticed, right)
    }))
}

pub(super) fn writers(setup: &mut Setup) -> Finding {
    let kafka = &setup.config.kafka;
    let is_known = kafka.security_protocol.has_sasl()
        || kafka.ssl_certificate_location.is_some()
        || kafka.properties.keys().any(|name| {
            name.starts_with("sasl.")
                || name.starts_with("ssl.certificate")
                || name.starts_with("ssl.keystore")
        });
    found(setup.brokers().and_then(|(_, identity)| {
        if matches!(identity, Err(LogError::Unreachable { .. })) {
            return Err(Finding::not_looked("the brokers can't be asked"));
        }
        Ok(if is_known {
            Finding::right("contactd says who it is; whom else the brokers let write, their access lists say")
        } else {
            Finding::warning("the brokers take whoever reaches them: anybody there may write events, and sign anybody in or out")
        })
    }))
}

pub(super) fn partitioner(setup: &mut Setup) -> Finding {
    let set = configured(setup.config.kafka.partitioner);
    found(setup.topic().and_then(|log| {
        let not_looked = |error: LogError| Finding::not_looked(error.to_string());
        let founding = match log.read_founding() {
            Ok(ControlFounding { founding, .. }) => {
                founding.map_err(|error| Finding::fault(error.to_string()))?
            }
            Err(LogError::MissingTopic { .. }) => None,
            Err(error) => return Err(not_looked(error)),
        };
        let keys = log.look_around().map_err(not_looked)?.keys;
        let Some(founding) = founding else {
            let producers = format!("{} of {} keys lie by {}", keys.fitting, keys.keys, keys.partitioner);
            return Ok(match set {
                Some(set) if set != keys.partitioner && keys.is_most() => {
                    Finding::warning(format!("kafka.partitioner is {set}, and {producers}"))
                }
                None if keys.partitioner != crate::domain::partitioner::Partitioner::default() && keys.is_most() => {
                    Finding::fault(format!("the log is not founded, kafka.partitioner is not set, and {producers}: it will not start"))
                }
                Some(_) | None => Finding::right("the first start founds the log"),
            });
        };
        if let Some(set) = set.filter(|set| *set != founding.partitioner) {
            return Ok(Finding::warning(format!(
                "kafka.partitioner is {set}, the log was founded with {}, which holds", founding.partitioner
            )));
        }
        if keys.is_most() && keys.partitioner != founding.partitioner {
            return Ok(Finding::warning(format!(
                "the log was founded with {}, and {} of {} keys of producers lie by {}",
                founding.partitioner, keys.fitting, keys.keys, keys.partitioner
            )));
        }
        Ok(Finding::right(format!("{}, as the log was founded", founding.partitioner)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Severity;

    #[test]
    fn what_is_not_applied_must_be_younger_than_what_is_kept() {
        let kept = |age| Retention { age, is_by_bytes: false };
        let day = Some(Duration::from_secs(86_400));
        for (age, lag, severity) in [
            (None, Some(1e9), Severity::Right),
            (day, None, Severity::Right),
            (day, Some(3_600.0), Severity::Right),
            (day, Some(50_000.0), Severity::Warning),
            (day, Some(80_000.0), Severity::Fault),
        ] {
            assert_eq!(retention_against(kept(age), lag).severity, severity, "{age:?} {lag:?}");
        }
    }
}

//! Exit codes, and the one place where an error is told to a person.

use std::process::ExitCode;

use crate::app::{FoundingError, WorkerError};
use crate::apply::ApplyError;
use crate::auth::{AuthSetupError, UsersFileError};
use crate::backup::BackupError;
use crate::config::ConfigErrors;
use crate::domain::Class;
use crate::domain::contact::CorruptContact;
use crate::event_log::LogError;
use crate::http::TlsError;
use crate::shared_state::SharedStateError;
use crate::store::StoreError;

use super::output::tell;

/// Done.
pub(super) const DONE: u8 = 0;
/// Something went wrong that is none of the others.
pub(super) const FAILED: u8 = 1;
/// The command line is not right.
pub(super) const USAGE: u8 = 2;
/// Something does not work; of `doctor` alone.
const FAULTS: u8 = 2;
/// The configuration is not right.
pub(super) const CONFIGURATION: u8 = 3;
/// A broker or an instance that is needed does not answer.
pub(super) const UNREACHABLE: u8 = 4;
/// What was asked for is not there, or is damaged.
pub(super) const DATA: u8 = 5;

/// An error whose exit code is known where it is made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The arguments don't fit together.
    #[error("{0}")]
    Usage(String),
    /// Something needed does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// The data is not there or not right.
    #[error("{0}")]
    Data(String),
    /// Not allowed to.
    #[error("{0}")]
    Refused(String),
    /// `doctor` found what should be looked at.
    #[error("{0}")]
    Warnings(String),
    /// `doctor` found what does not work.
    #[error("{0}")]
    Faults(String),
}

/// Tells the error on standard error, and gives its code.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    let code = code(error);
    if let Some(errors) = error.downcast_ref::<ConfigErrors>() {
        let count = errors.0.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        tell(format_args!("error: {count} {noun} in the configuration"));
        for error in &errors.0 {
            tell(format_args!("  {error}"));
        }
    } else {
        tell(format_args!("error: {}", message(error)));
    }
    ExitCode::from(code)
}

fn code(error: &anyhow::Error) -> u8 {
    error.chain().find_map(code_of).unwrap_or(FAILED)
}

fn code_of(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if let Some(failure) = cause.downcast_ref::<Failure>() {
        return Some(match failure {
            Failure::Usage(_) => USAGE,
            Failure::Unreachable(_) => UNREACHABLE,
            Failure::Data(_) => DATA,
            Failure::Refused(_) | Failure::Warnings(_) => FAILED,
            Failure::Faults(_) => FAULTS,
        });
    }
    if cause.is::<ConfigErrors>() {
        return Some(CONFIGURATION);
    }
    if let Some(error) = cause.downcast_ref::<UsersFileError>() {
        return users_file_code(error);
    }
    if cause.is::<CorruptContact>() {
        return Some(DATA);
    }
    if cause.is::<TlsError>() || cause.is::<SharedStateError>() {
        return Some(CONFIGURATION);
    }
    if let Some(error) = cause.downcast_ref::<LogError>() {
        return log_code(error);
    }
    if let Some(error) = cause.downcast_ref::<StoreError>() {
        return store_code(error);
    }
    if let Some(error) = cause.downcast_ref::<BackupError>() {
        return backup_code(error);
    }
    // These pass their cause's message on, and with it its place in the chain.
    if let Some(AuthSetupError::Users(error)) = cause.downcast_ref::<AuthSetupError>() {
        return users_file_code(error);
    }
    match cause.downcast_ref::<WorkerError>()? {
        WorkerError::Log(error) | WorkerError::Apply(ApplyError::Log(error)) => log_code(error),
        WorkerError::Store(error) | WorkerError::Apply(ApplyError::Store(error)) => {
            store_code(error)
        }
        WorkerError::Apply(
            ApplyError::CorruptContact { .. }
            | ApplyError::Impassable(_)
            | ApplyError::TwoFoundings { .. }
            | ApplyError::AnotherBase { .. },
        ) => Some(DATA),
        WorkerError::Unfounded { is_lasting: true, .. } => Some(DATA),
        WorkerError::Unfounded { is_lasting: false, .. } => Some(UNREACHABLE),
        WorkerError::Founding(FoundingError::Log(error)) => log_code(error),
        WorkerError::Founding(_) | WorkerError::NotCaughtUp { .. } => Some(DATA),
        WorkerError::Backup(error) => backup_code(error),
        WorkerError::Apply(ApplyError::NoRules | ApplyError::Panicked { .. }) => None,
    }
}

fn backup_code(error: &BackupError) -> Option<u8> {
    match error {
        BackupError::Told(_) | BackupError::Storage { .. } => Some(UNREACHABLE),
        BackupError::NoBucket { .. } => Some(USAGE),
        other => other.is_about_data().then_some(DATA),
    }
}

fn users_file_code(error: &UsersFileError) -> Option<u8> {
    match error {
        UsersFileError::Io { .. } => None,
        UsersFileError::Content { .. } => Some(CONFIGURATION),
        UsersFileError::Refused(_) => Some(DATA),
    }
}

fn store_code(error: &StoreError) -> Option<u8> {
    error.is_about_data().then_some(DATA)
}

fn log_code(error: &LogError) -> Option<u8> {
    match error {
        LogError::Configuration { .. } | LogError::Mismatch { .. } => Some(CONFIGURATION),
        LogError::Refused { .. } => Some(UNREACHABLE),
        LogError::NoSpace { .. } | LogError::NotMade { .. } => None,
        other if other.class() == Class::Retry => Some(UNREACHABLE),
        LogError::CorruptFrame { .. }
        | LogError::Meta { .. }
        | LogError::CompactedTopic { .. }
        | LogError::TopicChanged { .. }
        | LogError::AnotherRecord { .. }
        | LogError::OffsetOutOfRange { .. } => Some(DATA),
        _ => None,
    }
}

/// The error with its causes, each said once.
fn message(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn the_code_is_found_below_its_context() {
        let failed = || Err::<(), _>(Failure::Data("contact x is not there".to_owned()));
        let error = failed().context("get").unwrap_err();
        assert_eq!(code(&error), DATA);
        assert_eq!(message(&error), "get: contact x is not there");
        assert_eq!(code(&anyhow::anyhow!("whatever")), FAILED);
        let error = anyhow::Error::new(LogError::MissingTopic { topic: "contacts".to_owned() });
        assert_eq!(code(&error), UNREACHABLE);
    }
}

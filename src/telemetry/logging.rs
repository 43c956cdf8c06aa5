//! Log lines: to stderr, text on a terminal, else one JSON object a line.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::{LogFormat, TelemetryConfig};

/// Why there will be no log lines.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter is not one.
    #[error("`{filter}` is no filter for log lines: {source}")]
    Filter {
        /// As configured.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Someone else was first.
    #[error("log lines are set up already: {0}")]
    Twice(#[from] TryInitError),
}

/// Which lines are written, to be changed while they are.
#[derive(Clone, Debug)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// From now on it is this one.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn set(&self, text: &str) -> Result<(), LoggingError> {
        // It fails only where nobody writes lines any more.
        let _ = self.0.reload(filter(text)?);
        Ok(())
    }
}

/// Sets up log lines for the whole process, once, and gives what changes the filter.
///
/// # Errors
/// When the filter can't be read, or they are set up already.
pub fn init_logging(config: &TelemetryConfig) -> Result<LogFilter, LoggingError> {
    let (filter, handle) = reload::Layer::new(filter(&config.log)?);
    let registry = tracing_subscriber::registry().with(filter);
    // What can't be written can't be complained about in the same place, where it would be a panic.
    let layer = || layer().log_internal_errors(false);
    if is_json(config.log_format, stderr().is_terminal()) {
        let lines = layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(stderr);
        registry.with(lines).try_init()?;
    } else {
        let lines = layer().with_ansi(stderr().is_terminal()).with_writer(stderr);
        registry.with(lines).try_init()?;
    }
    Ok(LogFilter(handle))
}

fn is_json(format: LogFormat, terminal: bool) -> bool {
    match format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    }
}

/// What the libraries say below a warning is of no use to an operator.
fn filter(text: &str) -> Result<EnvFilter, LoggingError> {
    EnvFilter::builder()
        .parse(format!("sled=warn,hyper=warn,h2=warn,lapin=off,{text}"))
        .map_err(|source| LoggingError::Filter { filter: text.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_for_machines_unless_asked_for() {
        assert!(is_json(LogFormat::Auto, false));
        assert!(!is_json(LogFormat::Auto, true));
        assert!(is_json(LogFormat::Json, true));
        assert!(!is_json(LogFormat::Text, false));
    }

    #[test]
    fn a_filter_that_is_none_is_named() {
        assert!(filter("info,contactd::store=debug").is_ok());
        let error = filter("info,contactd::store=loud").unwrap_err().to_string();
        assert!(error.contains("contactd::store=loud"), "{error}");
    }
}

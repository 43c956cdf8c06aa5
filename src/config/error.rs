//! What can be wrong with a configuration; all of it is told at once.

use std::fmt;

/// One thing that is wrong, with the place that says it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A file that is not in its format.
    #[error("{place}: {problem}")]
    Syntax {
        /// File and line.
        place: String,
        /// What the parser says.
        problem: String,
    },
    /// A key that does not exist.
    #[error("{place}: unknown key `{key}`{}", did_you_mean(.suggestion.as_deref()))]
    UnknownKey {
        /// File and line, variable or flag.
        place: String,
        /// As it was written.
        key: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// A section that does not exist.
    #[error("{place}: unknown section [{section}]{}", did_you_mean(.suggestion.as_deref()))]
    UnknownSection {
        /// File and line, variable or flag.
        place: String,
        /// As it was written.
        section: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// A value that its key can't have.
    #[error("{place}: {key} {problem}")]
    Invalid {
        /// File and line, variable or flag.
        place: String,
        /// The key.
        key: String,
        /// What it can have.
        problem: String,
    },
    /// A file with a secret that can't be read.
    #[error("{place}: can't read the secret in {path}: {problem}")]
    SecretFile {
        /// File and line, variable or flag.
        place: String,
        /// The file.
        path: String,
        /// Why not.
        problem: String,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// Everything that is wrong; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

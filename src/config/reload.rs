//! The configuration read again while the process runs.

use std::sync::Arc;

use super::error::ConfigErrors;

/// What became of the keys that say something else than before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// They hold from now on.
    pub taken: Vec<String>,
    /// They hold from the next start on.
    pub needs_restart: Vec<String>,
}

/// Reads all layers again and takes what can be taken. Blocks for as long as reading files takes.
pub type ReloadConfig = Arc<dyn Fn() -> Result<Reloaded, ConfigErrors> + Send + Sync>;

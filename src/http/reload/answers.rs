//! What reading the configuration again came to, as it is sent and as it is described.

use serde::Serialize;
use utoipa::ToSchema;

use crate::config::Reloaded;

/// What became of the keys that say something else than before.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ReloadedConfiguration)]
pub(super) struct Reload {
    /// They hold from now on.
    taken: Vec<String>,
    /// They hold from the next start on.
    needs_restart: Vec<String>,
}

impl Reload {
    pub(super) fn of(reloaded: Reloaded) -> Self {
        let Reloaded { taken, needs_restart } = reloaded;
        Self { taken, needs_restart }
    }
}

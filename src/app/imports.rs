//! Imports: where they are ordered, once the store is open, and the task that works on them.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::auth::{Auth, Role};
use crate::config::{Config, ImportsConfig};
use crate::files::import::Imports;
use crate::ingest::{Control, Edits, Intake, PresentRules};
use crate::store::Reader;
use crate::telemetry::Metrics;

/// What imports are made with, once the store is open.
#[derive(Clone)]
pub(super) struct ImportTasks {
    config: ImportsConfig,
    min_free_bytes: u64,
    /// Who may still import what was ordered.
    auth: Arc<Auth>,
    rules: PresentRules,
    imports: Arc<watch::Sender<Option<Imports>>>,
}

impl ImportTasks {
    pub(super) fn new(config: &Config, auth: Arc<Auth>, rules: PresentRules) -> Self {
        let min_free_bytes = config.store.min_free_bytes;
        Self {
            config: config.imports.clone(),
            min_free_bytes,
            auth,
            rules,
            imports: Arc::default(),
        }
    }

    /// The store is open: what [`ImportTasks::run`] has from now on. None: their directory can't be used.
    pub(super) fn open(
        &self,
        store: Reader,
        intake: Arc<Intake>,
        control: Arc<Control>,
        edits: Edits,
        metrics: &Arc<Metrics>,
    ) -> Option<Imports> {
        let auth = Arc::clone(&self.auth);
        let may_still_import = Box::new(move |principal: &str| {
            auth.has_role(principal, Role::Editor) || auth.has_role(principal, Role::Admin)
        });
        let bounds = (self.config.clone(), self.min_free_bytes);
        let rules = self.rules.clone();
        let opened = Imports::open(
            bounds,
            store,
            (intake, rules),
            (control, edits),
            metrics,
            may_still_import,
        );
        match opened {
            Ok(imports) => {
                self.imports.send_replace(Some(imports.clone()));
                Some(imports)
            }
            Err(error) => {
                tracing::error!(%error, "no files can be imported: the directory of imports can't be used");
                None
            }
        }
    }

    /// Works on imports, from the store's opening until told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut opened = self.imports.subscribe();
        let imports = stop.run_until_cancelled(async {
            let imports = opened.wait_for(Option::is_some).await;
            imports.ok().and_then(|imports| imports.clone())
        });
        if let Some(Some(imports)) = imports.await {
            imports.run(stop).await;
        } else {
            stop.cancelled().await;
        }
    }
}

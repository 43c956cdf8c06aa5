//! What only one instance does at a time, as far as it has no task of its own: the lease that all of it
//! rests on, restating control entries, and merging contacts.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::event_log::EventLog;
use crate::ingest::{Commands, Control, Lease, Merging, Restating};

/// The lease, once the store is open.
#[derive(Clone, Default)]
pub(super) struct Roles {
    opened: Arc<watch::Sender<Option<Opened>>>,
}

#[derive(Clone)]
struct Opened {
    lease: Arc<Lease>,
    restating: Option<Arc<Restating>>,
    merging: Arc<Merging>,
}

impl Roles {
    /// The store is open: the lease and what rests on it, which [`Roles::run`] has from now on.
    pub(super) fn open(
        &self,
        is_kafka: bool,
        log: &EventLog,
        control: &Arc<Control>,
        commands: Commands,
    ) -> (Arc<Lease>, Arc<Merging>) {
        let instance = control.reader().dead_letters().instance();
        let control = Arc::clone(control);
        let lease = Arc::new(if is_kafka {
            Lease::new(Arc::clone(&control), instance)
        } else {
            Lease::alone(Arc::clone(&control), instance)
        });
        let restating = is_kafka.then(|| {
            Arc::new(Restating::new(log.clone(), Arc::clone(&control), Arc::clone(&lease)))
        });
        let own = Arc::clone(&lease);
        let merging = Arc::new(Merging::new(log.clone(), commands, control, own));
        let opened = Opened { lease: Arc::clone(&lease), restating, merging: Arc::clone(&merging) };
        self.opened.send_replace(Some(opened));
        (lease, merging)
    }

    /// Keeps the lease, restates and merges, from the store's opening until told to stop; `work` is what rests
    /// on the lease, and ends before it is given up.
    pub(super) async fn run(self, work: impl Future<Output = ()>, stop: CancellationToken) {
        let mut opened = self.opened.subscribe();
        let known = stop.run_until_cancelled(async {
            let opened = opened.wait_for(Option::is_some).await;
            opened.ok().and_then(|opened| opened.clone())
        });
        let keeping = async {
            let Some(Some(Opened { lease, restating, merging, .. })) = known.await else {
                return work.await;
            };
            let given_up = CancellationToken::new();
            let working = async {
                let restating = async {
                    if let Some(restating) = restating {
                        restating.run(&stop).await;
                    }
                };
                tokio::join!(work, restating, merging.run(&stop));
                given_up.cancel();
            };
            tokio::join!(working, lease.run(&given_up));
        };
        keeping.await;
    }
}

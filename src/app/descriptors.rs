//! How many files and sockets the process may have open, and how many of them connections get.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for everything else: the log, the store and its heap file, snapshots, brokers, Redis, some subscribers.
const RESERVE: u64 = 256;

/// Raises the soft limit of open files to the hard one, which needs no right. None: there is no limit.
fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            current
        }
    }
}

/// How many connections there may be, of those that are wanted, with the limit as high as it may be;
/// said where it is fewer.
pub(super) fn connections(wanted: usize) -> usize {
    let limit = raise();
    let connections = limit.map_or(wanted, |limit| within(limit, wanted));
    if connections < wanted {
        tracing::warn!(
            open_files_max = limit,
            connections_max = connections,
            wanted,
            "fewer connections than server.connections_max: raise the limit of open files (ulimit -n, LimitNOFILE=)"
        );
    }
    connections
}

/// How many connections there could be of those that are wanted, with the limit as it may be raised.
pub(crate) fn connections_possible(wanted: usize) -> usize {
    getrlimit(Resource::Nofile).maximum.map_or(wanted, |limit| within(limit, wanted))
}

/// Of a small limit half is for everything else.
fn within(limit: u64, wanted: usize) -> usize {
    let left = limit - RESERVE.min(limit / 2);
    usize::try_from(left).unwrap_or(usize::MAX).min(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_beside_the_reserve_is_for_connections() {
        assert_eq!(within(1_048_576, 4096), 4096);
        assert_eq!(within(1024, 4096), 768);
        assert_eq!(within(1024, 100), 100);
        assert_eq!(within(64, 4096), 32);
    }

    #[test]
    fn the_limit_is_as_high_as_it_may_be() {
        let limit = raise();
        let now = getrlimit(Resource::Nofile);
        assert_eq!((now.current, now.maximum), (limit, limit));
    }
}

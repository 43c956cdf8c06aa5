//! What waits for the committer, bounded in bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::domain::position::Lane;
use crate::event_log::{Ack, LogError};

/// Bytes of asynchronous appends, and again of bulk ones, that may wait.
const QUEUE_BYTES_MAX: usize = 16 << 20;
/// Bytes that one semaphore permit stands for.
const PERMIT_BYTES: usize = 1024;

/// Encoded records that are committed together.
#[derive(Debug, Default)]
pub(super) struct Portion {
    /// By lane, each lane's in their order.
    pub(super) lanes: Vec<LaneRecords>,
    /// The lane of each record, in the order in which they were given.
    pub(super) order: Vec<Lane>,
}

/// A portion, and who is told.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) portion: Portion,
    pub(super) reply: Reply,
}

/// Encoded records of one lane.
#[derive(Debug)]
pub(super) struct LaneRecords {
    pub(super) lane: Lane,
    pub(super) count: u32,
    pub(super) bytes: Vec<u8>,
}

/// Who is told.
#[derive(Debug)]
pub(super) enum Reply {
    /// Someone who waits for the places, holding a share of the queue.
    Acks(oneshot::Sender<Result<Vec<Ack>, LogError>>, OwnedSemaphorePermit),
    /// Nobody, until a flush.
    Flush,
}

/// What the committer finds in the queue.
pub(super) enum Popped {
    Requests(Vec<Request>),
    /// Nothing came for a while.
    Idle,
    /// Nothing waits and nothing will come.
    Closed,
}

impl Portion {
    pub(super) fn bytes(&self) -> usize {
        self.lanes.iter().map(|lane| lane.bytes.len()).sum()
    }
}

/// The way to the committer.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// The committer waits here.
    filled: Condvar,
    /// Bulk appends and flushes wait here.
    drained: Condvar,
    permits: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct State {
    requests: VecDeque<Request>,
    bulk_bytes: usize,
    /// Requests ever put in, and ever answered.
    taken: u64,
    answered: u64,
    /// The first failure of a bulk append since the last flush.
    bulk_failure: Option<LogError>,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            drained: Condvar::new(),
            permits: Arc::new(Semaphore::new(QUEUE_BYTES_MAX / PERMIT_BYTES)),
        }
    }

    /// A share of the queue for `bytes`, waiting while it is full; `None` once it is closed.
    pub(super) async fn permit(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let permits = bytes.div_ceil(PERMIT_BYTES).clamp(1, QUEUE_BYTES_MAX / PERMIT_BYTES);
        let permits = u32::try_from(permits).unwrap_or(1);
        Arc::clone(&self.permits).acquire_many_owned(permits).await.ok()
    }

    /// Puts a request in. False: the log is closed.
    pub(super) fn push(&self, request: Request) -> bool {
        let mut state = self.state.lock();
        if state.is_closed {
            return false;
        }
        state.taken += 1;
        state.requests.push_back(request);
        self.filled.notify_one();
        true
    }

    /// As [`Queue::push`], waiting while too many bulk bytes wait already.
    pub(super) fn push_bulk(&self, request: Request) -> bool {
        let mut state = self.state.lock();
        while state.bulk_bytes >= QUEUE_BYTES_MAX && !state.is_closed {
            self.drained.wait(&mut state);
        }
        if state.is_closed {
            return false;
        }
        state.bulk_bytes += request.portion.bytes();
        state.taken += 1;
        state.requests.push_back(request);
        self.filled.notify_one();
        true
    }

    /// Everything that waits, up to about `bytes_max`; waits for something, at most for `idle`.
    pub(super) fn pop(&self, bytes_max: usize, idle: Option<Duration>) -> Popped {
        let mut state = self.state.lock();
        while state.requests.is_empty() {
            if state.is_closed {
                return Popped::Closed;
            }
            match idle {
                None => self.filled.wait(&mut state),
                Some(idle) => {
                    if self.filled.wait_for(&mut state, idle).timed_out()
                        && state.requests.is_empty()
                    {
                        return Popped::Idle;
                    }
                }
            }
        }
        let mut bytes = 0;
        let mut taken = Vec::with_capacity(state.requests.len());
        while bytes < bytes_max {
            let Some(request) = state.requests.pop_front() else {
                break;
            };
            bytes += request.portion.bytes();
            taken.push(request);
        }
        Popped::Requests(taken)
    }

    /// Says that `requests` were answered, `bulk_bytes` of them bulk.
    pub(super) fn answered(&self, requests: usize, bulk_bytes: usize, failure: Option<LogError>) {
        let mut state = self.state.lock();
        state.answered += requests as u64;
        state.bulk_bytes = state.bulk_bytes.saturating_sub(bulk_bytes);
        if state.bulk_failure.is_none() {
            state.bulk_failure = failure;
        }
        self.drained.notify_all();
    }

    /// Waits until everything put in before is answered.
    pub(super) fn flush(&self) -> Result<(), LogError> {
        let mut state = self.state.lock();
        let until = state.taken;
        while state.answered < until {
            self.drained.wait(&mut state);
        }
        state.bulk_failure.take().map_or(Ok(()), Err)
    }

    /// Whether nothing is taken any more.
    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    /// Takes nothing more; what waits is still committed.
    pub(super) fn close(&self) {
        self.permits.close();
        self.state.lock().is_closed = true;
        self.filled.notify_all();
        self.drained.notify_all();
    }

    /// Closes and drops what waits, of which flushes are told `failure`: the committer is gone.
    pub(super) fn abandon(&self, failure: LogError) {
        self.close();
        let mut state = self.state.lock();
        state.requests.clear();
        if state.answered < state.taken && state.bulk_failure.is_none() {
            state.bulk_failure = Some(failure);
        }
        state.answered = state.taken;
        self.drained.notify_all();
    }
}

//! How far the log is durable: what the committer announces and consumers wait for. And why it takes
//! nothing, where it doesn't.

use parking_lot::{Condvar, Mutex};
use std::time::Duration;

use crate::domain::position::{Lane, NextOffset, Offset};
use crate::event_log::Watermarks;
use crate::segments::FrameNo;

use super::index::place_of;

/// The durable end of every lane.
#[derive(Debug)]
pub(super) struct Durable {
    state: Mutex<State>,
    moved: Condvar,
    trouble: Mutex<Option<Trouble>>,
}

/// Why nothing is appended now.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// The same is tried again.
    Passing(String),
    /// Nothing is, until the log is opened anew.
    Lasting(String),
}

#[derive(Clone, Debug)]
pub(super) struct State {
    /// Frames below this are durable.
    pub(super) frames: FrameNo,
    /// Each lane's oldest record.
    pub(super) low: Vec<Offset>,
    /// Each lane's durable end.
    pub(super) high: Vec<NextOffset>,
}

impl State {
    pub(super) fn watermarks(&self, lane: Lane) -> Option<Watermarks> {
        let place = place_of(lane, self.high.len().checked_sub(1)?)?;
        Some(Watermarks { low: *self.low.get(place)?, high: *self.high.get(place)? })
    }
}

impl Durable {
    pub(super) fn new(state: State) -> Self {
        Self { state: Mutex::new(state), moved: Condvar::new(), trouble: Mutex::new(None) }
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().clone()
    }

    /// What was there before; what lasts is told to who waits for records.
    pub(super) fn set_trouble(&self, trouble: Option<Trouble>) -> Option<Trouble> {
        let before = std::mem::replace(&mut *self.trouble.lock(), trouble);
        self.wake();
        before
    }

    /// Why nothing will ever be appended.
    pub(super) fn failure(&self) -> Option<String> {
        match &*self.trouble.lock() {
            Some(Trouble::Lasting(why)) => Some(why.clone()),
            Some(Trouble::Passing(_)) | None => None,
        }
    }

    pub(super) fn now(&self) -> State {
        self.state.lock().clone()
    }

    pub(super) fn watermarks(&self, lane: Lane) -> Option<Watermarks> {
        self.state.lock().watermarks(lane)
    }

    /// Announces a new durable end.
    pub(super) fn advance(&self, frames: FrameNo, high: &[NextOffset]) {
        let mut state = self.state.lock();
        state.frames = frames;
        state.high.clear();
        state.high.extend_from_slice(high);
        self.moved.notify_all();
    }

    pub(super) fn set_low(&self, low: Vec<Offset>) {
        self.state.lock().low = low;
    }

    /// Waits until there are frames from `from` on, there never will be any, or `is_stopped` after a
    /// [`Durable::wake`].
    pub(super) fn wait(&self, from: FrameNo, is_stopped: impl Fn() -> bool) -> FrameNo {
        let mut state = self.state.lock();
        while state.frames <= from && !is_stopped() && self.failure().is_none() {
            self.moved.wait(&mut state);
        }
        state.frames
    }

    /// Waits for a wake or until `most` has passed: for a log that another process writes.
    pub(super) fn pause(&self, most: Duration, is_stopped: impl Fn() -> bool) {
        let mut state = self.state.lock();
        if !is_stopped() {
            let _ = self.moved.wait_for(&mut state, most);
        }
    }

    /// Lets waiters look whether they should stop.
    pub(super) fn wake(&self) {
        let _state = self.state.lock();
        self.moved.notify_all();
    }
}

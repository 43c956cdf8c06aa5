//! Pauses between tries, twice as long each time up to a bound; shortened by chance, so that instances
//! that lost one broker don't come back in step.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// First and longest pause where nothing else is said.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// How long to wait before the next try.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Default for Pause {
    fn default() -> Self {
        Self::between(FIRST, LONGEST)
    }
}

impl Pause {
    /// With a first and a longest one.
    pub fn between(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// Whether nothing has failed yet.
    pub fn is_first(&self) -> bool {
        self.next == self.first
    }

    /// Half of it or more.
    pub fn take(&mut self) -> Duration {
        let jittered = self.next.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.next = (self.next * 2).min(self.longest);
        jittered
    }

    /// Waits that long on the calling thread. False: told to stop.
    pub fn wait(&mut self, runtime: &Handle, stop: &CancellationToken) -> bool {
        let waited = async { stop.run_until_cancelled(tokio::time::sleep(self.take())).await };
        runtime.block_on(waited).is_some()
    }

    /// After something that worked.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Something that is tried again and again: more and more seldom, and told when its reason is a new one.
#[derive(Clone, Debug)]
pub struct Retries {
    pause: Pause,
    told: Option<String>,
}

impl Retries {
    /// With a first and a longest pause.
    pub fn between(first: Duration, longest: Duration) -> Self {
        Self { pause: Pause::between(first, longest), told: None }
    }

    /// How long to wait before the next try, and whether the reason is to be told.
    pub fn failed(&mut self, why: &impl std::fmt::Display) -> (Duration, bool) {
        let why = Some(why.to_string());
        let is_new = self.told != why;
        self.told = why;
        (self.pause.take(), is_new)
    }

    /// After something that worked.
    pub fn reset(&mut self) {
        self.pause.reset();
        self.told = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_once_until_it_changes_or_something_works() {
        let (first, longest) = (Duration::from_millis(8), Duration::from_millis(20));
        let mut retries = Retries::between(first, longest);
        let told = ["a", "a", "b", "b", "a"].map(|why| retries.failed(&why).1);
        assert_eq!(told, [true, false, true, false, true]);
        assert!(retries.failed(&"a").0 >= longest / 2);
        retries.reset();
        let (wait, is_new) = retries.failed(&"a");
        assert!(is_new && wait <= first, "{wait:?}");
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew() {
        let (first, longest) = (Duration::from_millis(8), Duration::from_millis(20));
        let mut pause = Pause::between(first, longest);
        for _ in 0..2 {
            assert!(pause.is_first());
            for whole in [first, first * 2, longest, longest] {
                let waited = pause.take();
                assert!(waited >= whole / 2 && waited <= whole, "{waited:?} of {whole:?}");
            }
            assert!(!pause.is_first());
            pause.reset();
        }
    }
}

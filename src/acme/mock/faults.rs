//! What the mock does wrong on purpose, and how many requests it takes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::telemetry::AcmeCall;

use super::refusal::Refusal;

/// What rates are counted over.
const MINUTE: Duration = Duration::from_secs(60);
/// A longer delay is a missing answer.
const DELAY_MS_MAX: u64 = 60_000;
/// How far its clock may be wrong: a year.
const CLOCK_OFFSET_MS_MAX: u64 = 366 * 86_400_000;

/// Faults that are asked for; without any of them all goes well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Faults {
    /// Share of the requests that fail and do nothing.
    pub fail_rate: f64,
    /// What those are answered with.
    pub fail_status: u16,
    /// Their `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// Whether they are answered with HTML, as by a proxy.
    pub html: bool,
    /// Share of the requests that are done and never answered.
    pub no_answer_rate: f64,
    /// Share of the requests that are done and answered by half.
    pub cut_rate: f64,
    /// Before each request.
    pub delay_ms: u64,
    /// Which calls fail; all where none is named.
    pub kinds: Vec<AcmeCall>,
    /// How many requests fail, are not answered or answered by half; all where nothing is said.
    pub times: Option<u64>,
    /// How far Acme's clock is ahead; behind where negative.
    pub clock_offset_ms: i64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            fail_rate: 0.0,
            fail_status: 503,
            retry_after: None,
            html: false,
            no_answer_rate: 0.0,
            cut_rate: 0.0,
            delay_ms: 0,
            kinds: Vec::new(),
            times: None,
            clock_offset_ms: 0,
        }
    }
}

/// What becomes of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Fail(Refusal),
    NoAnswer,
    Cut,
}

impl Faults {
    /// Whether they can be had.
    ///
    /// # Errors
    /// What can't, by its name.
    pub fn check(&self) -> Result<(), String> {
        let rates = [
            ("failRate", self.fail_rate),
            ("noAnswerRate", self.no_answer_rate),
            ("cutRate", self.cut_rate),
        ];
        if let Some((name, rate)) = rates.iter().find(|(_, rate)| !(0.0..=1.0).contains(rate)) {
            return Err(format!("{name} is {rate}, and must be from 0 to 1"));
        }
        if !(200..=599).contains(&self.fail_status) {
            let status = self.fail_status;
            return Err(format!("failStatus is {status}, and must be from 200 to 599"));
        }
        if self.delay_ms > DELAY_MS_MAX {
            return Err(format!(
                "delayMs is {}, and must be {DELAY_MS_MAX} at most",
                self.delay_ms
            ));
        }
        if self.clock_offset_ms.unsigned_abs() > CLOCK_OFFSET_MS_MAX {
            return Err("clockOffsetMs must be within a year".to_owned());
        }
        Ok(())
    }

    /// By chance, what becomes of the next request.
    pub(super) fn draw(&mut self, kind: AcmeCall) -> Option<Fault> {
        let is_meant = self.kinds.is_empty() || self.kinds.contains(&kind);
        if !is_meant || self.times == Some(0) {
            return None;
        }
        let chance = |rate: f64| fastrand::f64() < rate;
        let fault = if chance(self.fail_rate) {
            Fault::Fail(Refusal {
                retry_after: self.retry_after,
                is_html: self.html,
                ..Refusal::new(self.fail_status, "injected", "a fault that was asked for")
            })
        } else if chance(self.no_answer_rate) {
            Fault::NoAnswer
        } else if chance(self.cut_rate) {
            Fault::Cut
        } else {
            return None;
        };
        self.times = self.times.map(|times| times - 1);
        Some(fault)
    }
}

/// Requests of the present minute, by kind.
#[derive(Debug)]
pub(super) struct Limits {
    /// 0: as many as come.
    per_minute: u32,
    minutes: BTreeMap<AcmeCall, (Instant, u32)>,
}

impl Limits {
    pub(super) fn new(per_minute: u32) -> Self {
        Self { per_minute, minutes: BTreeMap::new() }
    }

    /// Takes one more, or says when there may be.
    pub(super) fn take(&mut self, kind: AcmeCall, now: Instant) -> Result<(), Refusal> {
        if self.per_minute == 0 {
            return Ok(());
        }
        let (start, count) = self.minutes.entry(kind).or_insert((now, 0));
        if now.duration_since(*start) >= MINUTE {
            (*start, *count) = (now, 0);
        }
        if *count >= self.per_minute {
            let left = MINUTE.saturating_sub(now.duration_since(*start));
            let most = format!("more than {} requests of this kind in a minute", self.per_minute);
            return Err(Refusal {
                retry_after: Some(left.as_secs_f64().ceil() as u64),
                ..Refusal::new(429, "rate_limited", most)
            });
        }
        *count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_call_has_a_limit_that_ends_with_its_minute() {
        let mut limits = Limits::new(2);
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        for _ in 0..2 {
            assert_eq!(limits.take(AcmeCall::Update, start), Ok(()));
        }
        let mut wait = |ms| limits.take(AcmeCall::Update, after(ms)).unwrap_err().retry_after;
        assert_eq!((wait(500), wait(59_001)), (Some(60), Some(1)));
        assert_eq!(limits.take(AcmeCall::Get, after(59_001)), Ok(()));
        assert_eq!(limits.take(AcmeCall::Update, after(60_000)), Ok(()));
        let mut none = Limits::new(0);
        assert!((0..1_000).all(|_| none.take(AcmeCall::Get, start).is_ok()));
    }

    #[test]
    fn faults_hit_whom_they_are_meant_for_and_end() {
        let mut faults = Faults {
            cut_rate: 1.0,
            kinds: vec![AcmeCall::Update],
            times: Some(2),
            ..Faults::default()
        };
        assert_eq!(faults.draw(AcmeCall::Get), None);
        assert_eq!(faults.draw(AcmeCall::Update), Some(Fault::Cut));
        assert_eq!(faults.draw(AcmeCall::Update), Some(Fault::Cut));
        assert_eq!(faults.draw(AcmeCall::Update), None);
    }

    #[test]
    fn faults_that_can_not_be_are_named() {
        for (wrong, name) in [
            (Faults { fail_rate: 1.1, ..Faults::default() }, "failRate"),
            (Faults { cut_rate: f64::NAN, ..Faults::default() }, "cutRate"),
            (Faults { fail_status: 99, ..Faults::default() }, "failStatus"),
            (Faults { delay_ms: 60_001, ..Faults::default() }, "delayMs"),
            (Faults { clock_offset_ms: i64::MIN, ..Faults::default() }, "clockOffsetMs"),
        ] {
            assert!(wrong.check().unwrap_err().contains(name), "{wrong:?}");
        }
    }
}

//! What only a running instance knows.

use std::time::Duration;

use serde_json::Value;

use crate::cli::api::text;
use crate::config::units::format_duration;

use super::finding::Finding;
use super::setup::{Running, Setup};

/// A minute behind is more than a burst.
const LAG_WARNING_S: f64 = 60.0;
const FOLLOWERS: &str = "/api/followers";
const OVERVIEW: &str = "/api/overview";

fn of_instance(
    setup: &mut Setup,
    look: impl FnOnce(&Running) -> Result<Finding, Finding>,
) -> Finding {
    setup.running().and_then(look).unwrap_or_else(|finding| finding)
}

pub(super) fn ready(setup: &mut Setup) -> Finding {
    of_instance(setup, |running| {
        let status = &running.status;
        if status.ready {
            return Ok(Finding::right(format!(
                "{} is ready, version {}",
                status.url, status.version
            )));
        }
        let waiting: Vec<String> =
            status.waiting.iter().map(|(part, why)| format!("{part}: {why}")).collect();
        Ok(Finding::fault(format!("{} is not ready: {}", status.url, waiting.join("; "))))
    })
}

pub(super) fn lag(setup: &mut Setup) -> Finding {
    of_instance(setup, |running| {
        let status = &running.status;
        let Some(records) = status.lag_records else {
            return Err(Finding::not_looked("the instance does not tell"));
        };
        let seconds = status.lag_seconds.filter(|_| records > 0).unwrap_or(0.0);
        let behind = format_duration(Duration::from_secs(seconds as u64));
        Ok(if seconds >= LAG_WARNING_S {
            Finding::warning(format!(
                "{records} records are not applied, the oldest is {behind} old"
            ))
        } else {
            Finding::right(format!("{records} records are not applied"))
        })
    })
}

pub(super) fn dependencies(setup: &mut Setup) -> Finding {
    of_instance(setup, |running| {
        let overview = running.get(OVERVIEW)?;
        let all = overview.get("dependencies").and_then(Value::as_object).into_iter().flatten();
        let (mut away, mut up) = (Vec::new(), Vec::new());
        for (name, is_up) in all {
            if is_up.as_bool() == Some(true) {
                up.push(name.as_str())
            } else {
                away.push(name.as_str())
            }
        }
        let away: Vec<Finding> =
            away.iter().map(|name| Finding::warning(format!("{name} does not answer"))).collect();
        let right =
            if up.is_empty() { "none".to_owned() } else { format!("{} answer", up.join(", ")) };
        Ok(Finding::worst_of(away, right))
    })
}

pub(super) fn rules(setup: &mut Setup) -> Finding {
    of_instance(setup, |running| {
        let rules = running.get("/api/rules")?;
        let differences: Vec<&str> = rules
            .pointer("/own/differences")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let number = rules.get("number").and_then(Value::as_u64).unwrap_or_default();
        Ok(if differences.is_empty() {
            Finding::right(format!(
                "the log's, number {number}, and those of the files are the same"
            ))
        } else {
            Finding::warning(format!(
                "the files differ from the log's number {number}: {}",
                differences.join(", ")
            ))
        })
    })
}

pub(super) fn followers(setup: &mut Setup) -> Finding {
    of_instance(setup, |running| {
        let followers = running.api.list(FOLLOWERS, &[], usize::MAX);
        let followers = followers.map_err(|error| Finding::not_looked(error.to_string()))?;
        let noticed: Vec<Finding> = followers.iter().flat_map(trouble_of).collect();
        Ok(Finding::worst_of(noticed, format!("{} follow", followers.len())))
    })
}

fn trouble_of(follower: &Value) -> Vec<Finding> {
    let name = text(follower, "name");
    let number = |member: &str| follower.get(member).and_then(Value::as_u64).unwrap_or_default();
    let mut noticed = Vec::new();
    let why = follower.pointer("/trouble/why").and_then(Value::as_str);
    match (text(follower, "state"), why) {
        ("stalled", why) => {
            noticed.push(Finding::fault(format!(
                "{name} is stalled: {}",
                why.unwrap_or("no reason is known")
            )));
        }
        ("paused", _) => noticed.push(Finding::warning(format!("{name} is paused"))),
        (_, Some(why)) => noticed.push(Finding::warning(format!("{name}: {why}"))),
        (_, None) => {}
    }
    if number("parked") > 0 {
        noticed.push(Finding::warning(format!("{name} has {} parked changes", number("parked"))));
    }
    if number("overruns") > 0 {
        let at = text(follower, "overrunAt");
        let text = format!(
            "{name} was overrun {} times, last at {at}: the journal did not reach back",
            number("overruns")
        );
        noticed.push(Finding::warning(text));
    }
    noticed
}

pub(super) fn dead_letters(setup: &mut Setup) -> Finding {
    of_instance(setup, |running| {
        let overview = running.get(OVERVIEW)?;
        let kept = overview.pointer("/letters/kept").and_then(Value::as_u64).unwrap_or_default();
        let reasons = overview.pointer("/letters/reasons").and_then(Value::as_array);
        // The present hour, and the one before it.
        let fresh = |reason: &Value| -> u64 {
            let hours = reason.get("hours").and_then(Value::as_array).into_iter().flatten();
            hours.rev().take(2).filter_map(Value::as_u64).sum()
        };
        let noticed: Vec<Finding> = reasons
            .into_iter()
            .flatten()
            .map(|reason| (text(reason, "reason"), fresh(reason)))
            .filter(|(_, count)| *count > 0)
            .map(|(reason, count)| {
                Finding::warning(format!("{count} of the last two hours: {reason}"))
            })
            .collect();
        Ok(Finding::worst_of(noticed, format!("none of late; {kept} are kept")))
    })
}

pub(super) fn webhooks(setup: &mut Setup) -> Finding {
    of_instance(setup, |running| {
        let of = [("outcome", "unauthenticated")];
        let refused = running.status.sum("contactd_webhook_events_total", &of);
        let refused = refused.ok_or_else(|| Finding::not_looked("the instance does not tell"))?;
        Ok(if refused > 0.0 {
            Finding::warning(format!(
                "{refused} were not signed as they must be, since the instance started"
            ))
        } else {
            Finding::right("none was refused for its signature")
        })
    })
}

pub(super) fn replicas(setup: &mut Setup) -> Finding {
    if setup.replicas.is_empty() {
        return Finding::not_looked("--replica URL compares with another instance");
    }
    let figures = |running: &Running| -> Result<(String, String), Finding> {
        let stats = running.get("/api/stats")?;
        Ok((text(&stats, "position").to_owned(), text(&stats, "digest").to_owned()))
    };
    let own = match setup.running().and_then(figures) {
        Ok(own) => own,
        Err(finding) => return finding,
    };
    let mut noticed = Vec::new();
    for url in setup.replicas.clone() {
        match setup.look_for_instance(Some(&url)) {
            Ok(other) => noticed.extend(compare(&own, figures(&other), &url)),
            Err(why) => noticed.push(Finding::warning(why)),
        }
    }
    Finding::worst_of(noticed, "they hold the same")
}

fn compare(
    own: &(String, String),
    other: Result<(String, String), Finding>,
    url: &str,
) -> Option<Finding> {
    match other {
        Ok((position, digest)) if position == own.0 => (digest != own.1)
            .then(|| Finding::fault(format!("{url} holds other contacts at the same position"))),
        Ok(_) => Some(Finding::warning(format!(
            "{url} is at another position: what they hold can't be compared until both stand still"
        ))),
        Err(finding) => Some(Finding::warning(finding.found)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::doctor::finding::Severity;

    #[test]
    fn a_follower_is_named_with_what_troubles_it() {
        let of = |follower: Value| Finding::worst_of(trouble_of(&follower), "well");
        let well = json!({ "name": "acme", "state": "running", "trouble": null, "parked": 0, "overruns": 0 });
        assert_eq!(of(well).severity, Severity::Right);
        let stalled =
            json!({ "name": "acme", "state": "stalled", "trouble": { "why": "no answer" } });
        assert_eq!(of(stalled), Finding::fault("acme is stalled: no answer"));
        let overrun = json!({ "name": "acme", "state": "paused", "parked": 2, "overruns": 1,
            "overrunAt": "2026-12-01T00:00:00Z" });
        let found = of(overrun);
        assert_eq!(found.severity, Severity::Warning);
        for part in ["is paused", "2 parked", "was overrun 1 times"] {
            assert!(found.found.contains(part), "{part} is not in {}", found.found);
        }
    }

    #[test]
    fn digests_are_compared_at_one_position_only() {
        let at = |position: &str, digest: &str| (position.to_owned(), digest.to_owned());
        let severity =
            |other| compare(&at("p1", "d1"), Ok(other), "http://b").map(|it| it.severity);
        assert_eq!(severity(at("p1", "d1")), None);
        assert_eq!(severity(at("p1", "d2")), Some(Severity::Fault));
        assert_eq!(severity(at("p2", "d2")), Some(Severity::Warning));
    }
}

//! The simulator of Acme's webhooks: whether it is on, and where it may send.

use std::time::Duration;

use ipnet::IpNet;

use super::Mode;
use super::fields::{Fields, millis};
use super::limits::networks;

/// The simulator.
#[derive(Clone, Debug)]
pub struct SimulatorConfig {
    /// Whether it answers, and delivers.
    pub enabled: bool,
    /// Where webhooks go that name no target; none: to this instance.
    pub target: Option<String>,
    /// Hosts that they may go to besides: `example.com`, `*.example.com`, `*`, or an address.
    pub targets: Vec<String>,
    /// Networks that these hosts may be in although they are not public.
    pub networks: Vec<IpNet>,
    /// Whether every write of the API is told of.
    pub fire_on_writes: bool,
    /// Tries of one delivery at most.
    pub attempts_max: usize,
    /// Before the second try, doubled each time.
    pub retry_pause: Duration,
    /// Between two tries at most.
    pub retry_pause_max: Duration,
    /// How long a target may take to answer.
    pub timeout: Duration,
    /// Webhooks that may wait to be delivered.
    pub queue_max: usize,
    /// Webhooks that are remembered.
    pub history_max: usize,
}

pub(super) fn simulator(fields: &mut Fields<'_>) -> SimulatorConfig {
    let is_dev = fields.sources.mode == Mode::Dev;
    let words = [("auto", is_dev), ("true", true), ("false", false)];
    SimulatorConfig {
        enabled: fields.choice("simulator.enabled", is_dev, &words),
        target: fields.optional("simulator.target"),
        targets: hosts(fields, "simulator.targets"),
        networks: networks(fields, "simulator.networks"),
        fire_on_writes: fields.choice(
            "simulator.fire_on_writes",
            false,
            &[("false", false), ("true", true)],
        ),
        attempts_max: fields.count("simulator.attempts_max", 1..=10),
        retry_pause: fields.duration("simulator.retry_pause", millis(1, 60_000)),
        retry_pause_max: fields.duration("simulator.retry_pause_max", millis(1, 600_000)),
        timeout: fields.duration("simulator.timeout", millis(10, 60_000)),
        queue_max: fields.count("simulator.queue_max", 1..=10_000),
        history_max: fields.count("simulator.history_max", 1..=10_000),
    }
}

/// Names and addresses alone: a scheme, port or path would be compared with nothing.
pub(super) fn hosts(fields: &mut Fields<'_>, key: &str) -> Vec<String> {
    let targets = fields.list(key);
    for target in &targets {
        let name = target.strip_prefix("*.").unwrap_or(target);
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
        let is_name = !name.is_empty() && name.chars().all(legal);
        if target != "*" && !is_name && target.parse::<std::net::IpAddr>().is_err() {
            let problem = format!(
                "has \"{target}\", and must be hosts like \"hooks.example.com\", in lower case, \
                 \"*.example.com\", addresses, or \"*\""
            );
            fields.refuse(key, problem);
        }
    }
    targets
}

//! Subscriptions: how many there may be, and where they may lead.

use std::time::Duration;

use ipnet::IpNet;

use super::Mode;
use super::fields::{Fields, millis};
use super::limits::networks;
use super::simulator::hosts;

/// Subscriptions.
#[derive(Clone, Debug)]
pub struct SubscriptionsConfig {
    /// How many there may be.
    pub max: usize,
    /// Hosts that they may lead to: `example.com`, `*.example.com`, `*`, or an address.
    pub hosts: Vec<String>,
    /// Networks that these hosts may be in although they are not public.
    pub networks: Vec<IpNet>,
    /// Whether nothing is sent in clear text.
    pub require_https: bool,
    /// How long a subscriber may take to answer.
    pub timeout: Duration,
    /// Deliveries under way at once, to all of them.
    pub under_way_max: usize,
}

pub(super) fn subscriptions(fields: &mut Fields<'_>) -> SubscriptionsConfig {
    let is_dev = fields.sources.mode == Mode::Dev;
    let words = [("auto", !is_dev), ("true", true), ("false", false)];
    let mut networks = networks(fields, "subscriptions.networks");
    if is_dev {
        networks
            .extend(["127.0.0.0/8", "::1/128"].iter().filter_map(|net| net.parse::<IpNet>().ok()));
    }
    SubscriptionsConfig {
        max: fields.count("subscriptions.max", 0..=1_000),
        hosts: hosts(fields, "subscriptions.hosts"),
        networks,
        require_https: fields.choice("subscriptions.require_https", !is_dev, &words),
        timeout: fields.duration("subscriptions.timeout", millis(100, 60_000)),
        under_way_max: fields.count("subscriptions.under_way_max", 16..=10_000),
    }
}

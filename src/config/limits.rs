//! Rate limits, address lists and trusted proxies: how they are written, and what they mean.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::fields::Fields;
use super::units::{format_duration, parse_duration};

/// Finer than that, a limit would round to another one.
const PER_SECOND_MAX: u64 = 1_000_000;
/// How long a whole burst takes to come back.
const PERIOD_MAX: Duration = Duration::from_secs(86_400);
const EXPECTED: &str = "\"off\", or requests a period like \"10/1m\" or \"100/1s burst 500\": \
                        at most 1000000 a second, and a burst that takes at most a day to refill";

/// So many requests a period, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests a period; at least 1.
    pub requests: u64,
    /// The period; not 0.
    pub period: Duration,
    /// Requests at once after a pause; at least 1.
    pub burst: u64,
}

impl RateLimit {
    /// `10/1m`, or `10/1m burst 20`; without a burst it is what one period allows.
    pub fn parse(text: &str) -> Option<Self> {
        let (rate, burst) = match text.split_once("burst") {
            Some((rate, burst)) => (rate, Some(burst.trim().parse::<u64>().ok()?)),
            None => (text, None),
        };
        let (requests, period) = rate.trim().split_once('/')?;
        let requests: u64 = requests.trim().parse().ok()?;
        let period = match period.trim() {
            "s" => Duration::from_secs(1),
            "m" | "min" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            period => parse_duration(period)?,
        };
        let burst = burst.unwrap_or(requests);
        let most = period.as_micros() * u128::from(PER_SECOND_MAX) / 1_000_000;
        if !(1..=most).contains(&u128::from(requests)) || burst == 0 {
            return None;
        }
        let burst_us = period.as_micros().checked_mul(u128::from(burst))? / u128::from(requests);
        let fits = burst_us <= PERIOD_MAX.as_micros();
        fits.then_some(Self { requests, period, burst })
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.requests, format_duration(self.period))?;
        if self.burst == self.requests { Ok(()) } else { write!(f, " burst {}", self.burst) }
    }
}

/// How often each kind of request may come; none: as often as it likes.
#[derive(Clone, Copy, Debug)]
pub struct LimitsConfig {
    /// Signing in, refreshing, signing out; by address.
    pub auth: Option<RateLimit>,
    /// Signing in to one account, from wherever.
    pub account: Option<RateLimit>,
    /// Sign-ins of one user that succeed.
    pub sign_in: Option<RateLimit>,
    /// Reads; by whoever asks.
    pub read: Option<RateLimit>,
    /// Writes; by whoever asks.
    pub write: Option<RateLimit>,
    /// Webhooks; by address.
    pub webhook: Option<RateLimit>,
    /// Instances that share the load: without Redis each allows its part.
    pub instances: u64,
}

/// Which addresses may use a group of routes; empty: any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowConfig {
    /// `/api/auth/…`.
    pub auth: Vec<IpNet>,
    /// Whatever only admins may do.
    pub admin: Vec<IpNet>,
    /// `/api/webhooks…`.
    pub webhooks: Vec<IpNet>,
    /// `/metrics`.
    pub metrics: Vec<IpNet>,
}

/// The header in which trusted proxies name the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Who stands before us, and how it names the client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyConfig {
    /// Proxies whose word on the client's address counts.
    pub trusted: Vec<IpNet>,
    /// Where they say it.
    pub header: ForwardedHeader,
}

/// Where our certificate and its key are, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, our own certificate first.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

pub(super) fn tls(fields: &mut Fields<'_>) -> Option<TlsFiles> {
    let certificate = fields.optional_path("server.tls_certificate");
    let key = fields.optional_path("server.tls_key");
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        (None, None) => None,
        (Some(_), None) => {
            fields.refuse("server.tls_key", "is not set, and server.tls_certificate needs it");
            None
        }
        (None, Some(_)) => {
            fields.refuse("server.tls_certificate", "is not set, and server.tls_key needs it");
            None
        }
    }
}

/// `*`, or origins as browsers write them.
pub(super) fn cors_origins(fields: &mut Fields<'_>) -> Vec<String> {
    let origins = fields.list("server.cors_origins");
    for origin in &origins {
        let host = ["https://", "http://"].iter().find_map(|scheme| origin.strip_prefix(scheme));
        let is_host = |host: &str| {
            let legal =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-:[]".contains(c);
            !host.is_empty() && host.chars().all(legal)
        };
        if origin != "*" && !host.is_some_and(is_host) {
            let problem = format!(
                "has \"{origin}\", and must be \"*\" or origins like \"https://app.example.com\", in \
                 lower case, without a path"
            );
            fields.refuse("server.cors_origins", problem);
        }
    }
    origins
}

pub(super) fn limits(fields: &mut Fields<'_>) -> LimitsConfig {
    LimitsConfig {
        auth: rate(fields, "limits.auth"),
        account: rate(fields, "limits.account"),
        sign_in: rate(fields, "limits.sign_in"),
        read: rate(fields, "limits.read"),
        write: rate(fields, "limits.write"),
        webhook: rate(fields, "limits.webhook"),
        instances: fields.number("limits.instances", 1..=1000),
    }
}

pub(super) fn rate(fields: &mut Fields<'_>, name: &str) -> Option<RateLimit> {
    fields.read(name, EXPECTED, |text| match text {
        "off" => Some(None),
        text => RateLimit::parse(text).map(Some),
    })
}

pub(super) fn allow(fields: &mut Fields<'_>) -> AllowConfig {
    AllowConfig {
        auth: networks(fields, "allow.auth"),
        admin: networks(fields, "allow.admin"),
        webhooks: networks(fields, "allow.webhooks"),
        metrics: networks(fields, "allow.metrics"),
    }
}

pub(super) fn proxies(fields: &mut Fields<'_>) -> ProxyConfig {
    let headers = [
        ("x-forwarded-for", ForwardedHeader::XForwardedFor),
        ("forwarded", ForwardedHeader::Forwarded),
    ];
    ProxyConfig {
        trusted: networks(fields, "server.trusted_proxies"),
        header: fields.choice("server.forwarded_header", ForwardedHeader::default(), &headers),
    }
}

/// Networks, or single addresses, which are networks of one.
pub(super) fn networks(fields: &mut Fields<'_>, name: &str) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for item in fields.list(name) {
        let network =
            item.parse::<IpNet>().ok().or_else(|| item.parse::<IpAddr>().map(IpNet::from).ok());
        match network {
            Some(network) => networks.push(network.trunc()),
            None => fields.refuse(
                name,
                format!("has \"{item}\", and must be addresses or networks like \"10.0.0.0/8\""),
            ),
        }
    }
    networks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_people_write_them() {
        let limit = |requests, seconds, burst| {
            Some(RateLimit { requests, period: Duration::from_secs(seconds), burst })
        };
        for (text, expected) in [
            ("10/1m", limit(10, 60, 10)),
            ("10/m", limit(10, 60, 10)),
            ("100 / 1s burst 500", limit(100, 1, 500)),
            ("1000000/1s", limit(1_000_000, 1, 1_000_000)),
            ("1/1d", limit(1, 86_400, 1)),
        ] {
            assert_eq!(RateLimit::parse(text), expected, "{text}");
        }
        for text in ["", "10", "0/1s", "10/0s", "10/1m burst 0", "10/1m burst", "1000001/1s"] {
            assert_eq!(RateLimit::parse(text), None, "{text}");
        }
        for text in ["-1/1s", "10/2d", "1/1h burst 25", "x/1s", "10/1s/1s", "1e3/1s", "2/1us"] {
            assert_eq!(RateLimit::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["10/1m", "100/1s burst 500", "7/1h30m"] {
            assert_eq!(RateLimit::parse(text).unwrap().to_string(), text);
        }
    }
}

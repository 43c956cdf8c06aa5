//! Where a request may go, as far as that is known without asking for an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use reqwest::Url;

use super::address::{is_public, plain};
use super::error::OutboundError;

/// What this instance itself takes from a client of this kind, at its own address.
const OWN_PATH: &str = "/api/webhooks";

/// Which targets are allowed. Without anything in it: none.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// `example.com`, `*.example.com` (what is below it), `*` (any), or an address.
    pub hosts: Vec<String>,
    /// Networks that are allowed although they are not public.
    pub networks: Vec<IpNet>,
    /// Where this instance listens, to be sent webhooks of its own.
    pub own: Option<SocketAddr>,
}

/// A target whose form and host are allowed; its addresses are looked at when it is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    url: Url,
    /// Without brackets or a final dot.
    host: String,
    port: u16,
    /// This instance, at this address.
    own: Option<SocketAddr>,
}

impl Target {
    /// As it was understood.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The host's name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn own(&self) -> Option<SocketAddr> {
        self.own
    }

    pub(super) fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// `Host:`, with the port where it is not the scheme's.
    pub(super) fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Path and query.
    pub(super) fn path(&self) -> String {
        let path = self.url.path();
        self.url.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
    }

    /// The address, where the host is one: in any of the ways in which URLs write them.
    pub(super) fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl Allowed {
    /// Any target: for an address that whoever runs this has named.
    pub fn anywhere() -> Self {
        let networks = ["0.0.0.0/0", "::/0"].into_iter().filter_map(|net| net.parse().ok());
        Self { hosts: vec!["*".to_owned()], networks: networks.collect(), own: None }
    }

    /// Reads a target, and checks all that needs no resolver.
    ///
    /// # Errors
    /// When it is no HTTP address, or names a host that is not allowed.
    pub fn target(&self, text: &str) -> Result<Target, OutboundError> {
        let wrong = |problem| OutboundError::Url { problem };
        let url = Url::parse(text).map_err(|_| wrong("is no URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("holds a user name or a password, which are not sent"));
        }
        let host = url.host_str().ok_or_else(|| wrong("names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        let (host, port) = (host.to_owned(), url.port_or_known_default().unwrap_or(80));
        let mut target = Target { url, host, port, own: None };
        target.own = self.own_address(&target);
        if target.own.is_none() && !self.allows_host(&target.host) {
            return Err(OutboundError::HostNotAllowed { host: target.host });
        }
        if let (Some(address), None) = (target.literal(), target.own) {
            self.check(&target, address)?;
        }
        Ok(target)
    }

    /// This instance's own webhooks: by `localhost` or an address, never by a name that somebody else
    /// answers for.
    fn own_address(&self, target: &Target) -> Option<SocketAddr> {
        let own = self.own.filter(|own| own.port() == target.port)?;
        let below = target.url.path().strip_prefix(OWN_PATH)?;
        if !(below.is_empty() || below.starts_with('/')) {
            return None;
        }
        let reached = match own.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        let is_named = target.host == "localhost" && reached.is_loopback();
        let is_own = is_named || target.literal().is_some_and(|it| plain(it) == reached);
        is_own.then(|| SocketAddr::new(reached, own.port()))
    }

    fn allows_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|allowed| match allowed.strip_prefix('*') {
            Some("") => true,
            Some(below) => {
                below.starts_with('.') && host.len() > below.len() && host.ends_with(below)
            }
            None => allowed == host || is_same_address(allowed, host),
        })
    }

    /// Whether a host of that target may be at an address.
    pub(super) fn check(&self, target: &Target, address: IpAddr) -> Result<(), OutboundError> {
        let meant = plain(address);
        let is_allowed = is_public(address)
            || self.networks.iter().any(|network| network.contains(&meant))
            || self.hosts.iter().any(|host| host.parse() == Ok(meant));
        if is_allowed {
            return Ok(());
        }
        Err(OutboundError::AddressNotAllowed { host: target.host.clone(), address })
    }
}

fn is_same_address(allowed: &str, host: &str) -> bool {
    match (allowed.parse::<IpAddr>(), host.parse::<IpAddr>()) {
        (Ok(allowed), Ok(host)) => plain(allowed) == plain(host),
        _ => false,
    }
}

//! The running instance that commands talk to: where it is, and the key to it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::auth::local_key;
use crate::config::{Config, Secret};

/// Where the configured instance answers on this machine.
pub(super) fn url(config: &Config) -> String {
    format!("http://{}", reachable(config.server.listen))
}

/// An address to connect to, for one that is listened on: that of all interfaces is none.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The key that was given, or that which the instance on this machine leaves in its data directory.
/// That one goes to no other machine.
pub(super) fn key(config: &Config, given: Option<&str>, url: &str) -> Option<Secret> {
    match given {
        Some(key) => Some(Secret::new(key)),
        None if is_here(url) => local_key(&config.store.path),
        None => None,
    }
}

pub(super) fn is_here(url: &str) -> bool {
    let rest = url.strip_prefix("http://").unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let address = host.parse::<SocketAddr>().map(|socket| socket.ip());
    name == "localhost"
        || address.or_else(|_| name.parse::<IpAddr>()).is_ok_and(|ip| ip.is_loopback())
}

/// What to do about 401 and 403.
pub(super) fn refused(url: &str, had_key: bool) -> String {
    let why = if had_key {
        "does not let this API key do that"
    } else {
        "needs an API key, and none of an instance on this machine was found in the data directory"
    };
    format!(
        "{url} {why}; give one with --key or CONTACTD_API_KEY (`contactd key create` makes them)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_key_stays_on_this_machine() {
        for here in [
            "http://127.0.0.1:3000",
            "http://localhost:1/",
            "http://[::1]:3000",
            "http://localhost",
        ] {
            assert!(is_here(here), "{here}");
        }
        for away in [
            "http://10.0.0.1:3000",
            "https://127.0.0.1",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com:80",
        ] {
            assert!(!is_here(away), "{away}");
        }
    }

    #[test]
    fn what_listens_everywhere_is_reached_here() {
        for (listen, reached) in [
            ("0.0.0.0:3000", "127.0.0.1:3000"),
            ("[::]:1", "[::1]:1"),
            ("10.1.2.3:80", "10.1.2.3:80"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), reached);
        }
    }
}

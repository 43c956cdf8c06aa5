//! Who the client is: the other end of the connection, or what trusted proxies say of it.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::FORWARDED;

use crate::config::{ForwardedHeader, ProxyConfig};

/// More proxies than that stand before nobody.
const HOPS_MAX: usize = 32;

/// The client's address, as far as it can be believed. In the extensions of every request that the
/// router is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientAddress {
    pub(crate) address: IpAddr,
    /// A trusted proxy handed the request on.
    pub(crate) is_via_proxy: bool,
}

/// The last address in the chain that no trusted proxy has. A client can write anything to the left
/// of it, and nothing to the right.
pub(crate) fn client_address(
    proxies: &ProxyConfig,
    peer: IpAddr,
    headers: &HeaderMap,
) -> ClientAddress {
    let address = peer.to_canonical();
    if proxies.trusted.is_empty() || !is_trusted(proxies, address) {
        return ClientAddress { address, is_via_proxy: false };
    }
    ClientAddress { address: end_of_chain(proxies, address, headers), is_via_proxy: true }
}

fn end_of_chain(proxies: &ProxyConfig, proxy: IpAddr, headers: &HeaderMap) -> IpAddr {
    let mut address = proxy;
    let name = match proxies.header {
        ForwardedHeader::XForwardedFor => "x-forwarded-for",
        ForwardedHeader::Forwarded => FORWARDED.as_str(),
    };
    let values = headers.get_all(name).iter().rev();
    let hops = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.rsplit(','));
    for hop in hops.take(HOPS_MAX) {
        let named = match proxies.header {
            ForwardedHeader::XForwardedFor => address_in(hop.trim()),
            ForwardedHeader::Forwarded => forwarded_for(hop),
        };
        // What names nobody (`unknown`, `_hidden`) ends the chain at who sent it.
        let Some(named) = named else {
            return address;
        };
        address = named;
        if !is_trusted(proxies, address) {
            return address;
        }
    }
    address
}

/// Scheme and host of the request as a trusted proxy was asked: what the nearest one says.
pub(crate) fn forwarded_origin<'h>(
    proxies: &ProxyConfig,
    headers: &'h HeaderMap,
) -> (Option<&'h str>, Option<&'h str>) {
    let last = |name: &str| {
        let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
        Some(value.rsplit(',').next().unwrap_or(value).trim())
    };
    match proxies.header {
        ForwardedHeader::XForwardedFor => (last("x-forwarded-proto"), last("x-forwarded-host")),
        ForwardedHeader::Forwarded => {
            let element = last(FORWARDED.as_str()).unwrap_or_default();
            let of = |wanted: &str| {
                element.split(';').find_map(|pair| {
                    let (name, value) = pair.split_once('=')?;
                    let is_it = name.trim().eq_ignore_ascii_case(wanted);
                    is_it.then(|| value.trim().trim_matches('"'))
                })
            };
            (of("proto"), of("host"))
        }
    }
}

pub(crate) fn is_trusted(proxies: &ProxyConfig, address: IpAddr) -> bool {
    proxies.trusted.iter().any(|network| network.contains(&address))
}

/// `for=…` of one element, quoted or not.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let value = element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    })?;
    address_in(value.trim_matches('"'))
}

/// An address, with or without a port, IPv6 in brackets or not.
fn address_in(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None if text.matches(':').count() == 1 => text.split(':').next().unwrap_or_default(),
        None => text,
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn proxies(header: ForwardedHeader) -> ProxyConfig {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap()).to_vec();
        ProxyConfig { trusted, header }
    }

    #[track_caller]
    fn check(header: ForwardedHeader, peer: &str, lines: &[(&'static str, &str)], expected: &str) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let found = client_address(&proxies(header), peer.parse().unwrap(), &headers);
        assert_eq!(found.address, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_only_from_the_right() {
        let x = |peer, value, expected| {
            let lines = [("x-forwarded-for", value)];
            check(ForwardedHeader::XForwardedFor, peer, &lines, expected);
        };
        x("203.0.113.9", "198.51.100.1", "203.0.113.9");
        x("10.0.0.1", "198.51.100.1", "198.51.100.1");
        x("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1");
        x("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.9.9.9", "198.51.100.1");
        x("10.0.0.1", "198.51.100.1:4711", "198.51.100.1");
        x("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1");
        x("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1");
        x("10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1");
        x("fd00::1", "10.2.3.4", "10.2.3.4");
        for nothing in ["", "unknown", "1.1.1.1, garbage", "999.1.1.1", "1.1.1.1,"] {
            x("10.0.0.1", nothing, "10.0.0.1");
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "198.51.100.1,10.1.1.1")];
        check(ForwardedHeader::XForwardedFor, "10.0.0.1", &lines, "198.51.100.1");
        check(ForwardedHeader::XForwardedFor, "10.0.0.1", &[], "10.0.0.1");
    }

    #[test]
    fn forwarded_is_read_where_it_is_chosen_and_the_other_is_not() {
        let lines = [
            ("x-forwarded-for", "1.1.1.1"),
            ("forwarded", "for=9.9.9.9, For=\"[2001:db8::7]:80\";proto=https;by=10.0.0.1"),
        ];
        check(ForwardedHeader::Forwarded, "10.0.0.1", &lines, "2001:db8::7");
        check(ForwardedHeader::XForwardedFor, "10.0.0.1", &lines, "1.1.1.1");
        check(ForwardedHeader::Forwarded, "10.0.0.1", &[("forwarded", "for=_x")], "10.0.0.1");
        check(ForwardedHeader::Forwarded, "10.0.0.1", &[("forwarded", "proto=http")], "10.0.0.1");
    }
}

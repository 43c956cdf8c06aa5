//! Which addresses are everybody's: those that are routed on the internet and mean one host there.
//!
//! After IANA's special-purpose registries (RFC 6890 and its updates). IPv4 inside IPv6 is judged as
//! IPv4; forms that hide one behind somebody else's relay (6to4, Teredo) are never public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of IPv4 that are nobody's, or not everybody's: address and prefix length.
const SPECIAL_V4: [([u8; 4], u32); 16] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
    // Azure's metadata, on an address that looks like any other.
    ([168, 63, 129, 16], 32),
];

/// Networks inside 2000::/3 that are not everybody's: Teredo and other protocol assignments,
/// documentation, 6to4.
const SPECIAL_V6: [([u16; 2], u32); 4] =
    [([0x2001, 0], 23), ([0x2001, 0x0db8], 32), ([0x2002, 0], 16), ([0x3fff, 0], 20)];

/// Whether an address is one that anybody may be sent to.
pub fn is_public(address: IpAddr) -> bool {
    match plain(address) {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// IPv4 where that is what is meant: `::ffff:a.b.c.d`, and the well-known prefix of NAT64.
pub(super) fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
        }
        _ => address,
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_in = |network: [u8; 4], length: u32| {
        let mask = u32::MAX << (32 - length);
        u32::from(address) & mask == u32::from(Ipv4Addr::from(network))
    };
    !SPECIAL_V4.iter().any(|(network, length)| is_in(*network, *length))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let is_in = |network: [u16; 2], length: u32| {
        let start = |[high, low]: [u16; 2]| u32::from(high) << 16 | u32::from(low);
        let mask = u32::MAX << (32 - length);
        start([first, second]) & mask == start(network)
    };
    // Global unicast, as far as it is given out; loopback, local and multicast lie outside.
    is_in([0x2000, 0], 3) && !SPECIAL_V6.iter().any(|(network, length)| is_in(*network, *length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_everybodys_addresses_are_public() {
        for public in [
            "1.1.1.1",
            "93.184.215.14",
            "172.15.255.255",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "169.253.1.1",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2606:4700:4700::1111",
            "2a00:1450:4001::1",
            "2001:4860:4860::8888",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for special in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
            let v4: Ipv4Addr = special.parse().unwrap();
            let [a, b, c, d] = v4.octets();
            let nat64 = format!("64:ff9b::{a:02x}{b:02x}:{c:02x}{d:02x}");
            for hidden in [format!("::ffff:{special}"), nat64, format!("::{special}")] {
                assert!(!is_public(hidden.parse().unwrap()), "{hidden}");
            }
        }
    }

    #[test]
    fn local_relayed_and_reserved_forms_of_ipv6_are_not_public() {
        for special in [
            "::",
            "::1",
            "::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:1ff:ffff::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:0101:0101::1",
            "3fff:fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(special.parse().unwrap()), "{special}");
        }
    }
}

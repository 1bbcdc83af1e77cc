//! Where a call comes from.

use std::net::IpAddr;

use http::HeaderMap;

/// `X-Forwarded-For`, to which each proxy adds the address that it was called from.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address that a call comes from, as far as those say who are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl ClientAddress {
    /// What the outermost of so many trusted proxies saw. With none, and where the header does not say so much, it is
    /// who has connected: everything further left in the header is the caller's own word.
    pub(crate) fn of(peer: IpAddr, headers: &HeaderMap, trusted_hops: u8) -> Self {
        let lines = headers.get_all(FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok());
        let entries: Vec<_> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
        let entry = entries.len().checked_sub(usize::from(trusted_hops)).filter(|_| trusted_hops > 0);
        Self(entry.and_then(|at| entries.get(at)).and_then(|entry| address(entry)).unwrap_or(peer))
    }
}

/// Some proxies add the port.
fn address(entry: &str) -> Option<IpAddr> {
    let with_port = || entry.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    entry.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(hops: u8, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().expect("a header"));
        }
        ClientAddress::of("10.0.0.9".parse().expect("an address"), &headers, hops).0.to_string()
    }

    #[test]
    fn only_what_trusted_proxies_added_counts() {
        assert_eq!(seen(0, &["203.0.113.1"]), "10.0.0.9", "nobody is trusted");
        assert_eq!(seen(1, &["198.51.100.7, 203.0.113.1"]), "203.0.113.1", "the caller's own word is not");
        assert_eq!(seen(2, &["198.51.100.7, 203.0.113.1, 10.0.0.1"]), "203.0.113.1");
        assert_eq!(seen(2, &["198.51.100.7, 203.0.113.1", "10.0.0.1"]), "203.0.113.1", "over several lines");
        assert_eq!(seen(2, &["203.0.113.1"]), "10.0.0.9", "it came past the proxies");
        assert_eq!(seen(1, &[]), "10.0.0.9");
        assert_eq!(seen(1, &["unknown"]), "10.0.0.9");
        assert_eq!(seen(1, &["203.0.113.1:4711"]), "203.0.113.1");
        assert_eq!(seen(1, &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(seen(1, &["2001:db8::1"]), "2001:db8::1");
    }
}

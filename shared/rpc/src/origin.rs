//! Where a call comes from.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;

/// `X-Forwarded-For`, to which each proxy adds the address that it was called from.
const FORWARDED_FOR: &str = "x-forwarded-for";

tokio::task_local! {
    static CURRENT: Option<Origin>;
}

/// Where a call comes from, as far as those say who are trusted. As text it is `address:port` of the other end of the
/// connection, or the address alone that trusted proxies tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    peer: SocketAddr,
    forwarded: Option<IpAddr>,
}

impl Origin {
    /// What the outermost of so many trusted proxies saw. With none, and where the header does not say so much, it is
    /// who has connected: everything further left in the header is the caller's own word.
    pub(crate) fn of(peer: SocketAddr, headers: &HeaderMap, trusted_hops: u8) -> Self {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        if trusted_hops == 0 {
            return Self { peer, forwarded: None };
        }
        let lines = headers.get_all(FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok());
        let entries: Vec<_> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
        let entry = entries.len().checked_sub(usize::from(trusted_hops)).and_then(|at| entries.get(at));
        Self { peer, forwarded: entry.and_then(|entry| address(entry)).map(|address| address.to_canonical()) }
    }

    /// The caller's address.
    pub fn address(&self) -> IpAddr {
        self.forwarded.unwrap_or(self.peer.ip())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.forwarded {
            Some(address) => address.fmt(f),
            None => self.peer.fmt(f),
        }
    }
}

/// Some proxies add the port.
fn address(entry: &str) -> Option<IpAddr> {
    let with_port = || entry.parse::<SocketAddr>().ok().map(|address| address.ip());
    entry.parse().ok().or_else(with_port)
}

/// Runs what answers a call from there.
pub(crate) async fn within_call_from<T>(origin: Option<Origin>, answer: impl Future<Output = T>) -> T {
    CURRENT.scope(origin, answer).await
}

/// Where the call that is being answered here comes from, as the trace's id is known to whatever works for it: what an
/// audit notes must not depend on everybody in between handing it on. `None` for work that goes on without its call.
pub fn current_origin() -> Option<Origin> {
    CURRENT.try_with(|origin| *origin).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(hops: u8, lines: &[&str]) -> Origin {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().expect("a header"));
        }
        Origin::of("10.0.0.9:999".parse().expect("an address"), &headers, hops)
    }

    fn seen(hops: u8, lines: &[&str]) -> String {
        origin(hops, lines).address().to_string()
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
        assert_eq!(seen(1, &["::ffff:203.0.113.1"]), "203.0.113.1", "one address, one text");
    }

    #[test]
    fn as_text_it_is_the_connections_other_end_or_what_proxies_say() {
        assert_eq!(origin(0, &["203.0.113.1"]).to_string(), "10.0.0.9:999");
        assert_eq!(origin(1, &["203.0.113.1"]).to_string(), "203.0.113.1");
    }
}

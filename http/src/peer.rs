//! Who sent a request: the socket's address, or, behind trusted proxies, what they say in `X-Forwarded-For`.
//!
//! Each proxy appends the address it was called from, so the header is read from the right: hops that are trusted
//! proxies themselves are skipped, and the first that is not is the buyer. What stands further left was written by the
//! buyer and proves nothing.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Who sent a request.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    pub socket: SocketAddr,
    /// The buyer's address: the rightmost untrusted `X-Forwarded-For` hop when the socket is a trusted proxy, else the
    /// socket's. An IPv4 address in IPv6 clothes is shown as IPv4.
    pub address: IpAddr,
    /// Whether the socket's address is in `trusted_proxies`: only then are its identity headers to be believed.
    pub trusted: bool,
}

impl Peer {
    pub(crate) fn find(socket: SocketAddr, headers: &HeaderMap, trusted_proxies: &[IpNet]) -> Self {
        let own = socket.ip().to_canonical();
        if !is_trusted(own, trusted_proxies) {
            return Self { socket, address: own, trusted: false };
        }
        let address = forwarded_for(headers, trusted_proxies).unwrap_or(own);
        Self { socket, address, trusted: true }
    }
}

fn is_trusted(address: IpAddr, trusted_proxies: &[IpNet]) -> bool {
    trusted_proxies.iter().any(|net| net.contains(&address))
}

/// `None` when there is no such header or a hop cannot be read before an untrusted one is found. When every hop is a
/// trusted proxy, the first one spoke for itself.
fn forwarded_for(headers: &HeaderMap, trusted_proxies: &[IpNet]) -> Option<IpAddr> {
    let mut leftmost = None;
    for line in headers.get_all(FORWARDED_FOR).iter().rev() {
        for hop in line.to_str().ok()?.rsplit(',') {
            let address = parse_hop(hop.trim())?;
            if !is_trusted(address, trusted_proxies) {
                return Some(address);
            }
            leftmost = Some(address);
        }
    }
    leftmost
}

/// An address, bare or with a port, IPv6 in brackets or not: all are seen in the wild.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bracketed = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bracketed {
        Some(inside) => IpAddr::V6(inside.parse().ok()?),
        None => hop
            .parse::<IpAddr>()
            .or_else(|_| hop.parse::<SocketAddr>().map(|socket| socket.ip()))
            .ok()?,
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(socket: &str, lines: &[&'static str]) -> (String, bool) {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, http::HeaderValue::from_static(line));
        }
        let peer = Peer::find(format!("{socket}:9").parse().unwrap(), &headers, &trusted);
        (peer.address.to_string(), peer.trusted)
    }

    #[test]
    fn an_untrusted_socket_is_the_buyer_whatever_it_claims() {
        assert_eq!(found("203.0.113.9", &["198.51.100.1"]), ("203.0.113.9".into(), false));
        assert_eq!(found("[::ffff:203.0.113.9]", &[]), ("203.0.113.9".into(), false));
    }

    #[test]
    fn behind_trusted_proxies_the_rightmost_untrusted_hop_is_the_buyer() {
        let buyer = ("198.51.100.7".into(), true);
        for lines in [
            &["198.51.100.7"][..],
            &["1.1.1.1, 198.51.100.7"],
            &["1.1.1.1,198.51.100.7 , 10.2.3.4"],
            &["1.1.1.1", "198.51.100.7", "10.9.9.9, fd00::1"],
            &["198.51.100.7:4711"],
            &["::ffff:198.51.100.7"],
            // What the buyer wrote to the left is never read, malformed or not.
            &["<script>, 198.51.100.7, 10.0.0.2"],
        ] {
            assert_eq!(found("10.0.0.1", lines), buyer, "{lines:?}");
            assert_eq!(found("[::ffff:10.0.0.1]", lines), buyer, "{lines:?}");
        }
        assert_eq!(found("10.0.0.1", &["[2001:db8::5]:443"]).0, "2001:db8::5");
        assert_eq!(found("10.0.0.1", &["[2001:db8::5]"]).0, "2001:db8::5");
    }

    #[test]
    fn a_header_that_cannot_be_read_falls_back_to_the_socket() {
        for lines in [
            &[][..],
            &[""],
            &["unknown"],
            &["198.51.100.7, bad"],
            &["198.51.100.7, "],
            &["198.51.100.7, [10.0.0.2]"],
        ] {
            assert_eq!(found("10.0.0.1", lines), ("10.0.0.1".into(), true), "{lines:?}");
        }
    }

    #[test]
    fn when_every_hop_is_trusted_the_first_spoke_for_itself() {
        assert_eq!(found("10.0.0.1", &["10.0.0.7, 10.0.0.8"]), ("10.0.0.7".into(), true));
    }
}

//! Whose address a request was sent to. An admin listener answers its own names only: a page that makes a browser resolve
//! its name to ours (DNS rebinding) still sends that name.

use http::{StatusCode, Version, header::HOST};

use crate::{
    Problem, Request,
    exchange::{Authority, request_authority},
};

#[derive(Debug)]
pub(super) struct Hosts {
    allowed: Option<Vec<Allowed>>,
    any_host_paths: Vec<String>,
}

#[derive(Debug)]
struct Allowed {
    host: String,
    port: Option<u16>,
}

impl Hosts {
    /// An entry that is not `host` or `host:port` allows nothing.
    pub(super) fn new(allowed: Option<Vec<String>>, any_host_paths: Vec<String>) -> Self {
        let parse = |entry: String| {
            // A bare IPv6 address has colons of its own.
            let bare = entry.parse::<std::net::Ipv6Addr>().is_ok();
            let authority = if bare {
                Some(Authority { host: &entry, port: None })
            } else {
                Authority::parse(&entry)
            };
            authority.map(|Authority { host, port }| Allowed { host: host.to_owned(), port })
        };
        let allowed = allowed.map(|entries| entries.into_iter().filter_map(parse).collect());
        Self { allowed, any_host_paths }
    }

    /// 400 without exactly one `Host` (RFC 9112, section 3.2), 421 for one that is not ours.
    pub(super) fn check(&self, request: &Request) -> Result<(), Problem> {
        let mut hosts = request.headers().get_all(HOST).iter();
        let one = hosts.next().is_some() && hosts.next().is_none();
        if !one && request.version() == Version::HTTP_11 {
            return Err(Problem::bad_request(
                "An HTTP/1.1 request must have exactly one Host header.",
            ));
        }
        match &self.allowed {
            None => Ok(()),
            Some(_) if self.any_host_paths.iter().any(|path| path == request.uri().path()) => {
                Ok(())
            }
            Some(allowed) => {
                let asked = request_authority(request).and_then(Authority::parse);
                if asked.is_some_and(|asked| allowed.iter().any(|entry| entry.covers(asked))) {
                    return Ok(());
                }
                let detail = "This server does not answer for that Host. Call it by a name it was told is its own.";
                Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "misdirected_request", detail))
            }
        }
    }
}

impl Allowed {
    fn covers(&self, asked: Authority<'_>) -> bool {
        self.host.eq_ignore_ascii_case(asked.host)
            && (self.port.is_none() || self.port == asked.port)
    }
}

//! Where the mail server is, read from a URL, and how the way there is protected.

use std::str::FromStr;

use http::Uri;
use sluice_http::client::is_loopback;

/// Submission under TLS, submission with STARTTLS (RFC 8314), and plain SMTP.
const TLS_PORT: u16 = 465;
const STARTTLS_PORT: u16 = 587;
const CLEAR_PORT: u16 = 25;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Security {
    /// Only to this machine.
    Clear,
    /// In the clear until both have agreed on TLS; without that, nothing is said.
    StartTls,
    Tls,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct MailServer {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct BadServer;

impl FromStr for MailServer {
    type Err = BadServer;

    fn from_str(url: &str) -> Result<Self, BadServer> {
        let uri: Uri = url.parse().map_err(|_| BadServer)?;
        let authority = uri.authority().ok_or(BadServer)?;
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if authority.as_str().contains('@') || authority.host().is_empty() || !bare {
            return Err(BadServer);
        }
        let (security, port) = match uri.scheme_str() {
            Some("smtps") => (Security::Tls, TLS_PORT),
            Some("smtp") if is_loopback(authority.host()) => (Security::Clear, CLEAR_PORT),
            Some("smtp") => (Security::StartTls, STARTTLS_PORT),
            _ => return Err(BadServer),
        };
        // What is no port the parser would leave out without a word.
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => port,
            Some(rest) => rest
                .strip_prefix(':')
                .and_then(|digits| digits.parse().ok())
                .filter(|port| *port > 0)
                .ok_or(BadServer)?,
            None => return Err(BadServer),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port, security })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_clear_only_to_this_machine() {
        for (url, host, port, security) in [
            ("smtps://mail.example.com", "mail.example.com", 465, Security::Tls),
            ("smtps://127.0.0.1:1465/", "127.0.0.1", 1465, Security::Tls),
            ("smtp://mail.example.com", "mail.example.com", 587, Security::StartTls),
            ("smtp://10.0.0.1:25", "10.0.0.1", 25, Security::StartTls),
            ("smtp://127.0.0.1.example.com", "127.0.0.1.example.com", 587, Security::StartTls),
            ("smtp://127.0.0.1", "127.0.0.1", 25, Security::Clear),
            ("smtp://localhost:2525", "localhost", 2525, Security::Clear),
            ("smtp://[::1]:2525", "::1", 2525, Security::Clear),
        ] {
            let read = url.parse::<MailServer>();
            assert_eq!(read, Ok(MailServer { host: host.into(), port, security }), "{url}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "mail.example.com",
            "mail.example.com:25",
            "http://127.0.0.1",
            "smtp://",
            "smtp://ada:secret@mail.example.com",
            "smtp://mail.example.com/inbox",
            "smtp://mail.example.com?tls=opportunistic",
            "smtp://mail.example.com:0",
            "smtp://mail.example.com:99999",
        ] {
            assert_eq!(bad.parse::<MailServer>(), Err(BadServer), "{bad}");
        }
    }
}

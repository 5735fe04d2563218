//! Where a broker is, and as whom to log in. Printed without the password.

use std::fmt;

use lapin::uri::{AMQPScheme, AMQPUri};

/// One address out of the configuration.
#[derive(Clone, Eq, PartialEq)]
pub(super) struct Address {
    uri: AMQPUri,
}

/// Why a text is not an address. It never repeats the text, which may hold a password.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadAddress {
    #[error("none is given")]
    None,
    #[error("number {position} is not of the form amqp://user:password@host:5672/vhost")]
    Form { position: usize },
    #[error(
        "number {position} ends in / and so names the virtual host with the empty name; write %2f for the usual one"
    )]
    EmptyVhost { position: usize },
}

impl Address {
    /// Reads addresses; `position` in an error counts from 1.
    pub(super) fn read(urls: &[String], heartbeat_seconds: u16) -> Result<Vec<Self>, BadAddress> {
        if urls.is_empty() {
            return Err(BadAddress::None);
        }
        let read = |(index, url): (usize, &String)| Self::parse(url, index + 1, heartbeat_seconds);
        urls.iter().enumerate().map(read).collect()
    }

    fn parse(url: &str, position: usize, heartbeat_seconds: u16) -> Result<Self, BadAddress> {
        let form = BadAddress::Form { position };
        let mut uri: AMQPUri = url.parse().map_err(|_| form.clone())?;
        let (_, rest) = url.split_once("://").ok_or(form)?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        // The parser takes an address in brackets for no host at all, and falls back to this machine.
        if let Some((_, bracketed)) = authority.rsplit_once('[')
            && let Some((host, _)) = bracketed.split_once(']')
        {
            host.clone_into(&mut uri.authority.host);
        }
        if uri.vhost.is_empty() {
            return Err(BadAddress::EmptyVhost { position });
        }
        uri.query.heartbeat = Some(heartbeat_seconds);
        Ok(Self { uri })
    }

    pub(super) fn uri(&self) -> AMQPUri {
        self.uri.clone()
    }

    pub(super) fn host(&self) -> &str {
        &self.uri.authority.host
    }

    pub(super) fn port(&self) -> u16 {
        self.uri.authority.port
    }

    pub(super) fn user(&self) -> &str {
        &self.uri.authority.userinfo.username
    }

    pub(super) fn vhost(&self) -> &str {
        &self.uri.vhost
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.uri.scheme == AMQPScheme::AMQPS
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uri } = self;
        let bare = !uri.authority.host.contains(':');
        let (open, close) = if bare { ("", "") } else { ("[", "]") };
        let (host, port) = (&uri.authority.host, uri.authority.port);
        write!(f, "{}://{open}{host}{close}:{port} (virtual host {})", uri.scheme, uri.vhost)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Address, BadAddress> {
        Address::parse(url, 1, 3)
    }

    #[test]
    fn an_address_is_read_and_printed_without_its_password() {
        let address = read("amqp://ops:s3cret@mq-1:5673/%2f?heartbeat=60").unwrap();
        assert_eq!((address.host(), address.port(), address.user()), ("mq-1", 5673, "ops"));
        assert_eq!(address.vhost(), "/");
        assert_eq!(address.uri().query.heartbeat, Some(3), "ours, whatever the address says");
        let printed = format!("{address} {address:?}");
        assert!(!printed.contains("s3cret"), "{printed}");
        assert!(read("amqps://mq/shop").unwrap().is_encrypted());
    }

    #[test]
    fn an_address_in_brackets_is_not_taken_for_this_machine() {
        assert_eq!(read("amqp://[2001:db8::7]:5672/%2f").unwrap().host(), "2001:db8::7");
        assert_eq!(read("amqp://u:p@[::1]/%2f").unwrap().host(), "::1");
        assert_eq!(read("amqp://mq/%2f").unwrap().to_string(), "amqp://mq:5672 (virtual host /)");
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for url in ["", "mq-1:5672", "redis://u:s3cret@mq", "amqp:s3cret"] {
            let error = read(url).unwrap_err();
            assert_eq!(error, BadAddress::Form { position: 1 }, "{url}");
            assert!(!error.to_string().contains("s3cret"));
        }
        assert_eq!(read("amqp://mq/"), Err(BadAddress::EmptyVhost { position: 1 }));
        assert_eq!(Address::read(&[], 3), Err(BadAddress::None));
    }
}

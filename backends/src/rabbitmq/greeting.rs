//! A broker's greeting, read before anything else: whether it is RabbitMQ, and new enough.
//!
//! The client library keeps what the broker says about itself to itself, so a connection of our own listens to it and
//! hangs up (AMQP 0-9-1, sections 2.3.5 and 1.4.2.1).

use std::{io, sync::Arc};

use async_rs::Runtime;
use futures_util::io::{AsyncReadExt, AsyncWriteExt};
use lapin::types::{AMQPValue, FieldTable, parsing::parse_field_table};
use tokio::time::timeout;

use super::{
    address::Address,
    dial::{self, DialSettings, Plug, Transport},
    open::OpenError,
};

/// Quorum queues with a time to live, and at-least-once dead-lettering, came with it.
pub(super) const OLDEST: Version = Version { major: 3, minor: 10 };
/// What a client says first.
const HELLO: &[u8; 8] = b"AMQP\x00\x00\x09\x01";
/// Largest greeting that is read, in bytes; RabbitMQ's has about 500.
const GREETING_BYTES_MAX: u32 = 64 * 1024;
/// A method frame on channel 0.
const METHOD_ON_ZERO: [u8; 3] = [1, 0, 0];
/// Class `connection`, method `start`, then two bytes of protocol version.
const START: [u8; 4] = [0, 10, 0, 10];
const PROPERTIES_AT: usize = 6;

/// The part of a broker's version that matters.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(['.', '-', '+']);
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        Some(Self { major, minor })
    }
}

/// Listens to the broker's greeting, and hangs up.
pub(super) async fn check(address: &Address, settings: &DialSettings) -> Result<(), OpenError> {
    let plug = Arc::new(Plug::default());
    let listen = async {
        let runtime = Runtime::tokio_current();
        let mut transport = dial::transport(&runtime, address, settings, &plug).await?;
        let heard = hear(&mut transport).await;
        heard.map_err(|source| {
            let at = address.to_string();
            if source.kind() == io::ErrorKind::InvalidData {
                OpenError::Foreign { at, source }
            } else {
                OpenError::Unreachable { at, source }
            }
        })
    };
    let heard = timeout(settings.handshake_timeout, listen).await;
    plug.pull();
    let silent =
        || OpenError::Silent { at: address.to_string(), limit: settings.handshake_timeout };
    judge(address, &heard.map_err(|_| silent())??)
}

/// The properties a broker tells of itself. `InvalidData`: it is no broker.
async fn hear(transport: &mut Transport) -> io::Result<FieldTable> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    transport.write_all(HELLO).await?;
    transport.flush().await?;
    let mut head = [0; 7];
    // One that hangs up may be about to start; one that answers otherwise is something else.
    transport.read_exact(&mut head).await?;
    let [kind, high, low, size @ ..] = head;
    let size = u32::from_be_bytes(size);
    if [kind, high, low] != METHOD_ON_ZERO || size > GREETING_BYTES_MAX {
        return Err(invalid());
    }
    let mut body = vec![0; usize::try_from(size).map_err(|_| invalid())?];
    transport.read_exact(&mut body).await?;
    if !body.starts_with(&START) {
        return Err(invalid());
    }
    let properties = body.get(PROPERTIES_AT..).ok_or_else(invalid)?;
    let (_, properties) = parse_field_table(properties).map_err(|_| invalid())?;
    Ok(properties)
}

fn judge(address: &Address, properties: &FieldTable) -> Result<(), OpenError> {
    let (product, found) = (text(properties, "product"), text(properties, "version"));
    let new_enough = Version::parse(&found).is_some_and(|version| version >= OLDEST);
    if product == "RabbitMQ" && new_enough {
        tracing::debug!(at = %address, version = found, "the broker's version is known");
        return Ok(());
    }
    Err(OpenError::Version { at: address.to_string(), product, found })
}

fn text(properties: &FieldTable, key: &str) -> String {
    match properties.inner().get(key) {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (text, enough) in [
            ("3.9.29", false),
            ("3.10.0", true),
            ("3.10.8", true),
            ("3.13.7", true),
            ("4.1.0-rc.1", true),
            ("2.99", false),
        ] {
            let version = Version::parse(text).unwrap();
            assert_eq!(version >= OLDEST, enough, "{text}");
        }
        for text in ["", "4", "four.one", "3."] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}

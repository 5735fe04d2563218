//! Why a broker could not be used at start: what, where, and how to mend it.

use std::{io, time::Duration};

use super::address::BadAddress;

/// Nothing was changed, except that queues and exchanges may have been declared.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the address of RabbitMQ cannot be used; correct rabbitmq.url (or rabbitmq.urls)")]
    Address(#[source] BadAddress),
    #[error(
        "RabbitMQ at {at} cannot be reached; check that it runs, that the address is right, and that no firewall is between"
    )]
    Unreachable { at: String, source: io::Error },
    #[error(
        "{at} accepts connections but says nothing within {limit:?}; check that it is RabbitMQ's AMQP port, and that the broker is not overloaded or frozen"
    )]
    Silent { at: String, limit: Duration },
    #[error(
        "{at} does not speak AMQP 0-9-1; check the port (5672, or 5671 with TLS) and whether the address must begin with amqps"
    )]
    Foreign { at: String, source: io::Error },
    #[error("{at} is {product:?} {found:?}; RabbitMQ 3.10 or newer is needed: upgrade it")]
    Version { at: String, product: String, found: String },
    #[error(
        "no encrypted connection to {at}; check the broker's certificate and the authority it is checked against"
    )]
    Tls { at: String, source: io::Error },
    #[error(
        "RabbitMQ at {at} refused user {user:?}; check name and password in rabbitmq.url (guest may only come from the broker's own machine)"
    )]
    Login { at: String, user: String, source: Box<lapin::Error> },
    #[error(
        "RabbitMQ at {at} has no virtual host {vhost:?} for user {user:?}; make it (rabbitmqctl add_vhost), permit the user (rabbitmqctl set_permissions), or correct rabbitmq.url"
    )]
    Vhost { at: String, vhost: String, user: String, source: Box<lapin::Error> },
    #[error("the connection to RabbitMQ at {at} was not opened; its log says why")]
    Handshake { at: String, source: Box<lapin::Error> },
    #[error(
        "the {kind} {name} exists in virtual host {vhost:?} with other properties than Sluice needs; empty it and delete it, so that it is declared anew, or give Sluice a virtual host of its own"
    )]
    Mismatch { kind: &'static str, name: String, vhost: String, source: Box<lapin::Error> },
    #[error(
        "user {user:?} may not declare or use the {kind} {name}; permit it (rabbitmqctl set_permissions -p {vhost} {user} \".*\" \".*\" \".*\")"
    )]
    Denied {
        kind: &'static str,
        name: String,
        vhost: String,
        user: String,
        source: Box<lapin::Error>,
    },
    #[error("RabbitMQ at {at} did not finish {what}; its log says why")]
    Setup { at: String, what: String, source: Box<super::fault::Fault> },
}

impl OpenError {
    /// Whether waiting a little may help: a broker that is starting. All else needs somebody's hand.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Handshake { .. }
            | Self::Setup { .. } => true,
            Self::Address(_)
            | Self::Foreign { .. }
            | Self::Version { .. }
            | Self::Tls { .. }
            | Self::Login { .. }
            | Self::Vhost { .. }
            | Self::Mismatch { .. }
            | Self::Denied { .. } => false,
        }
    }
}

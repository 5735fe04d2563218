//! What can go wrong, twice told: at start, to the person who has to mend it; later, to the roles, as what to do about it.

use std::time::Duration;

use redis::{ErrorKind, RedisError};
use sluice_core::ports::PortError;

use super::endpoint::BadUrl;
use crate::tls;

/// Why the backend could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("redis.urls")]
    Url(#[source] BadUrl),
    #[error(
        "Redis at {address} refused the connection: nothing listens there; start the server or correct redis.urls"
    )]
    Refused { address: String, source: RedisError },
    #[error(
        "Redis at {address} cannot be reached; check the host name, the network and redis.urls"
    )]
    Unreachable { address: String, source: RedisError },
    #[error(
        "no encrypted connection to Redis at {address}; check its certificate, and redis.ca_file for an authority of your own"
    )]
    Tls { address: String, source: RedisError },
    #[error(
        "Redis at {address} was silent for {waited:?}: it accepts connections, or drops them unseen, and says nothing; \
         check for a frozen server, a firewall, or a port of something else"
    )]
    Silent { address: String, waited: Duration },
    #[error("Redis at {address} does not accept the user and password of redis.urls")]
    WrongPassword { address: String, source: RedisError },
    #[error(
        "the user of redis.urls may not do what is needed on Redis at {address}; allow EVALSHA, SCRIPT LOAD, INFO, ROLE, TIME, \
         and the hash, list, sorted set and key commands on its keys"
    )]
    NotAllowed { address: String, source: RedisError },
    #[error("Redis at {address} is version {found}; 6.2 or later is needed")]
    WrongVersion { address: String, found: String },
    #[error(
        "Redis at {address} forgets keys when its memory is full (maxmemory-policy {policy}); set maxmemory-policy noeviction"
    )]
    Evicting { address: String, policy: String },
    #[error(
        "Redis at {address} is a replica; name the primary in redis.urls, or its sentinels as redis+sentinel://"
    )]
    Replica { address: String },
    #[error("Redis at {address} is still reading its data from the disk")]
    Loading { address: String },
    #[error("Redis at {address} is full: it refuses writes; raise maxmemory, or free memory there")]
    Full { address: String, source: RedisError },
    #[error("Redis at {address} belongs to no cluster; use redis:// instead of redis+cluster://")]
    NotACluster { address: String },
    #[error("the sentinel at {address} knows no master named {master}; correct redis.urls")]
    UnknownMaster { address: String, master: String },
    #[error("Redis at {address} answers with an error")]
    Failing { address: String, source: RedisError },
}

impl OpenError {
    /// What a library's error says about the server at `address`.
    pub(super) fn from_error(address: &str, source: RedisError) -> Self {
        let address = address.to_owned();
        if source.is_connection_refusal() {
            Self::Refused { address, source }
        } else if tls::is_at_fault(&source) {
            Self::Tls { address, source }
        } else if source.kind() == ErrorKind::AuthenticationFailed
            || says(&source, "WRONGPASS")
            || says(&source, "NOAUTH")
        {
            Self::WrongPassword { address, source }
        } else if says(&source, "NOPERM") {
            Self::NotAllowed { address, source }
        } else if says(&source, "LOADING") {
            Self::Loading { address }
        } else if is_full(&source) {
            Self::Full { address, source }
        } else if source.is_io_error() {
            Self::Unreachable { address, source }
        } else {
            Self::Failing { address, source }
        }
    }

    /// Whether the same may go well a little later without anybody's doing.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Replica { .. }
            | Self::Loading { .. }
            | Self::UnknownMaster { .. }
            | Self::Failing { .. } => true,
            Self::Url(_)
            | Self::Tls { .. }
            | Self::WrongPassword { .. }
            | Self::NotAllowed { .. }
            | Self::WrongVersion { .. }
            | Self::Evicting { .. }
            | Self::Full { .. }
            | Self::NotACluster { .. } => false,
        }
    }
}

/// Why a call was not made or not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallFault {
    #[error("there is no connection to Redis at present")]
    Away,
    #[error("Redis left too many calls in a row unanswered")]
    Breaker,
    #[error("Redis did not answer within {0:?}")]
    Silent(Duration),
    #[error("Redis answered what no script of ours says")]
    Damaged,
}

impl From<CallFault> for PortError {
    fn from(fault: CallFault) -> Self {
        Self::unavailable(fault)
    }
}

/// What a server's error asks of the caller.
pub(super) fn port_error(error: RedisError) -> PortError {
    match error.code() {
        Some("COLD") => PortError::Cold,
        Some("FENCED") => PortError::Fenced,
        Some(_) | None if is_full(&error) => PortError::Full,
        Some(_) | None => PortError::unavailable(error),
    }
}

fn is_full(error: &RedisError) -> bool {
    says(error, "OOM")
}

/// Whether the error carries this code. Before Redis 7 a script's own fault comes wrapped in another.
pub(super) fn says(error: &RedisError, code: &str) -> bool {
    let wrapped = || error.detail().is_some_and(|detail| detail.contains(&format!("-{code} ")));
    error.code() == Some(code) || wrapped()
}

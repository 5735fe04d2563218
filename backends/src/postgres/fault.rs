//! What can go wrong with an operation, told as what to do about it; and what of it the port's caller hears.

use std::time::Duration;

use sluice_core::ports::PortError;

/// Why an operation did not come to its end.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(sqlx::Error),
    /// Somebody else was faster between two looks. Nothing is wrong: the whole of it is done again.
    Raced,
    /// No connection came free.
    Busy(Duration),
    /// The server did not take us in.
    Connect(sqlx::Error),
    /// It took longer than it may.
    Late(Duration),
    /// The process is closing the ledger.
    Closing,
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

/// What to do about a fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Remedy {
    /// The transaction was rolled back for no fault of its own: do the whole of it again.
    Again,
    /// The connection is gone: whether a commit was done is not known.
    Reconnect,
    /// A constraint refused it.
    Constraint,
    /// It will not get better by asking again now.
    None,
}

/// Serialization failure, deadlock, and what a server says that ends a connection in a shutdown or a failover.
const AGAIN: [&str; 2] = ["40001", "40P01"];
const GONE: [&str; 4] = ["57P01", "57P02", "57P03", "57P05"];
/// A statement was cancelled, and a lock was waited for, longer than it may take.
const TOO_LATE: [&str; 2] = ["57014", "55P03"];
/// The statement was prepared before the schema changed under it; a new connection prepares it anew.
const STALE_PLAN: [&str; 2] = ["0A000", "26000"];
/// An idle transaction was ended by the server.
const IDLE_ENDED: &str = "25P03";

impl Fault {
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            Self::Raced => Remedy::Again,
            Self::Sql(error) => remedy_of(error),
            Self::Busy(_) | Self::Connect(_) | Self::Late(_) | Self::Closing => Remedy::None,
        }
    }

    pub(super) fn is_constraint(&self) -> bool {
        self.remedy() == Remedy::Constraint
    }

    /// Whether the server itself was not to be had, as against an answer we did not like.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Late(_) => true,
            Self::Sql(_) => self.remedy() == Remedy::Reconnect,
            Self::Busy(_) | Self::Raced | Self::Closing => false,
        }
    }
}

fn remedy_of(error: &sqlx::Error) -> Remedy {
    let Some(answer) = error.as_database_error() else {
        return if is_broken(error) { Remedy::Reconnect } else { Remedy::None };
    };
    let code = answer.code().unwrap_or_default();
    let code = code.as_ref();
    if AGAIN.contains(&code) {
        Remedy::Again
    } else if GONE.contains(&code)
        || STALE_PLAN.contains(&code)
        || code == IDLE_ENDED
        || code.starts_with("08")
    {
        Remedy::Reconnect
    } else if code.starts_with("23") {
        Remedy::Constraint
    } else {
        Remedy::None
    }
}

/// The conversation broke off, or went where we cannot follow.
fn is_broken(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed
    )
}

/// A fault as it is logged. The server's details name values of rows, buyers among them: they are left out.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("PostgreSQL refused it: {message} ({code}{})", .constraint.as_deref().map(|name| format!(", {name}")).unwrap_or_default())]
    Refused { code: String, message: String, constraint: Option<String> },
    #[error("the conversation with PostgreSQL failed")]
    Broken(#[source] sqlx::Error),
    #[error("PostgreSQL could not be reached")]
    Connect(#[source] Box<StoreError>),
    #[error("no connection to PostgreSQL came free within {0:?}")]
    Busy(Duration),
    #[error("PostgreSQL did not answer within {0:?}: whether it was done is not known")]
    Late(Duration),
    #[error("others changed the same rows each time it was tried")]
    Raced,
    #[error("the ledger is closed")]
    Closed,
    #[error("{0}")]
    Misuse(&'static str),
    #[error("the operation panicked")]
    Panicked,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let Some(answer) = error.as_database_error() else { return Self::Broken(error) };
        Self::Refused {
            code: answer.code().unwrap_or_default().into_owned(),
            message: answer.message().to_owned(),
            constraint: answer.constraint().map(ToOwned::to_owned),
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Sql(error) => error.into(),
            Fault::Raced => Self::Raced,
            Fault::Busy(waited) => Self::Busy(waited),
            Fault::Connect(error) => Self::Connect(Box::new(error.into())),
            Fault::Late(waited) => Self::Late(waited),
            Fault::Closing => Self::Closed,
        }
    }
}

impl StoreError {
    /// The server is out of connections, disk or memory, and took nothing.
    fn is_full(&self) -> bool {
        match self {
            Self::Refused { code, .. } => code.starts_with("53"),
            Self::Connect(cause) => cause.is_full(),
            Self::Broken(_)
            | Self::Busy(_)
            | Self::Late(_)
            | Self::Raced
            | Self::Closed
            | Self::Misuse(_)
            | Self::Panicked => false,
        }
    }

    /// The server said nothing about the work itself: it was out of reach, or something was waited for too long.
    fn is_silence(&self) -> bool {
        match self {
            Self::Refused { code, .. } => TOO_LATE.contains(&code.as_str()),
            Self::Broken(error) => is_broken(error),
            Self::Connect(_) | Self::Busy(_) | Self::Late(_) | Self::Closed => true,
            Self::Raced | Self::Misuse(_) | Self::Panicked => false,
        }
    }
}

impl From<StoreError> for PortError {
    fn from(error: StoreError) -> Self {
        if error.is_full() {
            Self::Full
        } else if error.is_silence() {
            Self::silent(error)
        } else {
            Self::unavailable(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> StoreError {
        StoreError::Refused { code: code.into(), message: "no".into(), constraint: None }
    }

    #[test]
    fn a_full_server_sheds_and_any_other_is_asked_again() {
        for code in ["53100", "53200", "53300"] {
            assert!(matches!(PortError::from(refused(code)), PortError::Full), "{code}");
            let at_connect = StoreError::Connect(Box::new(refused(code)));
            assert!(matches!(PortError::from(at_connect), PortError::Full), "{code}");
        }
        for code in ["25006", "57014", "55P03", "42501"] {
            assert!(matches!(PortError::from(refused(code)), PortError::Unavailable(_)), "{code}");
        }
    }

    #[test]
    fn only_what_the_server_says_of_the_work_is_an_answer() {
        let broken = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        let silences = [
            StoreError::Broken(broken),
            StoreError::Connect(Box::new(refused("28P01"))),
            StoreError::Busy(Duration::ZERO),
            StoreError::Late(Duration::ZERO),
            StoreError::Closed,
            refused("57014"),
            refused("55P03"),
        ];
        for silence in silences {
            let told = silence.to_string();
            let error = PortError::from(silence);
            assert!(error.is_silence(), "{told}");
            assert!(matches!(error, PortError::Unavailable(cause) if cause.to_string() == told));
        }
        for answer in
            [refused("23514"), refused("P0001"), StoreError::Broken(sqlx::Error::RowNotFound)]
        {
            let told = answer.to_string();
            assert!(!PortError::from(answer).is_silence(), "{told}");
        }
    }

    #[test]
    fn what_was_rolled_back_is_done_again_and_what_broke_is_reconnected() {
        assert_eq!(Fault::Raced.remedy(), Remedy::Again);
        let broken = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert_eq!(Fault::Sql(broken).remedy(), Remedy::Reconnect);
        assert_eq!(Fault::Sql(sqlx::Error::RowNotFound).remedy(), Remedy::None);
        assert_eq!(Fault::Late(Duration::ZERO).remedy(), Remedy::None);
    }
}

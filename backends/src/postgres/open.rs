//! The first connection: who answers there, and whether it will do.

use std::{io, time::Duration};

use sluice_core::random::Random;
use sqlx::{ConnectOptions, PgConnection, Row};
use tokio::time::{Instant, sleep, timeout};

use super::{
    fault::StoreError,
    options::{Place, PostgresOptions, Server},
};
use crate::tls;

/// The oldest server whose SQL this program speaks.
const VERSION_MIN: u32 = 13;
/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Why the ledger could not be opened: what is wrong where, and how to mend it. Never with a password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "`postgres.url` is not a PostgreSQL URL; write postgres://user:password@host:port/database"
    )]
    Url,
    #[error("{place} cannot be reached; check the host's name and the network between")]
    Unreachable { place: String, source: io::Error },
    #[error(
        "{place} refuses connections; check that PostgreSQL runs there and listens on that port"
    )]
    Refused { place: String, source: io::Error },
    #[error(
        "{place} took the connection and said nothing for {waited:?}; check what listens there, and that it is not frozen"
    )]
    Silent { place: String, waited: Duration },
    #[error("{place} does not speak PostgreSQL; check host and port")]
    Foreign { place: String, source: sqlx::Error },
    #[error("{place} would not be talked to under TLS; check `sslmode` and the certificates")]
    Tls { place: String, source: sqlx::Error },
    #[error(
        "{place} does not let us in: {message}; check user and password in `postgres.url`, and pg_hba.conf"
    )]
    Denied { place: String, message: String },
    #[error("{place}: {message}; create it first: createdb")]
    NoDatabase { place: String, message: String },
    #[error(
        "{place} has no room for another connection ({message}); raise max_connections, or lower `connections_max` of the processes"
    )]
    Full { place: String, message: String },
    #[error("{place} is not ready: {message}; wait until it has started")]
    NotReady { place: String, message: String },
    #[error("{place} runs version {found}; PostgreSQL {VERSION_MIN} or newer is needed")]
    Version { place: String, found: String },
    #[error("{place} is encoded in {found}; create a database with ENCODING 'UTF8'")]
    Encoding { place: String, found: String },
    #[error(
        "{place} can only be read; name the primary server, and check default_transaction_read_only"
    )]
    ReadOnly { place: String },
    #[error(
        "{place} was migrated by a newer version (migration {found}, this program knows up to {known}); run that version"
    )]
    Newer { place: String, found: i64, known: i64 },
    #[error(
        "{place}: migration {version} is not the one this program knows; its tables were made by something else. Name another database"
    )]
    Changed { place: String, version: i64 },
    #[error(
        "{place} could not be migrated within {waited:?}; look for a process that holds a lock on its tables"
    )]
    MigrationLate { place: String, waited: Duration },
    #[error("{place} could not be migrated; check that the user may create tables in its schema")]
    Migration { place: String, source: Cause },
    #[error("{place} could not be asked what it is")]
    Asking { place: String, source: Cause },
}

/// What the library said, without the values of rows.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

impl OpenError {
    /// Whether it may get better by itself within a start.
    fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Refused { .. }
                | Self::Silent { .. }
                | Self::Full { .. }
                | Self::NotReady { .. }
        )
    }
}

/// Connects for the start, and checks who answers. Tries again, for `start_timeout`, what may get better by itself.
pub(super) async fn first_connection(
    server: &Server,
    options: &PostgresOptions,
) -> Result<PgConnection, OpenError> {
    if server.is_plain() {
        tracing::warn!(server = %server.place, "nothing asks for TLS on the way; add ?sslmode=require");
    }
    let random = Random::system();
    let end = Instant::now() + options.start_timeout;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let most = options.connect_timeout.min(left).max(Duration::from_millis(100));
        let error = match connect(server, most).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        let pause = PAUSE_MAX.mul_f64(0.2 + 0.8 * random.unit());
        if !error.may_pass() || Instant::now() + pause >= end {
            return Err(error);
        }
        tracing::info!(%error, "trying again");
        sleep(pause).await;
    }
}

async fn connect(server: &Server, most: Duration) -> Result<PgConnection, OpenError> {
    let place = &server.place;
    let look = async {
        let mut connection = server.base.connect().await.map_err(|error| told(place, error))?;
        look_over(place, &mut connection).await?;
        Ok(connection)
    };
    match timeout(most, look).await {
        Ok(looked) => looked,
        Err(_) => Err(OpenError::Silent { place: place.to_string(), waited: most }),
    }
}

/// Whether this server will do.
async fn look_over(place: &Place, connection: &mut PgConnection) -> Result<(), OpenError> {
    // It said so in its greeting.
    let found = connection.server_version_num().unwrap_or_default();
    if found / 10_000 < VERSION_MIN {
        let found = format!("{}.{}", found / 10_000, found % 10_000);
        return Err(OpenError::Version { place: place.to_string(), found });
    }
    let asked = |error| asking(place, error);
    let row = sqlx::query(sql!("connection/server")).fetch_one(connection).await.map_err(asked)?;
    let encoding: String = row.try_get(0).map_err(asked)?;
    if encoding != "UTF8" {
        return Err(OpenError::Encoding { place: place.to_string(), found: encoding });
    }
    if row.try_get(1).map_err(asked)? {
        return Err(OpenError::ReadOnly { place: place.to_string() });
    }
    Ok(())
}

fn asking(place: &Place, error: sqlx::Error) -> OpenError {
    OpenError::Asking { place: place.to_string(), source: Box::new(StoreError::from(error)) }
}

/// What a failed connection means.
fn told(place: &Place, error: sqlx::Error) -> OpenError {
    let place = place.to_string();
    if let Some(answer) = error.as_database_error() {
        let message = answer.message().to_owned();
        let code = answer.code().unwrap_or_default();
        return match code.as_ref() {
            "3D000" => OpenError::NoDatabase { place, message },
            code if code.starts_with("28") => OpenError::Denied { place, message },
            code if code.starts_with("53") => OpenError::Full { place, message },
            "57P01" | "57P02" | "57P03" => OpenError::NotReady { place, message },
            _ => OpenError::Asking { place, source: Box::new(StoreError::from(error)) },
        };
    }
    if matches!(error, sqlx::Error::Tls(_)) || tls::is_at_fault(&error) {
        return OpenError::Tls { place, source: error };
    }
    if let sqlx::Error::Io(source) = error {
        return unheard(place, source);
    }
    OpenError::Foreign { place, source: error }
}

fn unheard(place: String, source: io::Error) -> OpenError {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, UnexpectedEof};
    // Hanging up in the middle of the greeting is a refusal too: nobody we know, or a server that is going down.
    if matches!(source.kind(), ConnectionRefused | UnexpectedEof | ConnectionReset | BrokenPipe) {
        OpenError::Refused { place, source }
    } else {
        OpenError::Unreachable { place, source }
    }
}

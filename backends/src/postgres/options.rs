//! How the database is reached, and every limit, with its default.

use std::{fmt, str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgSslMode},
};

use super::open::OpenError;

/// How the ledger's database is reached. The defaults suit one process of a busy sale.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database`, with `?sslmode=require` and the like. Straight to the server: a pooler
    /// that shares sessions between transactions would lose their limits and prepared statements.
    pub url: String,
    /// Connections of this process; beyond it an operation waits. Default 8: writers of one sale queue at its stock, so
    /// that more of them add latency, not speed.
    pub connections_max: u32,
    /// Operations in hand, running or waiting for a connection; beyond it a call is `Full`. Default 4,096.
    pub operations_max: usize,
    /// How long [`open`](super::Postgres::open) goes on trying while nobody answers. Default 10 s.
    pub start_timeout: Duration,
    /// How long it may take to connect and authenticate. Default 3 s.
    pub connect_timeout: Duration,
    /// How long an operation waits for a connection; then it is `Unavailable` and was not begun. Default 3 s.
    pub acquire_timeout: Duration,
    /// How long an operation may take in all, with its repeats; then its connection is dropped, it is `Unavailable`, and may
    /// yet take effect. Default 10 s.
    pub answer_timeout: Duration,
    /// The same for what grows with a sale: its deletion, and the reading that a gate is rebuilt from. Default 5 min.
    pub long_timeout: Duration,
    /// The server ends a statement that takes longer. Default 5 s.
    pub statement_timeout: Duration,
    /// The server ends a statement that waits longer for a lock. Default 3 s.
    pub lock_timeout: Duration,
    /// The server ends a transaction that sits idle for longer: a process that froze lets go of its locks. Default 5 s.
    pub idle_transaction_timeout: Duration,
    /// How long migrations may take, and wait for another process that migrates. Default 10 min.
    pub migration_timeout: Duration,
    /// A connection is replaced when it is older. Default 30 min.
    pub lifetime_max: Duration,
    /// A connection beyond the first is closed when nobody used it for so long. Default 5 min.
    pub idle_max: Duration,
    /// How often idle connections are looked at: one that does not answer is dropped before somebody needs it. Default 5 s.
    pub watch_interval: Duration,
}

impl PostgresOptions {
    /// The defaults, for the database of this URL.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connections_max: 8,
            operations_max: 4_096,
            start_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(3),
            acquire_timeout: Duration::from_secs(3),
            answer_timeout: Duration::from_secs(10),
            long_timeout: Duration::from_secs(300),
            statement_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(3),
            idle_transaction_timeout: Duration::from_secs(5),
            migration_timeout: Duration::from_secs(600),
            lifetime_max: Duration::from_secs(1_800),
            idle_max: Duration::from_secs(300),
            watch_interval: Duration::from_secs(5),
        }
    }

    /// Reads the URL, and lays the limits into the session that every connection begins with.
    pub(super) fn server(&self) -> Result<Server, OpenError> {
        let parsed = PgConnectOptions::from_str(&self.url).map_err(|_| OpenError::Url)?;
        let place = Place {
            host: parsed.get_socket().map_or_else(
                || format!("{}:{}", parsed.get_host(), parsed.get_port()),
                |socket| socket.display().to_string(),
            ),
            database: parsed.get_database().unwrap_or(parsed.get_username()).to_owned(),
            user: parsed.get_username().to_owned(),
        };
        let parsed = parsed.application_name("sluice").statement_cache_capacity(STATEMENTS_MAX);
        let parsed = parsed.disable_statement_logging();
        let base = parsed.clone();
        let session = parsed.options([
            ("statement_timeout", millis(self.statement_timeout)),
            ("lock_timeout", millis(self.lock_timeout)),
            ("idle_in_transaction_session_timeout", millis(self.idle_transaction_timeout)),
            // The server's side of a connection whose client has vanished.
            ("tcp_keepalives_idle", "10".to_owned()),
            ("tcp_keepalives_interval", "5".to_owned()),
            ("tcp_keepalives_count", "3".to_owned()),
            ("tcp_user_timeout", millis(TCP_USER_TIMEOUT)),
            // Statements are small and prepared once, often while their tables are still empty: a plan that reads a whole
            // table looks good then, and would stay when millions of rows are in it. There is an index for everything.
            ("enable_seqscan", "off".to_owned()),
            ("jit", "off".to_owned()),
        ]);
        Ok(Server { base, session, place })
    }
}

/// Every statement of the ledger stays prepared.
const STATEMENTS_MAX: usize = 256;
/// How long the server waits for what it sent to be acknowledged.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(20);

fn millis(duration: Duration) -> String {
    format!("{}ms", duration.as_millis().max(1))
}

/// Where the database is, fit for a log: without a password.
#[derive(Clone, Debug)]
pub(super) struct Place {
    host: String,
    database: String,
    user: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}@{}/{}", self.user, self.host, self.database)
    }
}

/// What is connected to.
#[derive(Clone)]
pub(super) struct Server {
    /// Without our limits: for migrations.
    pub(super) base: PgConnectOptions,
    /// What every operation's connection begins with.
    pub(super) session: PgConnectOptions,
    pub(super) place: Place,
}

impl Server {
    /// Whether what goes over the wire can be read on the way. For a warning at start.
    pub(super) fn is_plain(&self) -> bool {
        let local = self.base.get_socket().is_some()
            || matches!(self.base.get_host(), "localhost" | "127.0.0.1" | "::1" | "[::1]");
        let unasked = matches!(
            self.base.get_ssl_mode(),
            PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer
        );
        !local && unasked
    }
}

/// A URL carries a password: it is never printed.
impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("connections_max", &self.connections_max)
            .field("answer_timeout", &self.answer_timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_has_no_password() {
        let options = PostgresOptions::new("postgres://ada:hush@db.example:5433/sales");
        let server = options.server().unwrap();
        assert_eq!(server.place.to_string(), "postgres://ada@db.example:5433/sales");
        assert!(!format!("{options:?} {}", server.place).contains("hush"));
        assert!(server.is_plain());
    }

    #[test]
    fn a_url_of_something_else_is_refused() {
        for bad in ["", "db.example", "http://[", "postgres://host:port"] {
            let options = PostgresOptions::new(bad);
            assert!(matches!(options.server(), Err(OpenError::Url)), "{bad:?}");
        }
    }
}

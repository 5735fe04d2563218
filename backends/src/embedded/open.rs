//! Opens the file: takes the lock that keeps a second process out, looks whether the file is ours, lays the schema.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};

use super::store::remedy;

/// Marks the file as ours: `PRAGMA application_id`.
const APPLICATION: i32 = 0x536c_7563;
/// The schema this program reads and writes: `PRAGMA user_version`.
const SCHEMA_VERSION: i32 = 8;
const SCHEMA: &str = include_str!("schema.sql");
const PRAGMAS: &str = include_str!("pragmas.sql");
/// How long to wait for another program, such as a backup, that has locked the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Every statement of this backend stays prepared.
const STATEMENTS_MAX: usize = 256;

/// Why the data could not be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "{} is in use by another process; stop that one, or give this one a data folder of its own",
        .file.display()
    )]
    InUse { file: PathBuf },
    #[error(
        "{} cannot be locked; check that the folder exists and that this user may write to it",
        .file.display()
    )]
    Lock { file: PathBuf, source: io::Error },
    #[error(
        "{} is a database of another program; name another folder, or move the file away",
        .file.display()
    )]
    Foreign { file: PathBuf },
    #[error(
        "{} was written by a newer version (its schema is {found}, this program knows {known}); run that version",
        .file.display()
    )]
    Newer { file: PathBuf, found: i32, known: i32 },
    #[error(
        "{} was written before the first release (its schema is {found}, this program knows {known}); move the file away",
        .file.display()
    )]
    Older { file: PathBuf, found: i32, known: i32 },
    #[error(
        "{} cannot be made; check that the folder exists and that this user may write to it",
        .file.display()
    )]
    Make { file: PathBuf, source: io::Error },
    #[error("{} could not be opened: {}", .file.display(), remedy(.source))]
    Sqlite { file: PathBuf, source: rusqlite::Error },
    #[error("the threads of the store could not be started; raise this user's limit of processes")]
    Threads { source: io::Error },
}

/// Keeps a second process out for as long as it lives.
#[derive(Debug)]
pub(super) struct Lock(
    #[expect(dead_code, reason = "the lock lasts as long as the file is open")] File,
);

/// Takes the lock beside `file`.
pub(super) fn lock(file: &Path) -> Result<Lock, OpenError> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".lock");
    let beside = PathBuf::from(beside);
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&beside);
    let opened = opened.map_err(|source| OpenError::Lock { file: beside.clone(), source })?;
    match opened.try_lock() {
        Ok(()) => Ok(Lock(opened)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { file: file.to_owned() }),
        Err(TryLockError::Error(source)) => Err(OpenError::Lock { file: beside, source }),
    }
}

/// Whether a commit waits for the disk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Durability {
    /// Answered work survives a power cut.
    Full,
    /// Answered work survives the end of the process, not a power cut: for simulations.
    Process,
}

/// The connection that writes. Call it first: it makes the file and the schema.
pub(super) fn writer(file: &Path, durability: Durability) -> Result<Connection, OpenError> {
    make_private(file).map_err(|source| OpenError::Make { file: file.to_owned(), source })?;
    let connection =
        connect(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    let named = |source| OpenError::Sqlite { file: file.to_owned(), source };
    prepare(&connection, file)?;
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Process => "OFF",
    };
    connection.pragma_update(None, "synchronous", synchronous).map_err(named)?;
    Ok(connection)
}

/// Makes the file if it is not there, for this user only: it names buyers. SQLite gives its log the same rights.
fn make_private(file: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// A connection that only reads.
pub(super) fn reader(file: &Path) -> Result<Connection, OpenError> {
    connect(file, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn connect(file: &Path, flags: OpenFlags) -> Result<Connection, OpenError> {
    let named = |source| OpenError::Sqlite { file: file.to_owned(), source };
    let connection = Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(named)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(named)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Otherwise a bound value may have a statement planned anew each time it is run.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(named)?;
    // Nothing is opened while a sale runs: when sockets have used up the files a process may open, the store goes on.
    connection.pragma_update(None, "temp_store", "MEMORY").map_err(named)?;
    Ok(connection)
}

fn prepare(connection: &Connection, file: &Path) -> Result<(), OpenError> {
    let named = |source| OpenError::Sqlite { file: file.to_owned(), source };
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, version) =
        (pragma("application_id").map_err(named)?, pragma("user_version").map_err(named)?);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(named)?;
    let file = || file.to_owned();
    let begun = match (application, version, tables) {
        (0, 0, 0) => false,
        (APPLICATION, SCHEMA_VERSION, _) => true,
        (APPLICATION, found, _) if found > SCHEMA_VERSION => {
            return Err(OpenError::Newer { file: file(), found, known: SCHEMA_VERSION });
        }
        (APPLICATION, found, _) if found > 0 => {
            return Err(OpenError::Older { file: file(), found, known: SCHEMA_VERSION });
        }
        _ => return Err(OpenError::Foreign { file: file() }),
    };
    connection.execute_batch(PRAGMAS).map_err(named)?;
    if !begun {
        lay_schema(connection).map_err(named)?;
    }
    // Whoever held a lease was this file's only process, and is gone.
    connection.execute(sql!("speaker/free_all"), []).map_err(named)?;
    Ok(())
}

/// All of it or nothing: a crash in between leaves an empty file.
fn lay_schema(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let laid = connection
        .execute_batch(SCHEMA)
        .and_then(|()| connection.pragma_update(None, "application_id", APPLICATION))
        .and_then(|()| connection.pragma_update(None, "user_version", SCHEMA_VERSION));
    match laid {
        Ok(()) => connection.execute_batch("COMMIT"),
        Err(error) => {
            let _ = connection.execute_batch("ROLLBACK");
            Err(error)
        }
    }
}

/// Whether SQLite refused because a constraint did.
pub(super) fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

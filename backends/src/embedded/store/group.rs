//! One transaction over a group of jobs: begin, a savepoint for each, commit; only then the effects and the answers.

use rusqlite::{Connection, ErrorCode};
use sluice_core::ports::{PortError, PortResult};
use tokio::sync::oneshot;

/// One job of a group, whatever it returns.
pub(super) trait Job: Send {
    /// Does its work inside the group's transaction, and keeps the value to itself.
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;

    /// The group is durable: carries the effect into memory, then answers.
    fn committed(self: Box<Self>);

    /// Answers that nothing came of it.
    fn undone(self: Box<Self>, error: PortError);
}

/// A job with its value, its effect and its answer.
pub(super) struct Task<T, W, A> {
    work: Option<W>,
    value: Option<T>,
    then: A,
    reply: oneshot::Sender<PortResult<T>>,
}

impl<T, W, A> Task<T, W, A> {
    pub(super) fn new(work: W, then: A, reply: oneshot::Sender<PortResult<T>>) -> Self {
        Self { work: Some(work), value: None, then, reply }
    }
}

impl<T, W, A> Job for Task<T, W, A>
where
    T: Send,
    W: FnOnce(&Connection) -> rusqlite::Result<T> + Send,
    A: FnOnce(&T) + Send,
{
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        if let Some(work) = self.work.take() {
            self.value = Some(work(connection)?);
        }
        Ok(())
    }

    fn committed(self: Box<Self>) {
        let Self { value, then, reply, .. } = *self;
        if let Some(value) = value {
            then(&value);
            // The caller may have given up; the effect stands.
            let _ = reply.send(Ok(value));
        }
    }

    fn undone(self: Box<Self>, error: PortError) {
        let _ = self.reply.send(Err(error));
    }
}

/// Runs a group and answers its jobs. An error means that the store can no longer be trusted: nothing of the group is
/// durable, as far as anybody can tell, and its jobs are left unanswered.
pub(super) fn commit(connection: &Connection, group: Vec<Box<dyn Job>>) -> rusqlite::Result<()> {
    if let Err(error) = execute(connection, "BEGIN IMMEDIATE") {
        if is_fatal(&error) {
            return Err(error);
        }
        // Another program holds the file's lock: nothing was begun, and a repeat may do better.
        for job in group {
            job.undone(PortError::unavailable(Locked));
        }
        return Ok(());
    }
    let mut results = Vec::with_capacity(group.len());
    for mut job in group {
        let ran = run(connection, &mut *job)?;
        results.push((job, ran));
    }
    if let Err(error) = execute(connection, "COMMIT") {
        // Whether it took effect is unknown: SQLite's own rollback decides when the file is opened again.
        let _ = execute(connection, "ROLLBACK");
        return Err(error);
    }
    for (job, ran) in results {
        match ran {
            Ok(()) => job.committed(),
            Err(error) => job.undone(PortError::unavailable(error)),
        }
    }
    Ok(())
}

/// Another program has the file's write lock.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("another program has locked the embedded store's file")]
struct Locked;

/// The outer error is fatal, the inner one is the job's own: what it wrote is undone.
fn run(connection: &Connection, job: &mut dyn Job) -> rusqlite::Result<rusqlite::Result<()>> {
    execute(connection, "SAVEPOINT job")?;
    match job.run(connection) {
        Ok(()) => {
            execute(connection, "RELEASE job")?;
            Ok(Ok(()))
        }
        // SQLite ends the whole transaction by itself on faults such as a full disk.
        Err(error) if connection.is_autocommit() || is_fatal(&error) => {
            let _ = execute(connection, "ROLLBACK");
            Err(error)
        }
        Err(error) => {
            execute(connection, "ROLLBACK TO job")?;
            execute(connection, "RELEASE job")?;
            Ok(Err(error))
        }
    }
}

fn is_fatal(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::OutOfMemory
                | ErrorCode::InternalMalfunction
        )
    )
}

/// Reads at one consistent moment.
pub(super) fn read<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    execute(connection, "BEGIN")?;
    let value = work(connection);
    execute(connection, "COMMIT").or_else(|_| execute(connection, "ROLLBACK"))?;
    value
}

/// Writes the log back into the file; the file is whole either way.
pub(super) fn checkpoint(connection: &Connection) {
    let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

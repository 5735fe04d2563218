//! Why the store stopped for good, in words for whoever runs the process.

use std::{fmt, path::PathBuf, sync::Arc};

use rusqlite::ErrorCode;

/// A commit failed. Nothing is stored any more; the process must say so and end.
#[derive(Clone, Debug)]
pub struct Failure {
    file: PathBuf,
    source: Arc<rusqlite::Error>,
}

impl Failure {
    pub(super) fn new(file: PathBuf, source: rusqlite::Error) -> Self {
        Self { file, source: Arc::new(source) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        write!(f, "could not write to {file}: {}", remedy(&self.source))
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}

/// What went wrong with a file, and what helps.
pub(in crate::embedded) fn remedy(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full; free some space and start again",
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            "it may not be written to; give this user write permission on the file and its folder"
        }
        Some(ErrorCode::CannotOpen) => {
            "it cannot be opened; check that the folder exists and that this user may write to it"
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            "it is damaged; restore it from a backup, or move it away to begin anew"
        }
        Some(ErrorCode::NotADatabase) => {
            "it is not an SQLite database; name another folder, or move the file away"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program has locked it; close whatever else has it open and start again"
        }
        Some(ErrorCode::SystemIoFailure) => {
            "the disk reported a fault; check the disk and the system's log"
        }
        _ => "SQLite refused; its message tells why",
    }
}

//! Exit codes, as the contract fixes them, and the one place where a fault becomes the last words of the process.

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use crate::config::ConfigError;

const USAGE: u8 = 64;
const UNREACHABLE: u8 = 69;
const BROKEN: u8 = 70;

/// A store could not be reached, or opened, at start: exit code 69.
#[derive(Debug)]
pub(crate) struct Unreachable(pub(crate) anyhow::Error);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for Unreachable {}

/// An invariant broke: exit code 70. The report has been printed.
#[derive(Debug)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an invariant broke; see the report")
    }
}

impl std::error::Error for Broken {}

/// A command line that names something impossible: exit code 64.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Help and version exit 0, everything else clap says is 64.
pub(crate) fn command_line(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    if error.use_stderr() || printed.is_err() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
}

/// Prints what went wrong, and maps it to its code.
pub(crate) fn code(ended: anyhow::Result<()>) -> ExitCode {
    let Err(error) = ended else { return ExitCode::SUCCESS };
    if is_closed_pipe(&error) {
        return ExitCode::SUCCESS;
    }
    // Nothing is left to do about a standard error that cannot be written.
    let _ = writeln!(io::stderr(), "sluice: {error:#}");
    if error.is::<ConfigError>() || error.is::<Usage>() {
        ExitCode::from(USAGE)
    } else if error.is::<Unreachable>() {
        ExitCode::from(UNREACHABLE)
    } else if error.is::<Broken>() {
        ExitCode::from(BROKEN)
    } else {
        ExitCode::FAILURE
    }
}

/// `sluice sale list | head`: the reader went away, which is no fault of ours.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

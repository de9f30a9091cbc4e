//! A host's own way to log, which takes the place of files and streams: Python's `logging`.

use std::fmt::Debug;
use std::time::Duration;

use ferricorn_config::LogLevel;
use ferricorn_protocol::Cause;

/// See the module's first line. Its methods do not wait in a worker.
pub trait Logger: Send + Sync + Debug {
    /// The least severe level that it takes.
    fn level(&self) -> LogLevel;

    /// Whether it takes the records of the error log; else they are written without it.
    fn logs_records(&self) -> bool;

    /// Whether it wants to know of requests.
    fn logs_requests(&self) -> bool;

    /// Takes a record of the error log.
    fn record(&self, level: LogLevel, text: &str);

    /// Takes a record of level error: a line that says what has failed, below it the traceback, and what has raised it,
    /// which may be of a kind that the logger does not know.
    fn fault(&self, what: &str, traceback: &str, cause: &Cause);

    /// Takes requests that are over: one JSON object a line, of what access lines are made of.
    fn requests(&self, lines: &[u8]);

    /// Opens its files again.
    fn reopen(&self);

    /// Waits until it has logged what it was given, for so long at most, since the process is about to end.
    fn finish(&self, limit: Duration);
}

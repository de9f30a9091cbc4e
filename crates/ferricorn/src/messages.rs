//! The one place that writes to people's terminals. What concerns a running server goes to the error log.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes what was asked for to stdout. A reader who has gone is no failure.
pub(crate) fn answer(text: impl Display) {
    let mut out = io::stdout().lock();
    let _ = write!(out, "{text}").and_then(|()| out.flush());
}

/// Writes a complaint to stderr. If nobody can read it, there is no one else to tell.
pub(crate) fn complain(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes help to stdout or a usage error to stderr, in colour if that is a terminal.
pub(crate) fn usage(error: &clap::Error) {
    let _ = error.print();
}

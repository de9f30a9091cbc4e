//! The access log: one line for each request, in the format of `--access-logformat`.
//!
//! A line is made in three steps, since the application takes the request away: [`AccessLog::begin`] copies what
//! the format needs of the request, [`AccessLog::head`] what it needs of the response, and [`AccessLog::end`]
//! puts the line into a buffer. The worker flushes the buffer once a turn of its loop.

mod format;
mod grammar;
mod refused;
mod request;
mod shape;

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

use ferricorn_config::{LogTarget, Settings};
use ferricorn_protocol::Request;
use http::{HeaderMap, StatusCode};

pub use format::{Capture, End};
pub use grammar::FormatError;

use crate::sink::Sink;
use crate::stamp::Stamp;
use format::Format;

const WHAT: &str = "access log";
/// Lines wait for the end of the loop's turn, but not in larger numbers than this, in bytes.
const FULL: usize = 16 * 1024;
/// As much as a pipe takes in one piece (`PIPE_BUF`): lines of several workers stay whole in it.
const AT_ONCE: usize = 4096;

/// The access log of one process.
#[derive(Debug)]
pub struct AccessLog {
    format: Format,
    script_name: String,
    out: Mutex<Out>,
}

#[derive(Debug)]
struct Out {
    sink: Sink,
    buffer: Vec<u8>,
    stamp: Stamp,
    /// Whether the last attempt to write failed, so that a full disk is told once.
    failing: bool,
}

/// Why the access log cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// `access_log_format` is wrong.
    Format(FormatError),
    /// The file cannot be opened; the message names it.
    File(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(error) => write!(f, "access_log_format: {error}"),
            Self::File(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

/// Checks a format, for `--check-config`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check_format(format: &str) -> Result<(), FormatError> {
    Format::compile(format).map(drop)
}

impl AccessLog {
    /// Opens the log that the settings name; `None` if they name none.
    ///
    /// # Errors
    /// The format is wrong or the file cannot be opened.
    pub fn open(settings: &Settings) -> Result<Option<Self>, OpenError> {
        let Some(target) = &settings.accesslog else { return Ok(None) };
        Self::new(target, &settings.access_log_format, &settings.script_name).map(Some)
    }

    /// Opens a log. `script_name` is the prefix that `%(U)s` leaves out.
    ///
    /// # Errors
    /// The format is wrong or the file cannot be opened.
    pub fn new(target: &LogTarget, format: &str, script_name: &str) -> Result<Self, OpenError> {
        let format = Format::compile(format).map_err(OpenError::Format)?;
        let sink = Sink::open(target, WHAT).map_err(OpenError::File)?;
        let buffer = Vec::with_capacity(FULL + AT_ONCE);
        let stamp = Stamp::new("[%d/%b/%Y:%H:%M:%S %z]");
        let out = Mutex::new(Out { sink, buffer, stamp, failing: false });
        Ok(Self { format, script_name: script_name.to_owned(), out })
    }

    /// The names of the environ variables that the format prints; [`AccessLog::end`] wants their values in this
    /// order.
    pub fn environ_names(&self) -> &[String] {
        self.format.environ()
    }

    /// Whether the format prints how long a request waited for an app thread (`%(queue)s`), so that the wait must be
    /// timed.
    pub fn tells_queue(&self) -> bool {
        self.format.tells_queue()
    }

    /// Copies what the line needs of a request.
    pub fn begin(&self, request: &Request) -> Capture {
        self.format.capture(|out, atom, shape| request::push(out, atom, shape, request, &self.script_name))
    }

    /// Copies what the line needs of a request whose head was refused, and that nobody parsed. `line` is what
    /// is known of its first line; atoms that it does not tell are `-`.
    pub fn begin_refused(&self, peer: Option<IpAddr>, line: &[u8]) -> Capture {
        self.format.capture(|out, atom, shape| refused::push(out, atom, shape, peer, line, &self.script_name))
    }

    /// Copies what the line needs of the head of the response. Called again it replaces what it copied.
    pub fn head(&self, capture: &mut Capture, status: StatusCode, headers: &HeaderMap) {
        self.format.head(capture, status, headers);
    }

    /// Puts the line into the buffer.
    pub fn end(&self, capture: Capture, end: &End<'_>) {
        let mut out = self.out();
        let Out { buffer, stamp, .. } = &mut *out;
        self.format.render(buffer, &capture, end, stamp);
        if out.buffer.len() >= FULL {
            out.flush();
        }
    }

    /// Writes what is in the buffer. Free if there is nothing.
    pub fn flush(&self) {
        self.out().flush();
    }

    /// Opens the file again, once a log rotation has moved it (USR1). The standard streams stay as they are.
    ///
    /// # Errors
    /// The file cannot be opened; the log goes on with the old one.
    pub fn reopen(&self) -> io::Result<()> {
        let mut out = self.out();
        out.flush();
        out.sink = out.sink.opened_again(WHAT)?;
        Ok(())
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}

impl Out {
    /// Lines that cannot be written are dropped: a full disk must not fill the memory too.
    fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let written = write_lines(&mut self.sink, &self.buffer);
        self.buffer.clear();
        match written {
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::error!(
                    "cannot write to the access log, lines are lost until it works again: {error}"
                );
            }
            Ok(()) if self.failing => {
                self.failing = false;
                tracing::warn!("the access log can be written again");
            }
            _ => {}
        }
    }
}

/// Writes whole lines, as many at once as a pipe takes in one piece.
fn write_lines(sink: &mut Sink, mut lines: &[u8]) -> io::Result<()> {
    while !lines.is_empty() {
        let newline = |part: &[u8]| part.iter().rposition(|&byte| byte == b'\n');
        let whole = if lines.len() <= AT_ONCE {
            lines.len()
        } else {
            match newline(&lines[..AT_ONCE]) {
                Some(at) => at + 1,
                None => lines.iter().position(|&byte| byte == b'\n').map_or(lines.len(), |at| at + 1),
            }
        };
        let (now, later) = lines.split_at(whole);
        sink.write(now)?;
        lines = later;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

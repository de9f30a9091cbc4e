//! The access log: one line for each request, in the format of `--access-logformat` or as JSON; and its metrics.
//!
//! A line is made in three steps, since the application takes the request away: [`AccessLog::begin`] copies what
//! the format needs of the request, [`AccessLog::head`] what it needs of the response, and [`AccessLog::end`]
//! puts the line into a buffer. The worker flushes the buffer once a turn of its loop.

mod fields;
mod format;
mod grammar;
mod out;
mod refused;
mod request;
mod shape;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::{fmt, io};

use ferricorn_config::{LogTarget, Settings};
use ferricorn_protocol::Request;
use http::{HeaderMap, StatusCode};

pub use format::{Capture, End};
pub use grammar::FormatError;

use crate::error_log;
use crate::remote::statsd::Statsd;
use crate::remote::syslog::Syslog;
use crate::sink::Sink;
use crate::stamp::Stamp;
use format::Format;
use grammar::Grammar;
use out::Out;

const WHAT: &str = "access log";
const STAMP: &str = "[%d/%b/%Y:%H:%M:%S %z]";

/// The access log of one process.
#[derive(Debug)]
pub struct AccessLog {
    format: Format,
    script_name: String,
    /// Whether the app tells the values of environ variables.
    has_environ: bool,
    out: Mutex<Out>,
    /// Takes the lines that the logger has made, if the lines go through one that leaves the writing to this log.
    behind: Option<Mutex<Out>>,
}

/// The log that [`AccessLog::install`] installed.
static INSTALLED: OnceLock<Arc<AccessLog>> = OnceLock::new();

/// The log that takes the lines of this process's logger, if there is one.
#[must_use]
pub fn installed() -> Option<Arc<AccessLog>> {
    INSTALLED.get().cloned()
}

/// Why the access log cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// `access_log_format` is wrong.
    Format(FormatError),
    /// The file cannot be opened, or the address of a daemon not be found; the message names it.
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

/// Checks a format that is to be printed, and returns what of it is printed as `-`, or narrower than it says, and was
/// hardly meant so.
///
/// # Errors
/// What gunicorn fails at with each request.
pub fn check_format(format: &str) -> Result<Option<String>, FormatError> {
    let doubts = Grammar::parse(format)?.doubts;
    Ok((!doubts.is_empty()).then(|| {
        format!("{}; the atoms of one letter are h l u t r m U q H s B b f a T M D L p", doubts.join(", "))
    }))
}

impl AccessLog {
    /// Opens what the settings name: the file, syslog, statsd, or the installed logger; `None` if that is nothing.
    ///
    /// # Errors
    /// The format is wrong, the file cannot be opened, or the address of a daemon cannot be found.
    pub fn open(settings: &Settings) -> Result<Option<Self>, OpenError> {
        let logs = &settings.logs;
        let statsd = logs.statsd.as_ref();
        // A logger of Python's speaks to the syslog itself.
        let syslog = logs.syslog.as_ref().filter(|syslog| syslog.access && !logs.python);
        let logger = error_log::installed().and_then(|log| log.logger()).filter(|_| logs.python);
        let logger = logger.filter(|logger| logger.logs_requests());
        let target = settings.accesslog.as_ref().filter(|_| !logs.python);
        if target.is_none() && syslog.is_none() && statsd.is_none() && logger.is_none() {
            return Ok(None);
        }
        let json = logs.access_json && !logs.python;
        let format = if logger.is_some() {
            Ok(Format::python(&settings.access_log_format, false))
        } else if json {
            Ok(Format::json())
        } else if target.is_some() || syslog.is_some() {
            Format::compile(&settings.access_log_format)
        } else {
            // Metrics alone need nothing of the request.
            Format::compile("")
        };
        let stamp = if json { Stamp::precise() } else { Stamp::new(STAMP) };
        let outlets = || -> io::Result<Out> {
            let sink = target.map(|target| Sink::open(target, WHAT)).transpose()?;
            let syslog = syslog.map(|syslog| Syslog::open(syslog, "access", json)).transpose()?;
            Ok(Out::new(stamp, sink, syslog, statsd.map(Statsd::open).transpose()?).with(logger))
        };
        let format = format.map_err(OpenError::Format)?;
        let out = Mutex::new(outlets().map_err(OpenError::File)?);
        Ok(Some(Self {
            format,
            script_name: settings.script_name.clone(),
            out,
            has_environ: true,
            behind: None,
        }))
    }

    /// Has the lines go through the installed logger, if it wants to know of requests and leaves the writing of lines to
    /// this log.
    pub fn go_behind_logger(&mut self, settings: &Settings) {
        let logger = error_log::installed().and_then(|log| log.logger()).filter(|_| !settings.logs.python);
        let Some(logger) = logger.filter(|logger| logger.logs_requests()) else { return };
        let own = self.out.get_mut().unwrap_or_else(PoisonError::into_inner);
        if own.sink.is_none() && own.syslog.is_none() {
            return;
        }
        let (text, json) = (&settings.access_log_format, settings.logs.access_json);
        self.format = if self.has_environ {
            Format::python(text, json)
        } else {
            Format::without_environ(text, Some(json))
        };
        let stamp = if settings.logs.access_json { Stamp::precise() } else { Stamp::new(STAMP) };
        let before = Out::new(stamp, None, None, own.statsd.take()).with(Some(logger));
        self.behind = Some(Mutex::new(std::mem::replace(own, before)));
    }

    /// Makes it the one that takes the lines of this process's logger; the first one stays it.
    pub fn install(self: &Arc<Self>) {
        INSTALLED.get_or_init(|| self.clone());
    }

    /// Writes a line that the logger has made.
    pub fn write_line(&self, line: &[u8]) {
        if let Some(behind) = &self.behind {
            lock(behind).put(line);
        }
    }

    /// Opens a log in a file. `script_name` is the prefix that `%(U)s` leaves out.
    ///
    /// # Errors
    /// The format is wrong or the file cannot be opened.
    pub fn new(target: &LogTarget, format: &str, script_name: &str) -> Result<Self, OpenError> {
        let format = Format::compile(format).map_err(OpenError::Format)?;
        let sink = Sink::open(target, WHAT).map_err(OpenError::File)?;
        let out = Mutex::new(Out::new(Stamp::new(STAMP), Some(sink), None, None));
        Ok(Self { format, script_name: script_name.to_owned(), out, has_environ: true, behind: None })
    }

    /// Has the request itself tell what the format wants of the environ, for an app that has none.
    pub fn fill_environ(&mut self, settings: &Settings) {
        if !self.format.environ().is_empty() {
            let python = settings.logs.python.then_some(false);
            self.format = Format::without_environ(&settings.access_log_format, python);
            self.has_environ = false;
        }
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
        out.measure(capture.status(), end.elapsed);
        out.line(&self.format, &capture, end);
    }

    /// Lets go of what is in the buffers. Free if there is nothing.
    pub fn flush(&self) {
        self.out().flush();
    }

    /// Opens the file again, once a log rotation has moved it (USR1). The standard streams stay as they are.
    ///
    /// # Errors
    /// The file cannot be opened; the log goes on with the old one.
    pub fn reopen(&self) -> io::Result<()> {
        self.out().flush();
        let mut out = self.behind.as_ref().map_or_else(|| self.out(), lock);
        let again = out.sink.as_ref().map(|sink| sink.opened_again(WHAT)).transpose()?;
        out.sink = again;
        Ok(())
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        lock(&self.out)
    }
}

fn lock(out: &Mutex<Out>) -> MutexGuard<'_, Out> {
    out.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests;

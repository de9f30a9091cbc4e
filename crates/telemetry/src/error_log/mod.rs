//! The error log: `[2026-11-22 12:34:09 +0000] [19335] [INFO] message`, as gunicorn writes it, or JSON.
//!
//! Records come from the macros of `tracing`, anywhere in the process. One call of `write(2)` puts each of them
//! down whole. The log is process-wide, made once in the master and inherited by its workers.

mod capture;
mod out;
mod record;
mod subscriber;

use std::io::{self, Write};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use ferricorn_config::{LogLevel, LogSettings, LogTarget, Settings};
use ferricorn_protocol::Cause;

use crate::Logger;
use out::Out;
use record::Record;
use subscriber::Records;

/// The log that [`init`] installed.
static INSTALLED: OnceLock<ErrorLog> = OnceLock::new();

/// Sends every record of this process to the error log that the settings name. Call it again, after a reload,
/// to change target and level.
///
/// If the program has already installed a `tracing` subscriber of its own, the records stay with that one.
///
/// # Errors
/// The file cannot be opened, or the address of a daemon not be found; the message names it. What was in force before
/// stays so.
pub fn init(settings: &Settings) -> io::Result<ErrorLog> {
    if let Some(log) = INSTALLED.get() {
        log.retarget(&settings.errorlog, &settings.logs, settings.loglevel)?;
        return Ok(log.clone());
    }
    let log = ErrorLog::open(&settings.errorlog, &settings.logs, settings.loglevel)?;
    let log = INSTALLED.get_or_init(|| log).clone();
    // Refused only where a Rust program brought its own subscriber, which it then prefers.
    let _ = tracing::subscriber::set_global_default(Records::new(log.clone()));
    Ok(log)
}

/// The log that [`init`] installed in this process, or in the one that it was forked from.
#[must_use]
pub fn installed() -> Option<ErrorLog> {
    INSTALLED.get().cloned()
}

/// Writes bytes as they are ([`ErrorLog::write_raw`]) to the log that [`init`] installed, or to stderr if none is.
pub fn write_raw(bytes: &[u8]) {
    // What cannot be written is lost: there is nowhere to say so.
    let _ = match INSTALLED.get() {
        Some(log) => log.write_raw(bytes),
        None => io::stderr().lock().write_all(bytes),
    };
}

/// Has all logs of this process go through a logger, or no more. To be called after [`init`].
pub fn set_logger(logger: Option<Arc<dyn Logger>>) {
    if let Some(log) = INSTALLED.get() {
        let level = logger.as_ref().filter(|logger| logger.logs_records()).map(|logger| logger.level());
        *log.shared.logger.write().unwrap_or_else(PoisonError::into_inner) = logger;
        log.set_level(level);
    }
}

/// Gives the logger so long to log what it was given: the process is about to end.
pub fn finish(limit: Duration) {
    if let Some(logger) = INSTALLED.get().and_then(ErrorLog::logger) {
        logger.finish(limit);
    }
}

/// A handle on the error log; clones share it.
#[derive(Clone, Debug)]
pub struct ErrorLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    level: AtomicU8,
    out: Mutex<Out>,
    /// Takes the records instead of the file or stream. It is called without any lock: it may wait for one of Python's,
    /// whose holder may be about to log.
    logger: RwLock<Option<Arc<dyn Logger>>>,
}

impl ErrorLog {
    fn open(target: &LogTarget, logs: &LogSettings, level: LogLevel) -> io::Result<Self> {
        let out = Mutex::new(Out::open(target, logs, &mut None)?);
        let (level, logger) = (AtomicU8::new(level as u8), RwLock::default());
        Ok(Self { shared: Arc::new(Shared { level, out, logger }) })
    }

    fn retarget(&self, target: &LogTarget, logs: &LogSettings, level: LogLevel) -> io::Result<()> {
        self.out().replace(target, logs)?;
        // What goes through a logger is filtered by it.
        let logger = self.taker().filter(|_| logs.python);
        self.set_level(Some(logger.map_or(level, |logger| logger.level())));
        Ok(())
    }

    fn set_level(&self, level: Option<LogLevel>) {
        if let Some(level) = level {
            self.shared.level.store(level as u8, Ordering::Relaxed);
            // Every place that logs remembers whether it is wanted.
            tracing::callsite::rebuild_interest_cache();
        }
    }

    /// What the logs of this process go through, if anything.
    pub(crate) fn logger(&self) -> Option<Arc<dyn Logger>> {
        self.shared.logger.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the records go through, if anything.
    fn taker(&self) -> Option<Arc<dyn Logger>> {
        self.logger().filter(|logger| logger.logs_records())
    }

    /// Opens the file again, once a log rotation has moved it (USR1). The standard streams stay as they are.
    ///
    /// # Errors
    /// The file cannot be opened; the log goes on with the old one.
    pub fn reopen(&self) -> io::Result<()> {
        if let Some(logger) = self.logger() {
            logger.reopen();
        }
        self.out().reopen()
    }

    /// Writes bytes as they are to where the records go, for `wsgi.errors`; as records if those are JSON.
    ///
    /// # Errors
    /// What `write(2)` says.
    pub fn write_raw(&self, bytes: &[u8]) -> io::Result<()> {
        self.out().raw(bytes)
    }

    /// Writes what a logger of the host's has found good, whatever its severity. If it is `finished` it has a form of its
    /// own, which is kept where records are no JSON.
    pub fn write_message(&self, level: LogLevel, text: &str, finished: bool) {
        self.out().message(&Record::new(level, text.to_owned()), finished);
    }

    /// Whether records of this severity are wanted.
    fn shows(&self, level: LogLevel) -> bool {
        level as u8 >= self.shared.level.load(Ordering::Relaxed)
    }

    fn write_record(&self, record: &Record) {
        let logger = self.taker();
        if let Some(logger) = &logger {
            logger.record(record.level, &record.text());
        }
        self.out().record(record, logger.is_some());
    }

    /// Gives a fault to the logger, if there is one that the records go through. Whether there is.
    pub(crate) fn take_fault(&self, what: &str, traceback: &str, cause: &Cause) -> bool {
        let Some(logger) = self.taker() else { return false };
        if self.shows(LogLevel::Error) {
            let text = |text: &str| Record::new(LogLevel::Error, text.to_owned()).text();
            logger.fault(&text(what), &text(traceback), cause);
            self.out().record(&Record::new(LogLevel::Error, format!("{what}\n{traceback}")), true);
        }
        true
    }

    /// Tells statsd, if there is one, the value of a gauge, whose name follows `gunicorn.`.
    pub fn gauge(&self, name: &str, value: usize) {
        self.out().gauge(name, value);
    }

    /// Tells statsd, if there is one, a metric of the user's own: its name, and its value with its type, such as `1|c`.
    pub fn metric(&self, name: &str, value: &str) {
        self.out().metric(name, value);
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.shared.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

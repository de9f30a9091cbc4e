//! Where records go: the file or stream, syslog, and the counts of statsd.

use std::io;

use ferricorn_config::{LogLevel, LogSettings, LogTarget};

use super::capture::Captured;
use super::record::{Record, name};
use crate::remote::statsd::Statsd;
use crate::remote::syslog::Syslog;
use crate::sink::Sink;
use crate::stamp::Stamp;

const WHAT: &str = "error log";
/// Bytes of a line without an end that are kept for the rest of it.
const LONGEST: usize = 8192;
/// What an app writes raw comes from this stream.
const STREAM: &str = "wsgi.errors";

/// The outlets of the error log.
#[derive(Debug)]
pub(super) struct Out {
    sink: Sink,
    stamp: Stamp,
    json: bool,
    /// The beginning of a line that the app has not ended, where records are JSON.
    line: Vec<u8>,
    captured: Option<Captured>,
    syslog: Option<Syslog>,
    statsd: Option<Statsd>,
}

impl Out {
    /// Opens everything; `captured` is what was done to stdout and stderr before.
    pub(super) fn open(
        target: &LogTarget,
        logs: &LogSettings,
        captured: &mut Option<Captured>,
    ) -> io::Result<Self> {
        let sink = Sink::open(target, WHAT)?;
        // A logger of Python's has its own forms, and speaks to the syslog itself.
        let json = logs.json && !logs.python;
        let syslog = logs
            .syslog
            .as_ref()
            .filter(|_| !logs.python)
            .map(|syslog| Syslog::open(syslog, "error", json))
            .transpose()?;
        let statsd = logs.statsd.as_ref().map(Statsd::open).transpose()?;
        let stamp = if json { Stamp::precise() } else { Stamp::new("[%Y-%m-%d %H:%M:%S %z]") };
        let captured = match (sink.file().filter(|_| logs.capture_output), captured.take()) {
            (Some(file), before) => Some(Captured::by(file, before)?),
            (None, Some(before)) => {
                before.release()?;
                None
            }
            (None, None) => None,
        };
        Ok(Self { sink, stamp, json, line: Vec::new(), captured, syslog, statsd })
    }

    /// Opens everything anew, with what is done to stdout and stderr kept or undone.
    pub(super) fn replace(&mut self, target: &LogTarget, logs: &LogSettings) -> io::Result<()> {
        let opened = Self::open(target, logs, &mut self.captured);
        *self = opened?;
        Ok(())
    }

    /// Opens the file again, and sends stdout and stderr there if they are captured.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.sink = self.sink.opened_again(WHAT)?;
        if let (Some(file), Some(before)) = (self.sink.file(), self.captured.take()) {
            self.captured = Some(Captured::by(file, Some(before))?);
        }
        Ok(())
    }

    /// Writes a record, and counts it; `written` says that somebody else has written it. One that cannot be written is
    /// lost: there is nowhere to say so.
    pub(super) fn record(&mut self, record: &Record, written: bool) {
        if !written {
            self.message(record, false);
        }
        let mut news = None;
        if let (Some(statsd), Some(metric)) = (&mut self.statsd, metric(record)) {
            statsd.count(metric);
            news = statsd.flush();
        }
        self.tell_news(news);
    }

    /// Writes a record that no metric counts. Where it is no JSON the text of one that is `finished` is the line.
    pub(super) fn message(&mut self, record: &Record, finished: bool) {
        let text = if finished && !self.json {
            let text = record.text();
            let _ = self.sink.write(format!("{text}\n").as_bytes());
            text.into_bytes()
        } else {
            self.write(record)
        };
        let news = self.syslog.as_mut().and_then(|syslog| syslog.send(record.level, &text));
        self.tell_news(news);
    }

    fn tell_news(&mut self, news: Option<String>) {
        if let Some(message) = news {
            self.write(&Record::new(LogLevel::Warning, message));
        }
    }

    /// Writes a record to the file or stream, and returns what is for syslog.
    fn write(&mut self, record: &Record) -> Vec<u8> {
        if self.json {
            let mut object = Vec::new();
            record.push_json(&mut object, &mut self.stamp, None);
            object.push(b'\n');
            let _ = self.sink.write(&object);
            object.pop();
            return object;
        }
        let text = record.text();
        // Asked each time, for a fork changes it.
        let pid = std::process::id();
        let line = format!("{} [{pid}] [{}] {text}\n", self.stamp.now(), name(record.level));
        let _ = self.sink.write(line.as_bytes());
        text.into_bytes()
    }

    /// Writes what an app says: as it is, or a record for each line.
    pub(super) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.json {
            return self.sink.write(bytes);
        }
        self.line.extend_from_slice(bytes);
        let mut objects = Vec::new();
        while let Some(end) = self
            .line
            .iter()
            .position(|&byte| byte == b'\n')
            .or_else(|| (self.line.len() > LONGEST).then_some(LONGEST))
        {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            let text = String::from_utf8_lossy(&line).into_owned();
            Record::new(LogLevel::Error, text).push_json(&mut objects, &mut self.stamp, Some(STREAM));
            objects.push(b'\n');
        }
        self.sink.write(&objects)
    }

    /// Tells statsd what a value is now.
    pub(super) fn gauge(&mut self, name: &str, value: usize) {
        self.tell(|statsd| statsd.gauge(name, value));
    }

    /// Tells statsd a metric of the user's own.
    pub(super) fn metric(&mut self, name: &str, value: &str) {
        self.tell(|statsd| statsd.own(name, value));
    }

    fn tell(&mut self, tell: impl FnOnce(&mut Statsd)) {
        if let Some(statsd) = &mut self.statsd {
            tell(statsd);
            if let Some(news) = statsd.flush() {
                self.write(&Record::new(LogLevel::Warning, news));
            }
        }
    }
}

/// The metric that counts such records. gunicorn's are those of its logger's methods: one is for exceptions.
fn metric(record: &Record) -> Option<&'static str> {
    match record.level {
        LogLevel::Critical => Some("log.critical"),
        LogLevel::Error if record.message.contains("Traceback (most recent call last):") => {
            Some("log.exception")
        }
        LogLevel::Error => Some("log.error"),
        LogLevel::Warning => Some("log.warning"),
        LogLevel::Info | LogLevel::Debug => None,
    }
}

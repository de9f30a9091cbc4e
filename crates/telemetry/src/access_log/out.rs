//! Where access lines go, and the metrics of requests: buffered, and let go of once a turn of the loop.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ferricorn_config::LogLevel;
use http::StatusCode;

use super::format::{Capture, End, Format};
use crate::Logger;
use crate::remote::statsd::Statsd;
use crate::remote::syslog::Syslog;
use crate::sink::Sink;
use crate::stamp::Stamp;

/// Lines wait for the end of the loop's turn, but not in larger numbers than this, in bytes.
const FULL: usize = 16 * 1024;
/// As much as a pipe takes in one piece (`PIPE_BUF`): lines of several workers stay whole in it.
const AT_ONCE: usize = 4096;

/// The outlets of one process; at least one of them is there.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) sink: Option<Sink>,
    pub(super) syslog: Option<Syslog>,
    pub(super) statsd: Option<Statsd>,
    pub(super) stamp: Stamp,
    logger: Option<Arc<dyn Logger>>,
    buffer: Vec<u8>,
    /// Whether the last attempt to write failed, so that a full disk is told once.
    failing: bool,
}

impl Out {
    pub(super) fn new(
        stamp: Stamp,
        sink: Option<Sink>,
        syslog: Option<Syslog>,
        statsd: Option<Statsd>,
    ) -> Self {
        let buffer = Vec::with_capacity(FULL + AT_ONCE);
        Self { sink, syslog, statsd, stamp, logger: None, buffer, failing: false }
    }

    /// The same, with lines for a logger.
    pub(super) fn with(self, logger: Option<Arc<dyn Logger>>) -> Self {
        Self { logger, ..self }
    }

    /// Puts a line into the buffer.
    pub(super) fn line(&mut self, format: &Format, capture: &Capture, end: &End<'_>) {
        if self.sink.is_some() || self.syslog.is_some() || self.logger.is_some() {
            format.render(&mut self.buffer, capture, end, &mut self.stamp);
        }
        if self.buffer.len() >= FULL {
            self.flush();
        }
    }

    /// Writes a line that somebody else has made.
    pub(super) fn put(&mut self, line: &[u8]) {
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
        self.flush();
    }

    /// Notes the metrics of a request.
    pub(super) fn measure(&mut self, status: Option<StatusCode>, elapsed: Duration) {
        if let Some(statsd) = &mut self.statsd {
            statsd.request(status, elapsed);
        }
    }

    /// Lets go of what is there. What cannot be written is dropped: a full disk must not fill the memory too.
    pub(super) fn flush(&mut self) {
        if let Some(news) = self.statsd.as_mut().and_then(Statsd::flush) {
            tracing::warn!("{news}");
        }
        if self.buffer.is_empty() {
            return;
        }
        if let Some(logger) = &self.logger {
            logger.requests(&self.buffer);
        }
        if let Some(syslog) = &mut self.syslog {
            for line in self.buffer.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                if let Some(news) = syslog.send(LogLevel::Info, line) {
                    tracing::warn!("{news}");
                }
            }
        }
        let written = self.sink.as_mut().map_or(Ok(()), |sink| write_lines(sink, &self.buffer));
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

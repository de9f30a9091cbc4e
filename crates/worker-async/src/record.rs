//! What is kept of a request until its response is over: the access line, the counters, the in-flight entry.

use std::sync::Arc;
use std::time::Instant;

use ferricorn_telemetry::{Capture, escape};
use ferricorn_unix::scoreboard::{ErrorClass, Ticket};
use http::{HeaderMap, StatusCode};

use crate::worker::Worker;

/// Made when a request's head has been accepted; dropping it closes the books on the request.
pub(crate) struct Record {
    worker: Arc<Worker>,
    ticket: Ticket,
    began: Instant,
    status: StatusCode,
    bytes: u64,
    blame: Option<ErrorClass>,
    /// Boxed, since a record is moved often and a log is off by default.
    capture: Option<Box<Capture>>,
    log_environ: Vec<Option<String>>,
}

impl Record {
    /// Opens the books. `capture` holds what the access log needs of the request.
    pub(crate) fn open(worker: &Arc<Worker>, ticket: Ticket, capture: Option<Box<Capture>>) -> Self {
        Self {
            worker: worker.clone(),
            ticket,
            began: Instant::now(),
            status: StatusCode::INTERNAL_SERVER_ERROR,
            bytes: 0,
            blame: None,
            capture,
            log_environ: Vec::new(),
        }
    }

    pub(crate) fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// `METHOD /path`, for messages.
    pub(crate) fn request_line(&self) -> String {
        match self.worker.slot.request(self.ticket) {
            Some(request) => format!("{} {}", escape(&request.method), escape(&request.path)),
            None => "(too many requests are in flight to tell which)".to_owned(),
        }
    }

    /// The head of the response.
    pub(crate) fn head(&mut self, status: StatusCode, headers: &HeaderMap, log_environ: Vec<Option<String>>) {
        self.status = status;
        self.log_environ = log_environ;
        if let (Some(log), Some(capture)) = (&self.worker.access_log, &mut self.capture) {
            log.head(capture, status, headers);
        }
    }

    /// Bytes of the body that were given to the connection.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// The request failed, and who is to blame.
    pub(crate) fn failed(&mut self, class: ErrorClass) {
        self.blame = Some(class);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let elapsed = self.began.elapsed();
        self.worker.slot.request_end(self.ticket);
        self.worker.slot.latency(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX));
        if let Some(class) = self.blame {
            self.worker.slot.error(class);
        }
        if let (Some(log), Some(capture)) = (&self.worker.access_log, self.capture.take()) {
            log.end(*capture, self.bytes, elapsed, &self.log_environ);
        }
    }
}

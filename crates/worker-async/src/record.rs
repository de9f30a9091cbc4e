//! What is kept of a request until its response is over: the access line, the counters, the in-flight entry.

use std::sync::Arc;
use std::time::Instant;

use ferricorn_protocol::Connection;
use ferricorn_telemetry::{Capture, escape};
use ferricorn_unix::clock;
use ferricorn_unix::scoreboard::{ErrorClass, Ticket};
use http::{HeaderMap, StatusCode};

use crate::gate::Refused;
use crate::worker::Worker;

/// Made when a request's head has been accepted; dropping it closes the books on the request.
pub(crate) struct Record {
    worker: Arc<Worker>,
    ticket: Ticket,
    began: Instant,
    /// That of the answer; none before there is one.
    status: Option<StatusCode>,
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
            status: None,
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
        let line = self.raw_line();
        if line.is_empty() {
            return "(too many requests are in flight to tell which)".to_owned();
        }
        escape(&line).to_string()
    }

    /// The same as it was sent, cut; empty where too many requests are in flight to tell.
    pub(crate) fn raw_line(&self) -> String {
        let request = self.worker.slot.request(self.ticket);
        request.map_or_else(String::new, |request| format!("{} {}", request.method, request.path))
    }

    /// The head of the response.
    pub(crate) fn head(&mut self, status: StatusCode, headers: &HeaderMap, log_environ: Vec<Option<String>>) {
        self.status = Some(status);
        self.log_environ = log_environ;
        if let (Some(log), Some(capture)) = (&self.worker.access_log, &mut self.capture) {
            log.head(capture, status, headers);
        }
    }

    /// Bytes of the body that were given to the connection.
    pub(crate) fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// The request failed, and who is to blame, where the status alone does not tell. The first word counts.
    pub(crate) fn failed(&mut self, class: ErrorClass) {
        self.blame.get_or_insert(class);
    }

    /// Who is to blame, if the request failed. A client that has left gets no answer.
    fn blame(&self) -> Option<ErrorClass> {
        self.blame.or(match self.status {
            None => Some(ErrorClass::Client),
            Some(status) if status.is_client_error() => Some(ErrorClass::Client),
            Some(status) if status.is_server_error() => Some(ErrorClass::App),
            Some(_) => None,
        })
    }
}

/// Opens and closes the books on a request whose head the gate refused, and tells the error log.
#[cold]
pub(crate) fn refused(worker: &Arc<Worker>, connection: &Connection, refused: &Refused) {
    let Refused { refusal, line, bytes } = refused;
    let peer = connection.peer.map(|peer| peer.ip());
    worker.complaints.tell(peer, refusal.why, line);
    let ticket = worker.slot.request_begin(clock::coarse_ms(), "-", b"-");
    let capture = worker.access_log.as_ref().map(|log| Box::new(log.begin_refused(peer, line)));
    let mut record = Record::open(worker, ticket, capture);
    record.head(refusal.status, &HeaderMap::new(), Vec::new());
    record.add(*bytes);
    record.failed(ErrorClass::Client);
}

impl Drop for Record {
    fn drop(&mut self) {
        let elapsed = self.began.elapsed();
        self.worker.slot.request_end(self.ticket);
        self.worker.slot.latency(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX));
        if let Some(class) = self.blame() {
            self.worker.slot.error(class);
        }
        if let (Some(log), Some(capture)) = (&self.worker.access_log, self.capture.take()) {
            log.end(*capture, self.bytes, elapsed, &self.log_environ);
        }
    }
}

//! What is kept of a request until its response is over: the access line, the counters, the in-flight entry.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferricorn_protocol::{Connection, Head, Watch};
use ferricorn_telemetry::access_log::End;
use ferricorn_telemetry::{Capture, escape};
use ferricorn_unix::clock;
use ferricorn_unix::scoreboard::{ErrorClass, Noted, Ticket};
use http::{HeaderMap, StatusCode};

use crate::exchange::{Exchange, Waiting};
use crate::gate::Refused;
use crate::job::{Job, Over};
use crate::worker::Worker;

/// How many requests one line names.
const NAMED: usize = 5;

/// Who watches a request, and its call on an app thread, if there is one. Boxed, since few are watched.
struct Watched {
    watch: Box<dyn Watch>,
    call: Option<Arc<Exchange>>,
}

/// Made when a request's head has been accepted; dropping it closes the books on the request.
pub(crate) struct Record {
    worker: Arc<Worker>,
    ticket: Ticket,
    began: Instant,
    /// How long the request waited for an app thread, if it did and the access log tells it.
    queued: Option<Duration>,
    /// That of the answer; none before there is one.
    status: Option<StatusCode>,
    bytes: u64,
    blame: Option<ErrorClass>,
    /// Boxed, since a record is moved often and a log is off by default.
    capture: Option<Box<Capture>>,
    log_environ: Vec<Option<String>>,
    /// Who else wants to know what becomes of it.
    watch: Option<Box<Watched>>,
    /// Whether the connection is the app's, which answers by itself.
    lent: bool,
    /// Whether somebody else has the books now.
    moved: bool,
}

impl Record {
    /// Opens the books. `capture` holds what the access log needs of the request.
    pub(crate) fn open(worker: &Arc<Worker>, ticket: Ticket, capture: Option<Box<Capture>>) -> Self {
        Self {
            worker: worker.clone(),
            ticket,
            began: Instant::now(),
            queued: None,
            status: None,
            bytes: 0,
            blame: None,
            capture,
            log_environ: Vec::new(),
            watch: None,
            lent: false,
            moved: false,
        }
    }

    /// Hands the books over for as long as the app has the connection. What it answers there is not known.
    pub(crate) fn lend(&mut self) -> Self {
        let mut lent = Self::open(&self.worker, self.ticket, self.capture.take());
        lent.began = self.began;
        lent.queued = self.queued;
        lent.watch = self.watch.take();
        lent.lent = true;
        self.moved = true;
        lent
    }

    pub(crate) fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// `METHOD /path`, for messages.
    pub(crate) fn request_line(&self) -> String {
        method_and_path(self.worker.slot.request(self.ticket))
    }

    /// The same as it was sent, cut; empty where too many requests are in flight to tell.
    pub(crate) fn raw_line(&self) -> String {
        self.worker.slot.request(self.ticket).map_or_else(String::new, raw_line)
    }

    /// The head of the response.
    pub(crate) fn head(&mut self, status: StatusCode, headers: &HeaderMap, log_environ: Vec<Option<String>>) {
        self.status = Some(status);
        self.log_environ = log_environ;
        if let (Some(log), Some(capture)) = (&self.worker.access_log, &mut self.capture) {
            log.head(capture, status, headers);
        }
    }

    /// Somebody wants to know what becomes of the request.
    pub(crate) fn watch(&mut self, watch: Box<dyn Watch>) {
        self.watch = Some(Box::new(Watched { watch, call: None }));
    }

    /// Tells who watches of the response.
    pub(crate) fn answered(&mut self, head: &Head) {
        if let Some(watched) = &mut self.watch {
            watched.watch.answered(head);
        }
    }

    /// The request waits for an app thread.
    pub(crate) fn waits(&mut self, waiting: &Waiting) {
        if let Some(watched) = &mut self.watch {
            watched.call = Some(waiting.call().clone());
        }
    }

    /// It waited so long.
    pub(crate) fn waited(&mut self, queued: Option<Duration>) {
        self.queued = queued;
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
            None if self.lent => None,
            None => Some(ErrorClass::Client),
            Some(status) if status.is_client_error() => Some(ErrorClass::Client),
            Some(status) if status.is_server_error() => Some(ErrorClass::App),
            Some(_) => None,
        })
    }
}

/// `METHOD /path`, for messages.
pub(crate) fn method_and_path(request: Option<Noted>) -> String {
    match request {
        Some(request) => escape(&raw_line(request)).to_string(),
        None => "(too many requests are in flight to tell which)".to_owned(),
    }
}

fn raw_line(request: Noted) -> String {
    let request = request.request();
    format!("{} {}", request.method, request.path)
}

/// The requests that a worker has not finished, for messages.
pub(crate) fn in_flight(worker: &Worker) -> String {
    let seen = worker.slot.snapshot();
    let named = seen
        .in_flight
        .iter()
        .take(NAMED)
        .map(|one| escape(&format!("{} {}", one.method, one.path)).to_string());
    let named: Vec<String> = named.collect();
    let more = seen.in_flight.len().saturating_sub(NAMED) + seen.more_in_flight;
    match (named.is_empty(), more) {
        (true, 0) => "no request is in flight".to_owned(),
        (true, more) => format!("{more} requests are in flight"),
        (false, 0) => format!("in flight: {}", named.join(", ")),
        (false, more) => format!("in flight: {} and {more} more", named.join(", ")),
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
        if self.moved {
            return;
        }
        let elapsed = self.began.elapsed();
        self.worker.slot.request_end(self.ticket);
        if !self.lent {
            self.worker.slot.latency(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX));
        }
        if let Some(class) = self.blame() {
            self.worker.slot.error(class);
        }
        if let (Some(log), Some(capture)) = (&self.worker.access_log, self.capture.take()) {
            let end = End { bytes: self.bytes, elapsed, queued: self.queued, environ: &self.log_environ };
            log.end(*capture, &end);
        }
        if let Some(watched) = self.watch.take() {
            over(&self.worker, *watched, self.bytes);
        }
    }
}

/// Tells who watched a request that it is over, where the app may be called.
#[cold]
fn over(worker: &Arc<Worker>, watched: Watched, sent: u64) {
    let Watched { watch, call } = watched;
    let home = call.and_then(|call| call.home());
    if worker.app.drive().blocks() {
        worker.seat.submit(Job::Over(Box::new(Over { worker: worker.clone(), watch, home, sent })));
    } else if let Some(code) = watch.over(sent) {
        worker.lifecycle.leave(code);
    }
}

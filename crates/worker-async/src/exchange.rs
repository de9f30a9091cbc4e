//! One call of the app: the request on its way in, the answer on its way back.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferricorn_protocol::{Answer, AppThread, ClientGone, Connection, Early, Head, Request, Taken, Takeover};
use ferricorn_unix::scoreboard::Ticket;
use http::HeaderMap;

use crate::gate::{MOST_HINTS, early_hints};
use crate::job::{Done, Job, dispose_answer, heed, panicked};
use crate::pipe::Pipe;
use crate::service::Context as Client;
use crate::slot::Slot;
use crate::takeover::{Handover, Offer};
use crate::tie::tie;
use crate::worker::Worker;

/// See the module's first line.
pub(crate) struct Exchange {
    client: Arc<Client>,
    ticket: Ticket,
    request: Mutex<Option<Box<Request>>>,
    reply: Slot<Reply>,
    /// Since when the call waits for an app thread, if anybody wants to know.
    queued: Option<Instant>,
    /// How long it waited.
    waited: OnceLock<Duration>,
    /// The number of the app thread that has begun it, plus one; 0 if none has.
    home: AtomicUsize,
    /// Made if the app sends bytes before its call returns.
    pipe: OnceLock<Arc<Pipe>>,
    /// Whether the app has asked for the connection.
    taken: AtomicBool,
}

/// What the connection's task gets.
pub(crate) enum Reply {
    /// The app's answer.
    Answer(Answer),
    /// A head, sent while the call goes on, and the pipe through which its body comes.
    Begun(Box<Head>, Arc<Pipe>),
    /// Informational responses, to be sent before the answer. Others follow.
    Hints(Vec<u8>),
    /// The app wants the connection itself.
    Takeover(Offer),
}

/// The task's side of an exchange; dropping it says that the client has left.
pub(crate) struct Waiting(Arc<Exchange>);

impl Exchange {
    /// Queues the call.
    pub(crate) fn submit(client: &Arc<Client>, ticket: Ticket, request: Box<Request>) -> Waiting {
        let exchange = Arc::new(Self {
            client: client.clone(),
            ticket,
            request: Mutex::new(Some(request)),
            reply: Slot::new(),
            queued: client.worker.tells_queue.then(Instant::now),
            waited: OnceLock::new(),
            home: AtomicUsize::new(0),
            pipe: OnceLock::new(),
            taken: AtomicBool::new(false),
        });
        client.worker.seat.submit(Job::Call(exchange.clone()));
        client.newcomer.has_come();
        Waiting(exchange)
    }

    pub(crate) fn worker(&self) -> &Arc<Worker> {
        &self.client.worker
    }

    /// Runs the call, on an app thread; not if the client has left before it could begin.
    pub(crate) fn run(self: Arc<Self>) -> Done {
        let request = self.leave_queue();
        let Some(mut request) = request.filter(|_| !self.reply.is_abandoned()) else {
            return Done::Nothing;
        };
        request.early = Some(self.clone());
        self.home.store(AppThread::current().0 + 1, Relaxed);
        let mut answer = self.worker().timed(Some(self.ticket), || {
            catch_unwind(AssertUnwindSafe(|| self.worker().app.call(request)))
                .unwrap_or_else(|panic| Answer::Fault(panicked(&*panic)))
        });
        if let Answer::Fault(fault) = &answer {
            heed(self.worker(), fault);
        }
        tie(self.worker(), &mut answer);
        self.keep(answer);
        Done::Answer(self)
    }

    /// The number of the app thread that has begun the call, if one has.
    pub(crate) fn home(&self) -> Option<usize> {
        self.home.load(Relaxed).checked_sub(1)
    }

    /// Takes the request, for the app or because it has waited for too long: one of the two.
    fn leave_queue(&self) -> Option<Box<Request>> {
        let request = self.request.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(queued), Some(_)) = (self.queued, &request) {
            let _ = self.waited.set(queued.elapsed());
        }
        request
    }

    /// Leaves the answer where the task finds it, or the pipe if the body has begun.
    fn keep(&self, answer: Answer) {
        if let Some(pipe) = self.pipe.get() {
            pipe.end(self.worker(), answer, self.ticket);
        } else if let Err(Reply::Answer(answer)) = self.reply.leave(Reply::Answer(answer)) {
            dispose_answer(self.worker(), answer, self.ticket);
        }
    }

    /// Wakes the task. Called inside the runtime.
    pub(crate) fn deliver(&self) {
        self.reply.wake();
    }
}

impl Early for Exchange {
    fn begin(&self, head: Head, first: Bytes) -> Result<(), ClientGone> {
        if self.taken.load(Relaxed) {
            return Err(ClientGone);
        }
        let pipe = self.pipe.get_or_init(|| Arc::new(Pipe::new(first))).clone();
        self.reply.put(Reply::Begun(Box::new(head), pipe)).map_err(|_| ClientGone)?;
        self.worker().seat.hand_over();
        Ok(())
    }

    fn write(&self, piece: Bytes) -> Result<(), ClientGone> {
        let pipe = self.pipe.get().ok_or(ClientGone)?;
        // A client is not waited for longer than a call of the app may take, and what the app does not do is not
        // held against it (`--timeout`). A client that reads nothing may be ended before that (`--write-timeout`).
        let patience = self.worker().settings.timeout.unwrap_or(Duration::MAX);
        let lane = AppThread::current().0;
        let waits = |time| self.worker().slot.call_waited(lane, time);
        pipe.write(piece, patience, || self.worker().seat.hand_over(), waits)
    }

    /// Hints are advice: those that a client is too slow for are left out.
    fn hint(&self, headers: &HeaderMap) {
        self.reply.put_ahead(|before| {
            let mut bytes = match before {
                Some(Reply::Hints(bytes)) => bytes,
                _ => Vec::new(),
            };
            if bytes.len() < MOST_HINTS {
                bytes.extend(early_hints(headers));
            }
            Reply::Hints(bytes)
        });
        self.worker().seat.hand_over();
    }

    fn takeover(&self) -> Option<&dyn Takeover> {
        Some(self)
    }
}

impl Takeover for Exchange {
    fn connection(&self) -> &Connection {
        &self.client.connection
    }

    fn look(&self) -> io::Result<OwnedFd> {
        self.client.gate.duplicate()
    }

    fn take_over(&self, _: &mut Context<'_>) -> Poll<io::Result<Taken>> {
        Poll::Ready(self.take_over_on_seat())
    }
}

impl Exchange {
    /// Asks the task for the connection, and waits for it.
    fn take_over_on_seat(&self) -> io::Result<Taken> {
        if self.pipe.get().is_some() {
            return Err(io::Error::other("the response has begun, so the connection cannot be taken over"));
        }
        if self.taken.swap(true, Relaxed) {
            return Err(io::Error::other("the connection was taken over already"));
        }
        let (handover, offer) = Handover::new();
        let offered = self.reply.put(Reply::Takeover(offer));
        offered.map_err(|_| io::Error::from(ErrorKind::BrokenPipe))?;
        let seat = &self.worker().seat;
        let descriptor = handover.wait(|| {
            seat.hand_over();
            !seat.stopping()
        })?;
        // How long the app is at it is the client's matter from now on.
        self.worker().slot.call_untimed(AppThread::current().0);
        Ok(Taken { descriptor, lease: handover.lease() })
    }
}

impl Waiting {
    /// The reply, when it is there.
    pub(crate) fn poll_reply(&self, cx: &mut Context<'_>) -> Poll<Reply> {
        self.0.reply.poll_take(cx)
    }

    /// Takes the request back, unless the call has begun.
    pub(crate) fn withdraw(&self) -> bool {
        self.0.leave_queue().is_some()
    }

    pub(crate) fn call(&self) -> &Arc<Exchange> {
        &self.0
    }

    /// How long the request waited for an app thread; `None` while it does, and if the access log does not tell.
    pub(crate) fn waited(&self) -> Option<Duration> {
        self.0.waited.get().copied()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        match self.0.reply.abandon() {
            Some(Reply::Answer(answer)) => dispose_answer(self.0.worker(), answer, self.0.ticket),
            Some(Reply::Begun(_, pipe)) => pipe.close(self.0.worker(), self.0.ticket),
            Some(Reply::Hints(_) | Reply::Takeover(_)) | None => {}
        }
    }
}

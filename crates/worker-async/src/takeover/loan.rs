//! A connection while it is the app's, until the call returns or the app closes its socket; and its end.

use std::future::poll_fn;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use ferricorn_protocol::{Answer, AppFault, BoxFuture, Response};
use ferricorn_unix::scoreboard::ErrorClass;
use ferricorn_unix::socket::end_reading;
use http::{HeaderMap, StatusCode};

use super::relay::relay;
use super::{Handover, Offer, Socket};
use crate::exchange::{Reply, Waiting};
use crate::gate::Gate;
use crate::job::{blame, dispose_answer, poll_guarded};
use crate::record::Record;
use crate::timer::timeout;
use crate::worker::Worker;

/// How long a socket may stay open behind the call that it was lent to: simple-websocket answers a close frame, and closes,
/// from a thread of its own, for which the handler does not wait.
const LAST_WORD: Duration = Duration::from_millis(200);

/// See the module's first line.
pub(crate) struct Loan {
    call: Call,
    offer: Offer,
}

/// The call that has the connection.
pub(super) struct Call {
    worker: Arc<Worker>,
    running: Running,
    /// The books on its request, until it returns.
    record: Option<Record>,
}

/// What tells of the call's end.
pub(crate) enum Running {
    /// An app thread.
    OnSeat(Waiting),
    /// The future that is the app's answer.
    InTask(BoxFuture<'static, Result<Box<Response>, AppFault>>),
}

impl Loan {
    pub(crate) fn new(record: Record, running: Running, offer: Offer) -> Self {
        let worker = record.worker().clone();
        Self { call: Call { worker, running, record: Some(record) }, offer }
    }

    /// Gives the app its connection, and sees to the end of both. `read` is what hyper has read behind the request.
    pub(crate) async fn run<S: Socket>(self: Box<Self>, gate: Gate<S>, read: &[u8]) {
        let Self { mut call, offer } = *self;
        let rules = call.worker.rules;
        if gate.asks_websocket()
            && let Some(record) = &mut call.record
        {
            // Who takes over for one is taken to consent.
            record.head(StatusCode::SWITCHING_PROTOCOLS, &HeaderMap::new(), Vec::new());
        }
        let (socket, held) = gate.release();
        let left = if held.is_empty() && read.is_empty() {
            lend(socket, offer, &mut call).await
        } else {
            let mut ahead = BytesMut::from(read);
            ahead.unsplit(held);
            Box::pin(relay(socket, &ahead, offer, &mut call)).await
        };
        if let Some(socket) = left {
            let last = socket.as_fd().try_clone_to_owned();
            Gate::new(socket, rules).0.hang_up(true).await;
            // The app may have its descriptor still, and a thread that waits there.
            let _ = last.map(|last| end_reading(last.as_fd()));
        }
        poll_fn(|cx| call.poll_returned(cx)).await;
    }
}

/// Lends the socket itself. `None` if there is none left to be closed in good order.
async fn lend<S: Socket>(socket: S, offer: Offer, call: &mut Call) -> Option<S> {
    let both = socket.leave().and_then(|socket| Ok((socket.try_clone()?, socket)));
    match both {
        Ok((lent, kept)) => {
            if let Some(handover) = offer.settle(Ok(lent)) {
                call.until_over(&handover, kept.as_fd()).await;
            }
            S::come_back(kept).ok()
        }
        Err(error) => {
            offer.settle(Err(error));
            None
        }
    }
}

impl Call {
    /// Waits until the app has closed its socket, or the call has returned and was given a little time for that. When the
    /// worker drains the app reads the end
    /// of the stream, as if the client had left: nothing else can be said in a protocol that is the app's.
    pub(super) async fn until_over(&mut self, handover: &Handover, socket: BorrowedFd<'_>) {
        let worker = self.worker.clone();
        let mut over = pin!(poll_fn(|cx| match self.poll_returned(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => handover.poll_closed(cx),
        }));
        tokio::select! {
            biased;
            () = &mut over => {}
            () = worker.lifecycle.drains() => {
                if let Err(error) = end_reading(socket) {
                    tracing::debug!("A connection that the app has taken over cannot be told of the end: {error}");
                }
                over.await;
            }
        }
        let _ = timeout(LAST_WORD, poll_fn(|cx| handover.poll_closed(cx))).await;
    }

    /// Waits until the call has returned. What it gave is closed, and no answer: a fault is told.
    fn poll_returned(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(record) = &mut self.record else { return Poll::Ready(()) };
        match ready!(self.running.poll(cx)) {
            Answer::Fault(fault) => {
                record.failed(ErrorClass::App);
                blame(&self.worker, &format!("Error handling request {}", record.request_line()), &fault);
            }
            answer => dispose_answer(&self.worker, answer, record.ticket()),
        }
        self.record = None;
        Poll::Ready(())
    }
}

impl Running {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answer> {
        match self {
            Self::OnSeat(waiting) => loop {
                // Hints, and a second wish for the connection, are of no consequence.
                if let Reply::Answer(answer) = ready!(waiting.poll_reply(cx)) {
                    return Poll::Ready(answer);
                }
            },
            Self::InTask(answer) => poll_guarded(answer.as_mut(), cx)
                .map(|given| given.map_or_else(Answer::Fault, Answer::Response)),
        }
    }
}

//! What app threads do: calls, pieces of bodies, and the ends of bodies.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ferricorn_protocol::{Answer, AppFault, ExitCode, Pieces, ResponseBody, Watch};
use ferricorn_telemetry::tell_fault;
use ferricorn_unix::scoreboard::{Noted, Ticket};

use crate::exchange::Exchange;
use crate::pull::Pull;
use crate::record::method_and_path;
use crate::seat::Work;
use crate::worker::Worker;

/// One step of the app, queued for an app thread.
pub(crate) enum Job {
    /// Call the app with the request that waits in the exchange.
    Call(Arc<Exchange>),
    /// Produce pieces of a response for a while.
    Pull(Arc<Pull>),
    /// End a response whose bytes are all sent, or wanted no more.
    Close(Box<Close>),
    /// Tell the app that a request is over.
    Over(Box<Over>),
}

/// A request that is over, and that the app watches.
pub(crate) struct Over {
    pub(crate) worker: Arc<Worker>,
    pub(crate) watch: Box<dyn Watch>,
    /// The app thread that it was called on; none if it was not.
    pub(crate) home: Option<usize>,
    /// How many bytes of the response's body were sent.
    pub(crate) sent: u64,
}

/// A response to be ended.
pub(crate) struct Close {
    worker: Arc<Worker>,
    pieces: Box<dyn Pieces>,
    ending: Ending,
    /// Its request, unless too many were in flight to tell.
    request: Option<Noted>,
}

/// What is known of a response when its production ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its Content-Length has been sent, so one more step should find the end.
    Complete,
    /// The client has left, or the rest cannot be sent.
    Abandoned,
}

/// What came of a [`Job`].
pub(crate) enum Done {
    /// The app's answer lies in the exchange.
    Answer(Arc<Exchange>),
    /// Pieces are ready, or the production has ended.
    Pieces(Arc<Pull>),
    /// Nothing that anybody waits for.
    Nothing,
}

impl Work for Job {
    type Done = Done;
    type Around = Arc<Worker>;

    fn surroundings(&self) -> Arc<Worker> {
        match self {
            Self::Call(exchange) => exchange.worker().clone(),
            Self::Pull(pull) => pull.worker().clone(),
            Self::Close(close) => close.worker.clone(),
            Self::Over(over) => over.worker.clone(),
        }
    }

    fn around(worker: Arc<Worker>, work: &mut dyn FnMut()) {
        worker.enter_app(work);
    }

    fn home(&self) -> Option<usize> {
        match self {
            Self::Call(_) => None,
            Self::Over(over) => over.home,
            Self::Pull(pull) => pull.home(),
            Self::Close(close) => close.pieces.home().map(|home| home.0),
        }
    }

    fn run(self) -> Done {
        match self {
            Self::Call(exchange) => exchange.run(),
            Self::Pull(pull) => pull.run(),
            Self::Close(job) => {
                let Close { worker, pieces, ending, request } = *job;
                close(&worker, pieces, ending, request);
                Done::Nothing
            }
            Self::Over(over) => {
                let Over { worker, watch, sent, .. } = *over;
                // A panic is logged where it happens, and nobody waits for the end of this.
                let over = worker.timed(None, || catch_unwind(AssertUnwindSafe(|| watch.over(sent))));
                if let Ok(Some(code)) = over {
                    worker.lifecycle.leave(code);
                }
                Done::Nothing
            }
        }
    }

    fn deliver(done: Done) {
        match done {
            Done::Answer(exchange) => exchange.deliver(),
            Done::Pieces(pull) => pull.deliver(),
            Done::Nothing => {}
        }
    }
}

/// Ends a production, on an app thread.
pub(crate) fn close(
    worker: &Arc<Worker>,
    mut pieces: Box<dyn Pieces>,
    ending: Ending,
    request: Option<Noted>,
) {
    let line = || method_and_path(request);
    worker.timed(None, || {
        if ending == Ending::Complete {
            match guarded(|| pieces.next()) {
                Ok(None) => {}
                Ok(Some(_)) => warn_too_long(&line()),
                Err(fault) => {
                    blame(worker, &format!("Error after the end of the response to {}", line()), &fault)
                }
            }
        }
        if let Err(fault) = guarded(|| pieces.close()) {
            blame(worker, &format!("Error while closing the response to {}", line()), &fault);
        }
    });
}

/// Logs that a response is longer than it said.
pub(crate) fn warn_too_long(line: &str) {
    tracing::warn!("The response is longer than its Content-Length; the rest was cut: {line}");
}

/// Runs a step of the app; a panic in it is a fault of ours, and costs this request only.
pub(crate) fn guarded<T>(step: impl FnOnce() -> Result<T, AppFault>) -> Result<T, AppFault> {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|panic| Err(panicked(&*panic)))
}

/// Polls a future of the app in the same way.
pub(crate) fn poll_guarded<T>(
    future: Pin<&mut (dyn Future<Output = Result<T, AppFault>> + Send)>,
    cx: &mut Context<'_>,
) -> Poll<Result<T, AppFault>> {
    catch_unwind(AssertUnwindSafe(|| future.poll(cx)))
        .unwrap_or_else(|panic| Poll::Ready(Err(panicked(&*panic))))
}

/// The fault that stands for a panic. The panic hook has logged where it happened.
pub(crate) fn panicked(panic: &(dyn Any + Send)) -> AppFault {
    let what = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    AppFault::new(format!("internal error: {what}"))
}

/// Ends what an answer that nobody will read has left open.
pub(crate) fn dispose_answer(worker: &Arc<Worker>, answer: Answer, ticket: Ticket) {
    match answer {
        Answer::Begun(body) => dispose(worker, body, ticket),
        Answer::Response(response) => dispose(worker, response.body, ticket),
        Answer::Later(_) | Answer::Fault(_) => {}
    }
}

/// Ends a body that nobody will read.
pub(crate) fn dispose(worker: &Arc<Worker>, body: ResponseBody, ticket: Ticket) {
    let rest = match body {
        ResponseBody::Pulled { rest, .. } => Some(rest),
        ResponseBody::File(file) => file.rest,
        _ => None,
    };
    if let Some(rest) = rest {
        close_later(worker, rest, Ending::Abandoned, worker.slot.request(ticket));
    }
}

/// Has a production ended on an app thread.
pub(crate) fn close_later(
    worker: &Arc<Worker>,
    pieces: Box<dyn Pieces>,
    ending: Ending,
    request: Option<Noted>,
) {
    worker.seat.submit(Job::Close(Box::new(Close { worker: worker.clone(), pieces, ending, request })));
}

/// Logs a fault of the app, and has the worker leave if the app asked for that.
pub(crate) fn blame(worker: &Worker, what: &str, fault: &AppFault) {
    tell_fault(what, fault);
    heed(worker, fault);
}

/// Has the worker leave if the app asked for that: also where nobody is left to hear of the fault.
pub(crate) fn heed(worker: &Worker, fault: &AppFault) {
    if let Some(code) = fault.exit {
        worker.lifecycle.leave(ExitCode(code));
    }
}

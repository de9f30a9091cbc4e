//! One call of the app as its connection's task sees it: how it begins, and what comes of it in its time.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use ferricorn_protocol::{Answer, AppFault, Drive, Head, Request, Response};
use http::header::{CONNECTION, DATE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, StatusCode, Version};

use crate::answer;
use crate::deadline::{Limit, Outcome};
use crate::exchange::{Exchange, Reply, Waiting};
use crate::job::{blame, dispose, guarded, poll_guarded};
use crate::pipe::Pipe;
use crate::queue::{self, Overdue};
use crate::record::Record;
use crate::service::Context;
use crate::takeover::{Loan, Offer, Running};
use crate::worker::Worker;

/// What the app gave, or what the server says in its place.
pub(crate) enum Given {
    Whole(Box<Response>),
    Begun(Box<Head>, Arc<Pipe>),
}

/// A call that was begun, and its deadline, if there is one.
pub(crate) struct Begun {
    pub(crate) calling: Calling,
    pub(crate) limit: Option<Box<Limit>>,
}

pub(crate) enum Calling {
    OnSeat(Waiting),
    InTask(Box<Answer>),
}

/// Begins the call, where the app wants to be called. Not async: a request is large, and a future that is
/// made of one moves it about.
pub(crate) fn begin(context: &Arc<Context>, record: &mut Record, mut request: Box<Request>) -> Begun {
    let worker = &context.worker;
    if let Some(watch) = worker.app.watch(&mut request) {
        record.watch(watch);
    }
    let time = worker.settings.request_timeout;
    let limit = time.map(|time| Box::new(Limit::begin(time, context.gate.last_request())));
    request.deadline = limit.as_ref().map(|limit| limit.deadline());
    let calling = match worker.app.drive() {
        Drive::Task | Drive::Hosted => {
            if request.head.version >= Version::HTTP_11 {
                context.gate.begin_hints();
                request.hints = Some(context.gate.clone());
            }
            if takes_over(worker) {
                request.takeover = Some(context.clone());
            }
            let answer = guarded(|| Ok(worker.app.call(request)));
            Calling::InTask(Box::new(answer.unwrap_or_else(Answer::Fault)))
        }
        Drive::Seat => {
            let waiting = Exchange::submit(context, record.ticket(), request);
            record.waits(&waiting);
            Calling::OnSeat(waiting)
        }
    };
    Begun { calling, limit }
}

/// Waits for the answer; a fault becomes a response, and so does the end of its time.
pub(crate) async fn finish(
    context: &Context,
    record: &mut Record,
    calling: Calling,
    limit: &mut Option<Box<Limit>>,
) -> Given {
    let worker = &context.worker;
    let answer = match calling {
        Calling::InTask(answer) => *answer,
        Calling::OnSeat(waiting) => {
            let mut first = None;
            if let Some(patience) = worker.settings.queue_timeout {
                let mut wait = Box::pin(queue::first_reply(&waiting, patience));
                match within(limit, |cx| wait.as_mut().poll(cx)).await {
                    Ok(Ok(reply)) => first = reply,
                    Ok(Err(Overdue)) => {
                        return Given::Whole(queue::refuse(worker, record, &waiting, patience));
                    }
                    Err(Late) => return Given::Whole(late_on_seat(worker, record, limit, &waiting)),
                }
            }
            loop {
                let reply = match first.take() {
                    Some(reply) => Ok(reply),
                    None => within(limit, |cx| waiting.poll_reply(cx)).await,
                };
                record.waited(waiting.waited());
                match reply {
                    Ok(Reply::Answer(answer)) => break answer,
                    Ok(Reply::Begun(head, pipe)) => return Given::Begun(head, pipe),
                    Ok(Reply::Hints(bytes)) => context.gate.send_hints(bytes).await,
                    Ok(Reply::Takeover(offer)) => {
                        match Box::pin(lend(context, record, Running::OnSeat(waiting), offer)).await {}
                    }
                    Err(Late) => return Given::Whole(late_on_seat(worker, record, limit, &waiting)),
                }
            }
        }
    };
    let result = match answer {
        Answer::Response(response) => Ok(response),
        Answer::Later(mut future) => match within(limit, |cx| poll_later(context, future.as_mut(), cx)).await
        {
            Ok(Ok(result)) => result,
            Ok(Err(offer)) => match Box::pin(lend(context, record, Running::InTask(future), offer)).await {},
            Err(Late) => {
                let queued = limit.as_ref().is_some_and(|limit| limit.withdraw(worker));
                Ok(late(worker, record, limit, queued))
            }
        },
        Answer::Fault(fault) => Err(fault),
        Answer::Begun(body) => {
            dispose(worker, body, record.ticket());
            Err(AppFault::new("a body without a head"))
        }
    };
    let drive = worker.app.drive();
    if !drive.blocks() {
        context.gate.end_hints().await;
    }
    Given::Whole(match result {
        Ok(mut response) => {
            // The bridge to Python has dropped them already.
            if drive == Drive::Task {
                drop_hop_by_hop(&mut response.head.headers);
            }
            response
        }
        Err(fault) => fail(worker, record, &fault),
    })
}

/// Leaves the connection to the app, once all before was written. The service has nothing more to do then, and goes with
/// hyper.
async fn lend(context: &Context, record: &mut Record, running: Running, offer: Offer) -> Infallible {
    if let Running::InTask(_) = running {
        context.gate.end_hints().await;
    }
    context.gate.all_left().await;
    context.lent.put(Box::new(Loan::new(record.lend(), running, offer)));
    pending().await
}

/// Whether the app may ask for the connection of its request, and answers with a future.
fn takes_over(worker: &Worker) -> bool {
    worker.app.drive() == Drive::Hosted && !worker.app.converses()
}

/// What comes of an answer that is a future: what the app gave, or its wish to have the connection itself.
type Later = Result<Result<Box<Response>, AppFault>, Offer>;

fn poll_later(
    context: &Context,
    answer: Pin<&mut (dyn Future<Output = Result<Box<Response>, AppFault>> + Send)>,
    cx: &mut std::task::Context<'_>,
) -> Poll<Later> {
    match poll_guarded(answer, cx) {
        Poll::Ready(result) => {
            context.wish.forget();
            Poll::Ready(Ok(result))
        }
        Poll::Pending if takes_over(&context.worker) => context.wish.poll_made(cx).map(Err),
        Poll::Pending => Poll::Pending,
    }
}

/// The time of a request is over.
struct Late;

/// What a call gives, if it does in its time.
async fn within<T>(
    limit: &mut Option<Box<Limit>>,
    mut poll: impl FnMut(&mut std::task::Context<'_>) -> Poll<T>,
) -> Result<T, Late> {
    poll_fn(|cx| match (poll(cx), limit.as_mut()) {
        (Poll::Ready(given), _) => Poll::Ready(Ok(given)),
        (Poll::Pending, Some(limit)) => limit.poll_over(cx).map(|()| Err(Late)),
        (Poll::Pending, None) => Poll::Pending,
    })
    .await
}

/// The answer to one whose time is over on the seat, or before it.
#[cold]
fn late_on_seat(
    worker: &Arc<Worker>,
    record: &mut Record,
    limit: &mut Option<Box<Limit>>,
    waiting: &Waiting,
) -> Box<Response> {
    let queued = waiting.withdraw();
    record.waited(waiting.waited());
    late(worker, record, limit, queued)
}

/// The answer to a request whose time is over. What the app does for it is interrupted, if it was called at all.
#[cold]
fn late(
    worker: &Arc<Worker>,
    record: &Record,
    limit: &mut Option<Box<Limit>>,
    queued: bool,
) -> Box<Response> {
    let outcome = if queued { Outcome::NotCalled } else { Outcome::Answered };
    if let Some(limit) = limit.take() {
        limit.interrupt(worker, record.request_line(), outcome);
    }
    answer::error(StatusCode::GATEWAY_TIMEOUT, "The app did not answer in time.")
}

/// The answer to a request whose call failed, which is told in the log.
pub(crate) fn fail(worker: &Worker, record: &Record, fault: &AppFault) -> Box<Response> {
    blame(worker, &format!("Error handling request {}", record.request_line()), fault);
    answer::error(StatusCode::INTERNAL_SERVER_ERROR, "")
}

/// Takes out what belongs to the connection, not to the response.
fn drop_hop_by_hop(headers: &mut HeaderMap) {
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE, DATE] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

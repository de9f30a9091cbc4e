//! The queue for an app thread: a request that has waited in it for too long gets no call, but an answer.
//!
//! It holds one request of each connection at most, so `worker_connections` bounds it.

use std::future::poll_fn;
use std::time::Duration;

use ferricorn_protocol::Response;
use ferricorn_unix::scoreboard::ErrorClass;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};

use crate::answer;
use crate::exchange::{Reply, Waiting};
use crate::record::Record;
use crate::timer::{Elapsed, timeout};
use crate::worker::Worker;

/// No app thread has begun the call in time, and none will.
pub(crate) struct Overdue;

/// Waits so long for the first reply. `None` if there is none yet because the call runs.
///
/// # Errors
/// The call had not begun, and its request was taken out of the queue.
pub(crate) async fn first_reply(waiting: &Waiting, limit: Duration) -> Result<Option<Reply>, Overdue> {
    match timeout(limit, poll_fn(|cx| waiting.poll_reply(cx))).await {
        Ok(reply) => Ok(Some(reply)),
        Err(Elapsed) if waiting.withdraw() => Err(Overdue),
        Err(Elapsed) => Ok(None),
    }
}

/// The answer to a request that has waited for longer than `limit`.
#[cold]
pub(crate) fn refuse(
    worker: &Worker,
    record: &mut Record,
    waiting: &Waiting,
    limit: Duration,
) -> Box<Response> {
    record.waited(waiting.waited());
    record.failed(ErrorClass::Server);
    worker.complaints.tell_overdue(limit, &record.request_line());
    let mut page = answer::error(StatusCode::SERVICE_UNAVAILABLE, "The server is busy; please try again.");
    // RFC 9110 section 10.2.3: whole seconds.
    let seconds = limit.as_secs() + u64::from(limit.subsec_nanos() > 0);
    page.head.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    page
}

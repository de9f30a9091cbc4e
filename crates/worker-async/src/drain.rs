//! The end of a worker: what is in flight finishes, who is idle is let go, and nobody waits for ever.

use std::time::Duration;

use ferricorn_unix::scoreboard::State;

use crate::record::in_flight;
use crate::term::Term;
use crate::timer::timeout;
use crate::worker::Worker;

/// How long an idle connection may still bring a request after the drain began: its client may have sent one
/// before it could know.
const IDLE_GRACE: Duration = Duration::from_secs(2);

/// Waits for the drain to begin, and sees it through. Gives the time that the worker has.
///
/// `tell` is called if the worker leaves of its own accord, which its master cannot know.
pub(crate) async fn run(worker: &Worker, tell: impl FnOnce()) -> Term {
    worker.lifecycle.drains().await;
    worker.slot.set_state(State::Draining);
    worker.show("serving", "leaving");
    if worker.lifecycle.own_accord() {
        tell();
    }
    let term = Term::new(worker, worker.settings.graceful_timeout);
    let limit = term.for_calls();
    if timeout(limit, let_go(worker)).await.is_err() {
        let open = worker.connections.count();
        tracing::warn!(
            "{open} connection{} did not end within {} s; closing {}; {}",
            if open == 1 { "" } else { "s" },
            limit.as_secs_f64(),
            if open == 1 { "it" } else { "them" },
            in_flight(worker)
        );
    }
    term
}

async fn let_go(worker: &Worker) {
    let all_gone = async || {
        // They may take in who waits in the kernel's queue, for which others must go first if the worker is full.
        worker.acceptors.wait().await;
        worker.connections.until(|open| open == 0).await;
    };
    let grace = IDLE_GRACE.min(worker.settings.keepalive);
    if timeout(grace, all_gone()).await.is_err() {
        // A head of which only a part has come is no request in flight, and must not hold up the stop.
        worker.connections.for_each(|entry| {
            entry.gate.fin();
            entry.gate.expire();
        });
        all_gone().await;
    }
}

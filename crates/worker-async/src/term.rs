//! The time that a worker has to leave in: for the calls that are left, and for the app to shut down after them.

use std::time::{Duration, Instant};

use ferricorn_telemetry::escape;

use crate::timer::timeout;
use crate::worker::Worker;

/// The app's part of it is a tenth, but within these bounds, and never more than half.
const RESERVE: (Duration, Duration) = (Duration::from_millis(1500), Duration::from_secs(5));

/// What the app's shutdown has at the least, though nothing is left; its master waits a little longer.
const LEAST: Duration = Duration::from_millis(300);

/// How long connections that are cut may take to end; it is a matter of a turn of the loop.
const TURN: Duration = Duration::from_millis(100);

/// How many calls one line names.
const NAMED: usize = 5;

/// See the module's first line.
pub(crate) struct Term {
    began: Instant,
    whole: Duration,
    /// What is kept of that for the app's shutdown.
    reserve: Duration,
}

impl Term {
    /// Begins now.
    pub(crate) fn new(worker: &Worker, whole: Duration) -> Self {
        let reserve = match worker.app.must_shut_down() {
            true => (whole / 10).clamp(RESERVE.0, RESERVE.1).min(whole / 2),
            false => Duration::ZERO,
        };
        Self { began: Instant::now(), whole, reserve }
    }

    /// The part for the calls.
    pub(crate) fn for_calls(&self) -> Duration {
        self.whole - self.reserve
    }

    /// What is left of that part of the time.
    fn left_of(&self, part: Duration) -> Duration {
        part.saturating_sub(self.began.elapsed())
    }
}

/// Sees to the end of what is left when the worker has drained: connections, calls, and the app itself.
pub(crate) async fn end(worker: &Worker, term: &Term) {
    // An app that blocks has no shutdown; its calls cannot be cut off, and are to be named if they hold up the end.
    if worker.app.drive().blocks() {
        return;
    }
    cut(worker);
    // What waits for a connection has to hear of its end before anything is said of it.
    let _ = timeout(TURN, worker.connections.until(|open| open == 0)).await;
    if timeout(term.left_of(term.for_calls()), worker.app.settle()).await.is_err() {
        cancel(worker, term);
        // Calls that do not let themselves be cancelled must not take the app's time.
        let _ = timeout(term.left_of(term.for_calls() + term.reserve / 4), worker.app.settle()).await;
    }
    let left = term.left_of(term.whole).max(LEAST);
    if timeout(left, worker.app.shutdown()).await.is_err() {
        tracing::warn!(
            "The app did not end its shutdown (lifespan.shutdown) within the {:.1} s that were left for it, and is cut off; \
             raise --graceful-timeout if it needs longer",
            left.as_secs_f64()
        );
    }
}

/// Ends the connections that are still open: no request may meet an app that shuts down.
fn cut(worker: &Worker) {
    worker.connections.for_each(|entry| {
        if let Some(abort) = &entry.abort {
            abort.abort();
        }
    });
}

/// Cancels the calls that are left, and names those of which nothing was said yet.
fn cancel(worker: &Worker, term: &Term) {
    let after = term.for_calls().as_secs_f64();
    let calls = worker.app.cancel();
    for call in calls.iter().take(NAMED) {
        tracing::warn!("The task of {} still ran after {after} s and is cancelled", escape(call));
    }
    if let more @ 1.. = calls.len().saturating_sub(NAMED) {
        tracing::warn!("{more} more tasks still ran and are cancelled");
    }
}

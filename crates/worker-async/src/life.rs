//! A worker's life as one task, whoever turns the loop: the app starts, clients come, they go, the app ends.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ferricorn_protocol::AppFault;
use ferricorn_unix::control::Report;
use ferricorn_unix::scoreboard::State;
use ferricorn_unix::{Listener, heap};

use crate::accept::Acceptor;
use crate::drain;
use crate::job::{log_fault, poll_guarded};
use crate::timer::timeout;
use crate::worker::Worker;

/// How long the app has for its shutdown if the worker is to end at once.
const QUICK: Duration = Duration::from_secs(1);

/// What it has at the least, though nothing is left of the graceful timeout; its master waits a little longer.
const LEAST: Duration = Duration::from_millis(300);

/// Lives until the worker is told to leave, or cannot go on; then closes the seat. Clients are accepted, and the
/// master is told, once the app has started; `begins` is called just before.
pub(crate) async fn live(
    worker: Arc<Worker>,
    listeners: Vec<Listener>,
    begins: impl FnOnce(),
    tell: impl Fn(Report),
) {
    let _end = End(worker.clone());
    if !start(&worker).await {
        return;
    }
    begins();
    if let Err(error) = accept(&worker, &listeners) {
        tracing::error!("The worker cannot accept: {error}");
        return worker.lifecycle.fail();
    }
    drop(listeners);
    worker.lifecycle.serve();
    // What only the start needed.
    heap::give_back();
    worker.slot.set_state(State::Ready);
    tell(Report::Ready);
    let left = tokio::select! {
        biased;
        () = worker.lifecycle.quits() => QUICK,
        left = drain::run(&worker, || tell(Report::Leaving)) => left,
    };
    cut(&worker);
    let left = settle(&worker, left).await;
    if timeout(left, worker.app.shutdown()).await.is_err() {
        tracing::warn!("The app did not shut down in the {:.1} s that it had", left.as_secs_f64());
    }
}

/// Waits for calls that go on after their responses, but not until the app has no time left to shut down. Gives that time.
async fn settle(worker: &Worker, left: Duration) -> Duration {
    let began = Instant::now();
    if timeout(left.saturating_sub(QUICK.min(left / 4)), worker.app.settle()).await.is_err() {
        tracing::warn!(
            "Calls of the app go on; they are ended with the worker, and the app shuts down before"
        );
    }
    left.saturating_sub(began.elapsed()).max(LEAST)
}

/// Closes the seat, however this life ends.
struct End(Arc<Worker>);

impl Drop for End {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lifecycle.fail();
        }
        self.0.seat.stop();
    }
}

/// Whether the app has started. It has not if it failed to, or if the worker was told to leave before.
async fn start(worker: &Worker) -> bool {
    let mut startup = worker.app.startup();
    let started = tokio::select! {
        biased;
        () = worker.lifecycle.drains() => None,
        started = poll_fn(|cx| poll_guarded(startup.as_mut(), cx)) => Some(started),
    };
    match started {
        Some(Ok(())) => return true,
        Some(Err(fault)) => {
            tell_failed_start(&fault);
            worker.lifecycle.fail();
        }
        None => tracing::info!("The worker was told to leave before the app had started"),
    }
    false
}

fn tell_failed_start(fault: &AppFault) {
    match fault.traceback {
        Some(_) => log_fault(&format!("The app failed to start: {fault}"), fault),
        None => log_fault("The app failed to start", fault),
    }
}

/// Begins to accept.
fn accept(worker: &Arc<Worker>, listeners: &[Listener]) -> io::Result<()> {
    for listener in listeners {
        let acceptor = Acceptor::new(listener)?.run(worker.clone());
        worker.spawner.spawn(worker.acceptors.track_future(acceptor));
    }
    worker.acceptors.close();
    Ok(())
}

/// Ends the connections that are still open: no request may meet an app that shuts down.
fn cut(worker: &Worker) {
    worker.connections.for_each(|entry| {
        if let Some(abort) = &entry.abort {
            abort.abort();
        }
    });
}

//! A worker's life as one task, whoever turns the loop: the app starts, clients come, they go, the app ends.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ferricorn_protocol::{AppFault, Drive};
use ferricorn_telemetry::tell_fault;
use ferricorn_unix::control::Report;
use ferricorn_unix::scoreboard::State;
use ferricorn_unix::{Listener, heap};

use crate::accept::Acceptor;
use crate::door;
use crate::drain;
use crate::job::poll_guarded;
use crate::term::{self, Term};
use crate::timer::sleep;
use crate::worker::Worker;

/// How long the app has if the worker is to end at once.
const QUICK: Duration = Duration::from_secs(1);

/// After which time it is told that an app has not started yet.
const LONG: Duration = Duration::from_secs(5);

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
    worker.show("starting", "serving");
    tell(Report::Ready);
    let term = tokio::select! {
        biased;
        () = worker.lifecycle.quits() => Term::new(&worker, QUICK),
        term = drain::run(&worker, || tell(Report::Leaving)) => term,
        never = tell_when_spent(&worker, &tell) => match never {},
    };
    term::end(&worker, &term).await;
}

/// Tells the master once that the worker has served as many requests as it should.
async fn tell_when_spent(worker: &Worker, tell: &impl Fn(Report)) -> Infallible {
    worker.lifecycle.spends().await;
    tell(Report::Spent);
    pending().await
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
        never = tell_of_a_wait(worker.app.drive()) => match never {},
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

/// Says once that the app takes its time. Only an app that hosts the loop has a protocol for its start that can be at
/// fault.
async fn tell_of_a_wait(drive: Drive) -> Infallible {
    if drive == Drive::Hosted {
        sleep(LONG).await;
        tracing::info!("Waiting for the app to start (lifespan.startup)");
    }
    pending().await
}

fn tell_failed_start(fault: &AppFault) {
    match fault.traceback {
        Some(_) => tell_fault(&format!("The app failed to start: {fault}"), fault),
        None => tell_fault("The app failed to start", fault),
    }
}

/// Begins to accept.
fn accept(worker: &Arc<Worker>, listeners: &[Listener]) -> io::Result<()> {
    for listener in listeners {
        let acceptor = Acceptor::new(worker, listener)?.run(worker.clone());
        worker.spawner.spawn(worker.acceptors.track_future(acceptor));
    }
    worker.acceptors.close();
    if worker.app.drive() == Drive::Seat {
        worker.spawner.spawn(door::keep_doors(worker.clone()));
    }
    Ok(())
}

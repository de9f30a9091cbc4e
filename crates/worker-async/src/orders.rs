//! What the master says: over the control socket, by signals, and by dying.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ferricorn_protocol::{ExitCode, Hooks, Moment};
use ferricorn_telemetry::{AccessLog, error_log, tell_fault};
use ferricorn_unix::control::{Alive, Incoming, Order, WorkerEnd};
use ferricorn_unix::signal::WorkerSignals;
use ferricorn_unix::{Notices, clock};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::net::unix::pipe::Receiver;

use crate::record::in_flight;
use crate::worker::Worker;

/// What an orphan gets beyond the graceful timeout to end in an orderly way.
const MARGIN: Duration = Duration::from_millis(500);

/// What a worker gets that is to end at once: less than its master would wait.
const QUICK: Duration = Duration::from_millis(1500);

/// How long after that order hooks hear of the end of a worker whose calls go on.
const LAST_WORD: Duration = Duration::from_millis(1000);

/// What the logger gets of a worker that ends without more ado.
const TO_LOG: Duration = Duration::from_millis(300);

/// The status of a worker whose call was aborted, as in gunicorn.
const ABORTED: ExitCode = ExitCode(1);

/// What the master has given beside orders.
pub(crate) struct Master {
    pub(crate) notices: Notices,
    pub(crate) hooks: Arc<dyn Hooks>,
    /// Whether the hooks were told that the worker ends at once.
    pub(crate) interrupted: AtomicBool,
}

/// Follows orders from the control socket until the master closes it.
pub(crate) async fn follow_control(
    worker: Arc<Worker>,
    control: Arc<WorkerEnd>,
    master: Arc<Master>,
) -> io::Result<()> {
    let socket = UnixStream::from_std(control.as_fd().try_clone_to_owned()?.into())?;
    loop {
        let received = socket.async_io(Interest::READABLE, || match control.receive()? {
            Incoming::Nothing => Err(io::ErrorKind::WouldBlock.into()),
            received => Ok(received),
        });
        match received.await? {
            Incoming::Frame(order) => obey(&worker, order, &master),
            Incoming::Nothing | Incoming::Closed => return Ok(()),
        }
    }
}

/// Follows signals that are sent straight to this process.
pub(crate) async fn follow_signals(
    worker: Arc<Worker>,
    signals: Arc<WorkerSignals>,
    master: Arc<Master>,
) -> io::Result<()> {
    let pipe = Receiver::from_owned_fd(signals.as_fd().try_clone_to_owned()?)?;
    let mut bytes = [0; 64];
    loop {
        pipe.readable().await?;
        // What came is not in the bytes; reading them only makes the pipe wait again.
        while matches!(pipe.try_read(&mut bytes), Ok(1..)) {}
        for order in signals.take() {
            obey(&worker, order, &master);
        }
    }
}

/// Leaves when the master has died: nobody would supervise this worker, or stop it.
pub(crate) async fn follow_master(worker: Arc<Worker>, alive: Alive) -> io::Result<()> {
    let pipe = Receiver::from_owned_fd(alive.as_fd().try_clone_to_owned()?)?;
    pipe.readable().await?;
    tracing::info!("The master is gone, shutting down");
    let limit = worker.settings.graceful_timeout;
    let when =
        move || format!("within the graceful timeout ({} s) after its master had died", limit.as_secs());
    end_after(&worker, limit + MARGIN, |_| true, when)?;
    worker.lifecycle.drain_last();
    Ok(())
}

/// Does what a master would do to a worker that does not leave in time, if that `lasts` even then. It takes a thread
/// that needs neither the loop nor Python: both may be what does not come to an end.
fn end_after(
    worker: &Arc<Worker>,
    limit: Duration,
    lasts: impl FnOnce(&Worker) -> bool + Send + 'static,
    when: impl FnOnce() -> String + Send + 'static,
) -> io::Result<()> {
    let worker = worker.clone();
    let end = move || {
        thread::sleep(limit);
        if !lasts(&worker) {
            return;
        }
        tracing::error!(
            "This worker (pid:{}) did not leave {}, and ends now; {}",
            std::process::id(),
            when(),
            in_flight(&worker)
        );
        end_now(&worker);
    };
    thread::Builder::new().name("ferricorn-end".to_owned()).stack_size(128 * 1024).spawn(end).map(drop)
}

fn obey(worker: &Arc<Worker>, order: Order, master: &Arc<Master>) {
    match order {
        Order::Graceful | Order::Withdraw if master.notices.is_end() => worker.lifecycle.drain_last(),
        Order::Graceful | Order::Withdraw => worker.lifecycle.drain(),
        Order::Quick if master.hooks.mind_the_end() => interrupt(worker, master),
        Order::Quick => quit(worker, None),
        // Whatever becomes of the call: the app may catch what ends it.
        Order::Abort => worker.lifecycle.leave(ABORTED),
        Order::Reopen => reopen_logs(worker.access_log.as_deref()),
        // One that is never without work would not say so by itself.
        Order::Close => worker.lifecycle.close(),
        Order::Ask => worker.slot.beat(clock::coarse_ms()),
    }
}

/// Ends the worker at once, after what its hooks do about that. They run on a thread of their own, for the app's may be
/// in a call, and the loop must turn.
fn interrupt(worker: &Arc<Worker>, master: &Arc<Master>) {
    // The same order comes by message and by signal.
    if master.interrupted.swap(true, Ordering::SeqCst) {
        return;
    }
    let (called, hooks) = (worker.clone(), master.hooks.clone());
    let call = move || {
        if let Err(fault) = hooks.call(Moment::Interrupted) {
            tell_fault("Exception in worker_int hook", &fault);
        }
        quit(&called, Some(&*hooks));
        thread::sleep(LAST_WORD);
        // A call that goes on will be cut off, and nobody else would say so.
        if called.slot.is_busy() {
            tell_leaving(&*hooks);
        }
    };
    let lasts = |worker: &Worker| !worker.lifecycle.draining();
    let watched = end_after(worker, QUICK, lasts, || "at once, for its worker_int hook lasts".to_owned());
    let thread = thread::Builder::new().name("ferricorn-hook".to_owned());
    if let Err(error) = watched.and_then(|()| thread.spawn(call).map(drop)) {
        tracing::error!("The worker_int hook is not called: {error}");
        quit(worker, None);
    }
}

/// Ends the worker at once. If an app thread is in a call there is nobody to run Python's finalization, and a
/// call that lasts must not hold up a quick stop.
fn quit(worker: &Arc<Worker>, hooks: Option<&dyn Hooks>) {
    // The same order comes by message and by signal.
    let first = worker.lifecycle.quit();
    if worker.seat.in_calls() {
        // Who else would call it in this case is in the call.
        if let Some(hooks) = hooks {
            tell_leaving(hooks);
        }
        end_now(worker);
    }
    // An app that hosts the loop may have threads of its own at work for its requests, and wait for them.
    let busy = worker.slot.is_busy();
    let lasts = move |worker: &Worker| busy || !worker.seat.stopping();
    let watched = || end_after(worker, QUICK, lasts, || "at once, as it was told to".to_owned());
    if first && let Err(error) = watched() {
        tracing::debug!("Nobody watches over the end of this worker: {error}");
    }
}

fn tell_leaving(hooks: &dyn Hooks) {
    if let Err(fault) = hooks.call(Moment::Leaving) {
        tracing::warn!("Exception during worker exit:\n{}", fault.details());
    }
}

fn end_now(worker: &Worker) -> ! {
    if let Some(log) = &worker.access_log {
        log.flush();
    }
    error_log::finish(TO_LOG);
    ferricorn_unix::exit_now(worker.lifecycle.exit().0);
}

fn reopen_logs(access_log: Option<&AccessLog>) {
    let reopened = error_log::installed().map_or(Ok(()), |log| log.reopen());
    if let Err(error) = reopened.and_then(|()| access_log.map_or(Ok(()), AccessLog::reopen)) {
        tracing::error!("Cannot open a log again: {error}");
    }
}

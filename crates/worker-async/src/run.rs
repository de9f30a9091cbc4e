//! A worker's life, from the fork to the exit code.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::thread;

use ferricorn_config::Settings;
use ferricorn_protocol::{App, ExitCode, LoadError, Loader, WorkerInfo};
use ferricorn_telemetry::AccessLog;
use ferricorn_unix::control::{Report, WorkerEnd};
use ferricorn_unix::scoreboard::{Slot, State};
use ferricorn_unix::{Inheritance, Listener, clock};

use tokio_util::task::TaskTracker;

use crate::accept::Acceptor;
use crate::complaints::Complaints;
use crate::connections::Connections;
use crate::gate::HeadRules;
use crate::inbound::BodyMemory;
use crate::job::Job;
use crate::lifecycle::Lifecycle;
use crate::seat::Seat;
use crate::worker::Worker;
use crate::{connections, drain, orders, sweeper};

/// Serves the app on the inherited listeners until the master says otherwise, or is gone.
///
/// The calling thread becomes the app thread: an app that blocks is loaded and called on it alone.
pub fn run(inheritance: Inheritance, settings: Settings, loader: &dyn Loader) -> ExitCode {
    log_panics();
    let pid = std::process::id();
    let code = serve(inheritance, settings, loader);
    tracing::info!("Worker exiting (pid: {pid})");
    code
}

fn serve(inheritance: Inheritance, settings: Settings, loader: &dyn Loader) -> ExitCode {
    let access_log = match AccessLog::open(&settings) {
        Ok(log) => log.map(Arc::new),
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::BOOT_ERROR;
        }
    };
    let info = WorkerInfo {
        age: inheritance.age,
        multiprocess: settings.workers > 1,
        app_threads: 1,
        log_environ: access_log.as_ref().map_or_else(Vec::new, |log| log.environ_names().to_vec()),
    };
    let app = match loader.load(&info) {
        Ok(app) => app,
        Err(error) => return explain(&error, &inheritance),
    };
    drive(inheritance, settings, app, access_log).unwrap_or_else(|error| {
        tracing::error!("The worker cannot run: {error}");
        ExitCode::BOOT_ERROR
    })
}

fn drive(
    inheritance: Inheritance,
    mut settings: Settings,
    app: Arc<dyn App>,
    access_log: Option<Arc<AccessLog>>,
) -> io::Result<ExitCode> {
    connections::leave_descriptors(&mut settings.worker_connections);
    let Inheritance { listeners, control, alive, signals, slot, notices, .. } = inheritance;
    let (seat, worker) = assemble(&listeners, settings, app, slot, access_log)?;
    drop(listeners);
    if let Err(fault) = seat.runtime().block_on(worker.app.startup()) {
        tracing::error!("The app failed to start: {fault}");
        return Ok(ExitCode::BOOT_ERROR);
    }
    let control = Arc::new(control);
    {
        let _entered = seat.runtime().enter();
        let reporter = control.clone();
        tokio::spawn(drain::run(worker.clone(), move || report(&reporter, Report::Leaving)));
        tokio::spawn(orders::follow_control(worker.clone(), control.clone(), notices));
        signals.booted();
        tokio::spawn(orders::follow_signals(worker.clone(), signals, notices));
        tokio::spawn(orders::follow_master(worker.clone(), alive));
    }
    worker.slot.set_state(State::Ready);
    report(&control, Report::Ready);
    drive_to_the_end(&seat, &worker)?;
    seat.runtime().block_on(worker.app.shutdown());
    if let Some(log) = &worker.access_log {
        log.flush();
    }
    Ok(worker.lifecycle.exit())
}

/// Puts a worker together: its runtime, what its connections share, and the tasks that accept them and watch
/// their deadlines. Nothing runs before the seat is driven.
pub(crate) fn assemble(
    listeners: &[Listener],
    settings: Settings,
    app: Arc<dyn App>,
    slot: Slot,
    access_log: Option<Arc<AccessLog>>,
) -> io::Result<(Seat<Job>, Arc<Worker>)> {
    let log = access_log.clone();
    let seat = Seat::new(move || before_park(slot, log.as_deref()))?;
    let worker = Arc::new(Worker {
        rules: HeadRules::new(&settings.limits, settings.grammar),
        lifecycle: Lifecycle::new(max_requests(&settings)),
        settings,
        app,
        seat: seat.shared().clone(),
        slot,
        access_log,
        body_memory: BodyMemory::default(),
        complaints: Complaints::default(),
        acceptors: TaskTracker::new(),
        connections: Connections::default(),
    });
    let entered = seat.runtime().enter();
    for listener in listeners {
        worker.acceptors.spawn(Acceptor::new(listener)?.run(worker.clone()));
    }
    worker.acceptors.close();
    tokio::spawn(sweeper::run(worker.clone()));
    drop(entered);
    Ok((seat, worker))
}

/// Tells the master. One that cannot be told finds out when the worker leaves.
fn report(control: &WorkerEnd, report: Report) {
    if let Err(error) = control.send(report) {
        tracing::debug!("The master could not be told ({report:?}): {error}");
    }
}

/// Drives until the drain has closed the seat. The standby is needed only if calls can block the loop.
pub(crate) fn drive_to_the_end(seat: &Seat<Job>, worker: &Worker) -> io::Result<()> {
    thread::scope(|scope| {
        if worker.app.drive().blocks() {
            thread::Builder::new().name("ferricorn-io".to_owned()).stack_size(512 * 1024).spawn_scoped(
                scope,
                || {
                    let _fatal = Fatal;
                    seat.stand_by();
                },
            )?;
        }
        let _fatal = Fatal;
        seat.serve();
        Ok(())
    })
}

/// Ends the process if its thread panics outside of any task: the loop is not driven any more, and a worker that
/// is deaf must not live on. The master replaces it.
struct Fatal;

impl Drop for Fatal {
    fn drop(&mut self) {
        if thread::panicking() {
            ferricorn_unix::exit_now(ExitCode::FAILURE.0);
        }
    }
}

/// Runs whenever the loop has nothing to do: the natural time for what may wait a little.
fn before_park(slot: Slot, access_log: Option<&AccessLog>) {
    slot.beat(clock::coarse_ms());
    if let Some(log) = access_log {
        log.flush();
    }
}

/// The number of requests after which this worker leaves, its share of the jitter included.
fn max_requests(settings: &Settings) -> Option<u64> {
    let jitter = match settings.max_requests_jitter {
        0 => 0,
        // A fresh hasher is keyed with the system's randomness, which is all that is needed here.
        most => RandomState::new().hash_one(std::process::id()) % (most + 1),
    };
    (settings.max_requests > 0).then_some(settings.max_requests + jitter)
}

/// Says why the app could not be loaded; in one line if the worker before has told it all.
fn explain(error: &LoadError, inheritance: &Inheritance) -> ExitCode {
    let mut mark = DefaultHasher::new();
    (inheritance.generation, &error.message, &error.traceback).hash(&mut mark);
    let news = inheritance.notices.is_news(mark.finish());
    match &error.traceback {
        Some(_) if !news => tracing::error!("{} (as above)", error.message),
        Some(traceback) => tracing::error!("{}\n{}", error.message, traceback.trim_end()),
        None => tracing::error!("{}", error.message),
    }
    error.exit
}

/// Has a panic named in the error log with its place.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(
            "A panic, which is a fault of ferricorn or of a Rust app; please report ours: {panic}"
        );
    }));
}

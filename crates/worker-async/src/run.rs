//! A worker's life, from the fork to the exit code.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use ferricorn_config::Settings;
use ferricorn_protocol::{App, Drive, ExitCode, Hooks, LoadError, Loader, WorkerInfo};
use ferricorn_telemetry::{AccessLog, tell_fault, tell_load_error};
use ferricorn_unix::control::{Report, WorkerEnd};
use ferricorn_unix::scoreboard::Slot;
use ferricorn_unix::{Inheritance, clock, heap};
use http::HeaderValue;
use tokio_util::task::TaskTracker;

use crate::complaints::Complaints;
use crate::connections::Connections;
use crate::door::Doors;
use crate::driver::Driver;
use crate::gate::HeadRules;
use crate::inbound::BodyMemory;
use crate::lifecycle::Lifecycle;
use crate::reload::{FailedApp, Watched};
use crate::tie::Ties;
use crate::websocket::Pulse;
use crate::worker::{Attendant, Worker};
use crate::{connections, door, life, orders, reload, sweeper, tie};

/// Serves the app on the inherited listeners until the master says otherwise, or is gone.
///
/// The calling thread becomes the first app thread: an app that blocks is loaded on it, and called on it and on those
/// that are started when it does not suffice (`--threads`).
pub fn run(
    inheritance: Inheritance,
    settings: Settings,
    loader: &dyn Loader,
    hooks: &Arc<dyn Hooks>,
) -> ExitCode {
    log_panics();
    heap::keep_for_reuse();
    let pid = std::process::id();
    let code = serve(inheritance, settings, loader, hooks);
    tracing::info!("Worker exiting (pid: {pid})");
    code
}

fn serve(
    inheritance: Inheritance,
    settings: Settings,
    loader: &dyn Loader,
    hooks: &Arc<dyn Hooks>,
) -> ExitCode {
    let mut access_log = match AccessLog::open(&settings) {
        Ok(log) => log,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::BOOT_ERROR;
        }
    };
    ferricorn_telemetry::seek_names(&settings);
    let info = WorkerInfo {
        age: inheritance.age,
        multiprocess: settings.workers > 1,
        app_threads: settings.threads,
        log_environ: access_log.as_ref().map_or_else(Vec::new, |log| log.environ_names().to_vec()),
    };
    let since = SystemTime::now();
    let (app, culprits) = match loader.load(&info) {
        Ok(app) => (app, Vec::new()),
        Err(error) => {
            let code = explain(&error, &inheritance);
            if settings.reload.is_none() {
                return code;
            }
            report(&inheritance.control, Report::Broken);
            (Arc::new(FailedApp::new(&error)) as Arc<dyn App>, error.files)
        }
    };
    // Only WSGI has an environ.
    if let Some(log) = access_log.as_mut().filter(|_| app.converses()) {
        log.fill_environ(&settings);
    }
    // What the app or a hook has added to a logger is known by now.
    if let Some(log) = access_log.as_mut() {
        log.go_behind_logger(&settings);
    }
    let access_log = access_log.map(Arc::new);
    access_log.iter().for_each(AccessLog::install);
    let watched = settings.reload.clone().map(|reload| {
        let sources = loader.sources();
        Watched { reload, sources, culprits, since }
    });
    drive(inheritance, settings, app, watched, access_log, hooks).unwrap_or_else(|error| {
        tracing::error!("The worker cannot run: {error}");
        ExitCode::BOOT_ERROR
    })
}

fn drive(
    inheritance: Inheritance,
    mut settings: Settings,
    app: Arc<dyn App>,
    watched: Option<Watched>,
    access_log: Option<Arc<AccessLog>>,
    hooks: &Arc<dyn Hooks>,
) -> io::Result<ExitCode> {
    connections::leave_descriptors(&mut settings.worker_connections);
    let Inheritance { listeners, control, alive, signals, slot, notices, bell, .. } = inheritance;
    let (driver, worker) = assemble(settings, app, slot, access_log)?;
    let control = Arc::new(control);
    let signals = Arc::new(signals);
    hooks.attend(Arc::new(Attendant(worker.clone())));
    driver.enter(|| {
        let spawner = worker.spawner;
        let master =
            Arc::new(orders::Master { notices, hooks: hooks.clone(), interrupted: AtomicBool::new(false) });
        spawner.spawn(orders::follow_control(worker.clone(), control.clone(), master.clone()));
        spawner.spawn(orders::follow_signals(worker.clone(), signals.clone(), master));
        spawner.spawn(orders::follow_master(worker.clone(), alive));
        spawner.spawn(door::answer(worker.clone(), bell, notices));
        if let Some(watched) = watched {
            let reporter = control.clone();
            reload::watch(watched, worker.lifecycle.clone(), move || report(&reporter, Report::Changed));
        }
        let reporter = control.clone();
        let tell = move |what| report(&reporter, what);
        spawner.spawn(life::live(worker.clone(), listeners, move || signals.booted(), tell));
    });
    Ok(see_through(&driver, &worker))
}

/// Has the loop turned until the worker's life is over.
pub(crate) fn see_through(driver: &Driver, worker: &Worker) -> ExitCode {
    if let Err(fault) = driver.run(worker) {
        tell_fault("The event loop failed", &fault);
        worker.lifecycle.fail();
        if let Some(code) = fault.exit {
            worker.lifecycle.leave(ExitCode(code));
        }
    }
    if let Some(log) = &worker.access_log {
        log.flush();
    }
    worker.lifecycle.exit()
}

/// Puts a worker together: its loop, what its connections share, and the task that watches their deadlines.
/// Nothing runs before the loop is driven.
pub(crate) fn assemble(
    settings: Settings,
    app: Arc<dyn App>,
    slot: Slot,
    access_log: Option<Arc<AccessLog>>,
) -> io::Result<(Driver, Arc<Worker>)> {
    let log = access_log.clone();
    let lifecycle = Arc::new(Lifecycle::new(max_requests(&settings)));
    let leaver = lifecycle.clone();
    let doors = Arc::new(Doors::new(slot, app.drive() != Drive::Hosted));
    let own_doors = doors.clone();
    let idle = move || when_idle(slot, log.as_deref(), &own_doors);
    slot.set_threads(if app.drive().blocks() { settings.threads } else { 1 });
    let driver =
        Driver::new(app.drive(), settings.threads, idle, move |status| leaver.leave(ExitCode(status)))?;
    doors.heed(driver.shared());
    let worker = Arc::new(Worker {
        // A WSGI app may take the connection over for one.
        rules: HeadRules::new(&settings.limits, settings.grammar)
            .with_websockets(app.converses() || app.drive() != Drive::Task)
            .with_server(settings.server),
        server: settings.server.map(HeaderValue::from_static),
        lifecycle,
        settings,
        app,
        seat: driver.shared().clone(),
        spawner: driver.spawner(),
        slot,
        tells_queue: access_log.as_ref().is_some_and(|log| log.tells_queue()),
        access_log,
        body_memory: BodyMemory::default(),
        complaints: Complaints::default(),
        acceptors: TaskTracker::new(),
        connections: Connections::new(),
        doors,
        doze: Arc::default(),
        ties: Ties::default(),
        pulse: Pulse::default(),
    });
    driver.enter(|| {
        worker.spawner.spawn(sweeper::run(worker.clone()));
        if worker.app.drive().blocks() {
            worker.spawner.spawn(tie::run(worker.clone()));
        }
    });
    Ok((driver, worker))
}

/// Tells the master. One that cannot be told finds out when the worker leaves.
fn report(control: &WorkerEnd, report: Report) {
    if let Err(error) = control.send(report) {
        tracing::debug!("The master could not be told ({report:?}): {error}");
    }
}

/// Runs whenever the loop has nothing to do: the natural time for what may wait a little.
fn when_idle(slot: Slot, access_log: Option<&AccessLog>, doors: &Doors) {
    doors.before_sleep();
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
        _ => tell_load_error(error),
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

//! The start of a master, in order.

use std::os::fd::AsFd;
use std::sync::Arc;

use ferricorn_config::{Settings, WorkerClass};
use ferricorn_protocol::{ExitCode, Hooks, Moment};
use ferricorn_telemetry::tell_fault;
use ferricorn_unix::pidfile::Pidfile;
use ferricorn_unix::signal::{Signal, Signals};
use ferricorn_unix::upgrade::Predecessor;
use ferricorn_unix::{poll, systemd, title, upgrade};

use crate::driver::{Driver, pidfile_path, title_of};
use crate::sockets::Sockets;
use crate::{Host, Outcome};

/// Runs the master until it stops, and every worker until it begins.
///
/// The calling thread is the master from here on; in each worker that it forks this function returns, too.
/// Nothing else may fork or wait for children meanwhile.
#[must_use]
pub fn run(settings: Settings, hooks: Arc<dyn Hooks>, host: &dyn Host) -> Outcome {
    match prepare(settings, hooks, host) {
        Ok(driver) => driver.run(),
        Err(code) => Outcome::Exit(code),
    }
}

fn prepare(mut settings: Settings, hooks: Arc<dyn Hooks>, host: &dyn Host) -> Result<Driver<'_>, ExitCode> {
    tell(&*hooks, Moment::Wanted { now: settings.workers, before: None })?;
    tracing::info!("Starting ferricorn {}", env!("CARGO_PKG_VERSION"));
    // Before anything is made that would be left behind.
    let signals =
        Signals::install().map_err(|error| config_error(&format!("Cannot catch signals: {error}")))?;
    let mut predecessor = upgrade::take().map_err(|line| config_error(&line))?;
    let second = predecessor.is_some();
    title::set(&title_of(&settings, second));
    let pidfile = match settings.pidfile.as_deref().map(|path| pidfile_path(path, second)) {
        Some(path) => Some(Pidfile::create(&path).map_err(|error| config_error(&error.to_string()))?),
        None => None,
    };
    if let Some(before) = &predecessor {
        tell(&*hooks, Moment::Beside { predecessor: Some(before.pid), successor: None })?;
    }
    tell(&*hooks, Moment::Starting)?;
    settings.workers = hooks.workers().unwrap_or(settings.workers);
    let sockets = open_sockets(&settings, predecessor.as_mut(), &signals, host)?;
    tracing::info!("Listening at: {} ({})", sockets.list(), std::process::id());
    let class = match settings.worker_class {
        WorkerClass::Async => "async",
        WorkerClass::Sync if settings.threads == 1 => "sync",
        // gunicorn's word for several app threads, whatever its class was called.
        WorkerClass::Sync | WorkerClass::Gthread => "gthread",
        WorkerClass::Asgi => "asgi",
        WorkerClass::Gevent => "gevent",
    };
    tracing::info!("Using worker: {class}");
    warn_if_nobody_serves(&settings);
    tell(&*hooks, Moment::Ready(&sockets.listening()))?;
    host.begun();
    Driver::new(settings, hooks, sockets, signals, pidfile, predecessor, host)
        .map_err(|error| config_error(&format!("Cannot prepare for workers: {error}")))
}

/// Calls a hook. A server whose hook fails before it has begun does not begin.
fn tell(hooks: &dyn Hooks, moment: Moment<'_>) -> Result<(), ExitCode> {
    hooks.call(moment).map_err(|fault| {
        tell_fault(&format!("Exception in {} hook", moment.hook()), &fault);
        fault.exit.map_or(ExitCode::CONFIG, ExitCode)
    })
}

/// `workers = 0` is allowed, but hardly ever meant.
pub(crate) fn warn_if_nobody_serves(settings: &Settings) {
    if settings.workers == 0 {
        let pid = std::process::id();
        tracing::warn!(
            "No worker serves, since `workers` is 0: clients wait without an answer. Set --workers to 1 or more, or \
             add a worker with `kill -TTIN {pid}`"
        );
    }
}

fn open_sockets(
    settings: &Settings,
    predecessor: Option<&mut Predecessor>,
    signals: &Signals,
    host: &dyn Host,
) -> Result<Sockets, ExitCode> {
    let activated = systemd::take_listeners().map_err(|error| config_error(&error.to_string()))?;
    let sockets = Sockets::activated(activated);
    if !sockets.is_empty() {
        return Ok(sockets);
    }
    if let Some(before) = predecessor {
        let inherited = std::mem::take(&mut before.listeners);
        return Sockets::take_over(settings, inherited).map_err(|line| config_error(&line));
    }
    let mut told_to_stop = false;
    let pause = || {
        told_to_stop = !pause_a_second(signals, host);
        !told_to_stop
    };
    match Sockets::open(settings, pause) {
        Ok(sockets) => Ok(sockets),
        Err(_) if told_to_stop => Err(ExitCode::OK),
        Err(line) => Err(config_error(&line)),
    }
}

/// Returns false if a signal asked for the end in the meantime.
fn pause_a_second(signals: &Signals, host: &dyn Host) -> bool {
    let end = ferricorn_unix::clock::now_ms() + 1000;
    loop {
        let left = end.saturating_sub(ferricorn_unix::clock::now_ms());
        if left == 0 {
            return true;
        }
        host.detached(&mut || {
            // If waiting fails the address is tried again a little early.
            let _ = poll::readable(&[signals.as_fd()], Some(left));
        });
        if signals.take().iter().any(|signal| matches!(signal, Signal::Term | Signal::Int | Signal::Quit)) {
            return false;
        }
    }
}

fn config_error(line: &str) -> ExitCode {
    tracing::error!("{line}");
    ExitCode::CONFIG
}

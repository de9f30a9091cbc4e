//! The whole program, in order.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use ferricorn_config::{Resolved, SettingError, Settings};
use ferricorn_master::{Mold, Outcome};
use ferricorn_protocol::{ExitCode, Hooks, Loader, Moment};
use ferricorn_telemetry::{AccessLog, error_log, tell_fault, tell_load_error, unknown_names};
use ferricorn_unix::{Inheritance, fill_standard_streams, heap, limits, signal};

use crate::configuration::{self, Configuration};
use crate::origin::Origin;
use crate::stop::Stop;
use crate::supervised::Supervised;
use crate::{Host, check, daemon, messages};

/// How long a worker that ends waits for its logger.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Runs `ferricorn` with this command line, argv\[0\] included, until the server has ended, and returns the
/// exit code. In a worker it returns when that worker has ended, so that the host can end itself as it is used to.
pub fn run(argv: impl IntoIterator<Item = OsString>, host: &dyn Host) -> i32 {
    let code = start(argv.into_iter().collect(), host).unwrap_or_else(|stop| {
        stop.tell();
        stop.exit()
    });
    i32::from(code.0)
}

fn start(argv: Vec<OsString>, host: &dyn Host) -> Result<ExitCode, Stop> {
    fill_standard_streams()
        .map_err(|error| Stop::Fault(format!("a standard stream is closed, and /dev/null fails: {error}")))?;
    signal::end_first_process().map_err(|error| Stop::Fault(format!("cannot catch signals: {error}")))?;
    let origin = Origin::note(host.command(&argv))
        .map_err(|error| Stop::Fault(format!("the current directory cannot be used: {error}")))?;
    let configuration = Configuration::new(argv, host)?;
    let layers = configuration.layers(host)?;
    let resolved = configuration.resolve(&layers, host)?;
    if resolved.print_config {
        messages::answer(layers.report());
    }
    enter(&resolved.settings, host)?;
    let hooks = hooks(host, &resolved)?;
    if resolved.check_config {
        return check::all(host, &layers, &resolved);
    }
    let waiting = daemon::enter(&resolved.settings, host)?;
    adopt(&resolved, host)?;
    daemon::warn(&resolved.settings);
    tracing::debug!("ferricorn {} on {}", env!("CARGO_PKG_VERSION"), host.description());
    if let Err(error) = limits::raise_open_files() {
        tracing::warn!("The limit of open files stays as it is: {error}");
    }
    let settings = resolved.settings.clone();
    let supervised = Supervised::new(&configuration, &origin, host, waiting, resolved);
    match ferricorn_master::run(settings, hooks, &supervised) {
        Outcome::Exit(code) => {
            host.ending(
                "The master",
                "Nothing but SIGKILL bounds the wait: start such threads of the config file with daemon=True",
                None,
            );
            Ok(code)
        }
        Outcome::Worker(inheritance, settings, hooks) => {
            let loader = host.loader(&settings);
            Ok(work(host, &*loader, *inheritance, settings, hooks))
        }
        Outcome::Mold(mold) => Ok(preload(host, *mold, &supervised)),
    }
}

/// The life of a mold, or of a worker that was forked from it.
fn preload(host: &dyn Host, mold: Mold, supervised: &Supervised<'_>) -> ExitCode {
    let loader = host.loader(mold.settings());
    host.prepare_mold(mold.stacks(), signal::STACK);
    if let Err(error) = loader.preload() {
        tell_load_error(&error);
        if let Some(status) = error.asked {
            mold.asked_to_exit(status);
        }
        error_log::finish(LAST_WORDS);
        host.ending(
            &format!("Mold (pid: {})", std::process::id()),
            "It ends without them",
            Some(error.exit.0),
        );
        return error.exit;
    }
    // What workers share should be what is in use.
    heap::give_back();
    match mold.serve(supervised) {
        Outcome::Worker(inheritance, settings, hooks) => work(host, &*loader, *inheritance, settings, hooks),
        Outcome::Exit(code) => code,
        Outcome::Mold(_) => ExitCode::FAILURE,
    }
}

/// Goes to the directory in which relative paths are meant, and sets the environment.
pub(crate) fn enter(settings: &Settings, host: &dyn Host) -> Result<(), Stop> {
    std::env::set_current_dir(&settings.chdir)
        .map_err(|error| Stop::Fault(format!("chdir: cannot go to {}: {error}", settings.chdir.display())))?;
    host.set_environment(&settings.raw_env).map_err(Stop::Fault)
}

/// The hooks of the settings; what is wrong with one is told with the place where it is set.
pub(crate) fn hooks(host: &dyn Host, resolved: &Resolved) -> Result<Arc<dyn Hooks>, Stop> {
    host.hooks(resolved).map_err(|faults| {
        let told = |line: &str| {
            let (key, message) = line.split_once(": ")?;
            let (key, message) = (key.to_owned(), message.to_owned());
            let source = resolved.hook_sources.get(key.as_str())?.clone();
            Some(SettingError { key, also: Vec::new(), source, message, hint: None, usage: false })
        };
        faults.lines().map(told).collect::<Option<_>>().map_or(Stop::Fault(faults), Stop::Settings)
    })
}

/// Opens the logs that the settings name, so that a worker cannot fail at it, and logs what was noticed.
pub(crate) fn adopt(resolved: &Resolved, host: &dyn Host) -> Result<(), Stop> {
    open_logs(resolved, host)?;
    configuration::log(&resolved.notes);
    unknown_names(&resolved.settings).iter().for_each(|told| tracing::warn!("{told}"));
    Ok(())
}

/// The same without a word about it.
pub(crate) fn open_logs(resolved: &Resolved, host: &dyn Host) -> Result<(), Stop> {
    ferricorn_master::identity::provide_logs(&resolved.settings).map_err(Stop::Fault)?;
    let logger = host.logger(resolved).map_err(Stop::Fault)?;
    AccessLog::open(&resolved.settings).map_err(|error| Stop::Fault(error.to_string()))?;
    error_log::init(&resolved.settings).map_err(|error| Stop::Fault(error.to_string()))?;
    error_log::set_logger(logger);
    Ok(())
}

/// The life of a worker.
fn work(
    host: &dyn Host,
    loader: &dyn Loader,
    inheritance: Inheritance,
    settings: Settings,
    hooks: Arc<dyn Hooks>,
) -> ExitCode {
    host.prepare_worker(inheritance.stacks.as_fd(), signal::STACK);
    let graceful = settings.graceful_timeout.as_secs();
    let code = match hooks.call(Moment::Born) {
        // A hook may want to do what only root can.
        Ok(()) => match ferricorn_master::identity::of_workers(&settings).assume() {
            Ok(()) => serve(host, loader, inheritance, settings, &hooks),
            Err(error) => {
                tracing::error!("The worker {error}");
                tracing::info!("Worker exiting (pid: {})", std::process::id());
                ExitCode::BOOT_ERROR
            }
        },
        Err(fault) => {
            tell_fault("Exception in worker process (post_fork hook)", &fault);
            tracing::info!("Worker exiting (pid: {})", std::process::id());
            fault.exit.map_or(ExitCode::BOOT_ERROR, ExitCode)
        }
    };
    if let Err(fault) = hooks.call(Moment::Leaving) {
        tracing::warn!("Exception during worker exit:\n{}", fault.details());
    }
    let (bound, give_up) = match code {
        // Nobody has told it to leave, so nobody would kill it, and the master waits for its failure.
        ExitCode::BOOT_ERROR | ExitCode::APP_LOAD_ERROR => ("It ends without them".to_owned(), Some(code.0)),
        _ => (
            format!(
                "It is killed when the graceful timeout ({graceful} s) is over; start threads that need not come to \
                 an end with daemon=True"
            ),
            None,
        ),
    };
    error_log::finish(LAST_WORDS);
    host.ending(&format!("Worker (pid: {})", std::process::id()), &bound, give_up);
    code
}

/// The part of it in which the app is loaded and serves.
fn serve(
    host: &dyn Host,
    loader: &dyn Loader,
    inheritance: Inheritance,
    settings: Settings,
    hooks: &Arc<dyn Hooks>,
) -> ExitCode {
    let mut given = Some((inheritance, settings));
    let mut code = ExitCode::FAILURE;
    host.detached(&mut || {
        if let Some((inheritance, settings)) = given.take() {
            code = ferricorn_worker_async::run(inheritance, settings, loader, hooks);
        }
    });
    code
}

//! The chapters "Server Hooks" and "Dirty Arbiter Hooks": functions that a config file may define.

use super::Section::ServerHooks;
use super::tls::NO_TLS;
use super::{Kind, Preset, Reload, Setting, Support};

const fn hook(name: &'static str, help: &'static str) -> Setting {
    let setting = Setting::new(name, ServerHooks, help).kind(Kind::Function, Preset::Unset);
    Setting { metavar: "FUNCTION", ..setting }
}

/// A hook of the master.
const fn of_master(name: &'static str, help: &'static str) -> Setting {
    Setting { reload: Reload::Master, ..hook(name, help) }
}

/// A hook that is accepted and not called.
const fn not_called(name: &'static str, help: &'static str) -> Setting {
    Setting { support: Support::Hook, reload: Reload::Never, ..hook(name, help) }
}

pub(super) const SETTINGS: &[Setting] = &[
    Setting { reload: Reload::Restart, ..hook("on_starting", "`(server)`: the master starts.") },
    of_master("on_reload", "`(server)`: the master reloads."),
    Setting {
        reload: Reload::Restart,
        ..hook("when_ready", "`(server)`: the master listens and is about to fork.")
    },
    of_master("pre_fork", "`(server, worker)`: a worker is about to be forked."),
    hook("post_fork", "`(server, worker)`: a worker was forked; called in it."),
    hook("post_worker_init", "`(worker)`: the app is loaded."),
    hook("worker_int", "`(worker)`: the worker was told to stop at once."),
    hook("worker_abort", "`(worker)`: the worker is killed for lack of progress."),
    of_master(
        "pre_exec",
        "`(server)`: an upgrade (USR2) is about to execute the program; called in the new process.",
    ),
    hook("pre_request", "`(worker, req)`: a request is about to be handled."),
    hook("post_request", "`(worker, req, environ, resp)`: a request was handled."),
    of_master("child_exit", "`(server, worker)`: a worker has left; called in the master."),
    hook("worker_exit", "`(server, worker)`: a worker leaves; called in it."),
    of_master("nworkers_changed", "`(server, new_value, old_value)`: the number of workers changed."),
    of_master("on_exit", "`(server)`: the master leaves."),
    hook("ssl_context", "`(config, default_ssl_context_factory)`: makes the TLS context.").refused(NO_TLS),
    not_called("on_dirty_starting", "`(arbiter)`: gunicorn's dirty arbiter starts."),
    not_called("dirty_post_fork", "`(arbiter, worker)`: a dirty worker was forked."),
    not_called("dirty_worker_init", "`(worker)`: the apps of a dirty worker are loaded."),
    not_called("dirty_worker_exit", "`(arbiter, worker)`: a dirty worker leaves."),
];

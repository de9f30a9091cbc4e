//! The chapters "Server Hooks" and "Dirty Arbiter Hooks": functions that a config file may define.

use super::Section::ServerHooks;
use super::{Kind, Preset, Reload, Setting, Support};

const fn hook(name: &'static str, help: &'static str) -> Setting {
    let setting = Setting::new(name, ServerHooks, help).kind(Kind::Function, Preset::Unset);
    Setting { support: Support::Hook, metavar: "FUNCTION", reload: Reload::Never, ..setting }
}

pub(super) const SETTINGS: &[Setting] = &[
    hook("on_starting", "`(server)`: the master starts."),
    hook("on_reload", "`(server)`: the master reloads."),
    hook("when_ready", "`(server)`: the master listens and is about to fork."),
    hook("pre_fork", "`(server, worker)`: a worker is about to be forked."),
    hook("post_fork", "`(server, worker)`: a worker was forked; called in it."),
    hook("post_worker_init", "`(worker)`: the app is loaded."),
    hook("worker_int", "`(worker)`: the worker was told to stop at once."),
    hook("worker_abort", "`(worker)`: the worker is killed for lack of progress."),
    hook("pre_exec", "`(server)`: a new master is about to be started."),
    hook("pre_request", "`(worker, req)`: a request is about to be handled."),
    hook("post_request", "`(worker, req, environ, resp)`: a request was handled."),
    hook("child_exit", "`(server, worker)`: a worker has left; called in the master."),
    hook("worker_exit", "`(server, worker)`: a worker leaves; called in it."),
    hook("nworkers_changed", "`(server, new_value, old_value)`: the number of workers changed."),
    hook("on_exit", "`(server)`: the master leaves."),
    hook("ssl_context", "`(config, default_ssl_context_factory)`: makes the TLS context."),
    hook("on_dirty_starting", "`(arbiter)`: gunicorn's dirty arbiter starts."),
    hook("dirty_post_fork", "`(arbiter, worker)`: a dirty worker was forked."),
    hook("dirty_worker_init", "`(worker)`: the apps of a dirty worker are loaded."),
    hook("dirty_worker_exit", "`(arbiter, worker)`: a dirty worker leaves."),
];

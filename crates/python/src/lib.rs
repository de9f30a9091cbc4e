//! The bridge to CPython: WSGI and ASGI apps, gunicorn.conf.py, forks with an interpreter inside.
//!
//! Everything that user code sees of the server is made here, and nothing here does I/O with a client. The
//! threads that call in are detached from Python; each function attaches for as long as it needs.

mod app_thread;
pub mod asgi;
mod config_file;
mod data;
mod deadline;
mod embedding;
mod environment;
mod fault;
mod fields;
mod forked;
mod gevent;
mod header_names;
mod hint;
mod hooks;
mod hosted;
mod load;
mod logging;
mod process;
mod raw;
mod threads;
mod visit;
mod worker_class;
pub mod wsgi;

pub use config_file::{read_config_file, read_config_module};
pub use deadline::RequestTimeout;
pub use embedding::{Embedding, Told, settings};
pub use environment::set_environment;
pub use hooks::{PythonHooks, faults_of_hooks, forget_config};
pub use load::{AppLoader, Kind};
pub use logging::PythonLogger;
pub use process::{command, fork_with_interpreter, prepare_mold, prepare_worker, settle_heap};
pub use threads::name_threads_that_hold_up;
pub use visit::end_visits;
pub use worker_class::worker_class;

//! What an interpreter needs when its process forks, and when it becomes a worker.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};

use crate::fault::one_line;
use crate::forked::notice_forks;
use crate::raw::around_fork;
use crate::{hooks, logging};

/// Whether the master has ended a call of this worker with SIGABRT.
static ABORTED: AtomicBool = AtomicBool::new(false);

pub(crate) fn aborted() -> bool {
    ABORTED.load(Ordering::Relaxed)
}

/// Forks a process that has an interpreter in it: runs `fork` between CPython's preparations and repairs, and
/// the functions that were registered with `os.register_at_fork`.
///
/// `in_child` tells from the result of `fork` whether this is the child. Call it on the main thread, detached.
pub fn fork_with_interpreter<R>(fork: impl FnOnce() -> R, in_child: impl FnOnce(&R) -> bool) -> R {
    Python::attach(|py| around_fork(py, fork, in_child))
}

/// Has the collector leave alone what there is now, which would copy it in each process that is forked from this one. What
/// was left alone before and is garbage by now, an earlier config file above all, is collected.
pub fn settle_heap() {
    Python::attach(|py| {
        if let Err(error) = settle(py, || Ok(())) {
            tracing::debug!("The collector does not leave the heap alone: {}", one_line(py, &error));
        }
    });
}

/// The same, with something to be done when the garbage is gone and before the rest is left alone.
pub(crate) fn settle(py: Python<'_>, between: impl FnOnce() -> PyResult<()>) -> PyResult<()> {
    let gc = py.import("gc")?;
    gc.call_method0("unfreeze")?;
    gc.call_method0("collect")?;
    between()?;
    gc.call_method0("freeze").map(drop)
}

/// Writes what the app has printed and Python has not written yet.
pub(crate) fn flush_streams(py: Python<'_>) -> PyResult<()> {
    let sys = py.import("sys")?;
    for name in ["stdout", "stderr"] {
        let stream = sys.getattr(name)?;
        if !stream.is_none() {
            stream.call_method0("flush")?;
        }
    }
    Ok(())
}

/// The command that has started this interpreter, `sys.executable` first; empty if it does not know.
pub fn command() -> Vec<OsString> {
    Python::attach(|py| {
        let read = || -> PyResult<Vec<OsString>> {
            let sys = py.import("sys")?;
            let mut command: Vec<OsString> = sys.getattr("orig_argv")?.extract()?;
            let executable: OsString = sys.getattr("executable")?.extract()?;
            match command.first_mut().filter(|_| !executable.is_empty()) {
                Some(program) => *program = executable,
                None => command.clear(),
            }
            Ok(command)
        };
        read().unwrap_or_else(|error| {
            tracing::debug!("How the interpreter was started is not known: {}", one_line(py, &error));
            Vec::new()
        })
    })
}

/// Prepares the interpreter of a worker, on its main thread and before the app is loaded.
///
/// On `stack_signal` the Python stacks of all threads are written to `stacks`, also while Python is stuck in C
/// code. `SIGABRT`, with which the master ends a worker that makes no progress, raises `SystemExit(1)`, as in
/// gunicorn. No other handler is installed: those of the server are not Python's, and an app may install its own.
///
/// # Errors
/// One line that says what could not be done.
pub fn prepare_worker(stacks: RawFd, stack_signal: i32) -> Result<(), String> {
    Python::attach(|py| {
        dump_stacks_on(py, stacks, stack_signal)
            .and_then(|()| exit_on_abort(py))
            .and_then(|()| notice_forks(py))
            .and_then(|()| logging::start_thread(py))
            .map_err(|error| format!("cannot prepare the interpreter of a worker: {}", one_line(py, &error)))
    })
}

/// Prepares the interpreter of a mold, on its main thread and before the app is imported: on `stack_signal` the stacks are
/// written to `stacks`. Its workers are prepared for themselves.
///
/// # Errors
/// One line that says what could not be done.
pub fn prepare_mold(stacks: RawFd, stack_signal: i32) -> Result<(), String> {
    Python::attach(|py| {
        dump_stacks_on(py, stacks, stack_signal)
            .map_err(|error| format!("cannot prepare the interpreter of a mold: {}", one_line(py, &error)))
    })
}

fn dump_stacks_on(py: Python<'_>, stacks: RawFd, signal: i32) -> PyResult<()> {
    let options = PyDict::new(py);
    options.set_item("file", stacks)?;
    options.set_item("all_threads", true)?;
    options.set_item("chain", false)?;
    py.import("faulthandler")?.call_method("register", (signal,), Some(&options))?;
    Ok(())
}

fn exit_on_abort(py: Python<'_>) -> PyResult<()> {
    let handler = PyCFunction::new_closure(
        py,
        Some(c"abort_worker"),
        None,
        |arguments: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| -> PyResult<()> {
            ABORTED.store(true, Ordering::Relaxed);
            hooks::abort(arguments.py());
            Err(PySystemExit::new_err(1))
        },
    )?;
    // Not `signal`, whose enumerations cost each worker 80 KiB of memory that would be shared.
    let signal = py.import("_signal")?;
    signal.call_method1("signal", (signal.getattr("SIGABRT")?, handler))?;
    Ok(())
}

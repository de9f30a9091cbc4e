//! Names the threads that hold up the end of a process.

use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};

/// How long such threads may take to end before they are named, in seconds.
const PATIENCE: f64 = 1.0;

/// Python waits for threads that are no daemons when it ends, and says nothing meanwhile. This has them named in the
/// log if there are some a second from now. `who` ends, and `bound` says what bounds its wait. With `give_up` that is
/// this moment: the process ends with this status, and without what else Python would do.
///
/// Call it last, on the main thread.
pub fn name_threads_that_hold_up(who: &str, bound: &str, give_up: Option<u8>) {
    let (who, bound) = (who.to_owned(), bound.to_owned());
    Python::attach(|py| {
        if let Err(error) = watch(py, who, bound, give_up) {
            tracing::debug!("The threads that are left cannot be watched: {error}");
        }
    });
}

fn watch(py: Python<'_>, who: String, bound: String, give_up: Option<u8>) -> PyResult<()> {
    let loaded = py.import("sys")?.getattr("modules")?.call_method1("get", ("threading",))?;
    if loaded.is_none() || names(&loaded)?.is_empty() {
        return Ok(());
    }
    let tell = PyCFunction::new_closure(
        py,
        Some(c"name_threads"),
        None,
        move |arguments: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| -> PyResult<()> {
            let names = names(arguments.py().import("threading")?.as_any())?;
            if names.is_empty() {
                return Ok(());
            }
            let names = names.join(", ");
            tracing::warn!(
                "{who} has ended, but Python waits for threads that are no daemons: {names}. {bound}"
            );
            if let Some(status) = give_up {
                arguments.py().import("os")?.call_method1("_exit", (status,))?;
            }
            Ok(())
        },
    )?;
    let timer = loaded.call_method1("Timer", (PATIENCE, tell))?;
    timer.setattr("daemon", true)?;
    timer.call_method0("start")?;
    Ok(())
}

/// The names of the threads that Python waits for.
fn names(threading: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    let main = threading.call_method0("main_thread")?;
    let mut names = Vec::new();
    for thread in threading.call_method0("enumerate")?.try_iter()? {
        let thread = thread?;
        if !thread.is(&main) && !thread.getattr("daemon")?.is_truthy()? {
            names.push(thread.getattr("name")?.str()?.to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

//! Where a call is, as the lines of a traceback.

use std::os::raw::c_ulong;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

/// How far a chain of awaits is followed.
const DEEPEST: usize = 200;

/// The stack of a thread without what has led to the server: `below` frames, if that is known; else it is a thread that
/// the module `threading` has begun. `None` if it runs no Python.
pub(super) fn of_thread(py: Python<'_>, thread: c_ulong, below: Option<usize>) -> Option<String> {
    let stack = || -> PyResult<Option<String>> {
        let frames = py.import("sys")?.call_method0("_current_frames")?;
        let frame = frames.call_method1("get", (thread,))?;
        if frame.is_none() {
            return Ok(None);
        }
        let traceback = py.import("traceback")?;
        let frames =
            traceback.call_method1("extract_stack", (frame,))?.try_iter()?.collect::<PyResult<Vec<_>>>()?;
        let below = match below {
            Some(below) => below,
            None => {
                let threading = py.import("threading")?.getattr("__file__")?;
                let is_theirs = |frame: &&Bound<'_, PyAny>| {
                    frame.getattr("filename").and_then(|file| file.eq(&threading)).unwrap_or(false)
                };
                frames.iter().take_while(is_theirs).count()
            }
        };
        // Never nothing: a stack that is shorter than before is shown as it is.
        let shown = frames.get(below..).filter(|shown| !shown.is_empty()).unwrap_or(&frames);
        lines(&traceback.call_method1("format_list", (PyList::new(py, shown)?,))?).map(Some)
    };
    stack().ok().flatten()
}

/// How many frames of Python are on the stack of the calling thread.
pub(super) fn depth(py: Python<'_>) -> usize {
    let mut next = py.import("sys").and_then(|sys| sys.call_method0("_getframe")).ok();
    let mut depth = 0;
    while let Some(frame) = next.filter(|frame| !frame.is_none()) {
        depth += 1;
        next = frame.getattr("f_back").ok();
    }
    depth
}

/// Where a greenlet waits that is not the current one.
pub(crate) fn of_greenlet(greenlet: &Bound<'_, PyAny>) -> Option<String> {
    greenlet.getattr("gr_frame").and_then(|frame| of_frame(&frame)).ok().flatten()
}

fn of_frame(frame: &Bound<'_, PyAny>) -> PyResult<Option<String>> {
    if frame.is_none() {
        return Ok(None);
    }
    lines(&frame.py().import("traceback")?.call_method1("format_stack", (frame,))?).map(Some)
}

/// What a task of asyncio waits for: its coroutine, the one that this awaits, and so on.
pub(crate) fn of_task(task: &Bound<'_, PyAny>) -> Option<String> {
    let py = task.py();
    let stack = || -> PyResult<Option<String>> {
        let frames = PyList::empty(py);
        let mut waits = task.call_method0(intern!(py, "get_coro"))?;
        for _ in 0..DEEPEST {
            let Some((frame, next)) = step_of(&waits)? else { break };
            let line = frame.getattr(intern!(py, "f_lineno"))?;
            frames.append((frame, line))?;
            waits = next;
        }
        if frames.is_empty() {
            return Ok(None);
        }
        let summary = py.import("traceback")?.getattr("StackSummary")?.call_method1("extract", (frames,))?;
        lines(&summary.call_method0("format")?).map(Some)
    };
    stack().ok().flatten()
}

/// The frame of a coroutine, or of a generator, and what it waits for.
fn step_of<'py>(waits: &Bound<'py, PyAny>) -> PyResult<Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
    for (frame, next) in [("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await")] {
        if let Some(frame) = waits.getattr_opt(frame)? {
            return Ok((!frame.is_none()).then_some((frame, waits.getattr(next)?)));
        }
    }
    Ok(None)
}

fn lines(lines: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(lines.extract::<Vec<String>>()?.concat())
}

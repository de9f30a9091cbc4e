//! Where a call is, as the lines of a traceback.

use std::os::raw::c_ulong;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;

/// How far a chain of awaits is followed.
const DEEPEST: usize = 200;

/// The stack of a thread; `None` if it runs no Python.
pub(super) fn of_thread(py: Python<'_>, thread: c_ulong) -> Option<String> {
    let stack = || -> PyResult<Option<String>> {
        let frames = py.import("sys")?.call_method0("_current_frames")?;
        of_frame(&frames.call_method1("get", (thread,))?)
    };
    stack().ok().flatten()
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

//! The event loop that hosts the server: asyncio's own, or uvloop's.

use ferricorn_config::AsgiLoop;
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// The thread's loop, if it has one already that is of the wanted kind, else a new one, which becomes the thread's.
///
/// # Errors
/// uvloop is wanted and cannot be imported.
pub(crate) fn of_thread(py: Python<'_>, wanted: AsgiLoop) -> PyResult<Bound<'_, PyAny>> {
    if let Some(found) = found(py, wanted) {
        return Ok(found);
    }
    let asyncio = py.import("asyncio")?;
    let made = match wanted {
        AsgiLoop::Asyncio => asyncio.call_method0("new_event_loop")?,
        AsgiLoop::Uvloop => py.import("uvloop")?.call_method0("new_event_loop")?,
        AsgiLoop::Auto => match py.import("uvloop") {
            Ok(uvloop) => uvloop.call_method0("new_event_loop")?,
            Err(error) if error.is_instance_of::<PyImportError>(py) => {
                asyncio.call_method0("new_event_loop")?
            }
            Err(error) => return Err(error),
        },
    };
    asyncio.call_method1("set_event_loop", (&made,))?;
    Ok(made)
}

/// A loop that was made when the application was imported: what it made there may be bound to that loop. asyncio has
/// no way to ask for it that does not make one, hence the look at what its policy keeps.
fn found(py: Python<'_>, wanted: AsgiLoop) -> Option<Bound<'_, PyAny>> {
    let modules = py.import("sys").ok()?.getattr("modules").ok()?;
    let events = modules.get_item("asyncio.events").ok()?;
    let policy = events.getattr("_event_loop_policy").ok().filter(|policy| !policy.is_none())?;
    let kept = policy.getattr("_local").and_then(|local| local.getattr("_loop")).ok()?;
    if kept.is_none() || kept.call_method0("is_closed").ok()?.is_truthy().ok()? {
        return None;
    }
    let module = kept.get_type().module().ok()?;
    let is_uvloop = module.to_str().ok()?.starts_with("uvloop");
    let fits = match wanted {
        AsgiLoop::Auto => true,
        AsgiLoop::Asyncio => !is_uvloop,
        AsgiLoop::Uvloop => is_uvloop,
    };
    fits.then_some(kept)
}

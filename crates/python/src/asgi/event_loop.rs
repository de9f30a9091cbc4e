//! The event loop that hosts the server: asyncio's own, or uvloop's.

use ferricorn_config::AsgiLoop;
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// Makes the loop, and makes it the thread's.
///
/// # Errors
/// uvloop is wanted and cannot be imported.
pub(super) fn make(py: Python<'_>, wanted: AsgiLoop) -> PyResult<Bound<'_, PyAny>> {
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

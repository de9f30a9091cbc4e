//! A pump: turns of the server's loop, each with what it leaves for Python to do, until there is nothing left.

use std::cell::Cell;

use ferricorn_protocol::{Guest, Look, Pumped};
use pyo3::prelude::*;

use super::Bell;

/// How often a pump looks for more that its own work has made ready, before the host has its turn.
const ROUNDS: u32 = 16;

/// A loop of Python's, as far as a pump needs it.
pub(crate) trait Host {
    fn bell(&self) -> &Bell;

    fn guest(&self) -> &dyn Guest;

    /// Whether the worker's life is over.
    fn over(&self) -> &Cell<bool>;

    /// Ends the host's loop.
    fn stop(&self, py: Python<'_>) -> PyResult<()>;

    /// Does what a turn of the server's loop has left for Python to do.
    fn work_off(&self, py: Python<'_>);
}

/// A pump at work.
struct Pumping<'a>(&'a Bell);

impl Drop for Pumping<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// See the module's first line. To be called by the host's loop itself.
pub(crate) fn pump(host: &impl Host, py: Python<'_>, mut look: Look) -> PyResult<()> {
    let bell = host.bell();
    if host.over().get() || !bell.begin() {
        return Ok(());
    }
    // However this ends, by a panic too: the host goes on, and so must the pump. What has rung at the last round is
    // for the next one.
    let _pumping = Pumping(bell);
    for _ in 0..ROUNDS {
        bell.hush();
        let pumped = host.guest().pump(look);
        match pumped {
            Pumped::Over => {
                host.over().set(true);
                host.stop(py)?;
                break;
            }
            Pumped::Busy => bell.ring(),
            Pumped::Idle => {}
        }
        host.work_off(py);
        // A guest that does not come to an end may need to hear from the kernel, as others of this thread do.
        if pumped == Pumped::Busy || !bell.has_rung() {
            break;
        }
        look = Look::Tasks;
    }
    Ok(())
}

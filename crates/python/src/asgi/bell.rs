//! Has the host loop pump soon, once for however many reasons.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// See the module's first line.
#[derive(Default)]
pub(super) struct Bell {
    rung: AtomicBool,
    /// Whether a pump is at work: it looks at the bell again before it ends.
    pumping: AtomicBool,
    rope: OnceLock<Rope>,
}

/// How the host is told.
struct Rope {
    event_loop: Py<PyAny>,
    /// Called by the loop: pumps.
    pump: Py<PyAny>,
    /// `context=`, so that what rings does not lend its context to what is begun.
    options: Py<PyDict>,
}

impl Bell {
    /// Hangs the bell: rings reach `event_loop`, which then calls `pump` in `context`.
    pub(super) fn hang(
        &self,
        event_loop: &Bound<'_, PyAny>,
        pump: &Bound<'_, PyAny>,
        context: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let options = PyDict::new(pump.py());
        options.set_item("context", context)?;
        let rope = Rope {
            event_loop: event_loop.clone().unbind(),
            pump: pump.clone().unbind(),
            options: options.unbind(),
        };
        // It is hung once.
        let _ = self.rope.set(rope);
        Ok(())
    }

    /// Says that there is something to do.
    pub(super) fn ring(&self) {
        if !self.rung.swap(true, Relaxed) && !self.pumping.load(Relaxed) {
            self.pull();
        }
    }

    fn pull(&self) {
        let Some(rope) = self.rope.get() else { return };
        Python::attach(|py| {
            let options = rope.options.bind(py);
            let called =
                rope.event_loop.bind(py).call_method(intern!(py, "call_soon"), (&rope.pump,), Some(options));
            if let Err(error) = called {
                self.hush();
                tracing::debug!("The event loop cannot be told to go on: {error}");
            }
        });
    }

    /// The host's loop, once it is there.
    pub(super) fn event_loop<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.rope.get().map(|rope| rope.event_loop.bind(py).clone())
    }

    /// Begins to pump, unless that is going on already.
    pub(super) fn begin(&self) -> bool {
        !self.pumping.swap(true, Relaxed)
    }

    /// Silences it: what it has rung for is about to be done.
    pub(super) fn hush(&self) {
        self.rung.store(false, Relaxed);
    }

    /// Whether it has rung since then.
    pub(super) fn has_rung(&self) -> bool {
        self.rung.load(Relaxed)
    }

    /// Ends a pump. What is left to do is done soon.
    pub(super) fn end(&self) {
        self.pumping.store(false, Relaxed);
        if self.rung.load(Relaxed) {
            self.pull();
        }
    }
}

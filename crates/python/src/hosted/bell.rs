//! Has the host loop pump soon, once for however many reasons.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pyo3::prelude::*;

/// How the host is told: it then pumps soon.
type Rope = Box<dyn Fn(Python<'_>) -> PyResult<()> + Send + Sync>;

/// See the module's first line.
#[derive(Default)]
pub(crate) struct Bell {
    rung: AtomicBool,
    /// Whether a pump is at work: it looks at the bell again before it ends.
    pumping: AtomicBool,
    rope: OnceLock<Rope>,
}

impl Bell {
    /// Hangs the bell, which is done once: `rope` has the host pump soon.
    pub(crate) fn hang(&self, rope: impl Fn(Python<'_>) -> PyResult<()> + Send + Sync + 'static) {
        let _ = self.rope.set(Box::new(rope));
    }

    /// Says that there is something to do.
    pub(crate) fn ring(&self) {
        if !self.rung.swap(true, Relaxed) && !self.pumping.load(Relaxed) {
            self.pull();
        }
    }

    fn pull(&self) {
        let Some(rope) = self.rope.get() else { return };
        Python::attach(|py| {
            if let Err(error) = rope(py) {
                self.hush();
                tracing::debug!("The event loop cannot be told to go on: {error}");
            }
        });
    }

    /// Begins to pump, unless that is going on already.
    pub(crate) fn begin(&self) -> bool {
        !self.pumping.swap(true, Relaxed)
    }

    /// Silences it: what it has rung for is about to be done.
    pub(crate) fn hush(&self) {
        self.rung.store(false, Relaxed);
    }

    /// Whether it has rung since then.
    pub(crate) fn has_rung(&self) -> bool {
        self.rung.load(Relaxed)
    }

    /// Ends a pump. What is left to do is done soon.
    pub(crate) fn end(&self) {
        self.pumping.store(false, Relaxed);
        if self.rung.load(Relaxed) {
            self.pull();
        }
    }
}

//! The steps that threads are in for requests with a deadline, and how one is interrupted.
//!
//! A step is a call of the application, or a piece of its answer. Its thread gets an exception, [`RequestTimeout`]: the
//! main thread from the handler of a signal, which also ends what it waits for; another from CPython, as soon as it runs
//! Python. Whoever touches the list of steps is attached, so that a thread that ends its step cannot be hit behind it.

use std::os::raw::c_ulong;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use ferricorn_protocol::{Deadline, TellStack};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};

use super::{RequestTimeout, stack};
use crate::fault::one_line;
use crate::raw::{set_async_exception, thread_ident};
use crate::visit::visit;

/// The signal that interrupts the main thread: a real-time signal, next to the one for stacks, that apps do not use.
const INTERRUPT: i32 = 51;

/// See the module's first line.
#[derive(Default)]
pub(crate) struct Steps {
    running: Mutex<Vec<Step>>,
    /// The main thread, once a handler of the signal stands.
    main: OnceLock<Main>,
}

struct Main {
    thread: c_ulong,
    /// How many frames of Python have led to the server.
    below: usize,
    handler: Py<PyAny>,
}

struct Step {
    number: u64,
    thread: c_ulong,
    interrupted: bool,
}

impl Steps {
    /// Installs the handler of the signal. To be called on the main thread, before the application is called.
    ///
    /// # Errors
    /// Those of `signal.signal`.
    pub(crate) fn prepare(self: &Arc<Self>, py: Python<'_>) -> PyResult<()> {
        let steps = self.clone();
        let handler = PyCFunction::new_closure(
            py,
            Some(c"interrupt_request"),
            None,
            move |_: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| -> PyResult<()> {
                if steps.take_interruption() {
                    return Err(RequestTimeout::new_err(
                        "the request has taken longer than --request-timeout allows",
                    ));
                }
                Ok(())
            },
        )?
        .into_any();
        py.import("signal")?.call_method1("signal", (INTERRUPT, &handler))?;
        let _ = self.main.set(Main {
            thread: thread_ident(),
            below: stack::depth(py),
            handler: handler.unbind(),
        });
        Ok(())
    }

    /// Takes a step for a request; `None` if its time is over.
    pub(crate) fn run<T>(
        &self,
        py: Python<'_>,
        deadline: &dyn Deadline,
        step: impl FnOnce() -> T,
    ) -> Option<T> {
        let number = deadline.number();
        self.lock().push(Step { number, thread: thread_ident(), interrupted: false });
        let _entered = Entered { steps: self, number, _py: py };
        // Who says that it is over looks for the step after that.
        (!deadline.is_over()).then(step)
    }

    /// Whether a thread is in a step for the request with this number.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.lock().iter().any(|step| step.number == number)
    }

    /// Interrupts the step for the request with this number. It takes a thread of its own, since the caller must not
    /// wait for Python.
    pub(crate) fn interrupt(self: &Arc<Self>, number: u64, tell: TellStack) {
        if !self.has(number) {
            return tell(None);
        }
        let steps = self.clone();
        let interrupt = move || {
            visit(|py| {
                if let Err(error) = steps.interrupt_attached(py, number, tell) {
                    tracing::error!("A call cannot be interrupted: {}", one_line(py, &error));
                }
            });
        };
        let name = "ferricorn-deadline".to_owned();
        if let Err(error) = thread::Builder::new().name(name).stack_size(1024 * 1024).spawn(interrupt) {
            tracing::error!("A call cannot be interrupted, for there is no thread to do it: {error}");
        }
    }

    fn interrupt_attached(&self, py: Python<'_>, number: u64, tell: TellStack) -> PyResult<()> {
        let thread = self.lock().iter().find(|step| step.number == number).map(|step| step.thread);
        tell(thread.and_then(|thread| {
            let main = self.main.get().filter(|main| main.thread == thread);
            stack::of_thread(py, thread, main.map(|main| main.below))
        }));
        // Other threads have run meanwhile. From here to the exception none does.
        let mut running = self.lock();
        let Some(step) = running.iter_mut().find(|step| step.number == number) else { return Ok(()) };
        step.interrupted = true;
        let thread = step.thread;
        match self.main.get().filter(|main| main.thread == thread) {
            None => set_async_exception(py, thread, Some(py.get_type::<RequestTimeout>().as_any())),
            Some(main) => {
                drop(running);
                main.interrupt(py)?;
            }
        }
        Ok(())
    }

    /// Whether the main thread is to be interrupted in its step; asked by the handler of the signal, on that thread.
    fn take_interruption(&self) -> bool {
        let thread = thread_ident();
        let mut running = self.lock();
        let step = running.iter_mut().find(|step| step.thread == thread && step.interrupted);
        step.is_some_and(|step| std::mem::take(&mut step.interrupted))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Step>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Main {
    /// Sends the signal, unless the application has taken the handler away, and it might end the process.
    fn interrupt(&self, py: Python<'_>) -> PyResult<()> {
        let signal = py.import("signal")?;
        if signal.call_method1("getsignal", (INTERRUPT,))?.is(&self.handler) {
            signal.call_method1("pthread_kill", (self.thread, INTERRUPT))?;
        } else {
            tracing::error!(
                "A call cannot be interrupted, for the app has replaced the handler of signal {INTERRUPT}"
            );
        }
        Ok(())
    }
}

/// A step that goes on.
struct Entered<'a, 'py> {
    steps: &'a Steps,
    number: u64,
    _py: Python<'py>,
}

impl Drop for Entered<'_, '_> {
    fn drop(&mut self) {
        let mut running = self.steps.lock();
        let at = running.iter().position(|step| step.number == self.number);
        let Some(step) = at.map(|at| running.swap_remove(at)) else { return };
        let main = self.steps.main.get().is_some_and(|main| main.thread == step.thread);
        if step.interrupted && !main {
            // If it has not come yet it would hit what the thread does next.
            set_async_exception(self._py, step.thread, None);
        }
    }
}

//! A task of asyncio for each request, and when it is ended.

use std::cell::Cell;
use std::sync::Mutex;
use std::time::Duration;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::deadline::of_task;
use crate::hosted::lock;
use crate::raw::{construct, is_held_once};

/// Makes tasks.
pub(super) struct Tasks {
    event_loop: Py<PyAny>,
    /// The type of what calling an `async def` gives.
    coroutine: Py<PyType>,
    /// How a task's first step is taken at once (Python 3.12 and later).
    eager: Option<Eager>,
    /// Whether the application has set a factory, which decides for itself.
    factory: Cell<bool>,
}

/// A task that begins at once.
struct Eager {
    /// `asyncio.Task`.
    task: Py<PyType>,
    /// What it is called with.
    options: Py<PyDict>,
    /// `asyncio.Task.result`: to look it up for each task would cost more than the call.
    result: Py<PyAny>,
}

/// A task that was begun.
pub(super) enum Begun<'py> {
    /// It has ended already, perhaps with an exception.
    Ended(Option<PyErr>),
    /// It waits for something.
    Waits(Bound<'py, PyAny>),
}

impl Tasks {
    pub(super) fn new(event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = event_loop.py();
        let eager = if py.version_info() >= (3, 12) {
            let options = PyDict::new(py);
            // Keys that are interned are found at a glance.
            options.set_item(intern!(py, "loop"), event_loop)?;
            options.set_item(intern!(py, "eager_start"), true)?;
            let task = py.import("asyncio")?.getattr("Task")?.cast_into::<PyType>()?;
            let result = task.getattr("result")?.unbind();
            Some(Eager { task: task.unbind(), options: options.unbind(), result })
        } else {
            None
        };
        let coroutine = py.import("types")?.getattr("CoroutineType")?.cast_into::<PyType>()?.unbind();
        Ok(Self { event_loop: event_loop.clone().unbind(), coroutine, eager, factory: Cell::new(false) })
    }

    /// Looks whether there is a factory now. To be called before tasks are begun.
    pub(super) fn look(&self, py: Python<'_>) -> PyResult<()> {
        let factory = self.event_loop.bind(py).call_method0(intern!(py, "get_task_factory"))?;
        self.factory.set(!factory.is_none());
        Ok(())
    }

    /// Begins a task with the coroutine, or whatever else can be awaited. It has a fresh copy of the context in which
    /// this is called.
    ///
    /// # Errors
    /// It cannot be awaited; or an exception that ends a process was raised at its first step.
    pub(super) fn begin<'py>(&self, coroutine: &Bound<'py, PyAny>) -> PyResult<Begun<'py>> {
        let py = coroutine.py();
        let event_loop = self.event_loop.bind(py);
        if !coroutine.get_type().is(&self.coroutine) {
            let options = PyDict::new(py);
            options.set_item(intern!(py, "loop"), event_loop)?;
            return begun(py.import("asyncio")?.call_method(
                "ensure_future",
                (coroutine,),
                Some(&options),
            )?);
        }
        if let Some(Eager { task, options, result }) = self.eager.as_ref().filter(|_| !self.factory.get()) {
            let made = {
                let arguments = PyTuple::new(py, [coroutine])?;
                construct(task.bind(py), &arguments, options.bind(py))
            };
            let task = match made {
                Ok(task) => task,
                Err((error, task)) => return Err(heard(error, task)),
            };
            // A task that goes on holds its coroutine.
            if is_held_once(coroutine) {
                return Ok(Begun::Ended(result.bind(py).call1((task,)).err()));
            }
            return begun(task);
        }
        begun(event_loop.call_method1(intern!(py, "create_task"), (coroutine,))?)
    }
}

/// The exception that ends a process, raised at the first step of a task. asyncio keeps it for whoever asks the task, and would
/// tell that nobody does.
#[cold]
fn heard(error: PyErr, task: Option<Bound<'_, PyAny>>) -> PyErr {
    if let Some(Err(error)) = task.map(|task| task.call_method0(intern!(task.py(), "exception"))) {
        tracing::debug!("A task that could not be made keeps nothing: {error}");
    }
    error
}

/// Asks a task, or a future, whether it has ended.
fn begun(task: Bound<'_, PyAny>) -> PyResult<Begun<'_>> {
    let ended = task.call_method0(intern!(task.py(), "done"))?.is_truthy()?;
    Ok(if ended { Begun::Ended(failure(&task)) } else { Begun::Waits(task) })
}

/// The exception with which a task ended.
pub(super) fn failure(task: &Bound<'_, PyAny>) -> Option<PyErr> {
    task.call_method0(intern!(task.py(), "result")).err()
}

/// How a task may be ended, and how long it goes on when its client has left.
pub(super) struct Ending {
    grace: Duration,
    /// The number of the request, if it has a deadline.
    number: Option<u64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The task, if it did not end at its first step.
    task: Option<Py<PyAny>>,
    /// What cancels it when the grace period is over.
    timer: Option<Py<PyAny>>,
    /// Whether it was cancelled for the end of its worker, or of its request's time.
    cancelled: bool,
}

impl Ending {
    /// `number` is that of the request, if it has a deadline.
    pub(super) fn new(grace: Duration, number: Option<u64>) -> Self {
        Self { grace, number, state: Mutex::default() }
    }

    /// Whether this is the request with that number.
    pub(super) fn is_of(&self, number: u64) -> bool {
        self.number == Some(number)
    }

    /// Where the task is.
    pub(super) fn stack(&self, py: Python<'_>) -> Option<String> {
        let task = lock(&self.state).task.as_ref().map(|task| task.clone_ref(py));
        task.and_then(|task| of_task(task.bind(py)))
    }

    pub(super) fn set_task(&self, task: &Bound<'_, PyAny>) {
        lock(&self.state).task = Some(task.clone().unbind());
    }

    /// The task has ended by itself.
    pub(super) fn ended(&self, py: Python<'_>) {
        let (task, timer) = {
            let mut state = lock(&self.state);
            (state.task.take(), state.timer.take())
        };
        drop(task);
        if let Some(timer) = timer {
            cancel_timer(py, &timer);
        }
    }

    /// Cancels the task at once, for its worker or its time ends.
    pub(super) fn cancel(&self, py: Python<'_>) -> PyResult<()> {
        let task = {
            let mut state = lock(&self.state);
            state.cancelled = true;
            state.task.as_ref().map(|task| task.clone_ref(py))
        };
        task.map_or(Ok(()), |task| task.bind(py).call_method0(intern!(py, "cancel")).map(drop))
    }

    /// Whether the task was cancelled for the end of its worker or of its time.
    pub(super) fn is_cancelled(&self) -> bool {
        lock(&self.state).cancelled
    }

    /// Cancels the task after the grace period.
    pub(super) fn let_go(&self, event_loop: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = event_loop.py();
        let task = {
            let state = lock(&self.state);
            state.task.as_ref().filter(|_| !state.cancelled).map(|task| task.clone_ref(py))
        };
        let Some(task) = task else { return Ok(()) };
        let cancel = task.bind(py).getattr(intern!(py, "cancel"))?;
        if self.grace.is_zero() {
            cancel.call0()?;
            return Ok(());
        }
        let arguments = (self.grace.as_secs_f64(), cancel);
        let timer = event_loop.call_method1(intern!(py, "call_later"), arguments)?;
        lock(&self.state).timer = Some(timer.unbind());
        Ok(())
    }
}

fn cancel_timer(py: Python<'_>, timer: &Py<PyAny>) {
    if let Err(error) = timer.bind(py).call_method0(intern!(py, "cancel")) {
        tracing::debug!("A timer cannot be cancelled: {error}");
    }
}

//! Context variables (PEP 567) of responses that go on after their call.
//!
//! Such responses take turns on an app thread, with each other and with calls. What a framework sets while it makes one,
//! such as Flask's `stream_with_context`, must not be found or taken away by another. So an app thread runs calls in a
//! context that it keeps until a call gives a response that goes on. That response takes the context with it, and the
//! thread begins a new one.

use std::cell::Cell;
use std::mem::ManuallyDrop;

use pyo3::prelude::*;

use crate::raw::{copy_context, enter_context, exit_context};

thread_local! {
    /// The context in which this thread runs calls. Nobody drops it: it lives as long as the thread.
    static CURRENT: Cell<Option<ManuallyDrop<Py<PyAny>>>> = const { Cell::new(None) };
}

/// The context of a response that goes on; none outside of app threads.
pub(super) struct Kept(Option<Py<PyAny>>);

/// Has this thread, which is an app thread, run calls in a context of their own.
#[inline]
pub(super) fn begin(py: Python<'_>) {
    match CURRENT.take() {
        None => renew(py),
        current => CURRENT.set(current),
    }
}

/// Without memory for a context, calls run in that of the thread.
fn renew(py: Python<'_>) {
    let context = copy_context(py).and_then(|context| enter_context(&context).map(|()| context));
    CURRENT.set(context.ok().map(|context| ManuallyDrop::new(context.unbind())));
}

impl Kept {
    /// Takes the context in which this call ran.
    pub(super) fn take(py: Python<'_>) -> Self {
        let Some(current) = CURRENT.take() else { return Self(None) };
        let context = ManuallyDrop::into_inner(current).into_bound(py);
        // It cannot be left if the app has left another one behind in it.
        let left = exit_context(&context).is_ok();
        if left {
            renew(py);
        }
        Self(left.then(|| context.unbind()))
    }

    /// Runs a step of the response in its context.
    pub(super) fn within<T>(&self, py: Python<'_>, step: impl FnOnce() -> T) -> T {
        let Some(context) = self.0.as_ref().map(|context| context.bind(py)) else { return step() };
        let entered = enter_context(context).is_ok();
        let result = step();
        if entered {
            // What the app has left behind is not ours to mend.
            let _ = exit_context(context);
        }
        result
    }
}

//! How a greenlet waits for what the server's loop brings.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use pyo3::intern;
use pyo3::prelude::*;

use super::agenda::Agenda;

/// Puts a greenlet that waits on the agenda.
struct Resume {
    waiter: Py<PyAny>,
    agenda: Arc<Agenda>,
}

impl Wake for Resume {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waiter = Python::attach(|py| self.waiter.clone_ref(py));
        self.agenda.resume(waiter);
    }
}

/// Has the calling greenlet wait until `poll` is ready. Others run meanwhile.
///
/// # Errors
/// What was thrown into the greenlet; or it cannot wait, for it is the hub, or in another thread.
pub(super) fn wait<T>(
    py: Python<'_>,
    agenda: &Arc<Agenda>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> PyResult<T> {
    if let Poll::Ready(value) = poll(&mut Context::from_waker(Waker::noop())) {
        return Ok(value);
    }
    loop {
        let waiter = agenda.hub()?.waiter(py)?;
        let resume = Resume { waiter: waiter.clone().unbind(), agenda: agenda.clone() };
        let waker = Waker::from(Arc::new(resume));
        if let Poll::Ready(value) = poll(&mut Context::from_waker(&waker)) {
            return Ok(value);
        }
        waiter.call_method0(intern!(py, "get"))?;
    }
}

//! Connections that an app takes over, to go on with the socket alone (`environ['gunicorn.socket']`).
//!
//! The app asks in the midst of its call, and waits on the [`handover`]: on the seat through the
//! [`Exchange`](crate::exchange::Exchange), and otherwise by a [`wish`].
//! The service sees to it that all before was written, and hyper, which has not begun to answer, is taken away. From then
//! on the task of the connection is a [`loan`]: it waits for the end of the call, or of the socket, and then ends the
//! connection. The app's [`descriptor`](socket) is a second one of the same socket; where bytes had been read behind the
//! request, which cannot be put back, it is one end of a [`relay`].

mod handover;
mod loan;
mod relay;
mod socket;
mod wish;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

pub(crate) use handover::{Handover, Offer};
pub(crate) use loan::{Loan, Running};
pub(crate) use socket::Socket;
pub(crate) use wish::Wish;

/// Where the service leaves a loan for the connection's task.
#[derive(Default)]
pub(crate) struct Lent {
    /// Whether there is one.
    lent: AtomicBool,
    loan: Mutex<Option<Box<Loan>>>,
}

impl Lent {
    pub(crate) fn put(&self, loan: Box<Loan>) {
        self.lock().replace(loan);
        self.lent.store(true, Relaxed);
    }

    /// Whether a loan waits. For every look at a connection that hyper has nothing to do for.
    pub(crate) fn is_there(&self) -> bool {
        self.lent.load(Relaxed)
    }

    pub(crate) fn take(&self) -> Option<Box<Loan>> {
        if self.lent.swap(false, Relaxed) { self.lock().take() } else { None }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Box<Loan>>> {
        self.loan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

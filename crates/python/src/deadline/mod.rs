//! The deadline of a request as an application has it: the exception that ends its call, and the way to ask for more time.

mod bounded;
mod extend;
mod stack;
mod steps;

use pyo3::create_exception;
use pyo3::exceptions::PyBaseException;

pub(crate) use bounded::{Bounded, over};
pub(crate) use extend::ExtendDeadline;
pub(crate) use stack::{of_greenlet, of_task};
pub(crate) use steps::Steps;

create_exception!(
    ferricorn,
    RequestTimeout,
    PyBaseException,
    "Raised in the call of a WSGI application for a request that has taken longer than --request-timeout. Its client has \
     been answered by then, so there is nothing to do but to let it pass."
);

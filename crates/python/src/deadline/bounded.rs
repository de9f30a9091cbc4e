//! A response whose pieces have a deadline.

use std::sync::Arc;

use bytes::Bytes;
use ferricorn_protocol::{AppFault, AppThread, Deadline, Pieces, ResponseBody};
use pyo3::prelude::*;

use super::steps::Steps;

/// What is left of it.
pub(crate) struct Bounded {
    pieces: Box<dyn Pieces>,
    deadline: Arc<dyn Deadline>,
    steps: Arc<Steps>,
}

impl Bounded {
    /// The body with the deadline for its pieces, if it has any.
    pub(crate) fn body(body: ResponseBody, deadline: &Arc<dyn Deadline>, steps: &Arc<Steps>) -> ResponseBody {
        match body {
            ResponseBody::Pulled { first, rest: pieces } => {
                let rest = Box::new(Self { pieces, deadline: deadline.clone(), steps: steps.clone() });
                ResponseBody::Pulled { first, rest }
            }
            other => other,
        }
    }
}

impl Pieces for Bounded {
    fn next(&mut self) -> Result<Option<Bytes>, AppFault> {
        let Self { pieces, deadline, steps } = self;
        Python::attach(|py| steps.run(py, &**deadline, || pieces.next())).unwrap_or_else(|| Err(over()))
    }

    fn close(self: Box<Self>) -> Result<(), AppFault> {
        self.pieces.close()
    }

    fn home(&self) -> Option<AppThread> {
        self.pieces.home()
    }
}

/// The fault of a request for which nothing is begun any more. Nobody hears of it.
pub(crate) fn over() -> AppFault {
    AppFault { told: true, ..AppFault::new("the time of the request is over") }
}

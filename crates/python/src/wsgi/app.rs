//! A WSGI application as the server calls it.

use ferricorn_protocol::{Answer, App, AppFault, Drive, Request, Response, ResponseBody, WorkerInfo};
use http::request::Parts;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::close::close_left_open;
use super::early_hints::Current;
use super::environ::{EnvironFactory, Facts};
use super::errors::ErrorSink;
use super::response::body;
use super::start_response::StartResponse;
use crate::fault::app_fault;
use crate::forked::end_if_forked;

/// A WSGI application, loaded.
pub struct WsgiApp {
    callable: Py<PyAny>,
    environs: EnvironFactory,
    log_environ: Vec<String>,
}

impl WsgiApp {
    /// Wraps the callable. `script_name` is what is taken off each path; what the application writes to
    /// `wsgi.errors` goes to `errors`.
    ///
    /// # Errors
    /// `MemoryError`.
    pub fn new(
        callable: Bound<'_, PyAny>,
        worker: &WorkerInfo,
        script_name: &str,
        errors: ErrorSink,
    ) -> PyResult<Self> {
        let facts = Facts {
            multithread: worker.app_threads > 1,
            multiprocess: worker.multiprocess,
            script_name: script_name.to_owned(),
            shows_socket: true,
        };
        let environs = EnvironFactory::new(callable.py(), &facts, errors)?;
        Ok(Self { callable: callable.unbind(), environs, log_environ: worker.log_environ.clone() })
    }

    fn answer(&self, py: Python<'_>, mut request: Request) -> Result<Answer, AppFault> {
        close_left_open(py);
        let environ = self.environs.build(py, &mut request)?;
        let answer = self.run(&environ, request);
        end_if_forked(py, answer.as_ref().err());
        answer.map_err(|error| app_fault(py, &error))
    }

    fn run(&self, environ: &Bound<'_, PyDict>, request: Request) -> PyResult<Answer> {
        let py = environ.py();
        let start = Bound::new(py, StartResponse::new(request.early, request.head.version))?;
        let _current = Current::new(&start);
        let iterable = match self.callable.bind(py).call1((environ, &start)) {
            Ok(iterable) => iterable,
            Err(error) if start.borrow().ends_with(&error, py) => {
                return Ok(Answer::Begun(ResponseBody::Empty));
            }
            Err(error) => return Err(error),
        };
        let body = body(iterable, &start, &request.head)?;
        let mut start = start.borrow_mut();
        if start.is_sent() {
            return Ok(Answer::Begun(body));
        }
        match start.take_head() {
            Ok(head) => {
                let log_environ = self.log_environ.iter().map(|name| variable(environ, name)).collect();
                Ok(Answer::Response(Response { head, body, log_environ }))
            }
            Err(error) => {
                drop(start);
                end(body, &request.head);
                Err(error)
            }
        }
    }
}

impl App for WsgiApp {
    fn drive(&self) -> Drive {
        Drive::Seat
    }

    /// Attaching once for several calls is a tenth of what attaching for each would cost. Other threads of the
    /// application get their turn whenever a call blocks, and from the interpreter's own switching.
    fn around_calls(&self, calls: &mut dyn FnMut()) {
        Python::attach(|_| calls());
    }

    fn call(&self, request: Request) -> Answer {
        Python::attach(|py| self.answer(py, request)).unwrap_or_else(Answer::Fault)
    }
}

/// Closes a body that is not sent, for a fault that goes before any of its own.
fn end(body: ResponseBody, request: &Parts) {
    let rest = match body {
        ResponseBody::Pulled { rest, .. } => Some(rest),
        ResponseBody::File(file) => file.rest,
        _ => None,
    };
    if let Some(Err(fault)) = rest.map(|rest| rest.close()) {
        let told = fault.traceback.as_deref().unwrap_or(&fault.message).trim_end();
        tracing::error!(
            "Error while closing the response to {} {}\n{told}",
            request.method,
            request.uri.path()
        );
    }
}

/// The value of an environ variable for the access log.
fn variable(environ: &Bound<'_, PyDict>, name: &str) -> Option<String> {
    Some(environ.get_item(name).ok()??.str().ok()?.to_string_lossy().into_owned())
}
